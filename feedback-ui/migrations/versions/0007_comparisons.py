"""Orders and comparisons beside scores, and questions of blind sheets."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add their table and columns; what is there was scored."""
    op.add_column("groups", sa.Column("task", sa.String(), nullable=False, server_default="score"))
    op.add_column("groups", sa.Column("sheet", sa.String()))
    op.create_index("ix_groups_sheet", "groups", ["sheet"])
    op.add_column("remarks", sa.Column("no_sense", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "comparisons",
        sa.Column("rating_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("second", sa.Integer(), nullable=False),
        sa.Column("preferred", sa.Integer(), nullable=False),
        sa.CheckConstraint("preferred BETWEEN -1 AND 1", name="ck_comparisons_preferred"),
        sa.ForeignKeyConstraint(["rating_id"], ["ratings.id"], name="fk_comparisons_rating_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rating_id", "revision", "first", "second", name="pk_comparisons"),
        sqlite_with_rowid=False,
    )
