"""Ratings and judges' scores become a row for each criterion; groups know the rubric that they are rated by."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = depends_on = None

CRITERIA = ("relevance", "clarity", "discriminative")  # all that there were
AT_ONCE = 1000


def upgrade() -> None:
    """Move what is there into the new rows; every rating, revision and consumed result stays."""
    op.add_column("groups", sa.Column("rubric", sa.String()))
    op.drop_index("ix_groups_status_late", "groups")
    op.create_index("ix_groups_status_late_rubric", "groups", ["status", "late", "rubric"])
    op.rename_table("scores", "old_scores")
    op.rename_table("judge_scores", "old_judge_scores")
    for name, old in (("pk_scores", "old_scores"), ("pk_judge_scores", "old_judge_scores")):
        if op.get_bind().dialect.name == "postgresql":  # names of constraints are unique there
            op.execute(f"ALTER TABLE {old} DROP CONSTRAINT {name}")
    op.create_table(
        "scores",
        sa.Column("rating_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("criterion", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.CheckConstraint("value BETWEEN 1 AND 5", name="ck_scores_value"),
        sa.ForeignKeyConstraint(["rating_id"], ["ratings.id"], name="fk_scores_rating_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("rating_id", "revision", "candidate", "criterion", name="pk_scores"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "judge_scores",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("question_index", sa.Integer(), nullable=False),
        sa.Column("judge", sa.String(), nullable=False),
        sa.Column("criterion", sa.String(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name="fk_judge_scores_group_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("group_id", "question_index", "judge", "criterion", name="pk_judge_scores"),
        sqlite_with_rowid=False,
    )
    _copy("old_scores", "scores", ("rating_id", "revision", "candidate", "position"), "value")
    _copy("old_judge_scores", "judge_scores", ("group_id", "question_index", "judge"), "score")
    op.drop_table("old_scores")
    op.drop_table("old_judge_scores")
    _gather_consumed_scores()


def _copy(source: str, target: str, keys: tuple[str, ...], value: str) -> None:
    """A row of `source` becomes a row of `target` for each criterion."""
    old = sa.table(source, *map(sa.column, (*keys, *CRITERIA)))
    new = sa.table(target, *map(sa.column, (*keys, "criterion", value)))
    for name in CRITERIA:
        rows = sa.select(*(old.c[key] for key in keys), sa.literal(name), old.c[name])
        op.execute(sa.insert(new).from_select([*keys, "criterion", value], rows))


def _gather_consumed_scores() -> None:
    """What training used of a group: `scores` is a mapping now."""
    connection = op.get_bind()
    groups = sa.table("groups", sa.column("id", sa.Integer), sa.column("consumed_view", sa.JSON(none_as_null=True)))
    consumed = sa.select(groups).where(groups.c.consumed_view.is_not(None)).order_by(groups.c.id).limit(AT_ONCE)
    last = 0
    while rows := connection.execute(consumed.where(groups.c.id > last)).all():
        for key, view in rows:
            results = [_gathered(result) for result in view["results"]] if view else None
            new = view and {**view, "results": results}
            connection.execute(sa.update(groups).where(groups.c.id == key).values(consumed_view=new))
        last = rows[-1][0]


def _gathered(result: dict) -> dict:
    values = {name: result.get(name) for name in CRITERIA}
    rest = {name: value for name, value in result.items() if name not in CRITERIA}
    return {**rest, "scores": None if None in values.values() else values}
