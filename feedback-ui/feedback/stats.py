"""What the statistics page draws.

Scores are counted in SQL (`tally`), by time, rater, criterion and value; distributions and means come from these counts.
Ranks within groups are compared here.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import accounts, views
from feedback.agreement import ordinal_alpha, pearson, tau_b
from feedback.counted import Choice, chosen_scores, composites, weights
from recruiter.rubric import MAX_RATING, MIN_RATING, Rubric

VALUES = range(MIN_RATING, MAX_RATING + 1)
DAY, HOUR = 86400, 3600
HOURLY_UP_TO = 2 * DAY  # a span that is drawn by the hour
MOST_RATERS = 200


@dataclass(frozen=True)
class Span:
    """The time that a choice of ratings covers, cut into days, or into hours if it is short; in the server's time."""

    first: float
    last: float

    @property
    def seconds(self) -> int:
        """Length of a piece."""
        return HOUR if self.last - self.first <= HOURLY_UP_TO else DAY

    def piece(self, at: sa.ColumnElement[float]) -> sa.ColumnElement[int]:
        """The number of the piece in which a time lies."""
        offset = time.localtime(self.last).tm_gmtoff
        return (sa.cast(at, sa.BigInteger) + offset) // self.seconds

    def name(self, piece: int) -> str:
        """A piece as people write it."""
        form = "%Y-%m-%d %H:00" if self.seconds == HOUR else "%Y-%m-%d"
        return time.strftime(form, time.gmtime(piece * self.seconds))


Tally = Counter[tuple[int, int, str, int]]  # (piece of time, rater, criterion, value) -> how often


def statistics(c: sa.Connection, rubric: Rubric, choice: Choice) -> dict[str, Any]:
    """Everything at once."""
    span = span_of(c, choice)
    counted = tally(c, rubric, choice, span) if span else Counter()
    return {
        "counts": counts(c, rubric, choice, counted),
        "criteria": criteria(rubric, counted),
        "over_time": over_time(c, rubric, choice, span, counted) if span else [],
        "raters": raters(c, rubric, choice, counted),
        "agreement": agreement(c, rubric, choice),
        "judges": judges(c, rubric, choice),
        "position": position(c, rubric, choice),
        "skips": skips(c, choice),
        "runs": list(c.execute(sa.select(db.groups.c.run).distinct().order_by(db.groups.c.run)).scalars()),
    }


def span_of(c: sa.Connection, choice: Choice) -> Span | None:
    """From the first to the last rating; None without ratings."""
    first, last = c.execute(
        _ratings(choice, sa.func.min(db.ratings.c.created_at), sa.func.max(db.ratings.c.created_at))
    ).one()
    return None if first is None else Span(first, last)


def tally(c: sa.Connection, rubric: Rubric, choice: Choice, span: Span) -> Tally:
    """How often each value was given."""
    keys = (
        span.piece(db.ratings.c.created_at).label("piece"),
        db.ratings.c.rater_id,
        db.scores.c.criterion,
        db.scores.c.value,
    )
    query = chosen_scores(rubric, choice, *keys, sa.func.count()).group_by("piece", *keys[1:])
    return Counter({tuple(key): count for *key, count in c.execute(query)})


def counts(c: sa.Connection, rubric: Rubric, choice: Choice, counted: Tally) -> dict[str, int]:
    """How much there is. `questions` counts a question once for each of its raters; open groups ignore time and rater."""
    rated, groups, people, equal = c.execute(_ratings(
        choice,
        sa.func.count(),
        sa.func.count(sa.distinct(db.ratings.c.group_id)),
        sa.func.count(sa.distinct(db.ratings.c.rater_id)),
        sa.func.coalesce(sa.func.sum(sa.cast(db.ratings.c.all_equal, sa.Integer)), 0),
    )).one()  # fmt: skip
    of_run = [] if choice.run is None else [db.groups.c.run == choice.run]
    states = sa.select(
        *(
            sa.func.coalesce(sa.func.sum(sa.cast(condition, sa.Integer)), 0)
            for condition in (db.groups.c.status == "skipped", db.groups.c.status == "open", db.groups.c.late)
        )
    ).where(*of_run)
    skipped, pending, late = list(c.execute(states).one())
    questions = sum(n for (_, _, name, _), n in counted.items() if name == rubric.names[0])
    return {
        "ratings": rated, "groups": groups, "questions": questions, "raters": people, "all_equal": equal,
        "skipped": skipped, "pending": pending, "late": late,
    }  # fmt: skip


def criteria(rubric: Rubric, counted: Tally) -> dict[str, Any]:
    """Mean and histogram of each criterion."""
    totals: Counter[tuple[str, int]] = Counter()
    for (_, _, name, value), n in counted.items():
        totals[name, value] += n
    means = _means(counted, lambda _piece, _rater: None).get(None, {})
    return {
        name: {"mean": means.get(name), "histogram": [totals[name, value] for value in VALUES]} for name in rubric.names
    }


def over_time(c: sa.Connection, rubric: Rubric, choice: Choice, span: Span, counted: Tally) -> list[dict[str, Any]]:
    """Groups rated and means by the day, or by the hour if all lies within two days; in the server's time."""
    piece = span.piece(db.ratings.c.created_at).label("piece")
    ratings: dict[int, int] = dict(c.execute(_ratings(choice, piece, sa.func.count()).group_by("piece")).all())
    means = _means(counted, lambda piece, _rater: piece)
    return [
        {"time": span.name(piece), "ratings": ratings[piece], "means": _by_name(rubric, means.get(piece, {}))}
        for piece in sorted(ratings)
    ]


def raters(c: sa.Connection, rubric: Rubric, choice: Choice, counted: Tally) -> list[dict[str, Any]]:
    """Ratings, means and leniency of each rater, the busiest first. Leniency is over everything they shared."""
    busiest = _ratings(choice, db.ratings.c.rater_id, sa.func.count()).group_by(db.ratings.c.rater_id)
    rows = c.execute(busiest.order_by(sa.func.count().desc(), db.ratings.c.rater_id).limit(MOST_RATERS)).all()
    leniency = views.leniency_of(c, rubric, [rater for rater, _ in rows])
    means = _means(counted, lambda _piece, rater: rater)
    return [
        {
            "rater": accounts.pseudonym(rater), "ratings": count, "means": _by_name(rubric, means.get(rater, {})),
            "leniency": _by_name(rubric, leniency[rater]) if rater in leniency else None,
        }
        for rater, count in rows
    ]  # fmt: skip


def agreement(c: sa.Connection, rubric: Rubric, choice: Choice) -> dict[str, Any]:
    """Between raters, on groups that two or more rated: alpha by criterion, mean tau-b of the order within groups."""
    columns = (db.ratings.c.group_id, db.ratings.c.rater_id, db.scores.c.candidate)
    shared = chosen_scores(rubric, choice, *columns, db.scores.c.criterion, db.scores.c.value, shared=True).cte(
        "shared"
    )
    ranks = composites(rubric, choice, shared=True)
    ordered = sa.select(ranks).order_by(ranks.c.group_id, ranks.c.rater_id, ranks.c.candidate)
    by_group = c.execute(ordered.execution_options(yield_per=5000)).mappings()
    taus, groups = [], 0
    for _, rows in groupby(by_group, key=lambda row: row["group_id"]):
        scores: dict[int, list[float]] = defaultdict(list)
        for row in rows:
            scores[row["rater_id"]].append(round(float(row["value"]), 6))
        groups += len(scores) > 1
        taus += [tau for a, b in combinations(scores.values(), 2) if (tau := tau_b(a, b)) is not None]
    matrices = _coincidences(c, shared) if groups else {}
    alpha = {name: ordinal_alpha(matrices[name]) if name in matrices else None for name in rubric.names}
    return {"alpha": alpha, "rank": _mean(taus), "groups": groups}


def judges(c: sa.Connection, rubric: Rubric, choice: Choice) -> list[dict[str, Any]]:
    """People's means against each judge's scores: correlation by criterion, mean tau-b of the order within groups."""
    judge, asked = db.judge_scores, db.questions
    keys = (db.ratings.c.group_id, db.scores.c.candidate, db.scores.c.criterion)
    judged = db.ratings.c.group_id.in_(sa.select(judge.c.group_id))
    means = chosen_scores(rubric, choice, *keys, sa.func.avg(sa.cast(db.scores.c.value, sa.Float)).label("value"))
    people = means.where(judged).group_by(*keys).cte("people")
    query = (
        sa.select(
            judge.c.judge, judge.c.group_id, judge.c.question_index, judge.c.criterion, people.c.value, judge.c.score
        )
        .join(asked, (asked.c.group_id == judge.c.group_id) & (asked.c.question_index == judge.c.question_index))
        .join(
            people,
            (people.c.group_id == asked.c.group_id)
            & (people.c.candidate == asked.c.candidate)
            & (people.c.criterion == judge.c.criterion),
        )
        .order_by(judge.c.judge, judge.c.group_id, judge.c.question_index)
    )
    rows = c.execute(query.execution_options(yield_per=5000)).all()
    weight = {criterion.name: criterion.weight for criterion in rubric.criteria}
    found = []
    for name, of_judge in groupby(rows, key=lambda row: row.judge):
        sums = {criterion: [0.0] * 6 for criterion in rubric.names}  # n, x, y, xx, yy, xy
        taus = []
        for _, of_group in groupby(of_judge, key=lambda row: row.group_id):
            theirs: dict[int, float] = defaultdict(float)
            scored: dict[int, float] = defaultdict(float)
            for _, _, index, criterion, x, y in of_group:
                x, y = float(x), float(y)
                sums[criterion] = [a + b for a, b in zip(sums[criterion], (1, x, y, x * x, y * y, x * y), strict=True)]
                theirs[index] += weight[criterion] * x
                scored[index] += weight[criterion] * y
            taus.append(tau_b([round(v, 6) for v in theirs.values()], [round(v, 6) for v in scored.values()]))
        correlation = {criterion: pearson(int(n), *parts) for criterion, (n, *parts) in sums.items()}
        n = int(sums[rubric.names[0]][0])
        found.append(
            {"judge": name, "n": n, "correlation": correlation, "rank": _mean(t for t in taus if t is not None)}
        )
    return found


def position(c: sa.Connection, rubric: Rubric, choice: Choice) -> list[dict[str, Any]]:
    """Mean rating by place on the page: the mean of all, plus how far what stood there lies from its group's mean.

    A rating of n questions fills the places 1 to n, so the sums of the groups' means are taken by n.
    """
    places = db.scores.c.position
    weight = weights(rubric)
    placed = chosen_scores(rubric, choice, places, sa.func.sum(db.scores.c.value * weight), sa.func.sum(weight))
    totals = {place: (float(total), float(heft)) for place, total, heft in c.execute(placed.group_by(places))}
    if not totals:
        return []
    heft = sum(criterion.weight for criterion in rubric.criteria)
    own = chosen_scores(
        rubric, choice, (sa.func.sum(db.scores.c.value * weight) / sa.func.sum(weight)).label("mean"),
        sa.func.max(places).label("size"),
    ).group_by(db.ratings.c.id).subquery()  # fmt: skip
    by_size = c.execute(sa.select(own.c.size, sa.func.sum(own.c.mean)).group_by(own.c.size)).all()
    overall = sum(total for total, _ in totals.values()) / sum(weight for _, weight in totals.values())
    found = []
    for place in sorted(totals):
        total, weighed = totals[place]
        n = round(weighed / heft)
        expected = sum(float(mean) for size, mean in by_size if size >= place) / n
        found.append({"position": place, "n": n, "mean": overall + total / weighed - expected})
    return found


def skips(c: sa.Connection, choice: Choice) -> dict[str, int]:
    """Why groups were skipped."""
    table = db.skips
    query = sa.select(table.c.reason, sa.func.count()).join(db.groups, db.groups.c.id == table.c.group_id)
    conditions = choice.conditions(table)
    return dict(c.execute(query.where(*conditions).group_by(table.c.reason).order_by(table.c.reason)).all())


def _ratings(choice: Choice, *columns: Any) -> sa.Select[Any]:
    """Columns of the chosen ratings."""
    query = sa.select(*columns).select_from(db.ratings)
    if choice.run is not None:
        query = query.join(db.groups, db.groups.c.id == db.ratings.c.group_id)
    return query.where(*choice.conditions())


def _means(counted: Tally, key: Callable[[int, int], Any]) -> dict[Any, dict[str, float]]:
    """Mean of each criterion, by `key(piece, rater)`."""
    sums: dict[Any, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for (piece, rater, name, value), n in counted.items():
        cell = sums[key(piece, rater)][name]
        cell[0] += value * n
        cell[1] += n
    return {k: {name: total / n for name, (total, n) in cells.items()} for k, cells in sums.items()}


def _by_name(rubric: Rubric, values: dict[str, float]) -> dict[str, float | None]:
    return {name: values.get(name) for name in rubric.names}


def _coincidences(c: sa.Connection, shared: sa.CTE) -> dict[str, list[list[float]]]:
    """The coincidence matrix of each criterion, (values, values)."""
    cell = ("group_id", "candidate", "criterion")
    units = (
        sa.select(*(shared.c[name] for name in cell), sa.func.count().label("n"))
        .group_by(*(shared.c[name] for name in cell))
        .having(sa.func.count() > 1)
        .subquery()
    )
    other = shared.alias("other")
    query = (
        sa.select(shared.c.criterion, shared.c.value, other.c.value, sa.func.sum(1.0 / (units.c.n - 1)))
        .join(units, sa.and_(*(units.c[name] == shared.c[name] for name in cell)))
        .join(
            other, sa.and_(*(other.c[name] == shared.c[name] for name in cell), other.c.rater_id != shared.c.rater_id)
        )
        .group_by(shared.c.criterion, shared.c.value, other.c.value)
    )
    matrices: dict[str, list[list[float]]] = {}
    for name, one, another, weight in c.execute(query):
        matrix = matrices.setdefault(name, [[0.0] * len(VALUES) for _ in VALUES])
        matrix[one - MIN_RATING][another - MIN_RATING] = float(weight)
    return matrices


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return sum(kept) / len(kept) if kept else None
