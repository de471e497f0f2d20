"""What a team agrees on beside the rubric, in the owner's words: shown to every rater before they start."""

from __future__ import annotations

import sqlalchemy as sa

import database as db

NAME = "guidelines"


def read(c: sa.Connection) -> str:
    """The guidelines; empty if there are none."""
    return c.execute(sa.select(db.texts.c.value).where(db.texts.c.name == NAME)).scalar() or ""


def write(c: sa.Connection, text: str, now: float) -> None:
    """Replace them; an empty text takes them away."""
    values = {"value": text, "updated_at": now}
    insert = db.insert_into(c, db.texts).values(name=NAME, **values)
    c.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))
