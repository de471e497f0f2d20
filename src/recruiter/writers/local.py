"""A model on this machine as a writer: a folder, a Hub id, or an adapter of training on top of its base."""

from __future__ import annotations

import atexit
import gc
import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recruiter.config import SamplingParams
from recruiter.config.paths import WORKSPACE
from recruiter.engines.sources import read_generation_config
from recruiter.llm.usage import NO_USAGE, Usage
from recruiter.prompts import Message, generator_messages
from recruiter.roles import Role
from recruiter.train.layout import Checkpoint
from recruiter.train.rows import RunDescription
from recruiter.writers import Progress, Slot, Written, without_label

if TYPE_CHECKING:
    from recruiter.engines import Reader
    from recruiter.engines.model import LocalModel

WHOLE_HASH_BYTES = 1024**3
EXPORT_MANIFEST = "export.json"


class LocalWriter:
    """Decodes many questions at a time, every prompt computed once. Loads the model when it first needs it.

    Attributes:
        gpus: that write together, a process for each; where there are several, one call must end before the next.
    """

    usage: Usage = NO_USAGE
    is_service = False

    def __init__(self, path: str, adapter: Path | None = None, name: str | None = None, device: str = "auto") -> None:
        self.path, self.adapter, self.device, self.gpus = path, adapter, device, 1
        self.name = name or path
        self.notes: list[str] = []
        self._lock, self._opened = threading.Lock(), ExitStack()

    @classmethod
    def of_adapter(cls, adapter: Path, name: str) -> LocalWriter:
        """The base that an adapter was trained on, with it.

        Raises:
            ModelError: the folder holds no adapter.
        """
        from recruiter.engines.loading import adapter_base

        return cls(adapter_base(adapter), adapter, name)

    @cached_property
    def model(self) -> LocalModel:
        """The loaded model.

        Raises:
            ModelError: it is missing, no causal LM, or too large for this machine.
        """
        from recruiter.engines.parallel import open_model

        if self.gpus > 1:
            atexit.register(self._opened.close)  # before multiprocessing waits for the others
        return self._opened.enter_context(open_model(self.gpus, self.path, self.device, "auto", self.adapter))

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the weights; of a Hub id, its name."""
        parts = [self.path, _weights_hash(WORKSPACE / self.path), _weights_hash(self.adapter) if self.adapter else ""]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def training_run(self) -> RunDescription | None:
        """What `run.json` says of the run that trained the adapter."""
        return Checkpoint.of_adapter(self.adapter).run.read_description() if self.adapter else None

    @property
    def trained_with(self) -> SamplingParams | None:
        """The sampling settings of that run; of an export of this project, those in its generation config."""
        if run := self.training_run:
            return SamplingParams(**run["config"]["generator"]["sampling_params"])
        folder = WORKSPACE / self.path
        if not (folder / EXPORT_MANIFEST).is_file():
            return None
        stored = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        return SamplingParams(temperature=stored.get("temperature", 1.0), top_p=stored.get("top_p", 1.0))

    @cached_property
    def recommended(self) -> SamplingParams | None:
        """The sampling settings that the base model's generation config recommends, if it does.

        Raises:
            ModelError: the model is not on this machine, and the Hub cannot be reached.
        """
        stored = read_generation_config(self.path)
        if not stored.get("temperature"):
            return None
        return SamplingParams(
            temperature=stored["temperature"], top_p=stored.get("top_p") or 1.0, top_k=stored.get("top_k") or -1
        )

    def prepare(self) -> None:
        """Load the model; see `model`."""
        with self._lock:
            self.model  # noqa: B018

    @contextmanager
    def base(self) -> Iterator[Reader]:
        """The model without its adapter, to read with; nothing is written meanwhile. See `Judge.read_with`."""
        from recruiter.engines.reading import ModelReader

        self.prepare()
        with self._lock, self.model.without_adapter():
            yield ModelReader(self.model)

    def release(self) -> None:
        """Give the model's memory back; it is loaded again when it is needed."""
        with self._lock:
            self.__dict__.pop("model", None)
            self._opened.close()
        gc.collect()  # modules refer to each other

    def write(
        self,
        roles: Sequence[Role],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        skip: Set[Slot] = frozenset(),
        progress: Progress = lambda _: None,
    ) -> Iterator[Written]:
        """See `Writer`. Roles that are decoded together are ready together. Threads take turns at the model."""
        prompts = {role.id: generator_messages(role) for role in roles}
        yield from self._decode(prompts, samples, sampling, seed, skip, progress)

    def answer(
        self,
        prompts: Mapping[str, list[Message]],
        samples: int,
        sampling: SamplingParams,
        seed: int = 0,
        schema: dict[str, Any] | None = None,  # noqa: ARG002
        progress: Progress = lambda _: None,
    ) -> Iterator[Written]:
        """See `Writer`. Nothing holds its answers to a schema."""
        yield from self._decode(prompts, samples, sampling, seed, frozenset(), progress)

    def _decode(
        self,
        prompts: Mapping[str, list[Message]],
        samples: int,
        sampling: SamplingParams,
        seed: int,
        skip: Set[Slot],
        progress: Progress,
    ) -> Iterator[Written]:
        names = list(prompts)
        done = {index for index, name in enumerate(names) if all((name, s) in skip for s in range(samples))}
        self.prepare()
        portions = self.model.portions(list(prompts.values()), samples, sampling, seed, done, progress)
        while True:
            with self._lock:
                start = time.perf_counter()
                part, groups = next(portions, ([], None))
            if groups is None:
                return
            seconds = (time.perf_counter() - start) / (len(groups) * samples)
            for name, group in zip([names[each] for each in part], groups, strict=True):
                for index, sample in enumerate(group):
                    if (name, index) not in skip:
                        yield Written(
                            name, index, without_label(sample.text), len(sample.token_ids), sample.finished, seconds
                        )


def _weights_hash(folder: Path) -> str:
    """Hash of a model's or adapter's weights, whole if small, else by name, size and time; "" for a Hub id."""
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json")]):
        state = file.stat()
        digest.update(f"{file.name}/{state.st_size}".encode())
        digest.update(file.read_bytes() if state.st_size < WHOLE_HASH_BYTES else str(state.st_mtime_ns).encode())
    return digest.hexdigest() if folder.is_dir() else ""
