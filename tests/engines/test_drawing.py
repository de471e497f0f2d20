from __future__ import annotations

import pytest
import torch

from recruiter.config import SamplingParams
from recruiter.engines.drawing import draw

PLAIN = SamplingParams(1)


def logits_of(weights: dict[int, float], size: int) -> torch.Tensor:
    """One row in which only these entries have weight."""
    row = torch.full((1, size), float("-inf"))
    for entry, weight in weights.items():
        row[0, entry] = torch.tensor(weight).log()
    return row


def drawn_tokens(logits: torch.Tensor, sampling: SamplingParams) -> set[int]:
    uniforms = torch.linspace(0, 0.999999, 200)
    return set(draw(logits.expand(200, -1), uniforms, sampling)[0].tolist())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_draws_follow_the_distribution(dtype: torch.dtype) -> None:
    logits = logits_of({3: 0.2, 300: 0.5, 999: 0.3}, 1000).to(dtype)
    uniforms = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = draw(logits.expand(20_000, -1), uniforms, PLAIN)
    shares = torch.bincount(tokens, minlength=1000)[[3, 300, 999]] / 20_000
    assert torch.allclose(shares, torch.tensor([0.2, 0.5, 0.3]), atol=0.015)
    assert torch.allclose(logprobs, logits.float().log_softmax(-1)[0, tokens])


def test_no_token_without_weight_is_drawn_at_the_edges() -> None:
    logits = torch.cat([logits_of({10: 1.0}, 600), logits_of({599: 1.0}, 600)])
    for uniform in (0.0, 0.5, 0.99999994):
        assert draw(logits, torch.full((2,), uniform), PLAIN)[0].tolist() == [10, 599]


def test_temperature_sharpens_and_enters_the_log_probability() -> None:
    logits = logits_of({0: 0.6, 1: 0.4}, 300)
    sampling = SamplingParams(1, temperature=0.5)  # squares the weights: 0.36 to 0.16
    tokens, logprobs = draw(logits.expand(100, -1), torch.linspace(0, 0.999, 100), sampling)
    assert (tokens == 0).float().mean() == pytest.approx(0.36 / 0.52, abs=0.02)
    assert logprobs[0].exp().item() == pytest.approx(0.36 / 0.52, rel=1e-5)


def test_temperature_zero_takes_the_likeliest() -> None:
    assert drawn_tokens(logits_of({7: 0.4, 280: 0.6}, 300), SamplingParams(1, temperature=0.0)) == {280}


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (SamplingParams(1, top_k=2), {0, 1}),
        (SamplingParams(1, top_p=0.7), {0, 1}),
        (SamplingParams(1, top_p=0.4), {0}),
        (SamplingParams(1, top_k=3, top_p=0.9), {0, 1, 2}),
    ],
)
def test_top_k_and_top_p_keep_the_likeliest_tokens(sampling: SamplingParams, kept: set[int]) -> None:
    logits = logits_of({0: 0.5, 1: 0.3, 2: 0.15, 290: 0.05}, 300)
    assert drawn_tokens(logits, sampling) == kept
    _, logprobs = draw(logits, torch.zeros(1), sampling)
    assert logprobs[0].exp().item() == pytest.approx(0.5)  # as the whole distribution has it
