"""The database's upgrade at start: old files come along, newer and foreign ones are refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

import database as db
from feedback import export
from feedback.settings import Settings, table
from recruiter.errors import ConfigError, DataError
from tests import REPOSITORY

from .conftest import ROLE


@pytest.fixture
def empty_url(database_url):
    """A database without tables."""
    database = db.Database(database_url)
    with database.write() as c:
        db.metadata.drop_all(c)
        c.execute(sa.text("DROP TABLE alembic_version"))
    database.close()
    return database_url


def migrate(database, revision):
    config = Config()
    config.set_main_option("script_location", str(db.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.write() as c:
        config.attributes["connection"] = c
        command.upgrade(config, revision)


def test_migrations_make_the_tables_of_the_code(empty_url):
    database = db.Database(empty_url)
    database.upgrade()
    with database.read() as c:
        indexes = {index["name"] for index in sa.inspect(c).get_indexes("groups")}
        differences = compare_metadata(MigrationContext.configure(c, opts={"include_object": comparable}), db.metadata)
    database.close()
    assert differences == []
    assert "ix_groups_queue" in indexes


def comparable(_object, name, *_):
    """An index with a descending column cannot be read back from SQLite whole."""
    return name != "ix_groups_queue"


def test_old_file_is_upgraded_with_what_it_holds(empty_url):
    database = db.Database(empty_url)
    migrate(database, "0001")
    now = time.time()
    with database.write() as c:
        assert "judge_scores" not in sa.inspect(c).get_table_names()
        row = {"label": "old", "role": "rater", "created_at": now, "last_seen_at": now}
        c.execute(sa.insert(db.raters).values(row))
        c.execute(
            sa.insert(db.groups).values(
                group_id="old", content_hash="", run="r", policy_step=1, role=ROLE, role_title="T", overlap=1, priority=0,
                status="rated", available=False, late=False, lease_count=0, rating_count=1, version=3, created_at=now,
            )
        )  # fmt: skip
        c.execute(sa.insert(db.questions).values(group_id=1, question_index=0, candidate=0, text="How?"))
        lease = {
            "id": "l",
            "group_id": 1,
            "rater_id": 1,
            "active": False,
            "shown": [0],
            "created_at": now,
            "expires_at": now,
        }
        c.execute(sa.insert(db.leases).values(lease))
        rating = {"group_id": 1, "rater_id": 1, "lease_id": "l", "revision": 1, "all_equal": False}
        c.execute(sa.insert(db.ratings).values(**rating, created_at=now, updated_at=now))
        c.execute(
            sa.insert(db.revisions).values(
                rating_id=1, revision=1, all_equal=False, note="", unused=False, created_at=now
            )
        )
        scores = {"rating_id": 1, "revision": 1, "candidate": 0, "position": 1}
        c.execute(sa.insert(db.scores).values(**scores, relevance=5, clarity=4, discriminative=3))
    database.upgrade()
    database.upgrade()
    (row,) = export.rows(database)
    with database.read() as c:
        assert "judge_scores" in sa.inspect(c).get_table_names()
    database.close()
    assert (row["question"], row["relevance"], row["reward"]) == ("How?", 5, 0.75)


def test_newer_database_is_refused(database_url):
    database = db.Database(database_url)
    with database.write() as c:
        c.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DataError, match=r"newer version .*9999.* DATABASE_URL"):
        database.upgrade()
    database.close()


def test_foreign_database_is_refused(empty_url):
    database = db.Database(empty_url)
    with database.write() as c:
        c.execute(sa.text("CREATE TABLE invoices (id INTEGER)"))
    with pytest.raises(DataError, match="invoices"):
        database.upgrade()
    database.close()


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("nonsense", "DATABASE_URL"),
        ("mysql://host/name", "mysql"),
        ("sqlite:////none/feedback.db", "DATABASE_URL"),
        ("postgresql://user:secret-word@127.0.0.1:1/name", "cannot be used"),
    ],
)
def test_unusable_addresses_are_explained_without_the_password(url, part):
    with pytest.raises(DataError, match=part) as caught:
        db.Database(url).upgrade()
    assert "secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_server_that_cannot_start_says_why_in_one_sentence(tmp_path):
    path = tmp_path / "other.db"
    path.write_text("this is no database, but long enough to be taken for one " * 20)
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "0"]
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{path}"}
    done = subprocess.run(
        command, cwd=REPOSITORY / "feedback-ui", env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FEEDBACK_API_KEY", "short"),
        ("FEEDBACK_LEASE_SECONDS", "soon"),
        ("FEEDBACK_LEASE_SECONDS", "1"),
        ("FEEDBACK_TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
    ],
)
def test_bad_settings_name_the_variable_and_what_to_write_and_show_no_key(name, value):
    with pytest.raises(
        ConfigError, match=rf"^{name}.* cannot work; write .*(16 characters|5 or more|10\.0\.0\.0/8)"
    ) as caught:
        Settings.from_environment({name: value})
    assert "short" not in str(caught.value)


def test_the_documentation_has_the_variables_as_they_are():
    page = (REPOSITORY / "docs/human_feedback.md").read_text(encoding="utf-8")
    assert table() in page, "renew the table: `cd feedback-ui && python -m feedback.settings` prints it"


def test_settings_come_from_the_environment():
    found = Settings.from_environment(
        {
            "DATABASE_URL": "sqlite:///x.db",
            "FEEDBACK_TRUSTED_PROXIES": "10.0.0.1, fd00::/8",
            "FEEDBACK_LEASE_SECONDS": "60",
        }
    )
    assert (found.database_url, found.lease_seconds, len(found.trusted_proxies)) == ("sqlite:///x.db", 60, 2)
    assert Settings.from_environment({}).database_url.startswith("sqlite:///")
