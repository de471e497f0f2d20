"""Ratings from a file: what `what=ratings` or `what=comparisons` exported, or a table of somebody else's.

    python -m feedback.importing ratings.jsonl

A row is one question as one person rated it: `group_id`, `question`, `rater`, and a column for each criterion, 1 to 5. Or it
is two questions that one person compared: `group_id`, `first`, `second`, `preferred` (first, second, neither), `rater`. What
else an export holds is taken over: run, policy_step, role (or role_title), note, comment, improved, times. Groups that are
not there are made, and people become raters without a link. What is there already is left as it is.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import groups, ratings, tasks
from feedback.settings import Settings
from recruiter.cli.command import command
from recruiter.cli.options import OptionParser, input_file
from recruiter.errors import DataError
from recruiter.roles.rows import Row, read_rows
from recruiter.rubric import MAX_RATING, MIN_RATING, Rubric, load_rubric

SIDES = {"first": 1, "neither": 0, "second": -1}


@dataclass
class Imported:
    """What became of a file's ratings (of whole groups)."""

    ratings: int = 0
    known: int = 0
    groups: int = 0


def import_file(database: db.Database, rubric: Rubric, path: Path) -> Imported:
    """Take in all ratings of a file, or, if one of them is wrong, none.

    Raises:
        DataError: naming the line, and what is wrong there.
    """
    by_group: dict[str, dict[str, list[Row]]] = {}
    for place, row in read_rows(path):
        if str(row.get("counts", "true")).lower() in ("false", "0"):
            continue  # an earlier revision
        group, rater = _text(row, "group_id", place), _text(row, "rater", place)
        by_group.setdefault(group, {}).setdefault(rater, []).append((place, row))
    if not by_group:
        raise DataError(f"{path} holds no ratings.")
    done = Imported()
    with database.write() as c:
        db.go_alone(c, db.IMPORT_LOCK)
        for group_id, people in by_group.items():
            _import_group(c, rubric, group_id, people, done)
    return done


def _import_group(
    c: sa.Connection, rubric: Rubric, group_id: str, people: Mapping[str, list[Row]], done: Imported
) -> None:
    rows = [row for given in people.values() for row in given]
    now = time.time()
    if not groups.lock(c, [group_id]):
        groups.submit(c, _new_group(group_id, rows, len(people)), now)
        done.groups += 1
    (group,) = groups.lock(c, [group_id])
    query = sa.select(db.questions.c.text, db.questions.c.candidate).where(db.questions.c.group_id == group["id"])
    candidates = {_spaced(text): candidate for text, candidate in c.execute(query)}
    for name, given in people.items():
        place, first = given[0]
        at = _time(first.get("rated_at"), now, place)
        lease = str(first.get("lease_id") or hashlib.sha256(f"{group_id}/{name}".encode()).hexdigest()[:20])
        rater = _rater(c, name, at)
        there = sa.select(db.ratings.c.id).where(
            (db.ratings.c.lease_id == lease)
            | ((db.ratings.c.group_id == group["id"]) & (db.ratings.c.rater_id == rater))
        )
        if c.execute(there).first() is not None:
            done.known += 1
            continue
        content = _content(rubric, group["task"], candidates, given)
        began = _time(first.get("leased_at"), at, place)
        ratings.add_given(c, group, rater, lease, content, began, at)
        done.ratings += 1
    groups.refresh(c, group["id"], now)


def _new_group(group_id: str, rows: Sequence[Row], raters: int) -> groups.NewGroup:
    place, first = rows[0]
    texts: dict[int, str] = {}
    for where, row in rows:
        for name in ("first", "second") if "preferred" in row else ("question",):
            text = _text(row, name, where)
            indices = row.get("question_indices", [])
            indices = [int(one) for one in (indices.split() if isinstance(indices, str) else indices)]
            if not indices and _spaced(text) not in map(_spaced, texts.values()):
                indices = [len(texts)]
            texts |= dict.fromkeys(indices, text)
    role = row_role(first, place)
    task: tasks.Task = first.get("task", "rank") if "preferred" in first else "score"
    questions = [text for _, text in sorted(texts.items())]
    step = int(first.get("policy_step", 0))
    return groups.NewGroup(
        group_id, str(first.get("run", "imported")), step, role, questions, overlap=raters, task=task
    )


def row_role(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The role of a row: `role` as JSON, or what there is of it.

    Raises:
        DataError: `role` is no JSON object.
    """
    role = row.get("role")
    if isinstance(role, str):
        try:
            role = json.loads(role)
        except ValueError:
            raise DataError(f"{place}: role is not JSON; leave it out, or write role_title instead.") from None
    if role is None:
        known = {"id": row.get("role_id"), "title": row.get("role_title")}
        role = {name: value for name, value in known.items() if value}
    if not isinstance(role, dict):
        raise DataError(f"{place}: role is no JSON object; leave it out, or write role_title instead.")
    return role


def _content(rubric: Rubric, task: tasks.Task, candidates: Mapping[str, int], rows: Sequence[Row]) -> tasks.Content:
    scores: dict[int, tasks.Scores] = {}
    comparisons: tasks.Comparisons = {}
    remarks: dict[int, tasks.Remark] = {}
    order: dict[int, int] = {}
    for place, row in rows:
        if "preferred" in row:
            one, other = (_candidate(candidates, row, name, place) for name in ("first", "second"))
            preferred = SIDES.get(str(row["preferred"]))
            if preferred is None or one == other:
                raise DataError(f"{place}: preferred must be first, second or neither, of two questions that differ.")
            comparisons[min(one, other), max(one, other)] = preferred if one < other else -preferred
            continue
        candidate = _candidate(candidates, row, "question", place)
        scores[candidate] = {name: _stars(row, name, place) for name in rubric.names}
        order[candidate] = int(row.get("position", len(order) + 1))
        said = (str(row.get("comment", "")), str(row.get("improved", "")), bool(row.get("no_sense", False)))
        if any(said):
            remarks[candidate] = said
    place, first = rows[0]
    if bool(scores) == bool(comparisons) or bool(scores) != (task == "score"):
        raise DataError(f"{place}: the group is not rated in this way here; import it under another group_id.")
    if missing := [text for text, candidate in candidates.items() if scores and candidate not in scores]:
        raise DataError(f"{place}: {first['rater']} has not rated {missing[0][:60]!r} of group {first['group_id']}.")
    shown = sorted(candidates.values(), key=lambda candidate: (order.get(candidate, 0), candidate))
    is_equal = str(first.get("all_equal", "false")).lower() in ("true", "1") and task == "score"
    note = str(first.get("note", ""))
    return tasks.Content(task, list(dict.fromkeys(shown)), scores, comparisons, remarks, note, is_equal)


def _rater(c: sa.Connection, name: str, at: float) -> int:
    """The rater that stands for a person of files: without a link, known by the name that they have there."""
    label = f"{name} (imported)"
    known = c.execute(sa.select(db.raters.c.id).where(db.raters.c.label == label, db.raters.c.link.is_(None))).scalar()
    if known is not None:
        return int(known)
    values = {"label": label, "role": "rater", "created_at": at, "last_seen_at": 0.0, "revoked_at": at}
    return int(c.execute(sa.insert(db.raters).values(values).returning(db.raters.c.id)).scalar_one())


def _candidate(candidates: Mapping[str, int], row: Mapping[str, Any], name: str, place: str) -> int:
    text = _text(row, name, place)
    if _spaced(text) not in candidates:
        raise DataError(
            f"{place}: group {row['group_id']} has no question {text[:60]!r}; import it under another group_id."
        )
    return candidates[_spaced(text)]


def _text(row: Mapping[str, Any], name: str, place: str) -> str:
    text = row.get(name)
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise DataError(f"{place}: it has no {name}.")
    return text


def _stars(row: Mapping[str, Any], name: str, place: str) -> int:
    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{place}: it has no number for {name}.") from None
    if value not in range(MIN_RATING, MAX_RATING + 1):
        raise DataError(f"{place}: {name} must be a whole number from {MIN_RATING} to {MAX_RATING}, not {row[name]}.")
    return int(value)


def _time(value: Any, otherwise: float, place: str) -> float:
    if value is None:
        return otherwise
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise DataError(f"{place}: {value} is no time such as 2026-11-30T12:00:00+00:00.") from None
    return moment.timestamp()


def _spaced(text: str) -> str:
    return " ".join(text.split())


@command
def main() -> None:
    """Take in ratings from a file: an export, or a table with group_id, question, rater and the criteria."""
    parser = OptionParser(prog="python -m feedback.importing", description=main.__doc__)
    parser.add_argument("file", type=input_file)
    arguments = parser.parse_args()
    settings = Settings.from_environment()
    with closing(db.Database(settings.database_url)) as database:
        database.upgrade()
        print(told(import_file(database, load_rubric(settings.rubric), arguments.file)))


def told(done: Imported) -> str:
    """What became of a file."""
    return f"Imported: {done.ratings} ratings of whole groups. New groups: {done.groups}. There already: {done.known}."


if __name__ == "__main__":
    main()
