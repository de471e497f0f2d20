"""Exports in an environment with transformers 4.51, which the vLLM 0.8.5 of the default endpoint uses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from recruiter.export import plan_export
from tests.export.conftest import Train

OLD = ("transformers==4.51.3", "tokenizers<0.22", "huggingface_hub<1", "requests", "urllib3", "idna", "certifi",
       "charset-normalizer", "filelock")  # fmt: skip
READ = """
import json, sys, torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], torch_dtype="auto", output_loading_info=True)
messages = [{"role": "user", "content": "a queue"}]
ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
with torch.no_grad():
    logits = model(torch.tensor([ids])).logits[0, -1].float().tolist()
print(json.dumps({
    "version": transformers.__version__, "dtype": str(model.dtype), "ids": ids, "logits": logits,
    "length": tokenizer.model_max_length, "missing": list(info["missing_keys"]),
}))
"""
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}  # fmt: skip


def read(folder: Any, path: str = "") -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": path}
    finished = subprocess.run(
        [sys.executable, "-c", READ, str(folder)], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that puts transformers 4.51 before the installed one."""
    folder = str(tmp_path_factory.mktemp("transformers-4.51"))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, *OLD], check=True)
    return folder


@pytest.mark.soak
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize(
    ("kind", "changes"),
    [("qwen3", {}), ("qwen3", {"tie_word_embeddings": True}), ("llama", {"rope_parameters": LLAMA3})],
)
def test_transformers_4_51_reads_the_same_model(
    train: Train, old: str, kind: str, changes: dict[str, Any], dtype: str
) -> None:
    trained = train(kind, changes)
    made = plan_export(trained.adapter, trained.base.parent / "out", 1024, dtype, None, False)
    made.write(lambda _: None)
    before, now = read(made.folder, old), read(made.folder)
    assert before["version"] == "4.51.3"
    assert before["dtype"] == f"torch.{dtype}"
    assert not before["missing"]
    assert before["length"] == 1024
    assert before["ids"] == now["ids"]
    assert before["logits"] == pytest.approx(now["logits"], abs=1e-4 if dtype == "float32" else 0.1)
