"""Blind sheets: what `eval.py --people` hands in as groups, and what raters said of them as readings.

A group of a sheet is called `sheet-<first letters of the hash>-<number of the role>`; its questions are in the order of their
letters. Raters see neither who wrote a question nor what a judge says; `recruiter.evaluation.readings` reads the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

import database as db
from feedback import accounts, ratings
from feedback.views import reward_of
from recruiter.evaluation.blind import letters
from recruiter.reward import order_rewards
from recruiter.rubric import MAX_SCORE, Rubric


def readings(c: sa.Connection, rubric: Rubric, sheet: str) -> Iterator[dict[str, Any]]:
    """A row for each question and reader: reader, kind, sheet, ID, score from 0 to 10, X where it makes no sense.

    A score is the reader's composite, or, where questions were compared, how the question did among the role's.
    """
    r, g = db.ratings, db.groups
    query = sa.select(r.c.id, r.c.rater_id, r.c.revision, g.c.id.label("key"), g.c.group_id).join(
        g, g.c.id == r.c.group_id
    )
    query = query.where(g.c.sheet == sheet).order_by(r.c.rater_id, g.c.id)
    for rating in c.execute(query).mappings().all():
        content = ratings.content_of(c, rating["id"], rating["revision"])
        if content.task == "score":
            rewards = {candidate: reward_of(rubric, scores) for candidate, scores in content.scores.items()}
        else:
            said = ((first, second, value) for (first, second), value in content.comparisons.items())
            rewards = dict(enumerate(order_rewards(len(content.shown), said)))
        asked = sa.select(db.questions.c.question_index, db.questions.c.candidate).where(
            db.questions.c.group_id == rating["key"]
        )
        number = rating["group_id"].rpartition("-")[2]
        for index, candidate in c.execute(asked.order_by(db.questions.c.question_index)):
            no_sense = candidate in content.remarks and content.remarks[candidate][2]
            yield {
                "reader": accounts.pseudonym(rating["rater_id"]), "kind": "person", "sheet": sheet,
                "ID": number + letters(index), "score": round(rewards[candidate] * MAX_SCORE, 4),
                "X": "X" if no_sense else "",
            }  # fmt: skip
