"""What training sees of a group: its status, and for every question the scores that people gave it.

Raters differ in how generous they are. Where raters share groups, each one's own level is taken out before averaging.
With x(r, q) the rating of rater r for candidate q, and m(q) the mean over all raters of q, rater r's leniency is the mean
of x(r, q) - m(q) over all candidates that r shares with others; a shared candidate's score is the mean over its raters of
x(r, q) - leniency(r), held within 1 to 5. Each criterion has a leniency of its own. For groups that all raters share this
is the least-squares estimate of an additive rater effect. A group rated by one person is left as it was rated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups
from recruiter.rubric import CRITERION_NAMES, MAX_RATING, MIN_RATING, load_rubric, rating_to_score

Leniency = dict[int, dict[str, float]]  # rater -> criterion -> rating points above the others
UNRATED = {"open": "pending"}  # status of a question whose group has no ratings, where it differs from the group's


def view_groups(c: sa.Connection, group_ids: Iterable[str], now: float) -> list[dict[str, Any]]:
    """The views of those groups that exist, in the order asked for."""
    wanted = list(dict.fromkeys(group_ids))
    rows = c.execute(sa.select(db.groups).where(db.groups.c.group_id.in_(wanted))).mappings()
    by_id = {row["group_id"]: row for row in rows}
    found = [by_id[group_id] for group_id in wanted if group_id in by_id]
    open_ones = [row for row in found if row["status"] == "open"]
    online = groups.raters_online(c, now) if open_ones else 0
    results = results_of(c, [row for row in found if row["consumed_view"] is None])
    views = []
    for row in found:
        frozen = row["consumed_view"] or results[row["id"]]
        waiting = None
        if row["status"] == "open":
            waiting = {"position": groups.queue_position(c, row), "raters_online": online}
        views.append({
            "group_id": row["group_id"], "run": row["run"], "policy_step": row["policy_step"], "status": status_of(row),
            "version": row["version"], "late": row["late"], "consumed_step": row["consumed_step"], **frozen,
            "raters": row["rating_count"], "skip_reason": row["reason"], "waiting": waiting,
        })  # fmt: skip
    return views


def status_of(group: sa.RowMapping) -> str:
    """A group's status as training knows it."""
    if group["status"] != "open":
        return str(group["status"])
    return "leased" if group["lease_count"] else "pending"


def results_of(c: sa.Connection, rows: Sequence[sa.RowMapping]) -> dict[int, dict[str, Any]]:
    """`results` and `all_equal` of groups, by their key."""
    keys = [row["id"] for row in rows]
    asked: dict[int, list[int]] = {key: [] for key in keys}
    query = sa.select(db.questions.c.group_id, db.questions.c.candidate).where(db.questions.c.group_id.in_(keys))
    for key, candidate in c.execute(query.order_by(db.questions.c.group_id, db.questions.c.question_index)):
        asked[key].append(candidate)
    given = _counted_scores(c, [row["id"] for row in rows if row["rating_count"]])
    sharing = {row["rater_id"] for row in given if row["rating_count"] > 1}
    leniency = leniency_of(c, sharing)
    return {row["id"]: _result(row, asked[row["id"]], [g for g in given if g["group_id"] == row["id"]], leniency)
            for row in rows}  # fmt: skip


def consume(c: sa.Connection, group_ids: Iterable[str], step: int, now: float) -> None:
    """Freeze rated groups as training uses them at `step`; a second time changes nothing."""
    rows = [row for row in groups.lock(c, group_ids) if row["status"] == "rated" and row["consumed_step"] is None]
    results = results_of(c, rows)
    for row in rows:
        groups.refresh(c, row["id"], now, consumed_step=step, consumed_at=now, consumed_view=results[row["id"]])


def leniency_of(c: sa.Connection, raters: Iterable[int]) -> Leniency:
    """How far each rater's ratings lie above the mean of all raters of the same candidates; shared groups only."""
    chosen = list(raters)
    if not chosen:
        return {}
    counted = _counted().where(db.groups.c.rating_count > 1).subquery()
    shared = sa.select(db.ratings.c.group_id).where(db.ratings.c.rater_id.in_(chosen))
    consensus = (
        sa.select(
            counted.c.group_id,
            counted.c.candidate,
            *(sa.func.avg(counted.c[name]).label(name) for name in CRITERION_NAMES),
        )
        .where(counted.c.group_id.in_(shared))
        .group_by(counted.c.group_id, counted.c.candidate)
        .subquery()
    )
    offsets = (sa.func.avg(counted.c[name] - consensus.c[name]) for name in CRITERION_NAMES)
    query = (
        sa.select(counted.c.rater_id, *offsets)
        .join(
            consensus,
            (counted.c.group_id == consensus.c.group_id) & (counted.c.candidate == consensus.c.candidate),
        )
        .where(counted.c.rater_id.in_(chosen))
        .group_by(counted.c.rater_id)
    )
    return {row[0]: dict(zip(CRITERION_NAMES, map(float, row[1:]), strict=True)) for row in c.execute(query)}


def _counted() -> sa.Select[Any]:
    """The scores that count: each rating's revision of record."""
    return (
        sa.select(
            db.ratings.c.group_id, db.ratings.c.rater_id, db.ratings.c.all_equal, db.groups.c.rating_count,
            db.scores.c.candidate, *(db.scores.c[name] for name in CRITERION_NAMES),
        )
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .join(
            db.scores,
            (db.scores.c.rating_id == db.ratings.c.id) & (db.scores.c.revision == db.ratings.c.revision),
        )
    )  # fmt: skip


def _counted_scores(c: sa.Connection, keys: Sequence[int]) -> Sequence[sa.RowMapping]:
    return c.execute(_counted().where(db.ratings.c.group_id.in_(keys))).mappings().all() if keys else []


def _result(
    group: sa.RowMapping, candidates: list[int], given: Sequence[sa.RowMapping], leniency: Leniency
) -> dict[str, Any]:
    means = {candidate: _mean([g for g in given if g["candidate"] == candidate], leniency) for candidate in candidates}
    unrated = UNRATED.get(group["status"], group["status"])
    results = []
    for index, candidate in enumerate(candidates):
        mean = means[candidate]
        status = "rated" if mean and group["status"] == "rated" else unrated
        scores = dict.fromkeys(CRITERION_NAMES) if status != "rated" else mean
        results.append({"question_index": index, "status": status, **scores, "reward": reward_of(scores)})
    return {"results": results, "all_equal": bool(given) and all(row["all_equal"] for row in given)}


def reward_of(scores: dict[str, Any]) -> float | None:
    """Reward in [0, 1] of ratings from 1 to 5, as the rubric maps them; None without ratings."""
    if scores[CRITERION_NAMES[0]] is None:
        return None
    rubric = load_rubric()
    return rubric.scores({name: rating_to_score(scores[name]) for name in rubric.names}).composite / 10


def _mean(given: Sequence[sa.RowMapping], leniency: Leniency) -> dict[str, float]:
    """One candidate's scores over its raters."""
    if not given:
        return {}
    is_shared = len(given) > 1
    means = {}
    for name in CRITERION_NAMES:
        own = (g[name] - (leniency.get(g["rater_id"], {}).get(name, 0.0) if is_shared else 0.0) for g in given)
        means[name] = round(min(max(sum(own) / len(given), MIN_RATING), MAX_RATING), 6)
    return means
