"""What the statistics page draws: counted, averaged and correlated in SQL; only ranks within groups are compared here."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations, groupby
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import accounts, views
from feedback.agreement import ordinal_alpha, pearson, tau_b
from feedback.counted import Choice, chosen_scores, composite
from recruiter.rubric import CRITERION_NAMES, MAX_RATING, MIN_RATING

VALUES = range(MIN_RATING, MAX_RATING + 1)
DAY, HOUR = 86400, 3600
HOURLY_UP_TO = 2 * DAY  # a span that is drawn by the hour
MOST_RATERS = 200


def statistics(c: sa.Connection, choice: Choice) -> dict[str, Any]:
    """Everything at once."""
    return {
        "counts": counts(c, choice),
        "criteria": criteria(c, choice),
        "over_time": over_time(c, choice),
        "raters": raters(c, choice),
        "agreement": agreement(c, choice),
        "judges": judges(c, choice),
        "position": position(c, choice),
        "skips": skips(c, choice),
        "runs": list(c.execute(sa.select(db.groups.c.run).distinct().order_by(db.groups.c.run)).scalars()),
    }


def counts(c: sa.Connection, choice: Choice) -> dict[str, int]:
    """How much there is. `questions` counts a question once for each of its raters; open groups ignore time and rater."""
    ratings = (
        sa.select(
            sa.func.count(),
            sa.func.count(sa.distinct(db.ratings.c.group_id)),
            sa.func.count(sa.distinct(db.ratings.c.rater_id)),
            sa.func.coalesce(sa.func.sum(sa.cast(db.ratings.c.all_equal, sa.Integer)), 0),
        )
        .select_from(db.ratings)
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .where(*choice.conditions())
    )
    rated, groups, people, equal = c.execute(ratings).one()
    of_run = [] if choice.run is None else [db.groups.c.run == choice.run]
    states = sa.select(
        *(
            sa.func.coalesce(sa.func.sum(sa.cast(condition, sa.Integer)), 0)
            for condition in (db.groups.c.status == "skipped", db.groups.c.status == "open", db.groups.c.late)
        )
    ).where(*of_run)
    skipped, pending, late = list(c.execute(states).one())
    questions = c.execute(chosen_scores(choice, sa.func.count())).scalar_one()
    return {
        "ratings": rated, "groups": groups, "questions": questions, "raters": people, "all_equal": equal,
        "skipped": skipped, "pending": pending, "late": late,
    }  # fmt: skip


def criteria(c: sa.Connection, choice: Choice) -> dict[str, Any]:
    """Mean and histogram of each criterion."""
    cells = [
        sa.func.sum(sa.cast(db.scores.c[name] == value, sa.Integer)) for name in CRITERION_NAMES for value in VALUES
    ]
    row = [int(cell or 0) for cell in c.execute(chosen_scores(choice, *cells)).one()]
    found = {}
    for index, name in enumerate(CRITERION_NAMES):
        histogram = row[index * len(VALUES) : (index + 1) * len(VALUES)]
        total = sum(histogram)
        mean = sum(value * n for value, n in zip(VALUES, histogram, strict=True)) / total if total else None
        found[name] = {"mean": mean, "histogram": histogram}
    return found


def over_time(c: sa.Connection, choice: Choice) -> list[dict[str, Any]]:
    """Groups rated and means by the day, or by the hour if all lies within two days; in the server's time."""
    ends = (
        sa.select(sa.func.min(db.ratings.c.created_at), sa.func.max(db.ratings.c.created_at))
        .select_from(db.ratings)
        .join(db.groups, db.groups.c.id == db.ratings.c.group_id)
        .where(*choice.conditions())
    )
    first, last = c.execute(ends).one()
    if first is None:
        return []
    size, form = (HOUR, "%Y-%m-%d %H:00") if last - first <= HOURLY_UP_TO else (DAY, "%Y-%m-%d")
    offset = time.localtime(last).tm_gmtoff
    bucket = (sa.cast(db.ratings.c.created_at, sa.BigInteger) + offset) // size
    query = chosen_scores(
        choice,
        bucket.label("bucket"),
        sa.func.count(sa.distinct(db.ratings.c.id)).label("ratings"),
        *(sa.func.avg(sa.cast(db.scores.c[name], sa.Float)).label(name) for name in CRITERION_NAMES),
    )
    rows = c.execute(query.group_by("bucket").order_by("bucket")).mappings()
    return [
        {
            "time": time.strftime(form, time.gmtime(row["bucket"] * size)), "ratings": row["ratings"],
            **{name: float(row[name]) for name in CRITERION_NAMES},
        }
        for row in rows
    ]  # fmt: skip


def raters(c: sa.Connection, choice: Choice) -> list[dict[str, Any]]:
    """Ratings, means and leniency of each rater, the busiest first. Leniency is over everything they shared."""
    rated = sa.func.count(sa.distinct(db.ratings.c.id))
    query = chosen_scores(
        choice, db.ratings.c.rater_id, rated, *(sa.func.avg(sa.cast(db.scores.c[n], sa.Float)) for n in CRITERION_NAMES)
    )
    rows = c.execute(query.group_by(db.ratings.c.rater_id).order_by(rated.desc()).limit(MOST_RATERS)).all()
    leniency = views.leniency_of(c, [row[0] for row in rows])
    return [
        {
            "rater": accounts.pseudonym(rater), "ratings": count,
            "means": dict(zip(CRITERION_NAMES, map(float, means), strict=True)), "leniency": leniency.get(rater),
        }
        for rater, count, *means in rows
    ]  # fmt: skip


def agreement(c: sa.Connection, choice: Choice) -> dict[str, Any]:
    """Between raters, on groups that two or more rated: alpha by criterion, mean tau-b of the order within groups."""
    columns = (db.ratings.c.group_id, db.ratings.c.rater_id, db.scores.c.candidate)
    shared = chosen_scores(choice, *columns, *(db.scores.c[n] for n in CRITERION_NAMES), shared=True).cte("shared")
    ranks = chosen_scores(choice, *columns, composite().label("score"), shared=True)
    by_group = c.execute(ranks.order_by(*columns).execution_options(yield_per=5000)).mappings()
    taus, groups = [], 0
    for _, rows in groupby(by_group, key=lambda row: row["group_id"]):
        scores: dict[int, list[float]] = defaultdict(list)
        for row in rows:
            scores[row["rater_id"]].append(float(row["score"]))
        groups += len(scores) > 1
        taus += [tau for a, b in combinations(scores.values(), 2) if (tau := tau_b(a, b)) is not None]
    alpha = {name: ordinal_alpha(_coincidences(c, shared, name)) if groups else None for name in CRITERION_NAMES}
    return {"alpha": alpha, "rank": _mean(taus), "groups": groups}


def judges(c: sa.Connection, choice: Choice) -> list[dict[str, Any]]:
    """People's means against each judge's scores: correlation by criterion, mean tau-b of the order within groups."""
    people = chosen_scores(
        choice, db.ratings.c.group_id, db.scores.c.candidate,
        *(sa.func.avg(sa.cast(db.scores.c[name], sa.Float)).label(name) for name in CRITERION_NAMES),
    ).group_by(db.ratings.c.group_id, db.scores.c.candidate).cte("people")  # fmt: skip
    judge, asked = db.judge_scores, db.questions
    pairs = (
        sa.select(
            judge.c.judge, judge.c.group_id,
            *(people.c[name].label(f"people_{name}") for name in CRITERION_NAMES),
            *(judge.c[name].label(f"judge_{name}") for name in CRITERION_NAMES),
        )
        .join(asked, (asked.c.group_id == judge.c.group_id) & (asked.c.question_index == judge.c.question_index))
        .join(people, (people.c.group_id == asked.c.group_id) & (people.c.candidate == asked.c.candidate))
        .cte("pairs")
    )  # fmt: skip
    sums = []
    for name in CRITERION_NAMES:
        x, y = pairs.c[f"people_{name}"], pairs.c[f"judge_{name}"]
        sums += [sa.func.sum(value) for value in (x, y, x * x, y * y, x * y)]
    query = sa.select(pairs.c.judge, sa.func.count(), *sums).group_by(pairs.c.judge).order_by(pairs.c.judge)
    totals = c.execute(query).all()
    ranks = _judge_ranks(c, pairs) if totals else {}
    found = []
    for name, n, *cells in totals:
        parts = [map(float, cells[5 * i : 5 * i + 5]) for i in range(len(CRITERION_NAMES))]
        correlation = {name_: pearson(n, *part) for name_, part in zip(CRITERION_NAMES, parts, strict=True)}
        found.append({"judge": name, "n": n, "correlation": correlation, "rank": ranks.get(name)})
    return found


def position(c: sa.Connection, choice: Choice) -> list[dict[str, Any]]:
    """Mean rating by place on the page: the mean of all, plus how far what stood there lies from its group's mean."""
    own = chosen_scores(choice, db.ratings.c.id, sa.func.avg(composite()).label("mean")).group_by(db.ratings.c.id)
    mean = own.subquery()
    overall = c.execute(chosen_scores(choice, sa.func.avg(composite()))).scalar()
    deviation = sa.func.avg(composite() - mean.c.mean)
    query = (
        chosen_scores(choice, db.scores.c.position, sa.func.count(), deviation)
        .join(mean, mean.c.id == db.ratings.c.id)
        .group_by(db.scores.c.position)
        .order_by(db.scores.c.position)
    )
    rows = c.execute(query).all()
    return [{"position": place, "n": n, "mean": float(overall or 0) + float(away)} for place, n, away in rows]


def skips(c: sa.Connection, choice: Choice) -> dict[str, int]:
    """Why groups were skipped."""
    table = db.skips
    query = sa.select(table.c.reason, sa.func.count()).join(db.groups, db.groups.c.id == table.c.group_id)
    conditions = [table.c.created_at >= choice.since] if choice.since is not None else []
    conditions += [table.c.created_at < choice.until] if choice.until is not None else []
    conditions += [db.groups.c.run == choice.run] if choice.run is not None else []
    conditions += [table.c.rater_id == choice.rater] if choice.rater is not None else []
    return dict(c.execute(query.where(*conditions).group_by(table.c.reason).order_by(table.c.reason)).all())


def _coincidences(c: sa.Connection, shared: sa.CTE, name: str) -> list[list[float]]:
    """The coincidence matrix of one criterion, (values, values)."""
    units = (
        sa.select(shared.c.group_id, shared.c.candidate, sa.func.count().label("n"))
        .group_by(shared.c.group_id, shared.c.candidate)
        .having(sa.func.count() > 1)
        .subquery()
    )
    other = shared.alias("other")
    query = (
        sa.select(shared.c[name], other.c[name], sa.func.sum(1.0 / (units.c.n - 1)))
        .join(units, (units.c.group_id == shared.c.group_id) & (units.c.candidate == shared.c.candidate))
        .join(
            other,
            (other.c.group_id == shared.c.group_id)
            & (other.c.candidate == shared.c.candidate)
            & (other.c.rater_id != shared.c.rater_id),
        )
        .group_by(shared.c[name], other.c[name])
    )
    matrix = [[0.0] * len(VALUES) for _ in VALUES]
    for one, another, weight in c.execute(query):
        matrix[one - MIN_RATING][another - MIN_RATING] = float(weight)
    return matrix


def _judge_ranks(c: sa.Connection, pairs: sa.CTE) -> dict[str, float | None]:
    people: Any = sum(pairs.c[f"people_{name}"] for name in CRITERION_NAMES)
    judged: Any = sum(pairs.c[f"judge_{name}"] for name in CRITERION_NAMES)
    query = sa.select(pairs.c.judge, pairs.c.group_id, people.label("people"), judged.label("judged"))
    rows = c.execute(query.order_by(pairs.c.judge, pairs.c.group_id).execution_options(yield_per=5000)).mappings()
    taus: dict[str, list[float]] = defaultdict(list)
    for (judge, _), members in groupby(rows, key=lambda row: (row["judge"], row["group_id"])):
        group = list(members)
        tau = tau_b([round(float(m["people"]), 6) for m in group], [round(float(m["judged"]), 6) for m in group])
        if tau is not None:
            taus[judge].append(tau)
    return {judge: _mean(values) for judge, values in taus.items()}


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return sum(kept) / len(kept) if kept else None
