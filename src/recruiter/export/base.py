"""The model that an adapter belongs to, as files: found, described without reading its weights, and refused if it is
incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from recruiter.config.paths import is_hub_id, model_folder
from recruiter.deploy.hub import fetch_snapshot
from recruiter.engines.folder import TensorInfo, is_tied, make_skeleton, read_whole, readable, weight_name
from recruiter.errors import ExportError, ModelError

_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md", "LICENSE*", "NOTICE*")


@dataclass(frozen=True)
class BaseModel:
    """A model folder.

    Attributes:
        name: as the adapter calls it, a Hub id or a folder.
        config: `config.json` as it stands.
        tensors: everything in its weight files, in the order of the files.
        input_name, output_name: the weights of the embedding and of the output layer.
        is_tied: the output layer is the embedding.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    tensors: dict[str, TensorInfo]
    input_name: str
    output_name: str
    is_tied: bool


def open_base(name: str) -> BaseModel:
    """Find a base model by folder (relative ones count from the repository's root) or Hub id, and look at its files.

    Raises:
        ExportError: it is missing, incomplete, quantised, or no causal language model.
    """
    folder = model_folder(name)
    if folder is None:
        if not is_hub_id(name):
            raise ExportError(
                f"The adapter belongs to {name}, which is not there: put it back, or say where it is with --base FOLDER."
            )
        folder = fetch_snapshot(name, patterns=_FILES)
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ExportError(f"{folder} is no model folder: its config.json is missing or damaged.") from None
    if config.get("quantization_config"):
        raise ExportError(
            f"{name} is quantised, and an adapter cannot be merged into it: name the full model with --base."
        )
    with refused():
        with readable(name):
            skeleton = make_skeleton(AutoConfig.from_pretrained(str(folder)))
        tensors = read_whole(folder, skeleton)
    into, out = (
        weight_name(skeleton, layer) for layer in (skeleton.get_input_embeddings(), skeleton.get_output_embeddings())
    )
    return BaseModel(name, folder, config, tensors, into, out, is_tied(skeleton))


@contextmanager
def refused() -> Iterator[None]:
    """What is wrong with a model is a reason not to export it."""
    try:
        yield
    except ModelError as error:
        raise ExportError(str(error)) from None
