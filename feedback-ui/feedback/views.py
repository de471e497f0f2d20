"""What training sees of a group: its status, and for every question the scores that people gave it.

Raters differ in how generous they are. Where raters share groups, each one's own level is taken out before averaging.
With x(r, q) the rating of rater r for candidate q, and m(q) the mean over all raters of q, rater r's leniency is the mean
of x(r, q) - m(q) over all candidates that r shares with others; a shared candidate's score is the mean over its raters of
x(r, q) - leniency(r). Each criterion has a leniency of its own. For groups that all raters share this is the
least-squares estimate of an additive rater effect. A group rated by one person is left as it was rated.

All raters of a group rate all its candidates, so within a group the correction is the same for each. It is made no larger
than what keeps every candidate within 1 to 5: differences within a group, which are all that training learns from, stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups
from recruiter.reward import order_rewards
from recruiter.rubric import MAX_RATING, MAX_SCORE, MIN_RATING, Rubric, rating_to_score

Leniency = dict[int, dict[str, float]]  # rater -> criterion -> rating points above the others
UNRATED = {"open": "pending", "rated": "expired"}  # status of a question without ratings, where it is not its group's


def view_groups(c: sa.Connection, rubric: Rubric, group_ids: Iterable[str], now: float) -> list[dict[str, Any]]:
    """The views of those groups that exist, in the order asked for."""
    wanted = list(dict.fromkeys(group_ids))
    rows = c.execute(sa.select(db.groups).where(db.groups.c.group_id.in_(wanted))).mappings()
    by_id = {row["group_id"]: row for row in rows}
    found = [by_id[group_id] for group_id in wanted if group_id in by_id]
    open_ones = [row for row in found if row["status"] == "open"]
    online = groups.raters_online(c, now) if open_ones else 0
    results = results_of(c, rubric, [row for row in found if row["consumed_view"] is None])
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


def results_of(c: sa.Connection, rubric: Rubric, rows: Sequence[sa.RowMapping]) -> dict[int, dict[str, Any]]:
    """`results` and `all_equal` of groups, by their key."""
    keys = [row["id"] for row in rows]
    asked: dict[int, list[int]] = {key: [] for key in keys}
    query = sa.select(db.questions.c.group_id, db.questions.c.candidate).where(db.questions.c.group_id.in_(keys))
    for key, candidate in c.execute(query.order_by(db.questions.c.group_id, db.questions.c.question_index)):
        asked[key].append(candidate)
    given: dict[int, list[sa.RowMapping]] = defaultdict(list)
    rated = [row["id"] for row in rows if row["rating_count"]]
    for score in c.execute(_current_scores(rubric).where(db.ratings.c.group_id.in_(rated))).mappings() if rated else ():
        given[score["group_id"]].append(score)
    compared: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for group, first, second, preferred in (
        c.execute(_compared().where(db.ratings.c.group_id.in_(rated))) if rated else ()
    ):
        compared[group].append((first, second, preferred))
    shared = [score for row in rows if row["rating_count"] > 1 for score in given[row["id"]]]
    leniency = leniency_of(c, rubric, {score["rater_id"] for score in shared})
    return {
        row["id"]: _result(rubric, row, asked[row["id"]], given[row["id"]], leniency)
        if row["task"] == "score"
        else _order_result(row, asked[row["id"]], compared[row["id"]])
        for row in rows
    }


def consume(c: sa.Connection, rubric: Rubric, group_ids: Iterable[str], step: int, now: float) -> None:
    """Freeze rated groups as training uses them at `step`; a second time changes nothing."""
    rows = [row for row in groups.lock(c, group_ids) if row["status"] == "rated" and row["consumed_step"] is None]
    results = results_of(c, rubric, rows)
    for row in rows:
        groups.refresh(c, row["id"], now, consumed_step=step, consumed_at=now, consumed_view=results[row["id"]])


def leniency_of(c: sa.Connection, rubric: Rubric, raters: Iterable[int]) -> Leniency:
    """How far each rater's ratings lie above the mean of all raters of the same candidates; shared groups only."""
    chosen = list(raters)
    if not chosen:
        return {}
    current = _current_scores(rubric).where(db.groups.c.rating_count > 1).subquery()
    shared = sa.select(db.ratings.c.group_id).where(db.ratings.c.rater_id.in_(chosen))
    cell = ("group_id", "candidate", "criterion")
    consensus = (
        sa.select(*(current.c[name] for name in cell), sa.func.avg(current.c.value).label("value"))
        .where(current.c.group_id.in_(shared))
        .group_by(*(current.c[name] for name in cell))
        .subquery()
    )
    query = (
        sa.select(current.c.rater_id, current.c.criterion, sa.func.avg(current.c.value - consensus.c.value))
        .join(consensus, sa.and_(*(current.c[name] == consensus.c[name] for name in cell)))
        .where(current.c.rater_id.in_(chosen))
        .group_by(current.c.rater_id, current.c.criterion)
    )
    found: Leniency = defaultdict(dict)
    for rater, criterion, offset in c.execute(query):
        found[rater][criterion] = float(offset)
    return dict(found)


def _current_scores(rubric: Rubric) -> sa.Select[Any]:
    """The scores that count, a row for each criterion: each rating's revision of record."""
    return (
        sa.select(
            db.ratings.c.group_id,
            db.ratings.c.rater_id,
            db.ratings.c.all_equal,
            db.scores.c.candidate,
            db.scores.c.criterion,
            db.scores.c.value,
        )
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .join(
            db.scores,
            (db.scores.c.rating_id == db.ratings.c.id) & (db.scores.c.revision == db.ratings.c.revision),
        )
        .where(db.scores.c.criterion.in_(rubric.names))
    )


def _compared() -> sa.Select[Any]:
    """The comparisons that count."""
    table = db.comparisons
    here = (table.c.rating_id == db.ratings.c.id) & (table.c.revision == db.ratings.c.revision)
    return sa.select(db.ratings.c.group_id, table.c.first, table.c.second, table.c.preferred).join(table, here)


def _order_result(
    group: sa.RowMapping, candidates: list[int], compared: Sequence[tuple[int, int, int]]
) -> dict[str, Any]:
    """`results` and `all_equal` of a group whose questions were compared: rewards without scores."""
    is_rated = group["status"] == "rated" and bool(compared)
    rewards = order_rewards(max(candidates) + 1, compared) if is_rated else []
    unrated = UNRATED.get(group["status"], group["status"])
    results = [
        {"question_index": index, "status": "rated" if is_rated else unrated, "scores": None,
         "reward": rewards[candidate] if is_rated else None}
        for index, candidate in enumerate(candidates)
    ]  # fmt: skip
    return {"results": results, "all_equal": is_rated and not any(preferred for *_, preferred in compared)}


def _result(
    rubric: Rubric, group: sa.RowMapping, candidates: list[int], given: Sequence[sa.RowMapping], leniency: Leniency
) -> dict[str, Any]:
    means = {name: _means([row for row in given if row["criterion"] == name], leniency, name) for name in rubric.names}
    unrated = UNRATED.get(group["status"], group["status"])
    results = []
    for index, candidate in enumerate(candidates):
        is_rated = group["status"] == "rated" and all(candidate in of_candidate for of_candidate in means.values())
        scores = {name: means[name][candidate] for name in rubric.names} if is_rated else None
        results.append(
            {
                "question_index": index,
                "status": "rated" if is_rated else unrated,
                "scores": scores,
                "reward": reward_of(rubric, scores) if scores else None,
            }
        )
    return {"results": results, "all_equal": bool(given) and all(row["all_equal"] for row in given)}


def reward_of(rubric: Rubric, ratings: Mapping[str, float]) -> float:
    """Reward in [0, 1] of ratings from 1 to 5, as the rubric maps and weighs them."""
    scores = rubric.scores({name: rating_to_score(ratings[name]) for name in rubric.names})
    return float(scores.composite / MAX_SCORE)


def _means(given: Sequence[sa.RowMapping], leniency: Leniency, criterion: str) -> dict[int, float]:
    """One criterion's mean over the raters of a group, by candidate."""
    values: dict[int, list[float]] = defaultdict(list)
    for row in given:
        values[row["candidate"]].append(row["value"])
    means = {candidate: sum(of_raters) / len(of_raters) for candidate, of_raters in values.items()}
    raters = {row["rater_id"] for row in given}
    if len(raters) > 1:
        shift = -sum(leniency.get(rater, {}).get(criterion, 0.0) for rater in raters) / len(raters)
        shift = min(max(shift, MIN_RATING - min(means.values())), MAX_RATING - max(means.values()))
        means = {candidate: mean + shift for candidate, mean in means.items()}
    return {candidate: round(mean, 6) for candidate, mean in means.items()}
