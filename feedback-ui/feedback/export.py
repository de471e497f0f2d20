"""Everything people rated, one row for each candidate of each revision, in formats of any length.

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

import database as db
from feedback import accounts
from feedback.views import reward_of
from recruiter.rubric import Rubric

Format = Literal["json", "parquet", "csv", "jsonl"]
MEDIA = {
    "json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
ROWS_AT_ONCE, ROWS_IN_GROUP, BYTES_AT_ONCE = 1000, 20_000, 256 * 1024


def export(database: db.Database, rubric: Rubric, form: Format) -> Iterator[bytes]:
    """The whole export, piece by piece."""
    names = criteria(database, rubric)
    found, columns = rows(database, rubric, names), schema(names)
    if form == "parquet":
        return _parquet(found, columns)
    return _csv(found, columns) if form == "csv" else _json(found) if form == "json" else _jsonl(found)


def schema(criteria: tuple[str, ...]) -> pa.Schema:
    """The columns and their types."""
    return pa.schema(
        [
            *((name, pa.string()) for name in ("group_id", "run")), ("policy_step", pa.int64()),
            *((name, pa.string()) for name in ("role_id", "role_title", "group_status")), ("late", pa.bool_()),
            ("question_indices", pa.list_(pa.int64())), ("question", pa.string()), ("rating_id", pa.int64()),
            ("rater", pa.string()), ("revision", pa.int64()), ("counts", pa.bool_()), ("unused", pa.bool_()),
            ("all_equal", pa.bool_()), ("note", pa.string()), ("position", pa.int64()),
            *((name, pa.int64()) for name in criteria), ("reward", pa.float64()),
            *((name, pa.string()) for name in ("lease_id", "leased_at", "rated_at", "revised_at")),
            ("consumed_step", pa.int64()), ("consumed_at", pa.string()),
        ]
    )  # fmt: skip


def criteria(database: db.Database, rubric: Rubric) -> tuple[str, ...]:
    """The criteria of this server's rubric, and then those by which something was rated under another one."""
    with database.read() as c:
        stored = c.execute(sa.select(db.scores.c.criterion).distinct()).scalars().all()
    return (*rubric.names, *sorted(set(stored) - set(rubric.names)))


def rows(database: db.Database, rubric: Rubric, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """One row for each candidate of each revision, in the order of rating.

    `counts` marks the revision that stands; `unused` one that came after training had consumed the group.
    """
    columns = schema(names).names
    r, v, s, g, lease = db.ratings, db.revisions, db.scores, db.groups, db.leases
    query = (
        sa.select(
            g.c.group_id, g.c.run, g.c.policy_step, g.c.role["id"].as_string().label("role_id"), g.c.role_title,
            g.c.status.label("group_status"), g.c.late, g.c.id.label("key"), s.c.candidate, r.c.id.label("rating_id"),
            r.c.rater_id, v.c.revision, (v.c.revision == r.c.revision).label("counts"), v.c.unused, v.c.all_equal,
            v.c.note, s.c.position, s.c.criterion, s.c.value, r.c.lease_id, lease.c.created_at.label("leased_at"),
            r.c.created_at.label("rated_at"), v.c.created_at.label("revised_at"), g.c.consumed_step, g.c.consumed_at,
        )
        .select_from(r)
        .join(g, g.c.id == r.c.group_id)
        .join(v, v.c.rating_id == r.c.id)
        .join(s, (s.c.rating_id == v.c.rating_id) & (s.c.revision == v.c.revision))
        .join(lease, lease.c.id == r.c.lease_id)
        .order_by(r.c.id, v.c.revision, s.c.position)
    )  # fmt: skip
    with database.read() as c:
        result = c.execution_options(yield_per=ROWS_AT_ONCE).execute(query).mappings()
        for part in _batches(_by_candidate(result), ROWS_AT_ONCE):
            asked = _questions(c, {row["key"] for row in part})
            for row in part:
                indices, text = asked[row["key"], row["candidate"]]
                yield _row(rubric, columns, names, row, indices, text)


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


def _row(
    rubric: Rubric, columns: list[str], names: tuple[str, ...], row: dict[str, Any], indices: list[int], text: str
) -> dict[str, Any]:
    values, scores = dict(row), row["scores"]
    values |= {name: _iso(values[name]) for name in ("leased_at", "rated_at", "revised_at", "consumed_at")}
    values |= {name: bool(values[name]) for name in ("late", "counts", "unused", "all_equal")}
    values |= {
        "rater": accounts.pseudonym(values["rater_id"]), "question_indices": indices, "question": text,
        "reward": reward_of(rubric, scores) if scores.keys() == set(rubric.names) else None,
        **{name: scores.get(name) for name in names},
    }  # fmt: skip
    return {name: values[name] for name in columns}


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


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
    writer = csv.DictWriter(stream, columns.names, lineterminator="\n")
    writer.writeheader()
    for part in _batches(found, ROWS_AT_ONCE):
        writer.writerows({**row, "question_indices": " ".join(map(str, row["question_indices"]))} for row in part)
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
