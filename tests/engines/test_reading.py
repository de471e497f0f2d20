from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from recruiter.config.loading import load_config
from recruiter.engines.local import LocalPolicy
from recruiter.engines.lora import refresh_adapters
from recruiter.engines.model import LocalModel
from recruiter.engines.reading import ModelReader
from recruiter.prompts import Message

PROMPTS: list[list[Message]] = [
    [Message(role="system", content="Ask."), Message(role="user", content="Go and Kafka")],
    [Message(role="system", content="Ask."), Message(role="user", content="Rust")],
]
ANSWERS = [["Why?", "How would you retry?"], ["What fails first?"]]


def expected(folder: Path, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """The oracle: logits of one whole sequence, at the positions that predict the answer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits


@pytest.fixture(params=[True, False], ids=["shared", "plain"])
def reader(tiny_folder: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModelReader:
    if not request.param:
        monkeypatch.setattr("recruiter.engines.model.enable_group_attention", lambda _: False)
    return ModelReader(LocalModel(str(tiny_folder), "cpu", "float32"))


def test_answers_are_read_as_a_plain_pass_over_each_reads_them(reader: ModelReader, tiny_folder: Path) -> None:
    got, model = reader.answer_logprobs(PROMPTS, ANSWERS), reader.local
    for messages, answers, logprobs in zip(PROMPTS, ANSWERS, got, strict=True):
        for answer, found in zip(answers, logprobs, strict=True):
            tokens = [*model.tokenizer(answer)["input_ids"], model.stop_ids[0]]
            logits = expected(tiny_folder, model.encode(messages), tokens).log_softmax(-1)
            assert found == pytest.approx(logits.gather(1, torch.tensor(tokens)[:, None]).squeeze(1).tolist(), abs=1e-4)


def test_choices_are_logits_of_the_first_token_of_the_answer(reader: ModelReader, tiny_folder: Path) -> None:
    model = reader.local
    got = reader.choice_logits(PROMPTS, [[" Yes or no?", " Sure?"], [" Well?"]], ("Yes", "No"))
    whole = [*PROMPTS[0][:1], Message(role="user", content="Go and Kafka Sure?")]
    yes, no = (model.tokenizer(word)["input_ids"][0] for word in ("Yes", "No"))
    logits = expected(tiny_folder, model.encode(whole), [yes])[0]
    assert got[0][1] == pytest.approx([logits[yes].item(), logits[no].item()], abs=1e-4)
    assert [len(group) for group in got] == [2, 1]


def test_states_are_those_of_a_model_of_the_first_layers(reader: ModelReader, tiny_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float32)
    half, layers = reader.answer_states(PROMPTS, ANSWERS, 0.5), len(model.model.layers)
    model.model.layers = model.model.layers[: max(1, round(layers / 2))]
    prompt, answer = reader.local.encode(PROMPTS[0]), reader.local.tokenizer(ANSWERS[0][1])["input_ids"]
    with torch.no_grad():
        states = model.model(torch.tensor([prompt + answer])).last_hidden_state[0, len(prompt) :]
    assert half[0][1] == pytest.approx(states.mean(0).numpy(), abs=1e-4)
    assert [group.shape for group in half] == [(2, states.shape[1]), (1, states.shape[1])]
    assert reader.answer_logprobs(PROMPTS, ANSWERS)[0][0] is not None
    assert len(reader.local.causal_lm.get_decoder().layers) == layers  # all layers are there afterwards


def test_reading_in_several_passes_gives_the_same(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelReader(LocalModel(str(tiny_folder), "cpu", "float32"))
    together = model.answer_logprobs(PROMPTS, ANSWERS)
    monkeypatch.setattr("recruiter.engines.model.TOKENS_PER_PASS", {"cpu": 1})
    apart = model.answer_logprobs(PROMPTS, ANSWERS)
    assert apart[0][0] == pytest.approx(together[0][0], abs=1e-5)
    assert apart[1][0] == pytest.approx(together[1][0], abs=1e-5)


def test_base_of_a_policy_reads_without_the_adapter(tiny_folder: Path) -> None:
    config = load_config(
        "quickstart_config",
        [f"trainer.policy.model.path={tiny_folder}", "trainer.device=cpu", "trainer.policy.model.dtype=float32"],
    )
    policy = LocalPolicy(config)
    with torch.no_grad():
        for parameter in policy.parameters:
            parameter.fill_(0.05)
    refresh_adapters(policy.local.causal_lm)
    with policy.base() as base:
        read = base.answer_logprobs(PROMPTS, ANSWERS)
    untrained = ModelReader(LocalModel(str(tiny_folder), "cpu", "float32")).answer_logprobs(PROMPTS, ANSWERS)
    trained = ModelReader(policy.local).answer_logprobs(PROMPTS, ANSWERS)
    assert read[0][1] == pytest.approx(untrained[0][1], abs=1e-5)
    assert trained[0][1] != pytest.approx(untrained[0][1], abs=1e-2)
