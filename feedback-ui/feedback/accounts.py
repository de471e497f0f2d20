"""Raters: who they are, the links that let them in, and the key that lets training in.

On the machine itself whoever opens the page is let in, as an owner without a link (`FEEDBACK_LOCAL_OWNER=no` ends that); a
cookie tells such browsers apart, and the first thing that somebody does there makes a rater of them.
From elsewhere a person needs a link that the owner made. A link carries a signed token behind a #, which browsers do not
send, so it stands in no log; the page trades it for a cookie. Revoking a link ends the cookies that came from it.

    python -m feedback.accounts create --role owner --name "Ada"      make a link
    python -m feedback.accounts list
    python -m feedback.accounts revoke 3
    python -m feedback.accounts erase 3 [--ratings delete]
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import secrets as randomness
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from itsdangerous import BadSignature, URLSafeSerializer, URLSafeTimedSerializer

import database as db
from database import insert_into
from feedback import groups
from feedback.settings import Settings
from recruiter.cli.command import command
from recruiter.cli.options import OptionParser, address, text, whole
from recruiter.config.paths import command_line
from recruiter.errors import ConfigError

AccountRole = Literal["rater", "owner"]
COOKIE = "feedback_session"  # followed by what tells the servers of one host apart
LOCAL = "this machine"
ERASED = "erased"


@dataclass(frozen=True)
class Rater:
    """Who is calling.

    Attributes:
        id: 0 for somebody on this machine who has not done anything yet.
        browser: what tells the browsers on this machine apart; None for those who came by a link.
        account: the name by which a trusted proxy signed them on, if one did.
    """

    id: int
    role: str
    label: str
    browser: str | None = None
    account: str | None = None

    @property
    def subject(self) -> str:
        """Tells raters apart, before and after they are stored."""
        if self.account:
            return f"account/{self.account}"
        return f"browser/{self.browser}" if self.browser else str(self.id)

    @property
    def is_owner(self) -> bool:
        """Whether exports, deletion and links are theirs."""
        return self.role == "owner"


class Keys:
    """Signs and reads links, cookies and CSRF tokens with the database's secret."""

    def __init__(self, secret: str, sessions_last: float) -> None:
        self._secret, self._last = secret, sessions_last
        self._links = URLSafeSerializer(secret, salt="link")
        self._sessions = URLSafeTimedSerializer(secret, salt="session")

    def link_token(self, link: str) -> str:
        """The token of a rater's link."""
        return str(self._links.dumps(link))

    def read_link(self, token: str) -> str | None:
        """The link that a token names, if it was signed here."""
        try:
            return str(self._links.loads(token))
        except BadSignature:
            return None

    @property
    def cookie(self) -> str:
        """The cookie's name; browsers send cookies to every port of a host."""
        return f"{COOKIE}_{self._sign('cookie')[:8]}"

    def session(self, rater: Rater, link: str | None) -> str:
        """A cookie's value."""
        return str(self._sessions.dumps([0, rater.browser] if rater.browser else [rater.id, link]))

    def read_session(self, cookies: Mapping[str, str]) -> tuple[int, str | None] | None:
        """Rater and link (or 0 and browser) of the session cookie, if it was signed here and is not too old.

        A clock that was set back makes no session invalid.
        """
        cookie = cookies.get(self.cookie) or cookies.get(COOKIE, "")  # the second is of versions up to 2026-11
        try:
            (rater, text), signed_at = self._sessions.loads(cookie, return_timestamp=True)
        except (BadSignature, ValueError, TypeError):
            return None
        return (int(rater), text) if time.time() - signed_at.timestamp() <= self._last else None

    def csrf_token(self, rater: Rater) -> str:
        """What a rater's pages must send along with every change."""
        return self._sign(f"csrf/{rater.subject}")

    def identity(self, rater: Rater) -> str:
        """Under which name a browser keeps what a rater has begun; says nothing of who they are."""
        return self._sign(f"identity/{rater.subject}")[:16]

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def load_keys(database: db.Database, settings: Settings) -> Keys:
    """The keys of a database; its secret is made when first needed."""
    with database.write() as c:
        made = insert_into(c, db.secrets).values(name="signing", value=randomness.token_urlsafe(32))
        c.execute(made.on_conflict_do_nothing())
        known = c.execute(sa.select(db.secrets.c.value).where(db.secrets.c.name == "signing")).scalar_one()
    return Keys(known, settings.sessions_last)


def create(c: sa.Connection, label: str, role: AccountRole, now: float) -> sa.RowMapping:
    """Add a rater with a link."""
    values = {
        "label": label,
        "role": role,
        "link": randomness.token_urlsafe(16),
        "created_at": now,
        "last_seen_at": 0.0,
    }
    return c.execute(sa.insert(db.raters).values(values).returning(db.raters)).mappings().one()


def new_browser() -> Rater:
    """Somebody on this machine whose browser was not here before. Nothing is stored before they do something."""
    return Rater(0, "owner", LOCAL, randomness.token_urlsafe(16))


def remember(c: sa.Connection, rater: Rater, now: float) -> Rater:
    """Store somebody without a link who does something for the first time."""
    who = {"account": rater.account} if rater.account else {"browser": rater.browser}
    values = {"label": rater.label, "role": rater.role, **who, "created_at": now, "last_seen_at": now}
    c.execute(insert_into(c, db.raters).values(values).on_conflict_do_nothing(index_elements=list(who)))
    found = by_account(c, rater.account, rater.is_owner) if rater.account else by_browser(c, str(rater.browser))
    return found or rater


def by_account(c: sa.Connection, account: str, is_owner: bool) -> Rater | None:
    """Whoever a proxy signed on by this name; None: their access was ended.

    Whether they are an owner, the settings say and not the database.
    """
    row = c.execute(sa.select(db.raters).where(db.raters.c.account == account)).mappings().first()
    role = "owner" if is_owner else "rater"
    if row is None:
        return Rater(0, role, account, account=account)
    return None if row["revoked_at"] else Rater(row["id"], role, row["label"], account=account)


def by_browser(c: sa.Connection, browser: str) -> Rater | None:
    """The rater of a browser on this machine, if anything was done there."""
    row = c.execute(sa.select(db.raters).where(db.raters.c.browser == browser)).mappings().first()
    return _rater(row) if row else None


def by_link(c: sa.Connection, link: str) -> Rater | None:
    """Whose link this is, unless it was revoked."""
    query = sa.select(db.raters).where(db.raters.c.link == link, db.raters.c.revoked_at.is_(None))
    row = c.execute(query).mappings().first()
    return _rater(row) if row else None


def by_session(c: sa.Connection, rater: int, link: str | None) -> Rater | None:
    """The rater of a cookie, unless the link that it came from was revoked."""
    query = sa.select(db.raters).where(db.raters.c.id == rater, db.raters.c.revoked_at.is_(None))
    row = c.execute(query).mappings().first()
    return _rater(row) if row is not None and row["link"] == link else None


def revoke(c: sa.Connection, rater: int, now: float) -> bool:
    """End a rater's link and cookies, or the access by a proxy; whether there was any. What they rated stays."""
    has_access = db.raters.c.link.is_not(None) | db.raters.c.account.is_not(None)
    update = sa.update(db.raters).where(db.raters.c.id == rater, has_access)
    return bool(c.execute(update.values(revoked_at=sa.func.coalesce(db.raters.c.revoked_at, now))).rowcount)


def change(c: sa.Connection, rater: int, name: str | None, fields: list[str] | None) -> bool:
    """Rename a rater, or say which areas they know; whether there is one who was not erased."""
    values = {key: value for key, value in (("label", name), ("fields", fields)) if value is not None}
    here = sa.update(db.raters).where(db.raters.c.id == rater, db.raters.c.label != ERASED)
    return bool(c.execute(here.values(values or {"id": rater})).rowcount)


def new_link(c: sa.Connection, rater: int) -> str | None:
    """Replace the link of a rater who has one: the old one and its cookies end. None: there is no such rater."""
    link = randomness.token_urlsafe(16)
    here = sa.update(db.raters).where(db.raters.c.id == rater, db.raters.c.link.is_not(None))
    return link if c.execute(here.values(link=link, revoked_at=None)).rowcount else None


def erase(c: sa.Connection, rater: int, delete_ratings: bool, now: float) -> bool:
    """Forget a person: name, link, sessions and everything they wrote in words; whether there was such a rater.

    Their ratings stay under a pseudonym, or are deleted too: groups that now have too few raters wait again, unless training
    has used them.
    """
    had = sa.union(*(sa.select(t.c.group_id).where(t.c.rater_id == rater) for t in (db.ratings, db.skips, db.leases)))
    names = sa.select(db.groups.c.group_id).where(db.groups.c.id.in_(had))
    locked = groups.lock(c, c.execute(names).scalars().all())
    here = db.raters.c.id == rater
    if c.execute(sa.select(db.raters.c.id).where(here)).first() is None:
        return False
    if delete_ratings:
        c.execute(sa.delete(db.raters).where(here))  # and with it, by cascade, all that is theirs
    else:
        own = sa.select(db.ratings.c.id).where(db.ratings.c.rater_id == rater)
        c.execute(sa.update(db.revisions).where(db.revisions.c.rating_id.in_(own)).values(note=""))
        c.execute(sa.delete(db.remarks).where(db.remarks.c.rating_id.in_(own)))
        c.execute(sa.update(db.skips).where(db.skips.c.rater_id == rater).values(note=""))
        open_ones = sa.update(db.leases).where(db.leases.c.rater_id == rater, db.leases.c.active)
        c.execute(open_ones.values(active=False, outcome="released", ended_at=now))
        c.execute(
            sa.update(db.raters)
            .where(here)
            .values(label=ERASED, link=None, browser=None, account=None, fields=[], revoked_at=now, last_seen_at=0)
        )
    for group in locked:
        groups.reopen_unless_rated(c, group["id"], now)
        groups.refresh(c, group["id"], now)
    return True


def listing(c: sa.Connection, now: float) -> list[dict[str, Any]]:
    """All raters, for the owner."""
    rated = sa.select(sa.func.count()).where(db.ratings.c.rater_id == db.raters.c.id).scalar_subquery()
    rows = c.execute(sa.select(db.raters, rated.label("groups_rated")).order_by(db.raters.c.id)).mappings()
    return [
        {
            "id": row["id"], "name": row["label"], "pseudonym": pseudonym(row["id"]), "role": row["role"],
            "has_link": row["link"] is not None, "fields": row["fields"], "account": row["account"],
            "is_here": row["last_seen_at"] > now - groups.ACTIVE_SECONDS, "created_at": row["created_at"],
            "groups_rated": row["groups_rated"],
            "last_seen_at": row["last_seen_at"] or None, "revoked_at": row["revoked_at"],
        }
        for row in rows
    ]  # fmt: skip


def pseudonym(rater: int) -> str:
    """What statistics and exports call a rater."""
    return f"rater-{rater}"


def is_api_key(settings: Settings, header: str | None) -> bool:
    """Whether an Authorization header carries the key of the training API."""
    given = (header or "").removeprefix("Bearer ").encode()
    return settings.api_key is not None and hmac.compare_digest(given, settings.api_key.encode())


def _rater(row: sa.RowMapping) -> Rater:
    return Rater(row["id"], row["role"], row["label"], row["browser"])


@command
def main() -> None:
    """Make, list and revoke links, and forget people, on the machine that holds the database."""
    parser = OptionParser(prog=command_line("raters"), description=main.__doc__)
    parsers = parser.add_subparsers(dest="action", required=True)
    making = parsers.add_parser("create", help="make a link for a person")
    making.add_argument("--name", type=text, required=True, help="who it is for; only the owner sees it")
    making.add_argument("--role", choices=("rater", "owner"), default="rater")
    making.add_argument(
        "--url", type=address, default="http://localhost:8000", help="the server's, as that person sees it"
    )
    parsers.add_parser("list", help="show all raters")
    parsers.add_parser("revoke", help="end a link").add_argument("rater", type=whole(ge=1), help="number in the list")
    erasing = parsers.add_parser("erase", help="forget a person")
    erasing.add_argument("rater", type=whole(ge=1), help="number in the list")
    erasing.add_argument(
        "--ratings", choices=("keep", "delete"), default="keep", help="keep them under a pseudonym, or not"
    )
    arguments = parser.parse_args()
    settings = Settings.from_environment()
    with closing(db.Database(settings.database_url)) as database:
        database.upgrade()
        _carry_out(arguments, database, settings)


def _carry_out(arguments: argparse.Namespace, database: db.Database, settings: Settings) -> None:
    if arguments.action == "create":
        with database.write() as c:
            row = create(c, arguments.name, arguments.role, time.time())
        token = load_keys(database, settings).link_token(row["link"])
        print(f"Send {arguments.name} this link; it works until it is revoked:\n{join_url(arguments.url, token)}")
    elif arguments.action == "revoke":
        with database.write() as c:
            if not revoke(c, arguments.rater, time.time()):
                raise ConfigError(f"There is no link of rater {arguments.rater}; `list` shows all.")
        print(f"Rater {arguments.rater} is signed out; what they rated stays.")
    elif arguments.action == "erase":
        with database.write() as c:
            if not erase(c, arguments.rater, arguments.ratings == "delete", time.time()):
                raise ConfigError(f"There is no rater {arguments.rater}; `list` shows all.")
        kept = (
            "their ratings too"
            if arguments.ratings == "delete"
            else f"their ratings stay as {pseudonym(arguments.rater)}'s"
        )
        print(f"Rater {arguments.rater} is forgotten, {kept}.")
    else:
        with database.read() as c:
            for rater in listing(c, time.time()):
                state = "revoked" if rater["revoked_at"] else "link" if rater["has_link"] else "local"
                state = ERASED if rater["name"] == ERASED else state
                print(
                    f"{rater['id']:>5}  {rater['role']:<6} {state:<8} {rater['groups_rated']:>6} rated  {rater['name']}"
                )


def join_url(base: str, token: str) -> str:
    """The address of a link."""
    return f"{base.rstrip('/')}/join#{token}"


if __name__ == "__main__":
    main()
