"""The alarm: the reward rises, and something else says that the questions get worse.

The mean of the last five steps is compared with that of the first five, a watching judge's score with its best five before,
since a policy often becomes better first and games its judge afterwards. The alarm speaks where the reward has risen by
`REWARD_RISE` and a watched figure has gone the wrong way by at least what `WATCHED` says. Either change must also be
twice the noise of such a comparison, which is estimated from how much neighbouring steps differ, so that figures which jump
about need a larger change. Less than ten steps say nothing.

It is a reason to look, not a proof: `docs/training.md` says what to do. What the thresholds were set by is in `docs/log.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from recruiter.rubric import MAX_SCORE

WINDOW = 5  # steps
REWARD_RISE = 0.1  # of [0, 1]
SURE = 2.0  # times the standard error of the difference of two windows' means
WATCH, UNSCORED = "watch_", "_unscored"  # beginning of a watching judge's figures; end of the one that counts failures
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Watched:
    """A figure of a step that shows what the reward may not.

    Attributes:
        name: what the sentence calls it.
        least: the change that counts; below 0: a fall.
        of: its value in a row of the metrics; None where it has none.
    """

    name: str
    least: float
    of: Callable[[Row], float | None]


def _figure(key: str) -> Callable[[Row], float | None]:
    return lambda row: row.get(key)


def _cut_off(row: Row) -> float | None:
    return row["cut_off"] / row["samples"] if row.get("samples") else None


def _log_length(row: Row) -> float | None:
    return math.log(row["length_mean"]) if row.get("length_mean") else None


WATCHED = (
    Watched("the log-probability of the questions under the untrained model (nats a token)", -0.3, _figure("sense")),
    Watched("the wording shared with other roles", 0.25, _figure("overlap")),
    Watched("the share of questions that are cut off", 0.2, _cut_off),
    Watched("the divergence from the untrained model (KL, nats a token)", 0.75, _figure("kl")),
)
LONGER = Watched("the length in tokens", math.log(1.5), _log_length)
SHORTER = Watched(LONGER.name, -math.log(1.5), _log_length)
JUDGE_FALL = -0.5  # points of a watching judge's composite


def alarm(rows: Sequence[Row]) -> str | None:
    """One sentence if the reward has risen up to the last row and a watched figure has gone the other way.

    Args:
        rows: the metrics of all steps so far, in order.
    """
    reward = change(rows, reward_level)
    if reward is None or reward.by < max(REWARD_RISE, reward.noise):
        return None
    names = dict.fromkeys(key for row in rows for key in row if key.startswith(WATCH) and not key.endswith(UNSCORED))
    judges = [Watched(f"the watching judge {key.removeprefix(WATCH)}", JUDGE_FALL, _figure(key)) for key in names]
    found = []
    for watched in (*judges, *WATCHED, LONGER, SHORTER):
        moved = change(rows, watched.of, since=max if watched in judges else None)
        if moved is not None and moved.by * math.copysign(1.0, watched.least) >= max(abs(watched.least), moved.noise):
            found.append(f"{watched.name} {_spoken(watched, moved, 'its best ' if watched in judges else '')}")
    if not found:
        return None
    return (
        f"Alarm: since the first steps the reward rose from {reward.first:.2f} to {reward.last:.2f}, but "
        f"{' and '.join(found)}; read the latest questions in rollouts.jsonl before you believe the reward."
    )


def reward_level(row: Row) -> float | None:
    """What the judges give, in [0, 1], such that steps can be compared."""
    if row.get("reward_level") is not None:
        return float(row["reward_level"])
    return None if row.get("composite") is None else row["composite"] / MAX_SCORE


@dataclass(frozen=True)
class Change:
    """Means of a figure over earlier and the last steps, and what a difference must exceed to be more than noise."""

    first: float
    last: float
    noise: float

    @property
    def by(self) -> float:
        """The difference."""
        return self.last - self.first


def change(
    rows: Sequence[Row], of: Callable[[Row], float | None], since: Callable[[list[float]], float] | None = None
) -> Change | None:
    """How a figure moved; None where less than two windows of steps have it.

    Args:
        since: picks what the last window is compared with from the means of all windows before it; None: the first.
    """
    values = [value for row in rows if (value := of(row)) is not None]
    if len(values) < 2 * WINDOW:
        return None
    steps = [(b - a) ** 2 for a, b in pairwise(values)]
    deviation = math.sqrt(sum(steps) / len(steps) / 2)  # of one step around a slow trend
    means = [sum(values[start : start + WINDOW]) / WINDOW for start in range(len(values) - WINDOW + 1)]
    return Change(since(means[:-WINDOW]) if since else means[0], means[-1], SURE * deviation * math.sqrt(2 / WINDOW))


def _spoken(watched: Watched, moved: Change, which: str) -> str:
    first, last = (math.exp(value) if watched.of is _log_length else value for value in (moved.first, moved.last))
    return f"{'rose' if moved.by > 0 else 'fell'} from {which}{first:.2f} to {last:.2f}"
