"""Checks of how steadily people rate, the fields that raters know, and names under which a proxy signs them on."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add their columns; nothing that is there is a check."""
    op.add_column("groups", sa.Column("is_gold", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("groups", sa.Column("only_for", sa.Integer()))
    op.add_column("groups", sa.Column("copy_of", sa.Integer()))
    op.create_index("ix_groups_only_for", "groups", ["only_for"])
    op.create_index("ix_groups_copy_of", "groups", ["copy_of"])
    op.add_column("raters", sa.Column("fields", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("raters", sa.Column("account", sa.String()))
    op.create_index(
        "ix_raters_account", "raters", ["account"], unique=True
    )  # a table made anew would take ratings with it
