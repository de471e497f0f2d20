"""Who may do what: on this machine, from elsewhere, through a proxy, with a link, with a key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection

import database as db
from app import create_app
from feedback import accounts
from feedback.safety import client_address, is_local
from feedback.settings import Settings

from .conftest import FAR, KEY, LOCAL, Person, group, invite


@pytest.fixture
def database_url(sqlite_file: Path, tmp_path: Path) -> str:
    """What is tested here does not depend on the kind of database."""
    return f"sqlite:///{shutil.copy(sqlite_file, tmp_path / 'feedback.db')}"


def connection(peer: str | None = "127.0.0.1", host: str = "localhost:8000", **headers: Any) -> HTTPConnection:
    raw = [(b"host", host.encode())] + [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return HTTPConnection({"type": "http", "client": (peer, 1) if peer else None, "headers": raw, "scheme": "http"})


@pytest.mark.parametrize(
    ("peer", "host", "headers", "local"),
    [
        ("127.0.0.1", "localhost:8000", {}, True),
        ("127.0.0.1", "127.0.0.1", {}, True),
        ("127.9.9.9", "localhost", {}, True),
        ("::1", "[::1]:8000", {}, True),
        ("127.0.0.1", "evil.example", {}, False),  # a name that an attacker points to this machine
        ("127.0.0.1", "localhost.evil.example", {}, False),
        ("127.0.0.1", "", {}, False),
        ("127.0.0.1", "[::1", {}, False),
        ("203.0.113.9", "localhost:8000", {}, False),  # anybody can send this header
        ("172.17.0.1", "localhost:8000", {}, False),
        (None, "localhost:8000", {}, False),
        ("127.0.0.1", "localhost:8000", {"x_forwarded_for": "127.0.0.1"}, False),
        ("127.0.0.1", "localhost:8000", {"forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", "localhost:8000", {"x_real_ip": "127.0.0.1"}, False),
    ],
)
def test_local_is_decided_by_peer_and_host_and_never_for_forwarded_requests(
    peer: str | None, host: str, headers: dict[str, Any], local: bool
) -> None:
    assert is_local(connection(peer, host, **headers), Settings()) is local


def test_proxy_that_sets_no_headers_is_not_this_machine() -> None:
    """Two lines of nginx: the peer is loopback, the Host header names the upstream, nothing says that it was passed on."""
    through = connection("127.0.0.1", "127.0.0.1:8000")
    assert not is_local(through, Settings(trusted_proxies=(ip_network("127.0.0.1"),)))
    assert not is_local(through, Settings(local_owner=False))
    assert Settings.from_environment({"FEEDBACK_LOCAL_OWNER": "no"}).local_owner is False


def test_without_a_local_owner_this_machine_needs_links_and_keys_too(settings: Settings) -> None:
    app = create_app(replace(settings, local_owner=False))
    with TestClient(app):
        here = Person(app, LOCAL)
        assert here.refused("GET", "/api/session") == (401, "sign_in")
        assert here.refused("POST", "/api/groups", group("g")) == (401, "key_needed")
        assert here.call("POST", "/api/groups", group("g"), Authorization=f"Bearer {KEY}").status_code == 201
        assert "You need a link" in here.http.get("/owner", headers={"Accept": "text/html"}).text


def test_forwarded_addresses_count_only_from_trusted_proxies() -> None:
    trusted = (ip_network("10.0.0.0/8"),)
    through = {"x_forwarded_for": "198.51.100.1, 203.0.113.7, 10.0.0.3"}
    assert client_address(connection("10.0.0.2", **through), trusted) == "203.0.113.7"
    assert client_address(connection("203.0.113.9", **through), trusted) == "203.0.113.9"
    assert client_address(connection("10.0.0.2", x_forwarded_for="nonsense"), trusted) == "nonsense"


# ---- from elsewhere --------------------------------------------------------------------------------------------------


def test_from_elsewhere_nothing_goes_without_account_or_key(server: Any, far: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    paths = [path for path in server.app.openapi()["paths"] if path != "/api/health"]
    assert len(paths) > 25
    for path, methods in server.app.openapi()["paths"].items():
        for method in methods:
            if path == "/api/health" or (path, method) == ("/api/session", "delete"):  # signing out
                continue
            filled = path.replace("{rater}", "1").replace("{rating_id}", "1")
            status = far.call(method.upper(), filled, {"token": "x"} if path == "/api/session" else {}).status_code
            assert status == 401 or (status == 422 and method != "get"), (method, path, status)
    assert far.refused("GET", "/api/groups/g") == (401, "key_needed")
    assert far.refused("GET", "/api/stats") == (401, "sign_in")


def test_training_key(server: Any, far: Any) -> None:
    assert far.call("POST", "/api/groups", group("g"), Authorization=f"Bearer {KEY}").status_code == 201
    assert far.refused("GET", "/api/groups/g", Authorization="Bearer wrong") == (401, "wrong_key")
    assert server.training.refused("GET", "/api/groups/g", Authorization="Bearer wrong") == (401, "wrong_key")
    assert far.refused("GET", "/api/stats", Authorization=f"Bearer {KEY}") == (401, "sign_in")


def test_without_a_key_set_no_key_opens(settings: Settings) -> None:
    app = create_app(replace(settings, api_key=None))
    with TestClient(app):
        for header in ("Bearer ", "Bearer None", ""):
            assert Person(app, FAR, "x").refused("GET", "/api/groups/g", Authorization=header)[0] == 401


def test_link_lets_a_rater_in_until_it_is_revoked(server: Any, far: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    owner, rater, token = invite(server)
    assert far.refused("POST", "/api/session", {"token": token[:-2] + "xx"}) == (401, "bad_link")
    session = far.ok("POST", "/api/session", {"token": token})
    assert (session["role"], session["name"]) == ("rater", "Ada")
    far.headers["X-CSRF-Token"] = session["csrf_token"]
    far.rate(far.next(), 4)
    for method, path in (("GET", "/api/export"), ("GET", "/api/owner/raters"), ("DELETE", "/api/owner/groups/g")):
        assert far.refused(method, path) == (403, "owner_only")
    owner.ok("DELETE", f"/api/owner/raters/{rater}")
    assert far.refused("GET", "/api/rate/progress") == (401, "sign_in")
    assert server.person(FAR, "x").refused("POST", "/api/session", {"token": token}) == (401, "bad_link")
    (listed,) = [one for one in owner.ok("GET", "/api/owner/raters")["raters"] if one["id"] == rater]
    assert listed["revoked_at"]
    assert listed["groups_rated"] == 1
    assert server.training.ok("GET", "/api/groups/g")["status"] == "rated"


def test_owner_link_may_export_and_delete_from_elsewhere(server: Any, far: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g"))
    far.headers["X-CSRF-Token"] = far.ok("POST", "/api/session", {"token": invite(server, "owner")[2]})["csrf_token"]
    far.rate(far.next(), 4)
    assert len(far.http.get("/api/export").text.splitlines()) == 3
    far.ok("DELETE", "/api/owner/groups/g")
    assert far.refused("DELETE", "/api/owner/groups/g") == (404, "not_found")
    assert far.http.get("/api/export").text == ""


def test_cookie_of_this_machine_is_worth_nothing_elsewhere(server: Any, far: Any) -> None:
    local = server.rater()
    far.http.cookies = local.http.cookies
    assert far.http.get("/api/stats", headers={"Cookie": cookie_of(local)}).status_code == 401
    forged = f"{server.context.keys.cookie}=forged"
    assert far.http.get("/api/stats", headers={"Cookie": forged}).status_code == 401


def cookie_of(person: Any) -> str:
    return "; ".join(f"{name}={value}" for name, value in person.http.cookies.items())


def test_cookie_is_closed_to_scripts_and_secure_behind_tls(settings: Settings) -> None:
    app = create_app(replace(settings, trusted_proxies=(ip_network("10.0.0.0/8"),)))
    with TestClient(app):
        owner = Person(app, LOCAL).open_page()
        token = owner.ok("POST", "/api/owner/raters", {"name": "Ada"})["path"].partition("#")[2]
        proxied = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "ratings.example",
            "Origin": "https://ratings.example",
        }
        person = Person(app, ("10.0.0.2", 1), "inner:8000")
        cookie = person.call("POST", "/api/session", {"token": token}, **proxied).headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "secure" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in owner.http.get("/api/session").headers.get("set-cookie", "").lower()


# ---- who a browser is -----------------------------------------------------------------------------------------------


def raters(server: Any) -> Any:
    with server.context.database.read() as c:
        return c.execute(sa.select(db.raters)).mappings().all()


def test_looking_makes_no_rater(server: Any) -> None:
    """Programs without a cookie, and images on other sites' pages that lead here."""
    for _ in range(5):
        for path in ("/", "/stats", "/api/session", "/api/stats"):
            assert server.person().http.get(path, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
    assert raters(server) == []
    server.training.ok("POST", "/api/groups", group("g"))
    rater = server.rater()
    assert server.training.ok("GET", "/api/groups/g")["waiting"]["raters_online"] == 1
    rater.ok("POST", rater.lease("skip", rater.next()), {"reason": "not_my_field"})
    assert server.training.ok("GET", "/api/groups/g")["status"] == "skipped"


def test_browser_stays_who_it_is_when_it_first_does_something(server: Any) -> None:
    person = server.person()
    token = person.ok("GET", "/api/session")["csrf_token"]
    person.headers["X-CSRF-Token"] = token
    assert person.next()["reason"] == "empty"
    session = person.ok("GET", "/api/session")
    assert (session["csrf_token"], session["rater"]) == (token, "rater-1")
    assert len(raters(server)) == 1


def test_two_servers_on_one_host_do_not_sign_each_other_out(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, database_url=f"sqlite:///{tmp_path / 'other.db'}")
    first, second = create_app(settings), create_app(other)
    with TestClient(first), TestClient(second):
        one, two = Person(first).open_page(), Person(second)
        two.http.cookies = one.http.cookies  # browsers send cookies to every port
        two.open_page()
        assert one.ok("GET", "/api/session")["rater"] == two.ok("GET", "/api/session")["rater"] == "rater-1"
        assert one.next()["reason"] == two.next()["reason"] == "empty"


def test_session_outlasts_a_clock_that_steps_back(server: Any, later: Callable[..., Any]) -> None:
    person = server.rater()
    later(-30)
    assert person.ok("GET", "/api/session")["rater"] == "rater-1"
    later(server.settings.sessions_last + 60)
    assert person.ok("GET", "/api/session")["rater"] is None


def test_link_asks_before_it_signs_somebody_else_out(server: Any) -> None:
    owner, _, token = invite(server)
    assert owner.refused("POST", "/api/session", {"token": token}) == (409, "signed_in")
    assert owner.ok("GET", "/api/session")["role"] == "owner"
    assert owner.ok("POST", "/api/session", {"token": token, "replace": True})["name"] == "Ada"
    assert owner.ok("POST", "/api/session", {"token": token})["name"] == "Ada"
    assert owner.ok("GET", "/api/session")["role"] == "rater"
    owner.ok("DELETE", "/api/session")
    assert owner.ok("GET", "/api/session")["role"] == "owner"


def test_revoked_rater_at_the_machine_does_not_become_its_owner(server: Any) -> None:
    owner, rater, token = invite(server)
    person = server.person()
    person.ok("POST", "/api/session", {"token": token})
    owner.ok("DELETE", f"/api/owner/raters/{rater}")
    assert person.refused("GET", "/api/session") == (401, "sign_in")
    page = person.http.get("/owner", headers={"Accept": "text/html"})
    assert (page.status_code, "was revoked" in page.text) == (401, True)


def test_colleagues_behind_one_address_all_get_in(server: Any) -> None:
    owner = server.rater()
    links = [owner.ok("POST", "/api/owner/raters", {"name": f"P{n}"})["path"].partition("#")[2] for n in range(20)]
    for _ in range(15):
        server.person(FAR, "x").call("POST", "/api/session", {"token": "guess"})
    for link in links:
        server.person(FAR, "x").ok("POST", "/api/session", {"token": link})


# ---- the command -----------------------------------------------------------------------------------------------------


def test_links_are_made_and_revoked_by_command(
    server: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: Any) -> Any:
        monkeypatch.setattr("sys.argv", ["accounts", *arguments])
        accounts.main()
        return capsys.readouterr().out

    monkeypatch.setenv("DATABASE_URL", server.settings.database_url)
    monkeypatch.setenv("FEEDBACK_API_KEY", KEY)
    out = run("create", "--name", "Grace", "--role", "owner", "--url", "https://ratings.example/")
    link = out.splitlines()[-1]
    assert link.startswith("https://ratings.example/join#")
    far = server.person(FAR, "ratings.example")
    assert far.ok("POST", "/api/session", {"token": link.partition("#")[2]})["role"] == "owner"
    assert "Grace" in run("list")
    assert "signed out" in run("revoke", "1")
    assert "revoked" in run("list")
    assert far.refused("GET", "/api/stats") == (401, "sign_in")
    with pytest.raises(SystemExit):
        run("revoke", "77")
    assert "`list`" in capsys.readouterr().err
