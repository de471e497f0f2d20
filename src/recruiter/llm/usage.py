"""Usage: what calling a model took, for the present step and in all. Figures of a run survive its restarts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from recruiter.llm.reply import Tokens

RECENT_CALLS = 1000  # latencies kept for percentiles


@dataclass(frozen=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float
    cached_input: float | None = None

    def cost(self, tokens: Tokens) -> float:
        """USD for one call."""
        cached_price = self.input if self.cached_input is None else self.cached_input
        fresh = (tokens.input - tokens.cached) * self.input
        return (fresh + tokens.cached * cached_price + tokens.output * self.output) / 1e6


@dataclass
class Tally:
    """Sums over some time."""

    wanted: int = 0  # answers that somebody asked for
    hits: int = 0  # those that needed no call: known before, or asked for at the same moment
    calls: int = 0  # requests sent, failed ones included
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    flagged: int = 0  # judgements that text addressed to the judge had raised
    cost_usd: float = 0.0
    latencies: list[float] = field(default_factory=list)  # seconds, answered calls
    errors: dict[str, int] = field(default_factory=dict)  # failed attempts by kind

    def percentile(self, share: float) -> float | None:
        """Latency in seconds that this share of the answered calls stayed below."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None

    def add(self, other: Tally) -> None:
        """Add what was counted at another time."""
        for item in fields(self):
            mine, theirs = getattr(self, item.name), getattr(other, item.name)
            both = dict(Counter(mine) + Counter(theirs)) if isinstance(mine, dict) else mine + theirs
            setattr(self, item.name, both)

    @property
    def hit_rate(self) -> float | None:
        """Share of the answers that needed no call."""
        return self.hits / self.wanted if self.wanted else None


class Usage:
    """What calls of one model take. Counted in the thread that calls, read from any other.

    Attributes:
        name: `provider/model`.
        price: None if it is not known.
        budget: what it may take, perhaps together with others.
        notes: in which way the calls differ from what was asked for, a sentence's end each.
    """

    def __init__(self, name: str, price: Price | None, noun: str = "replies") -> None:
        self.name, self.price, self.noun = name, price, noun
        self.budget = Budget(None, "")
        self.notes: list[str] = []
        self.step, self.total = Tally(), Tally()
        self.dearest = 0.0  # USD for the dearest call so far
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        """The model's name at its provider."""
        return self.name.partition("/")[2]

    @property
    def parts(self) -> tuple[Usage, ...]:
        """The usages of single models that this one is made of."""
        return (self,)

    def share(self, budget: Budget) -> None:
        """Take from `budget` from now on."""
        self.budget = budget
        budget.usages.append(self)

    def count(self, **amounts: int) -> None:
        """Add to fields of `Tally`."""
        with self._lock:
            for tally in (self.step, self.total):
                for name, amount in amounts.items():
                    setattr(tally, name, getattr(tally, name) + amount)

    def answered(self, tokens: Tokens, seconds: float) -> None:
        """A call was answered, and is paid."""
        cost = self.price.cost(tokens) if self.price else 0.0
        with self._lock:
            self.dearest = max(self.dearest, cost)
            for tally in (self.step, self.total):
                tally.input_tokens += tokens.input
                tally.cached_tokens += tokens.cached
                tally.output_tokens += tokens.output
                tally.cost_usd += cost
                tally.latencies = [*tally.latencies[1 - RECENT_CALLS :], seconds]

    def note(self, *notes: str) -> None:
        """Say something of the calls, once."""
        with self._lock:
            self.notes += [note for note in notes if note not in self.notes]

    def failed(self, kind: str) -> None:
        """An attempt failed."""
        with self._lock:
            for tally in (self.step, self.total):
                tally.errors[kind] = tally.errors.get(kind, 0) + 1

    @property
    def cost_usd(self) -> float | None:
        """What all calls have cost; None if the price is not known."""
        return self.total.cost_usd if self.price else None

    def take_tally(self) -> Tally:
        """The sums since the last time this was asked."""
        with self._lock:
            step, self.step = self.step, Tally()
        return step

    def take_step(self) -> dict[str, Any]:
        """The metrics since the last time this was asked."""
        return step_figures(self.take_tally(), self.cost_usd)

    def summary(self) -> str:
        """One line on everything so far."""
        total = self.total
        parts = [f"{total.wanted} {self.noun}, {total.calls} calls"]
        if total.hit_rate is not None:
            parts.append(f"{total.hit_rate:.0%} needed none")
        if total.latencies:
            parts.append(f"latency {total.percentile(0.5):.2f} s (median), {total.percentile(0.95):.2f} s (95%)")
        parts.append(f"{total.input_tokens:,} tokens in, {total.output_tokens:,} out")
        parts.append(f"${total.cost_usd:.4f}" if self.price else "cost unknown: there is no price of this model")
        if total.errors:
            counts = sorted(total.errors.items(), key=lambda item: -item[1])
            parts.append("failed attempts: " + ", ".join(f"{number} {kind}" for kind, number in counts))
        if total.flagged:
            parts.append(f"{total.flagged} raised by text addressed to the judge")
        return "; ".join([*parts, *self.notes])

    def state(self) -> dict[str, Any]:
        """Everything as plain data, for checkpoints."""
        with self._lock:
            return {"step": asdict(self.step), "total": asdict(self.total)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Add what `state` returned before a restart."""
        with self._lock:
            self.step.add(Tally(**state["step"]))
            self.total.add(Tally(**state["total"]))


def step_figures(step: Tally, total_usd: float | None) -> dict[str, Any]:
    """The metrics of one step, given what all steps have cost (None: unknown)."""
    return {
        "hit_rate": step.hit_rate,
        "calls": step.calls,
        "input_tokens": step.input_tokens,
        "cached_tokens": step.cached_tokens,
        "output_tokens": step.output_tokens,
        "latency_p50": step.percentile(0.5),
        "latency_p95": step.percentile(0.95),
        "errors": step.errors,
        "flagged": step.flagged,
        "cost_usd": step.cost_usd if total_usd is not None else None,
        "cost_usd_total": total_usd,
    }


class NoUsage(Usage):
    """The usage of what calls nobody: counts nothing and has nothing to say."""

    @property
    def parts(self) -> tuple[Usage, ...]:
        """None."""
        return ()

    def __init__(self) -> None:
        super().__init__("", None)

    def count(self, **_: int) -> None:
        """Nothing."""

    def answered(self, *_: object) -> None:
        """Nothing."""

    def failed(self, _: str) -> None:
        """Nothing."""

    def take_step(self) -> dict[str, Any]:
        """No metrics."""
        return {}

    def summary(self) -> str:
        """No text."""
        return ""

    def state(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state(self, _: Mapping[str, Any]) -> None:
        """Nothing."""


class Budget:
    """A limit on what calls may cost, of one model or of several together.

    Attributes:
        limit_usd: None: no limit.
        option: how the user spells it.
        usages: what counts towards it.
    """

    def __init__(self, limit_usd: float | None, option: str) -> None:
        self.limit_usd, self.option = limit_usd, option
        self.usages: list[Usage] = []

    @property
    def spent_usd(self) -> float:
        """What all calls have cost."""
        return sum(usage.total.cost_usd for usage in self.usages)


NO_USAGE = NoUsage()
