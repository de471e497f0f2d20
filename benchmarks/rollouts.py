"""Rollouts alone: ours, and transformers' `generate` at its best, on the same model with a merged adapter."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks.peers.hf_generate import measure_generate
from recruiter.config import Config
from recruiter.engines.local import LocalPolicy
from recruiter.engines.model import LocalModel
from recruiter.prompts import generator_messages
from recruiter.roles import Role


def measure_our_rollouts(config: Config, roles: Sequence[Role], rounds: int) -> dict[str, Any]:
    """Seconds to sample a group for every role, adapter live, after one round that warms up."""
    policy = LocalPolicy(config)
    policy.local.stop_ids = [-1]
    prompts = [generator_messages(role) for role in roles]
    settings, samples = config.generator, []
    for seed in range(rounds + 1):
        start = time.perf_counter()
        list(policy.sample(prompts, settings.n_samples_per_prompt, settings.sampling_params, seed))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        samples.append(time.perf_counter() - start)
    return {"seconds": statistics.median(samples[1:]), "samples": {"seconds": samples[1:]}}


def measure_generate_peer(config: Config, roles: Sequence[Role], rounds: int) -> dict[str, Any]:
    """The same by `generate`, on the bare model (as if the adapter were merged), batched as fits."""
    model = config.trainer.policy.model
    local = LocalModel(model.path, config.trainer.device, model.dtype)
    local.causal_lm.set_attn_implementation("sdpa")
    prompts = [generator_messages(role) for role in roles]
    settings = config.generator
    batch = len(prompts)
    return measure_generate(
        local.causal_lm,
        local.tokenizer,
        prompts,
        settings.n_samples_per_prompt,
        settings.sampling_params.max_generate_length,
        batch,
        rounds,
    )
