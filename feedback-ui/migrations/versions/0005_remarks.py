"""What raters say of single questions: a comment, and how they would put it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "remarks",
        sa.Column("rating_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("improved", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["rating_id"], ["ratings.id"], name="fk_remarks_rating_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rating_id", "revision", "candidate", name="pk_remarks"),
    )
