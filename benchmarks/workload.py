"""What every benchmark has in common: roles, an instant (or slow) judge, models of a given shape, memory figures."""

from __future__ import annotations

import asyncio
import bisect
import hashlib
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from benchmarks import REPOSITORY
from recruiter.judges import Judge
from recruiter.prompts import generator_messages
from recruiter.roles import Role, load_roles
from recruiter.rubric import Judgement, Rubric, load_rubric

QWEN3_4B = {
    "vocab_size": 151936,
    "hidden_size": 2560,
    "intermediate_size": 9728,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": True,
    "rope_theta": 1e6,
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")


@dataclass
class FixedTimeJudge(Judge):
    """Scores by a hash of the text, after `latency` seconds, at most `concurrency` questions at a time."""

    latency: float = 0.0
    concurrency: int = 256
    name: str = "fixed time"
    version: str = "1"
    rubric: Rubric = field(default_factory=load_rubric)

    def __post_init__(self) -> None:
        self._slots: asyncio.Semaphore | None = None

    async def score(self, _role: Role, questions: Sequence[str]) -> list[Judgement]:
        """One judgement a question, each a call of its own."""
        self._slots = self._slots or asyncio.Semaphore(self.concurrency)
        return list(await asyncio.gather(*(self._one(question) for question in questions)))

    async def _one(self, question: str) -> Judgement:
        assert self._slots is not None
        async with self._slots:
            if self.latency:
                await asyncio.sleep(self.latency)
        return Judgement(self.rubric.scores(dict.fromkeys(self.rubric.names, reward_of(question) * 10)))


def reward_of(text: str) -> float:
    """A number in [0, 1] that has nothing to do with the text's meaning but differs between texts."""
    return hashlib.sha256(text.encode()).digest()[0] / 255


def benchmark_roles(count: int, prompt_tokens: int | None = None, tokenizer: Path | None = None) -> list[Role]:
    """Roles of the data, or such that make prompts of about `prompt_tokens` tokens; fewer than 102 no role makes."""
    roles = load_roles(REPOSITORY / "data" / "backend_roles.json")
    chosen = (roles * (count // len(roles) + 1))[:count]
    if prompt_tokens is None:
        return chosen
    text = " ".join(role.description for role in roles).split()
    encode = AutoTokenizer.from_pretrained(str(tokenizer))
    return [_role_of_length(index, prompt_tokens, text[index * 40 :], encode) for index in range(count)]


def _role_of_length(index: int, prompt_tokens: int, words: list[str], tokenizer: Any) -> Role:
    """A role whose prompt has as many tokens as wanted, to within one word."""
    role = Role(id=f"r{index}", title="t", level="mid", focus="f", stack=("Go",), description="d", key_skills=("k",))

    def with_words(count: int) -> Role:
        return role.model_copy(update={"description": " ".join(words[:count])})  # unchecked: longer than a role may be

    def tokens(count: int) -> int:
        messages = generator_messages(with_words(count))
        return len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))

    return with_words(bisect.bisect_left(range(prompt_tokens), prompt_tokens, key=tokens))


def random_model(folder: Path, tokenizer: Path, shape: dict[str, Any] | None = None) -> Path:
    """A model with random weights and the tokenizer of another one, in `folder`; Qwen3-4B's shape by default."""
    if not (folder / "config.json").is_file():
        torch.set_default_dtype(torch.bfloat16)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            torch.manual_seed(0)
            model = Qwen3ForCausalLM(Qwen3Config(**(shape or QWEN3_4B)))
        torch.set_default_dtype(torch.float32)
        model.save_pretrained(folder)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copy(tokenizer / name, folder / name)
    return folder


def reset_peak_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> float:
    """Gigabytes: allocated on the GPU if there is one, else the most this process has had resident."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
