"""Scores of judges, to compare people with them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add their table."""
    op.create_table(
        "judge_scores",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("question_index", sa.Integer(), nullable=False),
        sa.Column("judge", sa.String(), nullable=False),
        sa.Column("relevance", sa.Float(), nullable=False),
        sa.Column("clarity", sa.Float(), nullable=False),
        sa.Column("discriminative", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_judge_scores_group_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "question_index", "judge", name="pk_judge_scores"),
    )
