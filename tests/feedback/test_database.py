"""The database's upgrade at start: old files come along, newer and foreign ones are refused in one sentence."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

import database as db
from feedback import export, views
from feedback.settings import Settings, file_url, table
from recruiter.errors import ConfigError, DataError
from recruiter.rubric import load_rubric
from tests import REPOSITORY

from .conftest import ROLE


@pytest.fixture
def empty_url(database_url: str) -> Any:
    """A database without tables."""
    database = db.Database(database_url)
    with database.write() as c:
        db.metadata.drop_all(c)
        c.execute(sa.text("DROP TABLE alembic_version"))
    database.close()
    return database_url


def migrate(database: Any, revision: Any) -> None:
    config = Config()
    config.set_main_option("script_location", str(db.MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with database.write() as c:
        config.attributes["connection"] = c
        command.upgrade(config, revision)


def test_migrations_make_the_tables_of_the_code(empty_url: Any) -> None:
    database = db.Database(empty_url)
    database.upgrade()
    with database.read() as c:
        indexes = {index["name"] for index in sa.inspect(c).get_indexes("groups")}
        differences = compare_metadata(MigrationContext.configure(c, opts={"include_object": comparable}), db.metadata)
    database.close()
    assert differences == []
    assert "ix_groups_queue" in indexes


def comparable(_object: Any, name: Any, *_: Any) -> bool:
    """An index with a descending column cannot be read back from SQLite whole."""
    return name != "ix_groups_queue"


CRITERIA = ("relevance", "clarity", "discriminative")


def old_group(key: Any, now: Any, **changes: Any) -> dict[str, Any]:
    return {
        "id": key, "group_id": f"g{key}", "content_hash": "", "run": "r", "policy_step": 1, "role": ROLE, "role_title": "T",
        "overlap": 2, "priority": 0, "status": "rated", "available": False, "late": False, "lease_count": 0,
        "rating_count": 2, "version": 3, "created_at": now, **changes,
    }  # fmt: skip


def test_old_file_is_upgraded_with_all_that_it_holds(empty_url: Any) -> None:
    """Two raters, three groups of two, revisions, a judge, and what training used: every number is there afterwards."""
    database = db.Database(empty_url)
    migrate(database, "0002")
    now, chance, given, judged = time.time(), random.Random(3), {}, {}
    used = {
        "question_index": 0,
        "status": "rated",
        "relevance": 4.5,
        "clarity": 2,
        "discriminative": 1,
        "reward": 0.375,
    }
    unused = {**used, "question_index": 1, "relevance": None, "clarity": None, "discriminative": None, "reward": None}
    with database.write() as c:
        old = sa.MetaData()
        old.reflect(c)
        old.tables["groups"].c.role.type = old.tables["groups"].c.consumed_view.type = sa.JSON()

        def put(table: Any, **values: Any) -> None:
            c.execute(sa.insert(old.tables[table]).values(values))

        for rater in (1, 2):
            put("raters", id=rater, label="old", role="rater", created_at=now, last_seen_at=now)
        for key in (1, 2, 3):
            frozen = {"consumed_step": 3, "consumed_view": {"results": [used, unused], "all_equal": False}}
            put("groups", **old_group(key, now, **(frozen if key == 3 else {})))
            for index in range(2):
                put("questions", group_id=key, question_index=index, candidate=index, text=f"How {key}.{index}?")
                judged[key, index] = [chance.uniform(0, 10) for _ in CRITERIA]
                scores = dict(zip(CRITERIA, judged[key, index], strict=True))
                put("judge_scores", group_id=key, question_index=index, judge="j", **scores)
            for rater in (1, 2):
                rating, lease = 10 * key + rater, f"l{key}{rater}"
                put(
                    "leases", id=lease, group_id=key, rater_id=rater, active=False, shown=[1, 0], created_at=now,
                    expires_at=now,
                )  # fmt: skip
                put(
                    "ratings", id=rating, group_id=key, rater_id=rater, lease_id=lease, revision=rater, all_equal=False,
                    created_at=now, updated_at=now,
                )  # fmt: skip
                for revision in range(1, rater + 1):
                    put(
                        "revisions", rating_id=rating, revision=revision, all_equal=False, note="n", unused=False,
                        created_at=now,
                    )  # fmt: skip
                    for candidate in range(2):
                        stars = [chance.randint(1, 5) for _ in CRITERIA]
                        given[rating, revision, f"How {key}.{candidate}?"] = stars
                        put(
                            "scores", rating_id=rating, revision=revision, candidate=candidate, position=2 - candidate,
                            **dict(zip(CRITERIA, stars, strict=True)),
                        )  # fmt: skip
    database.upgrade()
    database.upgrade()
    rubric = load_rubric()
    found = {
        (row["rating_id"], row["revision"], row["question"]): [row[name] for name in CRITERIA]
        for row in export.rows(database, rubric, rubric.names)
    }
    assert found == given
    with database.read() as c:
        kept = c.execute(sa.select(db.judge_scores).where(db.judge_scores.c.judge == "j")).mappings().all()
        views_ = {view["group_id"]: view for view in views.view_groups(c, rubric, ["g1", "g3"], now)}
        assert set(sa.inspect(c).get_table_names()) == {*db.metadata.tables, "alembic_version"}
    assert {(s["group_id"], s["question_index"], s["criterion"]): s["score"] for s in kept} == {
        (*place, name): pytest.approx(value)
        for place, values in judged.items()
        for name, value in zip(CRITERIA, values, strict=True)
    }
    first, second = views_["g3"]["results"]
    assert (first["scores"], first["reward"]) == ({"relevance": 4.5, "clarity": 2, "discriminative": 1}, 0.375)
    assert (second["scores"], second["reward"]) == (None, None)
    assert views_["g1"]["results"][0]["scores"].keys() == set(CRITERIA)
    database.close()


def test_kept_questions_of_before_have_their_guide_in_every_version(empty_url: Any) -> None:
    database = db.Database(empty_url)
    migrate(database, "0010")
    about = {"role": {}, "role_title": "SRE", "skill": "", "search": "", "created_at": 1.0, "updated_at": 1.0}
    guide = {"good": ["a"], "weak": [], "probes": [], "scale": [], "minutes": 5}
    with database.write() as c:
        for key, entry in ((1, {"question": "?", "guide": guide}), (2, None)):
            row = {**about, "id": key, "digest": str(key), "text": "?", "entry": entry, "version": 2}
            c.execute(sa.insert(db.bank).values(row))
            for number in (1, 2):
                version = sa.text(
                    "INSERT INTO bank_versions (bank_id, version, text, created_at) VALUES (:b, :v, '?', 1)"
                )
                c.execute(version, {"b": key, "v": number})
    database.upgrade()
    with database.read() as c:
        stored = c.execute(sa.select(db.bank_versions.c.bank_id, db.bank_versions.c.guide)).all()
    assert sorted(stored, key=lambda one: one[0]) == [(1, guide), (1, guide), (2, None), (2, None)]
    database.close()


def test_newer_database_is_refused(database_url: str) -> None:
    database = db.Database(database_url)
    with database.write() as c:
        c.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DataError, match=r"newer version .*9999.* DATABASE_URL"):
        database.upgrade()
    database.close()


def test_foreign_database_is_refused(empty_url: Any) -> None:
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
def test_unusable_addresses_are_explained_without_the_password(url: str, part: str) -> None:
    with pytest.raises(DataError, match=part) as caught:
        db.Database(url).upgrade()
    assert "secret-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["feature%2Fx", "50%", "q?x", "a#b", "a b", "[x]", "é日本", "a'\"b", "${y}&;="])
def test_the_clones_path_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = Path(shutil.copytree(REPOSITORY / "feedback-ui/migrations", tmp_path / name / "migrations")).parent
    monkeypatch.setattr(db, "MIGRATIONS", folder / "migrations")
    database = db.Database(file_url(folder / "feedback.db"))
    database.upgrade()
    with database.write() as c:
        c.execute(db.texts.insert().values(name="guidelines", value="x", updated_at=0.0))
    database.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    assert (folder / "feedback.db").is_file()


def test_server_that_cannot_start_says_why_in_one_sentence(tmp_path: Path) -> None:
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
def test_bad_settings_name_the_variable_and_what_to_write_and_show_no_key(name: str, value: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^{name}.* cannot work; write .*(16 characters|5 or more|10\.0\.0\.0/8)"
    ) as caught:
        Settings.from_environment({name: value})
    assert "short" not in str(caught.value)


def test_the_documentation_has_the_variables_as_they_are() -> None:
    page = (REPOSITORY / "docs/human_feedback.md").read_text(encoding="utf-8")
    assert table() in page, "renew the table: `cd feedback-ui && python -m feedback.settings` prints it"


def test_settings_come_from_the_environment() -> None:
    found = Settings.from_environment(
        {
            "DATABASE_URL": "sqlite:///x.db",
            "FEEDBACK_TRUSTED_PROXIES": "10.0.0.1, fd00::/8",
            "FEEDBACK_LEASE_SECONDS": "60",
        }
    )
    assert (found.database_url, found.lease_seconds, len(found.trusted_proxies)) == ("sqlite:///x.db", 60, 2)
    assert Settings.from_environment({}).database_url.startswith("sqlite:///")
