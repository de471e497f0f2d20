"""Checks: groups that somebody gets to rate although the answer is known, to see how steadily people rate.

Every so many groups (`FEEDBACK_CHECK_EVERY`) a rater gets a copy of a group whose ratings an owner trusts, or of one that they
rated themselves some time ago. It looks like any other group. No training uses it, and the figures are for owners: where
somebody differs, the criteria are talked about. With few checks a figure says little, so each comes with its number and an
interval.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import accounts, groups, tasks
from feedback.choice import EVERYTHING, composites
from recruiter.evaluation.calibration import tau_b
from recruiter.rubric import Rubric

RUN = "checks"
NO_CHECKS = db.groups.c.copy_of.is_(None)
Order = dict[int, float]  # candidate -> what a rater says of it, higher is better
FEWEST = 3  # values of which an interval is given
Z = 1.96


def due(c: sa.Connection, rater: int, every: int, now: float) -> str | None:
    """The id of the check that a rater shall get now, made if need be; None if none is due."""
    if not every:
        return None
    rated = sa.select(db.groups.c.copy_of).join(db.ratings, db.ratings.c.group_id == db.groups.c.id)
    had = c.execute(rated.where(db.ratings.c.rater_id == rater)).scalars().all()
    made = c.execute(sa.select(db.groups.c.copy_of).where(db.groups.c.only_for == rater)).scalars().all()
    ordinary = sum(copied is None for copied in had)
    if ordinary < every * (len(made) + 1):
        return None
    source = _source(c, rater, [copied for copied in made if copied is not None], every)
    if source is None:
        return None
    texts = sa.select(db.questions.c.text).where(db.questions.c.group_id == source["id"])
    new = groups.NewGroup(
        f"check-{secrets.token_hex(8)}", RUN, source["policy_step"], source["role"],
        list(c.execute(texts.order_by(db.questions.c.question_index)).scalars()), source["rubric"], task=source["task"],
        sheet=source["sheet"], only_for=rater, copy_of=source["id"],
    )  # fmt: skip
    groups.submit(c, new, now)
    return new.group_id


def _source(c: sa.Connection, rater: int, copied: Sequence[int], every: int) -> sa.RowMapping | None:
    """A group with known answers that the rater has not had; else the oldest of their own, rated long enough ago."""
    mine = sa.select(db.ratings.c.group_id).where(db.ratings.c.rater_id == rater)
    gold = sa.select(db.groups).where(
        db.groups.c.is_gold, db.groups.c.rating_count > 0, db.groups.c.id.not_in(copied), db.groups.c.id.not_in(mine)
    )
    found = c.execute(gold.order_by(db.groups.c.id).limit(1)).mappings().first()
    if found is not None:
        return found
    latest = mine.order_by(db.ratings.c.created_at.desc()).limit(every)
    own = sa.select(db.groups).join(db.ratings, db.ratings.c.group_id == db.groups.c.id)
    own = own.where(db.ratings.c.rater_id == rater, NO_CHECKS, db.groups.c.id.not_in(copied))
    own = own.where(db.groups.c.id.not_in(sa.select(latest.subquery().c.group_id)))
    return c.execute(own.order_by(db.ratings.c.created_at).limit(1)).mappings().first()


def steadiness(c: sa.Connection, rubric: Rubric) -> list[dict[str, Any]]:
    """Of each rater: how far they order groups as the known answers do, as they did before, and as others do; and by month.

    Each figure is the mean Kendall tau-b within groups, with the number of groups and a 95% interval (normal) of the mean.
    """
    orders = _orders(c, rubric)
    of_group: dict[int, dict[int, Order]] = defaultdict(dict)
    when: dict[tuple[int, int], float] = {}
    for (group, rater), (order, at) in orders.items():
        of_group[group][rater], when[group, rater] = order, at
    about = sa.select(db.groups.c.id, db.groups.c.copy_of, db.groups.c.is_gold)
    rows = {row.id: row for row in c.execute(about.where(sa.or_(db.groups.c.is_gold, ~NO_CHECKS)))}
    known, again, others = (defaultdict[int, list[tuple[float, float]]](list) for _ in range(3))
    for group, people in of_group.items():
        copied = rows[group].copy_of if group in rows else None
        for rater, order in people.items():
            at = when[group, rater]
            if copied is None:
                _compare(others[rater], at, order, [other for name, other in people.items() if name != rater])
                continue
            before = of_group.get(copied, {})
            if rater in before:
                _compare(again[rater], at, order, [before[rater]])
            elif rows.get(copied) is not None and rows[copied].is_gold:
                _compare(known[rater], at, order, list(before.values()))
    found = []
    for rater in sorted(rater for rater in {*known, *again, *others} if known[rater] or again[rater] or others[rater]):
        by_month: dict[str, list[float]] = defaultdict(list)
        for at, tau in sorted(known[rater] + others[rater]):
            by_month[time.strftime("%Y-%m", time.localtime(at))].append(tau)
        found.append({
            "rater": accounts.pseudonym(rater), "known": _figure(known[rater]), "again": _figure(again[rater]),
            "others": _figure(others[rater]),
            "months": [{"month": month, **_interval(taus)} for month, taus in sorted(by_month.items())],
        })  # fmt: skip
    return found


def _orders(c: sa.Connection, rubric: Rubric) -> dict[tuple[int, int], tuple[Order, float]]:
    """What each rater said of each group's questions, by group and rater, and when."""
    found: dict[tuple[int, int], tuple[Order, float]] = {}
    r = db.ratings
    times = {row.id: row for row in c.execute(sa.select(r.c.id, r.c.group_id, r.c.rater_id, r.c.created_at))}
    g = db.groups
    copied = sa.select(g.c.copy_of).where(~NO_CHECKS)
    compared = sa.select(g.c.id).where(sa.or_(g.c.rating_count > 1, g.c.is_gold, ~NO_CHECKS, g.c.id.in_(copied)))
    scored: dict[int, Order] = defaultdict(dict)
    each = composites(rubric, EVERYTHING)
    for row in c.execute(sa.select(each).where(each.c.group_id.in_(compared))).mappings():
        scored[row["rating_id"]][row["candidate"]] = round(float(row["value"]), 6)
    said = db.comparisons
    counting = sa.select(said).join(
        db.ratings, (db.ratings.c.id == said.c.rating_id) & (db.ratings.c.revision == said.c.revision)
    )
    counting = counting.where(db.ratings.c.group_id.in_(compared))
    for rating, said_of in tasks.by_rating(c.execute(counting).mappings()).items():
        count = 1 + max(second for _, second in said_of)
        scored[rating] = dict(enumerate(map(float, tasks.net_wins(said_of, count))))
    for rating, order in scored.items():
        given = times[rating]
        found[given.group_id, given.rater_id] = order, given.created_at
    return found


def _compare(into: list[tuple[float, float]], at: float, order: Order, others: Sequence[Order]) -> None:
    """Add how far an order is that of others, on average."""
    others = [other for other in others if other.keys() == order.keys()]
    if not others:
        return
    candidates = sorted(order)
    mean = [statistics.fmean(other[candidate] for other in others) for candidate in candidates]
    tau = tau_b([order[candidate] for candidate in candidates], mean)
    if tau is not None:
        into.append((at, tau))


def _figure(found: Sequence[tuple[float, float]]) -> Mapping[str, Any] | None:
    return _interval([tau for _, tau in found]) if found else None


def _interval(taus: Sequence[float]) -> dict[str, Any]:
    mean = statistics.fmean(taus)
    half = Z * statistics.stdev(taus) / math.sqrt(len(taus)) if len(taus) >= FEWEST else None
    low, high = (None, None) if half is None else (max(-1.0, mean - half), min(1.0, mean + half))
    return {"mean": mean, "low": low, "high": high, "groups": len(taus)}
