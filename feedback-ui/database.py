"""The database: its tables, SQLite or PostgreSQL behind one pair of verbs, and its upgrade at start.

`read` and `write` give a connection inside a transaction. On SQLite a write takes the file's only write lock at once, so
it never fails half-way, and writers of this process queue for it in turn; on PostgreSQL rows are locked where they are
claimed. A commit is on disk when `write` returns (SQLite: WAL with synchronous=FULL, so power loss counts too).

Times are seconds since 1970, UTC.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite

from recruiter.errors import DataError
from recruiter.rubric import MAX_RATING, MIN_RATING

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30.0  # how long a write waits for other processes' writes
MIGRATION_LOCK, IMPORT_LOCK = 7_267_001, 7_267_002  # of PostgreSQL: what only one transaction does at a time

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _to(target: str) -> sa.ForeignKey:
    return sa.ForeignKey(target, ondelete="CASCADE")


secrets = sa.Table(
    "secrets",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

texts = sa.Table(
    "texts",
    metadata,
    sa.Column("name", sa.String, primary_key=True),  # guidelines
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)

raters = sa.Table(
    "raters",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("label", sa.String, nullable=False),  # for the owner's eyes; exports show a pseudonym
    sa.Column("role", sa.String, nullable=False),  # rater, owner
    sa.Column("link", sa.String, unique=True),  # what the link's token must name; null: a local rater without a link
    sa.Column("browser", sa.String, index=True, unique=True),  # of a local rater
    sa.Column("account", sa.String, index=True, unique=True),  # the name by which a trusted proxy signs them on
    sa.Column("fields", sa.JSON, nullable=False, server_default="[]"),  # areas whose groups they get first
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("last_seen_at", sa.Float, nullable=False, index=True),
    sa.Column("revoked_at", sa.Float),
)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("report", sa.JSON, nullable=False),
    sa.Column("waiting_since", sa.Float),
    sa.Column("updated_at", sa.Float, nullable=False, index=True),
)

groups = sa.Table(
    "groups",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("group_id", sa.String, nullable=False, unique=True),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("run", sa.String, nullable=False, index=True),
    sa.Column("rubric", sa.String),  # hash of the one to rate by; null: whichever the server has
    sa.Column(
        "task", sa.String, nullable=False, server_default="score"
    ),  # what raters are asked, see feedback/tasks.py
    sa.Column("is_gold", sa.Boolean, nullable=False, server_default=sa.false()),  # its ratings are known answers
    sa.Column("only_for", sa.Integer, index=True),  # the only rater who gets it: it is a check
    sa.Column("copy_of", sa.Integer, index=True),  # what a check repeats
    sa.Column("sheet", sa.String, index=True),  # hash of the blind sheet that its questions stand on
    sa.Column("policy_step", sa.Integer, nullable=False),
    sa.Column("role", sa.JSON, nullable=False),
    sa.Column("role_title", sa.String, nullable=False),
    sa.Column("overlap", sa.Integer, nullable=False),  # raters it wants
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # open, rated, skipped, expired, cancelled
    sa.Column("available", sa.Boolean, nullable=False),  # open, and wants more raters than have or hold it
    sa.Column("late", sa.Boolean, nullable=False),  # rated after training gave up on it
    sa.Column("lease_count", sa.Integer, nullable=False),
    sa.Column("rating_count", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # grows with every change that training could want to know
    sa.Column("reason", sa.String),  # why it was skipped or cancelled
    sa.Column("consumed_step", sa.Integer),
    sa.Column("consumed_at", sa.Float),
    sa.Column("consumed_view", sa.JSON),  # results as training used them
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("closed_at", sa.Float),
    sa.Index("ix_groups_queue", "available", sa.text("priority DESC"), "id"),
    sa.Index(None, "status", "late", "rubric"),
    sqlite_autoincrement=True,
)

questions = sa.Table(
    "questions",
    metadata,
    sa.Column("group_id", sa.Integer, _to("groups.id"), primary_key=True),
    sa.Column("question_index", sa.Integer, primary_key=True),
    sa.Column("candidate", sa.Integer, nullable=False),  # identical questions are one candidate
    sa.Column("text", sa.Text, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("group_id", sa.Integer, _to("groups.id"), nullable=False, index=True),
    sa.Column("rater_id", sa.Integer, _to("raters.id"), nullable=False),
    sa.Column("rating_id", sa.Integer),  # the rating that is edited under this lease
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False, server_default="1"),  # that show it: tabs of one rater
    sa.Column("outcome", sa.String),  # submitted, skipped, released, expired
    sa.Column("shown", sa.JSON, nullable=False),  # candidates in the order in which they are shown
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Index(None, "active", "expires_at"),
    sa.Index(None, "rater_id", "active"),
)

ratings = sa.Table(
    "ratings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("group_id", sa.Integer, _to("groups.id"), nullable=False),
    sa.Column("rater_id", sa.Integer, _to("raters.id"), nullable=False),
    sa.Column("lease_id", sa.String, nullable=False, unique=True),
    sa.Column("revision", sa.Integer, nullable=False),  # the one that counts
    sa.Column("all_equal", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False, index=True),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.UniqueConstraint("group_id", "rater_id"),
    sa.Index(None, "rater_id", "created_at"),
    sqlite_autoincrement=True,
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("rating_id", sa.Integer, _to("ratings.id"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("all_equal", sa.Boolean, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("unused", sa.Boolean, nullable=False),  # came after training had consumed the group
    sa.Column("created_at", sa.Float, nullable=False),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("rating_id", sa.Integer, _to("ratings.id"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("candidate", sa.Integer, primary_key=True),
    sa.Column("criterion", sa.String, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),  # where on the page, from 1
    sa.Column(
        "value", sa.Integer, sa.CheckConstraint(f"value BETWEEN {MIN_RATING} AND {MAX_RATING}", "value"), nullable=False
    ),
    sqlite_with_rowid=False,
)

remarks = sa.Table(
    "remarks",
    metadata,
    sa.Column("rating_id", sa.Integer, _to("ratings.id"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("candidate", sa.Integer, primary_key=True),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("improved", sa.Text, nullable=False),  # the question as the rater would put it; empty: nothing better
    sa.Column("no_sense", sa.Boolean, nullable=False, server_default=sa.false()),  # asked of blind sheets only
)

comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("rating_id", sa.Integer, _to("ratings.id"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("first", sa.Integer, primary_key=True),  # candidate
    sa.Column("second", sa.Integer, primary_key=True),  # candidate with a higher number
    sa.Column("preferred", sa.Integer, sa.CheckConstraint("preferred BETWEEN -1 AND 1", "preferred"), nullable=False),
    sqlite_with_rowid=False,
)  # preferred: 1 the first, -1 the second, 0 neither

judge_scores = sa.Table(
    "judge_scores",
    metadata,
    sa.Column("group_id", sa.Integer, _to("groups.id"), primary_key=True),
    sa.Column("question_index", sa.Integer, primary_key=True),
    sa.Column("judge", sa.String, primary_key=True),
    sa.Column("criterion", sa.String, primary_key=True),
    sa.Column("score", sa.Float, nullable=False),  # 0 to 10
    sqlite_with_rowid=False,
)

skips = sa.Table(
    "skips",
    metadata,
    sa.Column("group_id", sa.Integer, _to("groups.id"), primary_key=True),
    sa.Column("rater_id", sa.Integer, _to("raters.id"), primary_key=True),
    sa.Column("lease_id", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Index(None, "rater_id", "created_at"),
)

bank = sa.Table(
    "bank",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_id", sa.String, unique=True),  # of whoever kept it: asked again, it is kept once
    sa.Column("digest", sa.String, nullable=False, unique=True),  # of the title and the text
    sa.Column("role", sa.JSON, nullable=False),
    sa.Column("role_title", sa.String, nullable=False, index=True),
    sa.Column("skill", sa.String, nullable=False, index=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("entry", sa.JSON),  # of the kit that it comes from, see `KitQuestion`
    sa.Column("search", sa.Text, nullable=False),  # what a search looks through, in lower case
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("rater_id", sa.Integer, sa.ForeignKey("raters.id", ondelete="SET NULL"), index=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False, index=True),
    sa.Column("retired_at", sa.Float),
    sa.Column("retired_reason", sa.String),
    sqlite_autoincrement=True,
)

bank_versions = sa.Table(
    "bank_versions",
    metadata,
    sa.Column("bank_id", sa.Integer, _to("bank.id"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("rater_id", sa.Integer, sa.ForeignKey("raters.id", ondelete="SET NULL"), index=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("guide", sa.JSON(none_as_null=True)),  # as an entry holds it
)

bank_tags = sa.Table(
    "bank_tags",
    metadata,
    sa.Column("bank_id", sa.Integer, _to("bank.id"), primary_key=True),
    sa.Column("tag", sa.String, primary_key=True, index=True),
)

bank_bands = sa.Table(
    "bank_bands",
    metadata,
    sa.Column(
        "band", sa.BigInteger, primary_key=True
    ),  # shared by questions that are much alike, see feedback/alike.py
    sa.Column("bank_id", sa.Integer, _to("bank.id"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

bank_uses = sa.Table(
    "bank_uses",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("request_id", sa.String, unique=True),
    sa.Column("name", sa.String, nullable=False),  # of the set
    sa.Column("role_title", sa.String, nullable=False),
    sa.Column("rater_id", sa.Integer, sa.ForeignKey("raters.id", ondelete="SET NULL"), index=True),
    sa.Column("created_at", sa.Float, nullable=False),
)

bank_used = sa.Table(
    "bank_used",
    metadata,
    sa.Column("use_id", sa.Integer, _to("bank_uses.id"), primary_key=True),
    sa.Column("bank_id", sa.Integer, _to("bank.id"), primary_key=True, index=True),
    sa.Column("version", sa.Integer, nullable=False),
)


class Database:
    """One database and its transactions.

    Attributes:
        url: where it is, without a password.
        listeners: called after a commit that changed a group, in the thread that committed.
    """

    def __init__(self, url: str) -> None:
        """Prepare an engine for `url`; `upgrade` makes or upgrades the tables.

        Raises:
            DataError: the address is not one of SQLite or PostgreSQL.
        """
        try:
            address = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise DataError(
                "DATABASE_URL is not an address such as sqlite:///feedback.db or postgresql://user@host/name."
            ) from None
        if address.drivername in ("postgresql", "postgres"):
            address = address.set(drivername="postgresql+psycopg")
        self.is_sqlite = address.get_backend_name() == "sqlite"
        if not self.is_sqlite and address.get_backend_name() != "postgresql":
            raise DataError(f"DATABASE_URL names {address.get_backend_name()}; use sqlite:/// or postgresql://.")
        self.url = address.render_as_string(hide_password=True)
        self.listeners: list[Callable[[], None]] = []
        self._writers: AbstractContextManager[Any] = threading.Lock() if self.is_sqlite else nullcontext()
        options: dict[str, Any] = {"connect_args": {"timeout": BUSY_SECONDS}} if self.is_sqlite else {}
        self.engine = sa.create_engine(
            address, pool_size=20, max_overflow=20, pool_pre_ping=not self.is_sqlite, **options
        )
        if self.is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A connection whose changes are committed, and on disk, when the block ends well."""
        with self._writers, self.engine.connect() as connection:
            connection = connection.execution_options(writes=True)
            with connection.begin():
                yield connection
            changed = connection.info.pop("group_changed", False)
        if changed:
            for listener in self.listeners:
                listener()

    def upgrade(self) -> None:
        """Bring the tables to this version's state.

        Raises:
            DataError: the database cannot be reached or read, or a newer version of the program made it.
        """
        self._close_to_others()
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        try:
            with self._writers, self.engine.connect() as connection:
                connection = connection.execution_options(writes=True)
                with connection.begin():
                    go_alone(connection, MIGRATION_LOCK)
                    self._refuse_unknown(connection, known)
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
        except sa.exc.SQLAlchemyError as error:
            cause = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
            raise DataError(
                f"The database {self.url} cannot be used ({cause}): mend that, or set DATABASE_URL."
            ) from None

    def _close_to_others(self) -> None:
        """The file holds the secret that signs links and sessions: a new one is for its owner alone, no one for everybody.

        SQLite gives the files beside it the same permissions.
        """
        path = Path(self.engine.url.database or "")
        if not self.is_sqlite or not path.parent.is_dir() or str(path) in (".", ":memory:"):
            return
        with contextlib.suppress(OSError):  # what is wrong with it, opening the database will say
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                if file.exists():
                    file.chmod(file.stat().st_mode & ~0o007)

    def _refuse_unknown(self, connection: sa.Connection, known: set[str]) -> None:
        names = sa.inspect(connection).get_table_names()
        if "alembic_version" in names:
            for (revision,) in connection.execute(sa.text("SELECT version_num FROM alembic_version")):
                if revision not in known:
                    raise DataError(
                        f"The database {self.url} comes from a newer version of this program (revision {revision}): "
                        f"install that version, or set DATABASE_URL to another database."
                    )
        elif names:
            raise DataError(
                f"The database {self.url} holds tables of something else ({', '.join(sorted(names)[:3])}): "
                f"set DATABASE_URL to another database."
            )

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def go_alone(c: sa.Connection, lock: int) -> None:
    """Wait until no other transaction holds this lock, and hold it to the end; SQLite has one writer at a time anyway."""
    if c.dialect.name == "postgresql":
        c.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))


def insert_into(c: sa.Connection, table: sa.Table) -> Any:
    """An insert statement that knows conflicts."""
    return (sqlite if c.dialect.name == "sqlite" else postgresql).insert(table)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """The driver must not begin transactions by itself: `_begin_sqlite` does."""
    connection.isolation_level = None
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")
