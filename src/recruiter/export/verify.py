"""An exported folder against what it was made of: the base model with the adapter beside it, computed by PEFT in float32.

The export writes questions for a few roles through the project's own prompt path. Then exported model, base, and base
with adapter each compute the probabilities of every token at the places where those questions stand. One model at a time
is in memory.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel

from recruiter.config import SamplingParams
from recruiter.engines.loading import pick_device
from recruiter.engines.lora import quiet_peft
from recruiter.engines.model import LocalModel
from recruiter.errors import ExportError
from recruiter.export import Export
from recruiter.prompts import generator_messages
from recruiter.roles import Role

MAX_DIFFERENCE = 1e-3  # of a probability, for an export in float32
QUESTION_TOKENS = 64


@dataclass(frozen=True)
class Verification:
    """What was found; means over the places of `tokens` written tokens.

    Attributes:
        max_difference: largest difference of any token's probability, export against base + adapter.
        kl_lost: mean KL divergence of the export from base + adapter, in nats.
        kl_adapter: the same of the base: what the adapter does.
        questions: by role, as the export writes them, likeliest token first.
    """

    max_difference: float
    kl_lost: float
    kl_adapter: float
    tokens: int
    questions: list[tuple[Role, str]]

    def check(self, dtype: str) -> None:
        """Refuse an export that is not the trained model.

        Raises:
            ExportError: a float32 export differs by `MAX_DIFFERENCE` or more; one of fewer bits is no nearer to the
                trained model than the base is.
        """
        if dtype == "float32" and not self.max_difference < MAX_DIFFERENCE:
            raise ExportError(
                f"The export is not base + adapter: a probability differs by {self.max_difference:.2g}, where "
                f"{MAX_DIFFERENCE:g} would be rounding."
            )
        if not self.kl_lost < self.kl_adapter:
            raise ExportError(
                f"Rounded to {dtype}, the export is no nearer to the trained model than its base is (KL {self.kl_lost:.2g} and "
                f"{self.kl_adapter:.2g} nats): export with --torch_dtype float32, or train further."
            )


def verify(export: Export, roles: list[Role], status: Callable[[str], None]) -> Verification:
    """Compare an exported folder with base + adapter on questions for `roles`."""
    device = torch.device(pick_device("auto"))
    status("asking the export for questions")
    model = LocalModel(str(export.folder.resolve()), device.type, "float32")
    prompts = [generator_messages(role) for role in roles]
    greedy = SamplingParams(max_generate_length=QUESTION_TOKENS, temperature=0.0)
    samples = [group[0] for group in model.sample(prompts, 1, greedy, 0)]
    rows = [(model.encode(prompt), sample.token_ids) for prompt, sample in zip(prompts, samples, strict=True)]
    del model
    status("computing the export's probabilities")
    exported = _logprobs(_load(export.folder, device), rows)
    status("computing the base's probabilities")
    base = _load(export.base.folder, device)
    before = _logprobs(base, rows)
    status("computing the probabilities of base + adapter")
    with quiet_peft():
        trained = _logprobs(PeftModel.from_pretrained(base, str(export.adapter.folder)), rows)
    return Verification(
        max_difference=max((e.exp() - t.exp()).abs().max().item() for e, t in zip(exported, trained, strict=True)),
        kl_lost=_mean_kl(trained, exported),
        kl_adapter=_mean_kl(trained, before),
        tokens=sum(len(answer) for _, answer in rows),
        questions=[(role, sample.text) for role, sample in zip(roles, samples, strict=True)],
    )


def _load(folder: Path, device: torch.device) -> PreTrainedModel:
    gc.collect()
    return AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval().to(device)  # type: ignore[no-any-return]


@torch.no_grad()
def _logprobs(model: torch.nn.Module, rows: list[tuple[list[int], list[int]]]) -> list[Tensor]:
    """For each (prompt, answer), log-probabilities (answer tokens, vocabulary) at the answer's places, on the CPU."""
    device = next(model.parameters()).device
    found = []
    for prompt, answer in rows:
        logits = model(torch.tensor([prompt + answer], device=device), use_cache=False).logits[0]
        found.append(logits[len(prompt) - 1 : -1].float().log_softmax(-1).cpu())
    return found


def _mean_kl(reference: list[Tensor], other: list[Tensor]) -> float:
    """Mean over places of KL(reference ‖ other), in nats."""
    pairs = zip(reference, other, strict=True)
    return torch.cat([(r.exp() * (r - o)).sum(-1) for r, o in pairs]).mean().item()
