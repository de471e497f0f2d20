from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.peers.hf_generate import measure_generate
from benchmarks.peers.trl_step import measure_trl
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from tests.engines.trl_oracle import save_tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated")
GROUP, ANSWER = 4, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llama")
    save_tiny_model("llama", path)
    return path


@pytest.fixture
def roles(role: Callable[..., Role]) -> list[Role]:
    return [role(i, description="queue " * (i + 1)) for i in range(3)]


@pytest.fixture
def padded_tokens(folder: Path, roles: list[Role]) -> int:
    """Every row is as long as the longest prompt and a whole answer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts: Any = [generator_messages(role) for role in roles]
    encoded: Any = tokenizer.apply_chat_template(prompts, add_generation_prompt=True)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    assert len(set(lengths)) > 1
    return len(roles) * GROUP * (max(lengths) + ANSWER)


def test_trl_step_is_timed_in_its_parts(folder: Path, roles: list[Role], padded_tokens: int) -> None:
    result = measure_trl(str(folder), roles, GROUP, ANSWER, "float32", steps=2, micro_batch=6, device="cpu")
    assert result["tokens_sampling"] == result["tokens_training"] == padded_tokens
    parts = result["samples"]
    assert [len(values) for values in parts.values()] == [2, 2, 2, 2]  # the step that warmed up is not among them
    for whole, sampling, training in zip(
        parts["seconds"], parts["seconds_sampling"], parts["seconds_training"], strict=True
    ):
        assert 0 < sampling < whole
        assert 0 < training < whole
        assert sampling + training <= whole
    assert 0.1 < result["peak_memory"] < 100
    assert result["settings"]["micro_batch"] == 6


def test_micro_batch_that_does_not_divide_the_samples_is_refused(folder: Path, roles: list[Role]) -> None:
    with pytest.raises(ValueError, match="micro_batch=5 does not divide 3 roles × 4 = 12 samples"):
        measure_trl(str(folder), roles, GROUP, ANSWER, "float32", steps=1, micro_batch=5, device="cpu")


@pytest.mark.parametrize("cache", [None, "static"])
def test_generate_is_timed(folder: Path, roles: list[Role], padded_tokens: int, cache: str | None) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()  # every token as likely as any other, the end token too
    prompts = [generator_messages(role) for role in roles]
    result = measure_generate(model, tokenizer, prompts, GROUP, ANSWER, batch=3, rounds=2, cache=cache)
    assert result["tokens_sampling"] == padded_tokens
    assert len(result["samples"]["seconds"]) == 2
    assert result["seconds"] > 0
