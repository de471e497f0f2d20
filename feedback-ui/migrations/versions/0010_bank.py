"""The bank: kept questions with their versions, tags, and uses, and what finds those that are much alike."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = depends_on = None


def upgrade() -> None:
    """Add its tables."""
    op.create_table(
        "bank",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String()),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("role", sa.JSON(), nullable=False),
        sa.Column("role_title", sa.String(), nullable=False),
        sa.Column("skill", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("entry", sa.JSON()),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("rater_id", sa.Integer()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("retired_at", sa.Float()),
        sa.Column("retired_reason", sa.String()),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name="fk_bank_rater_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_bank"),
        sa.UniqueConstraint("request_id", name="uq_bank_request_id"),
        sa.UniqueConstraint("digest", name="uq_bank_digest"),
        sqlite_autoincrement=True,
    )
    for column in ("role_title", "skill", "rater_id", "updated_at"):
        op.create_index(f"ix_bank_{column}", "bank", [column])
    op.create_table(
        "bank_versions",
        sa.Column("bank_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("rater_id", sa.Integer()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["bank_id"], ["bank.id"], name="fk_bank_versions_bank_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name="fk_bank_versions_rater_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("bank_id", "version", name="pk_bank_versions"),
    )
    op.create_index("ix_bank_versions_rater_id", "bank_versions", ["rater_id"])
    op.create_table(
        "bank_tags",
        sa.Column("bank_id", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["bank_id"], ["bank.id"], name="fk_bank_tags_bank_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bank_id", "tag", name="pk_bank_tags"),
    )
    op.create_index("ix_bank_tags_tag", "bank_tags", ["tag"])
    op.create_table(
        "bank_bands",
        sa.Column("band", sa.BigInteger(), nullable=False),
        sa.Column("bank_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["bank_id"], ["bank.id"], name="fk_bank_bands_bank_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("band", "bank_id", name="pk_bank_bands"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_bank_bands_bank_id", "bank_bands", ["bank_id"])
    op.create_table(
        "bank_uses",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.String()),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role_title", sa.String(), nullable=False),
        sa.Column("rater_id", sa.Integer()),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["rater_id"], ["raters.id"], name="fk_bank_uses_rater_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_bank_uses"),
        sa.UniqueConstraint("request_id", name="uq_bank_uses_request_id"),
    )
    op.create_index("ix_bank_uses_rater_id", "bank_uses", ["rater_id"])
    op.create_table(
        "bank_used",
        sa.Column("use_id", sa.Integer(), nullable=False),
        sa.Column("bank_id", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["use_id"], ["bank_uses.id"], name="fk_bank_used_use_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["bank_id"], ["bank.id"], name="fk_bank_used_bank_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("use_id", "bank_id", name="pk_bank_used"),
    )
    op.create_index("ix_bank_used_bank_id", "bank_used", ["bank_id"])
