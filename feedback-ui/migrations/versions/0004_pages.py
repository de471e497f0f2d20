"""Browsers on this machine are raters once they do something; a lease knows how many pages show it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("raters") as raters:
        raters.add_column(sa.Column("browser", sa.String()))
        raters.create_unique_constraint("uq_raters_browser", ["browser"])
    op.add_column("leases", sa.Column("pages", sa.Integer(), nullable=False, server_default="1"))
