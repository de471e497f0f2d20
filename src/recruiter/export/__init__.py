"""Export: a checkpoint's adapter merged into its base, as a folder that transformers and vLLM load as it is.

    adapter.py       what the adapter adds to each weight      base.py    the model it belongs to, as files
    merge.py         weight by weight, without the model       config_files.py   config and tokenizer for old and new readers
    verify.py        the folder against base + adapter         card.py, evidence.py, manifest.py   what is told about it

Everything is checked before anything is written: that adapter and base belong together, the disk, the folder. The files
are written beside their place and renamed when the last one is there.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recruiter.config.paths import WORKSPACE, is_hub_id
from recruiter.errors import ExportError
from recruiter.export.adapter import Adapter, read_adapter
from recruiter.export.base import BaseModel, open_base
from recruiter.export.card import find_licence, write_card
from recruiter.export.config_files import context_length, write_config_files
from recruiter.export.evidence import TrainingRun, find_evaluations, find_run
from recruiter.export.manifest import Manifest, hash_files
from recruiter.export.merge import DTYPES, Merged, MergePlan, plan_merge, write_weights
from recruiter.files import short_path
from recruiter.prompts import PROMPT_HASH
from recruiter.rubric import load_rubric

__all__ = ["Export", "Manifest", "describe", "plan_export"]

SMALL_FILES_BYTES = 100_000_000  # tokenizer, card, picture
_STARTER = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Export:
    """An export that has been checked and can be written.

    Attributes:
        existing: the manifest of `folder`, where this very export already lies there, whole.
    """

    adapter: Adapter
    plan: MergePlan
    folder: Path
    max_model_len: int
    dtype: str
    existing: Manifest | None

    @property
    def base(self) -> BaseModel:
        """The model that the adapter is merged into."""
        return self.plan.base

    def write(self, progress: Callable[[int], None]) -> Merged:
        """Write the folder; `progress` gets the bytes of weights written so far.

        Raises:
            ExportError: something is not as it should be. The folder then is as it was before.
        """
        folder = self.folder.resolve()
        beside = folder.with_name(f".{folder.name}.tmp")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            run = find_run(self.adapter)
            write_config_files(self.plan, beside, self.max_model_len, run.sampling if run else None)
            merged = write_weights(self.plan, beside, progress)
            self._manifest(merged, beside, run).write(beside)
            old = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            _check_replaceable(folder, may_replace=True)  # merging takes minutes in which files may come
            if folder.exists():
                folder.rename(old)
            beside.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        return merged

    def _manifest(self, merged: Merged, folder: Path, run: TrainingRun | None) -> Manifest:
        is_starter = (self.base.folder / "starter.json").is_file()
        public = _STARTER if is_starter else self.adapter.base if is_hub_id(self.adapter.base) else None
        return Manifest(
            base=public or self.base.folder.name,
            hub_base=public,
            licence=find_licence(self.base.folder),
            checkpoint=short_path(self.adapter.folder),
            adapter_sha256=self.adapter.sha256,
            dtype=self.dtype,
            max_model_len=self.max_model_len,
            prompt_hash=PROMPT_HASH,
            rubric_hash=(run.description.get("rubric_hash") if run else None) or load_rubric().hash,
            kept=round(merged.kept, 4),
            files=hash_files(folder),
        )


def plan_export(
    adapter_folder: Path, folder: Path, max_model_len: int | None, dtype: str, base: str | None, overwrite: bool
) -> Export:
    """Check everything that can be checked before writing.

    Args:
        base: where the adapter's base model is, if not where `adapter_config.json` says.
        overwrite: whether `folder` may be replaced.

    Raises:
        ExportError: adapter or base is missing, damaged or of the wrong kind, they do not belong together, the folder is
            taken, or the disk is too small.
    """
    adapter = read_adapter(adapter_folder)
    model = open_base(base or adapter.base)
    plan = plan_merge(model, adapter, DTYPES[dtype])
    length = context_length(model, max_model_len)
    if folder.resolve() == model.folder.resolve():
        raise ExportError(f"--output {short_path(folder)} is the base model of this adapter; choose another folder.")
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"--output {short_path(folder)} is a file; choose another name.")
    existing = None if overwrite else _existing(folder, (adapter.sha256, dtype, length))
    if existing is None:
        _check_replaceable(folder, overwrite)
    if existing is None:
        _check_disk(plan, folder)
    return Export(adapter, plan, folder, length, dtype, existing)


def describe(folder: Path, hub_repo: str | None = None) -> Manifest:
    """Write the model card of an exported folder, with all that is known by now.

    Raises:
        ExportError: the folder is no export.
    """
    manifest = Manifest.read(folder)
    if manifest is None:
        raise ExportError(f"There is no export at {short_path(folder)}: make one with --checkpoint.")
    adapter = WORKSPACE / manifest.checkpoint
    run, evaluations = None, []
    try:
        current = read_adapter(adapter)
        if current.sha256 == manifest.adapter_sha256:
            run = find_run(current)
            written = (adapter / "adapter_model.safetensors").stat().st_mtime
            evaluations = find_evaluations(WORKSPACE / "results", adapter, written, folder, run)
    except ExportError:
        if (folder / "README.md").is_file():
            return manifest  # the checkpoint is gone; the card of that time stands
    write_card(folder, manifest, run, evaluations, hub_repo)
    return manifest


def _existing(folder: Path, wanted: tuple[str, str, int]) -> Manifest | None:
    """The manifest of a folder that is the wanted export: adapter, type and length; its files are compared."""
    manifest = Manifest.read(folder)
    if manifest is None or (manifest.adapter_sha256, manifest.dtype, manifest.max_model_len) != wanted:
        return None
    manifest.check(folder)
    return manifest


def _check_replaceable(folder: Path, may_replace: bool) -> None:
    """Refuse a folder that holds anything but an export.

    Args:
        may_replace: whether an export may go.

    Raises:
        ExportError: it is taken.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    manifest = Manifest.read(folder)
    others = manifest.other_files(folder) if manifest else []
    if manifest is None or others:
        what = f"also holds {others[0]}, which is no part of the export there" if others else "holds no export"
        raise ExportError(
            f"--output {short_path(folder)} {what}, so nothing in it is replaced: choose another folder, or move it away."
        )
    if not may_replace:
        raise ExportError(f"--output {short_path(folder)} holds another export: --overwrite replaces it.")


def _check_disk(plan: MergePlan, folder: Path) -> None:
    parent = next(parent for parent in folder.resolve().parents if parent.exists())
    needed, free = plan.size + SMALL_FILES_BYTES, shutil.disk_usage(parent).free
    if free < needed:
        raise ExportError(
            f"The export needs {needed / 1e9:.1f} GB and {free / 1e9:.1f} GB are free at {short_path(parent)}: free "
            f"some, or choose another --output."
        )
