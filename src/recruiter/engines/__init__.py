"""Engines: what the training loop asks of a policy, whoever computes it.

The verbs are those of the Tinker API: `sample`, `forward_backward`, `optim_step`; `snapshot` and `load` for checkpoints.
Gradients of `forward_backward` are sums over tokens; `optim_step` divides by the number of tokens, so that groups can be
trained one by one and the loss is still a mean over the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from recruiter.config import SamplingParams
from recruiter.prompts import Message

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

ADAPTER, WEIGHTS, OPTIMIZER = "lora_adapter", "adapter_model.safetensors", "optimizer.pt"  # names in a policy's folder


def torch_seed(seed: int) -> int:
    """Any integer as a seed that torch takes; those it takes stay as they are."""
    return seed if -(2**63) <= seed < 2**64 else seed % 2**64


@dataclass(frozen=True)
class Sample:
    """One answer of the policy.

    Attributes:
        text: the answer as a reader sees it, whole, without special tokens.
        token_ids: its tokens, the end token included when there is one.
        logprobs: log-probability of each token at the sampling temperature, before top-p and top-k.
        finished: whether it ended by itself rather than at the length limit.
    """

    text: str
    token_ids: list[int]
    logprobs: list[float]
    finished: bool


@dataclass
class TrainGroup:
    """The samples of one role that carry gradient, and what the loss needs of them.

    Attributes:
        messages: the prompt all samples share.
        samples: the G scored samples.
        advantages: one per sample.
        old_logprobs: per sample, token log-probabilities under the policy that sampled; None means the policy has not
            been updated since, so the current ones are used.
    """

    messages: list[Message]
    samples: list[Sample]
    advantages: list[float]
    old_logprobs: list[list[float]] | None = None

    @property
    def tokens(self) -> int:
        """Answer tokens in the group."""
        return sum(len(sample.token_ids) for sample in self.samples)


SUMMED = ("loss", "kl", "entropy", "clipped", "ratio", "reference")  # of `TokenSums`, beside the number of tokens


@dataclass
class TokenSums:
    """Sums over answer tokens, from which a step's means are made, and the largest ratio of each pass.

    They may be tensors without dimensions: a GPU then computes on while the next pass is prepared. `reference` sums
    log-probabilities under the untrained model, where KL reads them.
    """

    tokens: int = 0
    loss: float | Tensor = 0.0
    kl: float | Tensor = 0.0
    entropy: float | Tensor = 0.0
    clipped: float | Tensor = 0.0
    ratio: float | Tensor = 0.0
    reference: float | Tensor = 0.0
    max_ratios: list[float | Tensor] = field(default_factory=list)
    has_kl: bool = False

    def add(self, other: TokenSums) -> None:
        """Add another group's sums to these."""
        for name in ("tokens", *SUMMED):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.max_ratios = [*self.max_ratios, *other.max_ratios]
        self.has_kl = self.has_kl or other.has_kl


@dataclass(frozen=True)
class UpdateResult:
    """What one optimizer update did. One whose gradient's norm is not finite changes nothing."""

    grad_norm: float
    learning_rate: float

    @property
    def was_applied(self) -> bool:
        """Whether the policy has changed."""
        return math.isfinite(self.grad_norm)


class Reader(Protocol):
    """A language model that tells how likely given texts are. It writes nothing.

    Attributes:
        parameters: how many it has.
        fingerprint: differs between models.
    """

    parameters: int
    fingerprint: str

    def answer_logprobs(
        self, prompts: Sequence[list[Message]], answers: Sequence[Sequence[str]]
    ) -> list[list[list[float]]]:
        """Log-probability of every token of every answer and of the token that ends it, group by group."""
        ...

    def answer_states(
        self, prompts: Sequence[list[Message]], answers: Sequence[Sequence[str]], depth: float
    ) -> list[NDArray[np.float32]]:
        """Hidden state (G, C) after a share `depth` of the layers, mean over each answer's tokens, group by group."""
        ...

    def choice_logits(
        self, openings: Sequence[list[Message]], endings: Sequence[Sequence[str]], choices: Sequence[str]
    ) -> list[list[list[float]]]:
        """Logits of the first token of each choice as the answer to a chat whose last message ends as given."""
        ...


class Policy(Protocol):
    """A language model that can be sampled and trained."""

    @property
    def updates(self) -> int:
        """How often the adapter has changed; it counts from the moment at which one begins."""
        ...

    def groups_per_pass(self, prompts: Sequence[list[Message]], group_size: int) -> int:
        """How many groups of `group_size` samples, answers to some of these prompts, one `forward_backward` should get."""
        ...

    def sample(
        self, prompts: Sequence[list[Message]], group_size: int, sampling: SamplingParams, seed: int
    ) -> Iterator[list[Sample]]:
        """Yield `group_size` samples for each prompt, in order. The same seed gives the same samples."""
        ...

    def logprobs(self, groups: Sequence[TrainGroup]) -> list[list[list[float]]]:
        """Token log-probabilities of each group's samples under the current policy."""
        ...

    def base(self) -> AbstractContextManager[Reader]:
        """The untrained model, adapter switched off, to read texts with; nothing else uses the policy meanwhile."""
        ...

    def look_ahead(self, groups: Sequence[TrainGroup]) -> bool:
        """Compute the forward half of a pass whose advantages are not known yet; return whether it was.

        A `forward_backward` of just these samples takes it up and gives what it would have given; any other discards it.
        """
        ...

    def forward_backward(self, groups: Sequence[TrainGroup]) -> TokenSums:
        """Add the gradient of the groups' summed token loss to the accumulated gradient, in one pass."""
        ...

    def optim_step(self, tokens: int) -> UpdateResult:
        """Divide the accumulated gradient by `tokens`, clip it, update the adapter, and clear the gradient.

        A gradient that is not finite is only cleared.
        """
        ...

    def snapshot(self) -> Callable[[Path], None]:
        """Copy the adapter and the optimizer's state; the function returned writes them into a folder, in any thread."""
        ...

    def load(self, folder: Path) -> None:
        """Continue from a folder that a snapshot was written to."""
        ...
