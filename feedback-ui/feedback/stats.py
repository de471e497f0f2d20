"""What the statistics page draws.

One pass over the scores that count gives a row for each rated candidate (`Scored`); distributions, means and places come from
these rows. Ranks within groups are compared here.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

import database as db
from feedback import accounts, tasks, views
from feedback.choice import Choice, chosen_scores, composites
from feedback.correlation import ordinal_alpha, pearson
from recruiter.evaluation.calibration import FEWEST_GROUPS, RatedGroup, calibrate, tau_b
from recruiter.rubric import MAX_RATING, MIN_RATING, Rubric, rating_to_score

VALUES = range(MIN_RATING, MAX_RATING + 1)
DAY, HOUR = 86400, 3600
HOURLY_UP_TO = 2 * DAY  # a span that is drawn by the hour
MOST_RATERS = 200
LATEST_GROUPS = 300  # that calibration looks at
DIGITS = 20  # octal digits that a 64-bit number holds
IntArray = npt.NDArray[np.int64]


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


@dataclass(frozen=True)
class Scored:
    """The rated candidates of a choice, N of them: who rated them, when, and what they got.

    Attributes:
        rating, rater, piece, position: (N,) integers; `piece` is the piece of time.
        values: (N, criteria), 1 to 5; 0 where a criterion was not asked for.
    """

    rating: IntArray
    rater: IntArray
    piece: IntArray
    position: IntArray
    values: IntArray

    def means(self, rows: Any = slice(None)) -> list[float | None]:
        """Mean of each criterion over some rows."""
        chosen = self.values[rows]
        totals, counts = chosen.sum(axis=0), (chosen > 0).sum(axis=0)
        return [float(total / n) if n else None for total, n in zip(totals, counts, strict=True)]


def statistics(c: sa.Connection, rubric: Rubric, choice: Choice) -> dict[str, Any]:
    """Everything at once."""
    span = span_of(c, choice) or Span(0, 0)
    scored = scores_of(c, rubric, choice, span)
    return {
        "counts": counts(c, choice, scored),
        "criteria": criteria(rubric, scored),
        "over_time": over_time(c, rubric, choice, span, scored),
        "raters": raters(c, rubric, choice, scored),
        "agreement": agreement(c, rubric, choice),
        **judges(c, rubric, choice),
        "position": position(rubric, scored),
        "skips": skips(c, choice),
        "runs": list(c.execute(sa.select(db.groups.c.run).distinct().order_by(db.groups.c.run)).scalars()),
    }


def span_of(c: sa.Connection, choice: Choice) -> Span | None:
    """From the first to the last rating; None without ratings."""
    ends = (sa.func.min(db.ratings.c.created_at), sa.func.max(db.ratings.c.created_at))
    first, last = c.execute(_ratings(choice, *ends)).one()
    return None if first is None else Span(first, last)


def scores_of(c: sa.Connection, rubric: Rubric, choice: Choice, span: Span) -> Scored:
    """The scores that count, a row for each candidate, read in the order in which they are stored.

    The criteria of a candidate come as one number with an octal digit for each: that is five times as fast as rows.
    """
    value, criterion, names = sa.cast(db.scores.c.value, sa.BigInteger), db.scores.c.criterion, rubric.names
    parts = [names[first : first + DIGITS] for first in range(0, len(names), DIGITS)]
    packed = (
        sa.cast(
            sa.func.sum(sa.case({name: value * 8**digit for digit, name in enumerate(part)}, value=criterion, else_=0)),
            sa.BigInteger,
        )
        for part in parts
    )
    query = chosen_scores(rubric, choice, db.ratings.c.id, sa.func.min(db.scores.c.position), *packed)
    cells = _numbers(c.execute(query.group_by(db.ratings.c.id, db.scores.c.candidate)), 2 + len(parts))
    given = _numbers(
        c.execute(_ratings(choice, db.ratings.c.id, db.ratings.c.rater_id, span.piece(db.ratings.c.created_at))), 3
    )
    given = given[np.argsort(given[:, 0])]
    of_rating = given[np.searchsorted(given[:, 0], cells[:, 0])]
    digits = [(cells[:, 2 + i // DIGITS] >> (3 * (i % DIGITS))) & 7 for i in range(len(names))]
    return Scored(cells[:, 0], of_rating[:, 1], of_rating[:, 2], cells[:, 1], np.stack(digits, axis=1))


def _numbers(result: sa.CursorResult[Any], columns: int) -> IntArray:
    """Rows of whole numbers, (N, columns), without the cost of a row object each."""
    return np.array(result.cursor.fetchall() if result.cursor else [], dtype=np.int64).reshape(-1, columns)


def counts(c: sa.Connection, choice: Choice, scored: Scored) -> dict[str, int]:
    """How much there is. `questions` counts a question once for each of its raters; open groups ignore time and rater."""
    rated, groups, people, equal = c.execute(
        _ratings(
            choice,
            sa.func.count(),
            sa.func.count(sa.distinct(db.ratings.c.group_id)),
            sa.func.count(sa.distinct(db.ratings.c.rater_id)),
            sa.func.coalesce(sa.func.sum(sa.cast(db.ratings.c.all_equal, sa.Integer)), 0),
        )
    ).one()
    of_run = [] if choice.run is None else [db.groups.c.run == choice.run]
    states = sa.select(
        *(
            sa.func.coalesce(sa.func.sum(sa.cast(condition, sa.Integer)), 0)
            for condition in (db.groups.c.status == "skipped", db.groups.c.status == "open", db.groups.c.late)
        )
    ).where(*of_run)
    skipped, pending, late = list(c.execute(states).one())
    return {
        "ratings": rated, "groups": groups, "questions": len(scored.rating), "raters": people, "all_equal": equal,
        "skipped": skipped, "pending": pending, "late": late,
    }  # fmt: skip


def criteria(rubric: Rubric, scored: Scored) -> dict[str, Any]:
    """Mean and histogram of each criterion."""
    histograms = [np.bincount(column, minlength=MAX_RATING + 1)[MIN_RATING:].tolist() for column in scored.values.T]
    found = zip(rubric.names, scored.means(), histograms, strict=True)
    return {name: {"mean": mean, "histogram": histogram} for name, mean, histogram in found}


def over_time(c: sa.Connection, rubric: Rubric, choice: Choice, span: Span, scored: Scored) -> list[dict[str, Any]]:
    """Groups rated and means by the day, or by the hour if all lies within two days; in the server's time."""
    piece = span.piece(db.ratings.c.created_at).label("piece")
    ratings: dict[int, int] = dict(c.execute(_ratings(choice, piece, sa.func.count()).group_by("piece")).all())
    means = {piece: scored.means(scored.piece == piece) for piece in ratings}
    return [
        {
            "time": span.name(piece),
            "ratings": ratings[piece],
            "means": dict(zip(rubric.names, means[piece], strict=True)),
        }
        for piece in sorted(ratings)
    ]


def raters(c: sa.Connection, rubric: Rubric, choice: Choice, scored: Scored) -> list[dict[str, Any]]:
    """Ratings, means and leniency of each rater, the busiest first. Leniency is over everything they shared."""
    busiest = _ratings(choice, db.ratings.c.rater_id, sa.func.count()).group_by(db.ratings.c.rater_id)
    rows = c.execute(busiest.order_by(sa.func.count().desc(), db.ratings.c.rater_id).limit(MOST_RATERS)).all()
    leniency = views.leniency_of(c, rubric, [rater for rater, _ in rows])
    means = {rater: scored.means(scored.rater == rater) for rater, _ in rows}
    return [
        {
            "rater": accounts.pseudonym(rater),
            "ratings": count,
            "means": dict(zip(rubric.names, means[rater], strict=True)),
            "leniency": {name: leniency[rater].get(name) for name in rubric.names} if rater in leniency else None,
        }
        for rater, count in rows
    ]


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
    for orders in _orders(c, choice):
        groups += 1
        taus += [tau for a, b in combinations(orders, 2) if (tau := tau_b(a, b)) is not None]
    matrices = _coincidences(c, shared) if groups else {}
    alpha = {name: ordinal_alpha(matrices[name]) if name in matrices else None for name in rubric.names}
    return {"alpha": alpha, "rank": _mean(taus), "groups": groups}


def _orders(c: sa.Connection, choice: Choice) -> Iterator[list[list[int]]]:
    """Net wins of each question by each rater, of every group that two or more compared."""
    said, r, g = db.comparisons, db.ratings, db.groups
    query = (
        sa.select(g.c.id, said)
        .select_from(r)
        .join(g, g.c.id == r.c.group_id)
        .join(said, (said.c.rating_id == r.c.id) & (said.c.revision == r.c.revision))
        .where(g.c.rating_count > 1, *choice.conditions())
        .order_by(g.c.id)
    )
    for _, rows in groupby(c.execute(query).mappings(), key=lambda row: row["id"]):
        of_raters = tasks.by_rating(rows)
        count = 1 + max(second for compared in of_raters.values() for _, second in compared)
        if len(of_raters) > 1:
            yield [tasks.net_wins(compared, count) for compared in of_raters.values()]


def judges(c: sa.Connection, rubric: Rubric, choice: Choice) -> dict[str, Any]:
    """People's means against each judge's scores: correlation by criterion, mean tau-b of the order within groups; and what
    weighing the judges by people's ratings would change."""
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
    compared = (
        sa.select(sa.func.count()).select_from(db.ratings).join(db.groups, db.groups.c.id == db.ratings.c.group_id)
    )
    orders = c.execute(compared.where(db.groups.c.task != "score", *choice.conditions())).scalar_one() if rows else 0
    return {"judges": found, "calibration": calibrated(rubric, rows, orders)}


def calibrated(rubric: Rubric, rows: Sequence[Any], orders: int) -> dict[str, Any] | None:
    """What calibration by the latest groups would be worth, of all judges that scored most of what one of them scored.

    `gain` and the rest are None where too few groups are rated; None of it without judges. `orders` are ratings without scores.
    """
    people: dict[int, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    said: dict[str, dict[int, dict[int, dict[str, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    latest = set(sorted({row.group_id for row in rows})[-LATEST_GROUPS:])
    for judge, group, index, criterion, value, score in (row for row in rows if row.group_id in latest):
        people[group][index][criterion] = rating_to_score(float(value))
        said[judge][group][index][criterion] = float(score)
    if not said:
        return None
    most = max(map(len, said.values()))
    names = sorted(judge for judge, groups in said.items() if len(groups) >= most / 2)
    groups = []
    for group in sorted(people):
        whole = [
            index
            for index, given in people[group].items()
            if all(set(of[group][index]) >= set(rubric.names) for of in (said[name] for name in names)) and given
        ]
        if len(whole) > 1:
            theirs = np.array([[people[group][index][name] for name in rubric.names] for index in whole])
            ours = [[[said[name][group][index][c] for c in rubric.names] for index in whole] for name in names]
            groups.append(RatedGroup(theirs, np.array(ours)))
    found = calibrate(rubric, groups)
    about = {"judges": names, "groups": len(groups), "needed": FEWEST_GROUPS, "without_scores": orders}
    if found is None:
        return {**about, "before": None, "after": None, "gain": None, "more": None, "helps": False}
    figures = {name: getattr(found, name).model_dump(exclude={"roles"}) for name in ("before", "after", "gain")}
    return {**about, "groups": found.groups, **figures, "more": found.more, "helps": found.helps}


def position(rubric: Rubric, scored: Scored) -> list[dict[str, Any]]:
    """Mean rating by place on the page: the mean of all, plus how far what stood there lies from its group's mean."""
    whole = (scored.values > 0).all(axis=1)
    if not whole.any():
        return []
    weight = np.array([criterion.weight for criterion in rubric.criteria])
    composite = scored.values[whole] @ weight / weight.sum()
    _, rating = np.unique(scored.rating[whole], return_inverse=True)
    own = np.bincount(rating, composite) / np.bincount(rating)
    n = np.bincount(scored.position[whole])
    away = np.bincount(scored.position[whole], composite - own[rating])
    overall = composite.mean()
    return [
        {"position": place, "n": int(n[place]), "mean": float(overall + away[place] / n[place])}
        for place in np.flatnonzero(n).tolist()
    ]


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
    for name, given, others, weight in c.execute(query):
        matrix = matrices.setdefault(name, [[0.0] * len(VALUES) for _ in VALUES])
        matrix[given - MIN_RATING][others - MIN_RATING] = float(weight)
    return matrices


def _mean(values: Iterable[float]) -> float | None:
    kept = list(values)
    return sum(kept) / len(kept) if kept else None
