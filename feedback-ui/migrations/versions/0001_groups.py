"""Groups, leases, ratings with revisions, skips, raters, runs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = depends_on = None


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.String(), nullable=False),
        sa.Column("content_hash", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("policy_step", sa.Integer(), nullable=False),
        sa.Column("role", sa.JSON(), nullable=False),
        sa.Column("role_title", sa.String(), nullable=False),
        sa.Column("overlap", sa.Integer(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("available", sa.Boolean(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("lease_count", sa.Integer(), nullable=False),
        sa.Column("rating_count", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("consumed_step", sa.Integer()),
        sa.Column("consumed_at", sa.Float()),
        sa.Column("consumed_view", sa.JSON()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("closed_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("group_id", name="uq_groups_group_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_groups_queue", "groups", ["available", sa.text("priority DESC"), "id"])
    op.create_index("ix_groups_run", "groups", ["run"])
    op.create_index("ix_groups_status_late", "groups", ["status", "late"])
    op.create_table(
        "raters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("link", sa.String()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_seen_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float()),
        sa.PrimaryKeyConstraint("id", name="pk_raters"),
        sa.UniqueConstraint("link", name="uq_raters_link"),
    )
    op.create_index("ix_raters_last_seen_at", "raters", ["last_seen_at"])
    op.create_table(
        "runs",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("waiting_since", sa.Float()),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_runs"),
    )
    op.create_index("ix_runs_updated_at", "runs", ["updated_at"])
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_secrets"),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("rating_id", sa.Integer()),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String()),
        sa.Column("shown", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float()),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_leases_group_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name="fk_leases_rater_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
    )
    op.create_index("ix_leases_active_expires_at", "leases", ["active", "expires_at"])
    op.create_index("ix_leases_group_id", "leases", ["group_id"])
    op.create_index("ix_leases_rater_id_active", "leases", ["rater_id", "active"])
    op.create_table(
        "questions",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("question_index", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_questions_group_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "question_index", name="pk_questions"),
    )
    op.create_table(
        "ratings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("lease_id", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("all_equal", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_ratings_group_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name="fk_ratings_rater_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_ratings"),
        sa.UniqueConstraint("group_id", "rater_id", name="uq_ratings_group_id_rater_id"),
        sa.UniqueConstraint("lease_id", name="uq_ratings_lease_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ratings_created_at", "ratings", ["created_at"])
    op.create_index("ix_ratings_rater_id_created_at", "ratings", ["rater_id", "created_at"])
    op.create_table(
        "skips",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer(), nullable=False),
        sa.Column("lease_id", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_skips_group_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name="fk_skips_rater_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "rater_id", name="pk_skips"),
    )
    op.create_index("ix_skips_rater_id_created_at", "skips", ["rater_id", "created_at"])
    op.create_table(
        "revisions",
        sa.Column("rating_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("all_equal", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("unused", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["rating_id"], ["ratings.id"], name="fk_revisions_rating_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rating_id", "revision", name="pk_revisions"),
    )
    op.create_table(
        "scores",
        sa.Column("rating_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("relevance", sa.Integer(), nullable=False),
        sa.Column("clarity", sa.Integer(), nullable=False),
        sa.Column("discriminative", sa.Integer(), nullable=False),
        *(
            sa.CheckConstraint(f"{name} BETWEEN 1 AND 5", name=f"ck_scores_{name}")
            for name in ("relevance", "clarity", "discriminative")
        ),
        sa.ForeignKeyConstraint(["rating_id"], ["ratings.id"], name="fk_scores_rating_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rating_id", "revision", "candidate", name="pk_scores"),
    )
