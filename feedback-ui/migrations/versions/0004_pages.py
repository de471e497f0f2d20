"""Browsers on this machine are raters once they do something; a lease knows how many pages show it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column(
        "raters", sa.Column("browser", sa.String())
    )  # no copy of the table: SQLite would cascade its deletion
    op.create_index("ix_raters_browser", "raters", ["browser"], unique=True)
    op.add_column("leases", sa.Column("pages", sa.Integer(), nullable=False, server_default="1"))
