"""Scores of judges, attached to groups to compare people with them."""

from __future__ import annotations

import sqlalchemy as sa

import database as db
from feedback.errors import Refusal, not_found
from feedback.rubric import check_criteria
from recruiter.rubric import Rubric


def attach(c: sa.Connection, rubric: Rubric, group_id: str, judge: str, scores: list[dict[str, float] | None]) -> None:
    """Store a judge's scores (0 to 10) of a group, one entry a question; they replace the same judge's earlier ones.

    Raises:
        Refusal: 404; 422, there are more or fewer scores than questions, or other criteria than the rubric's.
    """
    key = c.execute(sa.select(db.groups.c.id).where(db.groups.c.group_id == group_id).with_for_update()).scalar()
    if key is None:
        raise not_found(f"group {group_id}")
    asked = sa.select(sa.func.count()).where(db.questions.c.group_id == key)
    if (count := c.execute(asked).scalar_one()) != len(scores):
        raise Refusal(422, "invalid", f"There are {len(scores)} scores for {count} questions.")
    for given in filter(None, scores):
        check_criteria(rubric, given, "a question's scores")
    table = db.judge_scores
    c.execute(sa.delete(table).where(table.c.group_id == key, table.c.judge == judge))
    rows = [
        {"group_id": key, "question_index": index, "judge": judge, "criterion": name, "score": score}
        for index, given in enumerate(scores)
        for name, score in (given or {}).items()
    ]
    if rows:
        c.execute(sa.insert(table), rows)
