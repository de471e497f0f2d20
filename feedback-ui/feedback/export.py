"""What people said, in formats of any length: a row for each candidate of each revision, or one for each skip.

Rows are read with a cursor and written as they come, so memory does not grow with the database. Parquet needs its end
before it can be read: it is written to a temporary file, a row group at a time, and streamed from there.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa
from pydantic import ValidationError

import database as db
from feedback import accounts
from feedback.choice import EVERYTHING, Choice
from feedback.views import reward_of
from recruiter.files import safe_cell
from recruiter.prompts import generator_messages
from recruiter.roles import Role
from recruiter.rubric import Rubric

Format = Literal["json", "parquet", "csv", "jsonl"]
What = Literal["ratings", "comparisons", "remarks", "skips", "pairs", "preferences", "bank"]
MEDIA = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
ROWS_AT_ONCE, ROWS_IN_GROUP, BYTES_AT_ONCE = 1000, 20_000, 256 * 1024
TIME = pa.timestamp("ms", tz="UTC")
GROUP = [
    *((name, pa.string()) for name in ("group_id", "run")), ("policy_step", pa.int64()),
    *((name, pa.string()) for name in ("role_id", "role_title", "role", "group_status")), ("late", pa.bool_()),
]  # fmt: skip
SKIPS = pa.schema([*GROUP, *((name, pa.string()) for name in ("rater", "reason", "note")), ("skipped_at", TIME)])
PAIRS = pa.schema(
    [*GROUP, *((name, pa.string()) for name in ("rater", "chosen", "rejected", "comment")), ("rated_at", TIME)]
)
COMPARISONS = pa.schema(
    [*GROUP, ("task", pa.string()), ("rating_id", pa.int64()),
     *((name, pa.string()) for name in ("rater", "first", "second", "preferred", "lease_id")), ("rated_at", TIME)]
)  # fmt: skip
REMARKS = pa.schema(
    [*GROUP, *((name, pa.string()) for name in ("rater", "question", "comment", "improved")), ("no_sense", pa.bool_()),
     ("rated_at", TIME)]
)  # fmt: skip
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
PREFERENCES = pa.schema([(name, MESSAGES) for name in ("prompt", "chosen", "rejected")])
BANK = pa.schema(
    [*((name, pa.string()) for name in ("question", "skill", "tags", "role_title", "level", "role", "entry")),
     ("version", pa.int64()), ("kept_at", TIME), ("retired_at", TIME), ("retired_reason", pa.string())]
)  # fmt: skip
PREFERRED = {1: "first", 0: "neither", -1: "second"}
BANK_RUN = "bank"  # under which its pairs are exported
Row = dict[str, Any]


def export(database: db.Database, rubric: Rubric, form: Format, what: What, choice: Choice) -> Iterator[bytes]:
    """The whole export, piece by piece."""
    names = criteria(database, rubric)
    if what == "skips":
        found, columns = skips(database, choice), SKIPS
    elif what == "comparisons":
        found, columns = comparisons(database, choice), COMPARISONS
    elif what == "pairs":
        found, columns = pairs(database, choice), PAIRS
    elif what == "preferences":
        found, columns = preferences(pairs(database, choice)), PREFERENCES
    elif what == "bank":
        found, columns = banked(database, choice), BANK
    elif what == "remarks":
        found, columns = remarks(database, choice), REMARKS
    else:
        found, columns = rows(database, rubric, names, choice), schema(names)
    if form == "parquet":
        return _parquet(found, columns)
    found = map(_as_text, found)
    return _csv(found, columns) if form == "csv" else _json(found) if form == "json" else _jsonl(found)


def schema(criteria: tuple[str, ...]) -> pa.Schema:
    """The columns of ratings and their types."""
    return pa.schema(
        [
            *GROUP, ("question_indices", pa.list_(pa.int64())), ("question", pa.string()), ("rating_id", pa.int64()),
            ("rater", pa.string()), ("revision", pa.int64()), ("counts", pa.bool_()), ("unused", pa.bool_()),
            ("all_equal", pa.bool_()), ("note", pa.string()), ("comment", pa.string()), ("improved", pa.string()),
            ("position", pa.int64()),
            *((name, pa.int64()) for name in criteria), ("reward", pa.float64()), ("judges", pa.string()),
            ("lease_id", pa.string()), *((name, TIME) for name in ("leased_at", "rated_at", "revised_at")),
            ("consumed_step", pa.int64()), ("consumed_at", TIME),
        ]
    )  # fmt: skip


def criteria(database: db.Database, rubric: Rubric) -> tuple[str, ...]:
    """The criteria of this server's rubric, and then those by which something was rated under another one."""
    with database.read() as c:
        stored = c.execute(sa.select(db.scores.c.criterion).distinct()).scalars().all()
    return (*rubric.names, *sorted(set(stored) - set(rubric.names)))


def rows(database: db.Database, rubric: Rubric, names: tuple[str, ...], choice: Choice = EVERYTHING) -> Iterator[Row]:
    """One row for each candidate of each revision, in the order of rating.

    `counts` marks the revision that stands; `unused` one that came after training had consumed the group. `role` and
    `judges` (scores by judge and criterion) are JSON.
    """
    columns = schema(names).names
    r, v, s, g, lease, m = db.ratings, db.revisions, db.scores, db.groups, db.leases, db.remarks
    here = (m.c.rating_id == s.c.rating_id) & (m.c.revision == s.c.revision) & (m.c.candidate == s.c.candidate)
    query = (
        sa.select(
            *_group_columns(), s.c.candidate, r.c.id.label("rating_id"),
            r.c.rater_id, v.c.revision, (v.c.revision == r.c.revision).label("counts"), v.c.unused, v.c.all_equal,
            v.c.note, m.c.comment, m.c.improved,
            s.c.position, s.c.criterion, s.c.value, r.c.lease_id, lease.c.created_at.label("leased_at"),
            r.c.created_at.label("rated_at"), v.c.created_at.label("revised_at"), g.c.consumed_step, g.c.consumed_at,
        )
        .select_from(r)
        .join(g, g.c.id == r.c.group_id)
        .join(v, v.c.rating_id == r.c.id)
        .join(s, (s.c.rating_id == v.c.rating_id) & (s.c.revision == v.c.revision))
        .join(lease, lease.c.id == r.c.lease_id)
        .outerjoin(m, here)
        .where(*choice.conditions())
        .order_by(r.c.id, v.c.revision, s.c.position)
    )  # fmt: skip
    with database.read() as c:
        result = c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings()
        for part in _batches(_by_candidate(result), ROWS_AT_ONCE):
            keys = {row["key"] for row in part}
            asked, judged = _questions(c, keys), _judged(c, keys)
            for row in part:
                indices, text = asked[row["key"], row["candidate"]]
                about = {"question_indices": indices, "question": text, "judges": judged.get((row["key"], indices[0]))}
                yield _row(rubric, columns, names, {**row, **about})


def skips(database: db.Database, choice: Choice = EVERYTHING) -> Iterator[Row]:
    """One row for each group that a rater left to others, with the reason and the note."""
    s, g = db.skips, db.groups
    columns = (*_group_columns(), s.c.rater_id, s.c.reason, s.c.note, s.c.created_at.label("skipped_at"))
    query = sa.select(*columns).join(g, g.c.id == s.c.group_id).where(*choice.conditions(s)).order_by(s.c.created_at)
    with database.read() as c:
        for row in c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings():
            values = _typed(dict(row))
            yield {name: values[name] for name in SKIPS.names}


def comparisons(database: db.Database, choice: Choice = EVERYTHING) -> Iterator[Row]:
    """One row for each two questions that a rater compared: their texts, and which was preferred, if either."""
    r, g, said = db.ratings, db.groups, db.comparisons
    query = (
        sa.select(
            *_group_columns(), g.c.task, r.c.id.label("rating_id"), r.c.rater_id, _text(said.c.first, said).label("first"),
            _text(said.c.second, said).label("second"), said.c.preferred, r.c.lease_id, r.c.created_at.label("rated_at"),
        )
        .select_from(r)
        .join(g, g.c.id == r.c.group_id)
        .join(said, (said.c.rating_id == r.c.id) & (said.c.revision == r.c.revision))
        .where(*choice.conditions())
        .order_by(r.c.id, said.c.first, said.c.second)
    )  # fmt: skip
    with database.read() as c:
        for row in c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings():
            values = {**_typed(dict(row)), "preferred": PREFERRED[row["preferred"]]}
            yield {name: values[name] for name in COMPARISONS.names}


def remarks(database: db.Database, choice: Choice = EVERYTHING) -> Iterator[Row]:
    """One row for each question of which a rater said something in words, or that it makes no sense."""
    r, g, said = db.ratings, db.groups, db.remarks
    query = (
        sa.select(
            *_group_columns(), r.c.rater_id, _text(said.c.candidate, said).label("question"), said.c.comment,
            said.c.improved, said.c.no_sense, r.c.created_at.label("rated_at"),
        )
        .select_from(r)
        .join(g, g.c.id == r.c.group_id)
        .join(said, (said.c.rating_id == r.c.id) & (said.c.revision == r.c.revision))
        .where(*choice.conditions())
        .order_by(r.c.id, said.c.candidate)
    )  # fmt: skip
    with database.read() as c:
        for row in c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings():
            values = _typed(dict(row))
            yield {name: values[name] for name in REMARKS.names}


def _text(candidate: sa.ColumnElement[int], of: sa.Table) -> sa.ScalarSelect[Any]:
    """The text of a candidate of the group that a query is about."""
    asked = db.questions.alias()
    here = sa.select(sa.func.min(asked.c.text)).where(
        asked.c.group_id == db.groups.c.id, asked.c.candidate == candidate
    )
    return here.correlate(db.groups, of).scalar_subquery()


def pairs(database: db.Database, choice: Choice = EVERYTHING) -> Iterator[Row]:
    """For preference training, the better text (`chosen`) and the worse (`rejected`): how a rater put a question and how it
    was, what they compared, and how a question of the bank reads and how it read before it was edited."""
    for row in remarks(database, choice):
        if row["improved"] and row["improved"] != row["question"]:
            yield _pair(row, row["improved"], row["question"])
    for row in comparisons(database, choice):
        if row["preferred"] != "neither":
            better, worse = (
                (row["first"], row["second"]) if row["preferred"] == "first" else (row["second"], row["first"])
            )
            yield _pair(row, better, worse)
    yield from edits(database, choice)


def edits(database: db.Database, choice: Choice = EVERYTHING) -> Iterator[Row]:
    """The pairs of the bank: the text that stands, since when it does, beside each earlier one. They are of the run `bank`."""
    if choice.run not in (None, BANK_RUN):
        return
    b, now, old, other = db.bank, *(db.bank_versions.alias() for _ in range(3))
    last = sa.select(sa.func.max(other.c.version)).where(
        other.c.bank_id == b.c.id
    )  # versions may differ by guide alone
    changed = last.where(other.c.text != b.c.text).correlate(b).scalar_subquery()
    last_of_old = last.where(other.c.text == old.c.text).correlate(b, old).scalar_subquery()
    query = (
        sa.select(b.c.id, b.c.role, b.c.role_title, now.c.rater_id, now.c.text.label("chosen"),
                  old.c.text.label("rejected"), now.c.created_at.label("rated_at"), b.c.retired_at)
        .select_from(b)
        .join(now, now.c.bank_id == b.c.id)
        .join(old, old.c.bank_id == b.c.id)
        .where(now.c.version == changed + 1, old.c.text != b.c.text, old.c.version == last_of_old)
        .where(*choice.of_times(now.c))
        .order_by(b.c.id, old.c.version)
    )  # fmt: skip
    with database.read() as c:
        for row in c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings():
            about = {
                "group_id": f"bank-{row['id']}", "run": BANK_RUN, "policy_step": 0, "role_id": row["role"]["id"],
                "group_status": "kept" if row["retired_at"] is None else "retired", "late": False,
            }  # fmt: skip
            values = {**row, **about, "rated_at": datetime.fromtimestamp(round(row["rated_at"], 3), UTC)}
            values["rater"] = None if row["rater_id"] is None else accounts.pseudonym(row["rater_id"])
            values["role"] = json.dumps(row["role"], ensure_ascii=False)
            yield _pair(values, row["chosen"], row["rejected"])


def preferences(found: Iterable[Row]) -> Iterator[Row]:
    """Pairs as chat messages, which preference trainers read: the prompt is the one of training. A pair whose role is not whole
    has no such prompt and is left out."""
    for row in found:
        try:
            prompt = generator_messages(Role.model_validate_json(row["role"]))
        except ValidationError:
            continue
        answers = {name: [{"role": "assistant", "content": row[name]}] for name in ("chosen", "rejected")}
        yield {"prompt": prompt, **answers}


def banked(database: db.Database, choice: Choice = EVERYTHING) -> Iterator[Row]:
    """The questions of the bank, in the order in which they were kept; what `bank.import_file` reads."""
    if choice.run not in (None, BANK_RUN):
        return
    b, t = db.bank, db.bank_tags
    query = sa.select(b).where(*choice.of_times(b.c)).order_by(b.c.id)
    with database.read() as c:
        result = c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings()
        for part in _batches((dict(row) for row in result), ROWS_AT_ONCE):
            tagged: dict[int, list[str]] = {}
            tags = sa.select(t).where(t.c.bank_id.in_([row["id"] for row in part])).order_by(t.c.tag)
            for key, tag in c.execute(tags.execution_options(yield_per=None, stream_results=False)):
                tagged.setdefault(key, []).append(tag)
            for row in part:
                values = {
                    **row, "question": row["text"], "tags": "; ".join(tagged.get(row["id"], [])) or None,
                    "level": row["role"]["level"], "role": json.dumps(row["role"], ensure_ascii=False),
                    "entry": row["entry"] and json.dumps(row["entry"], ensure_ascii=False), "kept_at": row["created_at"],
                }  # fmt: skip
                for name in ("kept_at", "retired_at"):
                    values[name] = values[name] and datetime.fromtimestamp(round(values[name], 3), UTC)
                yield {name: values[name] for name in BANK.names}


def _pair(row: Row, chosen: str, rejected: str) -> Row:
    return {**{name: row.get(name) for name in PAIRS.names}, "chosen": chosen, "rejected": rejected}


def _group_columns() -> tuple[sa.ColumnElement[Any], ...]:
    g = db.groups
    return (
        g.c.group_id, g.c.run, g.c.policy_step, g.c.role["id"].as_string().label("role_id"), g.c.role_title, g.c.role,
        g.c.status.label("group_status"), g.c.late, g.c.id.label("key"),
    )  # fmt: skip


def _judged(c: sa.Connection, keys: set[int]) -> dict[tuple[int, int], str]:
    """Judges' scores of questions as JSON, by group and place in it."""
    table = db.judge_scores
    found: dict[tuple[int, int], dict[str, dict[str, float]]] = {}
    query = sa.select(table).where(table.c.group_id.in_(sorted(keys))).order_by(table.c.judge)
    for row in c.execute(query.execution_options(yield_per=None, stream_results=False)).mappings():
        place = found.setdefault((row["group_id"], row["question_index"]), {})
        place.setdefault(row["judge"], {})[row["criterion"]] = row["score"]
    return {place: json.dumps(scores, ensure_ascii=False) for place, scores in found.items()}


def _by_candidate(scores: Iterable[sa.RowMapping]) -> Iterator[dict[str, Any]]:
    """Rows of one criterion each become rows of one candidate each, with `scores`."""
    for _, cells in groupby(scores, key=lambda row: (row["rating_id"], row["revision"], row["position"])):
        of_candidate = list(cells)
        yield {**of_candidate[0], "scores": {cell["criterion"]: cell["value"] for cell in of_candidate}}


def _questions(c: sa.Connection, keys: set[int]) -> dict[tuple[int, int], tuple[list[int], str]]:
    """Of each candidate of some groups: where it stood among the group's questions, and its text."""
    table = db.questions
    query = (
        sa.select(table).where(table.c.group_id.in_(sorted(keys))).order_by(table.c.group_id, table.c.question_index)
    )
    found: dict[tuple[int, int], tuple[list[int], str]] = {}
    for row in c.execute(query.execution_options(yield_per=None, stream_results=False)).mappings():
        indices, _ = found.setdefault((row["group_id"], row["candidate"]), ([], row["text"]))
        indices.append(row["question_index"])
    return found


def _row(rubric: Rubric, columns: list[str], names: tuple[str, ...], row: Row) -> Row:
    values, scores = _typed(row), row["scores"]
    values |= {name: scores.get(name) for name in names}
    values["reward"] = reward_of(rubric, scores) if scores.keys() == set(rubric.names) else None
    return {name: values[name] for name in columns}


def _typed(row: Row) -> Row:
    """Stored values as what they are: times, truths, a pseudonym, JSON."""
    values = {**row}
    times = (name for name in values if name.endswith("_at") and values[name] is not None)
    values |= {name: datetime.fromtimestamp(round(values[name], 3), UTC) for name in times}
    values |= {
        name: bool(values[name]) for name in ("late", "counts", "unused", "all_equal", "no_sense") if name in values
    }
    role = json.dumps(values["role"], ensure_ascii=False)
    return {**values, "rater": accounts.pseudonym(values["rater_id"]), "role": role}


def _as_text(row: Row) -> Row:
    """Times as ISO 8601, where a format has none."""
    times = {
        name: value.isoformat(timespec="milliseconds") for name, value in row.items() if isinstance(value, datetime)
    }
    return {**row, **times}


def _cell(value: Any) -> Any:
    """A value for CSV; see `safe_cell`. Messages are JSON."""
    if isinstance(value, list):
        is_nested = bool(value) and isinstance(value[0], dict)
        return json.dumps(value, ensure_ascii=False) if is_nested else " ".join(map(str, value))
    return safe_cell(value)


def _jsonl(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    for part in _batches(found, ROWS_AT_ONCE):
        yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part).encode()


def _json(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    yield b"["
    before = "\n"
    for part in _batches(found, ROWS_AT_ONCE):
        yield (before + ",\n".join(json.dumps(row, ensure_ascii=False) for row in part)).encode()
        before = ",\n"
    yield b"\n]\n"


def _csv(found: Iterator[dict[str, Any]], columns: pa.Schema) -> Iterator[bytes]:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns.names)
    writer.writeheader()
    for part in _batches(found, ROWS_AT_ONCE):
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in part)
        yield stream.getvalue().encode()
        stream.seek(0)
        stream.truncate()
    yield stream.getvalue().encode()


def _parquet(found: Iterator[dict[str, Any]], columns: pa.Schema) -> Iterator[bytes]:
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, columns) as writer:
            for part in _batches(found, ROWS_IN_GROUP):
                writer.write_table(pa.Table.from_pylist(part, schema=columns))
        file.seek(0)
        while piece := file.read(BYTES_AT_ONCE):
            yield piece


def _batches(found: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    while part := list(islice(found, size)):
        yield part
