"""A person can be forgotten, with their ratings or without, and everything answers as before."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

import database as db
from feedback import accounts

from .conftest import FAR, KEY, group


def invited(server: Any, owner: Any, name: str = "Ada") -> tuple[Any, int]:
    made = owner.ok("POST", "/api/owner/raters", {"name": name})
    person = server.person(FAR, "ratings.example")
    session = person.ok("POST", "/api/session", {"token": made["path"].partition("#")[2]})
    person.headers["X-CSRF-Token"] = session["csrf_token"]
    return person, made["id"]


@pytest.fixture
def team(server: Any) -> Any:
    """Ada has rated `alone`, `used` (which training took) and `shared` (with the owner), skipped one and holds one."""
    for name, overlap in (("alone", 1), ("used", 1), ("shared", 2), ("skipped", 1), ("held", 1)):
        server.training.ok("POST", "/api/groups", group(name, overlap=overlap))
    owner = server.rater()
    ada, number = invited(server, owner)
    for name in ("alone", "used", "shared"):
        ada.rate(ada.next(prefer=name), 4, note="Ada was here", remarks={"1": {"comment": "says Ada"}})
    owner.rate(owner.next(prefer="shared"), 2)
    ada.ok("POST", ada.lease("skip", ada.next(prefer="skipped")), {"reason": "other", "note": "Ada again"})
    ada.next(prefer="held")
    server.training.ok("POST", "/api/groups/consume", {"ids": ["used"], "step": 3})
    return server, owner, ada, number


def everything_answers(server: Any, owner: Any) -> dict[str, Any]:
    names = ["alone", "used", "shared", "skipped", "held"]
    views = {name: server.training.ok("GET", f"/api/groups/{name}") for name in names}
    server.training.ok("POST", "/api/groups/wait", {"ids": names, "timeout": 0})
    for path in ("/api/stats", "/api/ratings", "/api/rate/mine", "/api/rate/progress", "/api/owner/raters"):
        owner.ok("GET", path)
    for form in ("jsonl", "parquet"):
        for what in ("ratings", "skips"):
            assert owner.http.get(f"/api/export?format={form}&what={what}").status_code == 200
    return views


def holds(server: Any, word: str) -> bool:
    """Whether a word stands anywhere in the database."""
    with server.context.database.read() as c:
        return any(word in str(row) for table in db.metadata.sorted_tables for row in c.execute(sa.select(table)))


def test_person_is_forgotten_and_the_ratings_stay(team: Any) -> None:
    server, owner, ada, number = team
    owner.ok("POST", f"/api/owner/raters/{number}/erase", {"ratings": "keep"})
    assert not holds(server, "Ada")
    assert ada.refused("GET", "/api/stats") == (401, "sign_in")
    views = everything_answers(server, owner)
    assert {name: view["status"] for name, view in views.items()} == {
        "alone": "rated", "used": "rated", "shared": "rated", "skipped": "pending", "held": "pending"
    }  # fmt: skip
    assert views["alone"]["results"][0]["reward"] == 0.75
    assert f"rater-{number}" in owner.http.get("/api/export").text


def test_person_is_forgotten_with_the_ratings(team: Any) -> None:
    server, owner, ada, number = team
    used = server.training.ok("GET", "/api/groups/used")["results"]
    owner.ok("POST", f"/api/owner/raters/{number}/erase", {"ratings": "delete"})
    assert not holds(server, "Ada")
    assert ada.refused("GET", "/api/stats") == (401, "sign_in")
    views = everything_answers(server, owner)
    assert {name: view["status"] for name, view in views.items()} == {
        "alone": "pending", "used": "rated", "shared": "pending", "skipped": "pending", "held": "pending"
    }  # fmt: skip
    assert views["used"]["results"] == used  # as training used them
    assert f"rater-{number}" not in owner.http.get("/api/export").text
    assert owner.next()["group"]["group_id"] == "alone"
    assert owner.refused("POST", f"/api/owner/raters/{number}/erase", {"ratings": "keep"}) == (404, "not_found")


def test_row_that_somebody_removed_by_sql_breaks_nothing(team: Any) -> None:
    server, owner, _, number = team
    with server.context.database.write() as c:
        c.execute(sa.delete(db.raters).where(db.raters.c.id == number))
    views = everything_answers(server, owner)
    assert [result["scores"] for result in views["alone"]["results"]] == [None] * 3
    assert {result["status"] for result in views["alone"]["results"]} == {"expired"}


def test_only_an_owner_erases(team: Any) -> None:
    _, _, ada, number = team
    assert ada.refused("POST", f"/api/owner/raters/{number}/erase", {"ratings": "keep"}) == (403, "owner_only")


def test_people_are_erased_by_command(
    team: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server, _, _, number = team
    monkeypatch.setenv("DATABASE_URL", server.settings.database_url)
    monkeypatch.setenv("FEEDBACK_API_KEY", KEY)
    monkeypatch.setattr("sys.argv", ["accounts", "erase", str(number)])
    accounts.main()
    assert f"their ratings stay as rater-{number}'s" in capsys.readouterr().out
    assert not holds(server, "Ada")
    monkeypatch.setattr("sys.argv", ["accounts", "erase", "99"])
    with pytest.raises(SystemExit):
        accounts.main()
    assert "no rater 99" in capsys.readouterr().err
