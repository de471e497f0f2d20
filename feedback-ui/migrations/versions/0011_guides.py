"""Versions of a kept question hold its guide beside its text."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add the column; until now a guide had no versions, so all of a question's hold the same."""
    op.add_column("bank_versions", sa.Column("guide", sa.JSON(none_as_null=True)))
    bank = sa.table("bank", sa.column("id", sa.Integer), sa.column("entry", sa.JSON))
    versions = sa.table(
        "bank_versions", sa.column("bank_id", sa.Integer), sa.column("guide", sa.JSON(none_as_null=True))
    )
    c = op.get_bind()
    for key, entry in c.execute(sa.select(bank.c.id, bank.c.entry)).all():
        if entry and entry.get("guide"):
            c.execute(sa.update(versions).where(versions.c.bank_id == key).values(guide=entry["guide"]))
