"""Kits by hand, for sheets and pages."""

from __future__ import annotations

from typing import Any

from recruiter.roles import Role
from recruiter.writers.kit import Guide, GuideForm, Kit, KitQuestion
from tests.fake_judge.server import GUIDE, POINTS

LONG = "The candidate explains that the replica applies the log in order and why one long transaction holds all others back. "
LONG_GUIDE = Guide(
    good=[f"{n}. {LONG * 2}" for n in range(5)],
    weak=[f"{n}. {LONG}" for n in range(4)],
    probes=[f"{n}. {LONG}" for n in range(2)],
    scale=[f"{n}. {LONG}" for n in range(4)],
    minutes=5,
)


WHOLE_GUIDE = GuideForm(**GUIDE).read("")[0].model_copy(update={"good": list(POINTS.values())})


def sample_kit(role: Role, **changes: Any) -> Kit:
    """A kit of three questions: one with a guide, one with a long one, one without."""
    questions = [
        KitQuestion(
            question="Two workers picked up one job at once after a failover. How do you make its effect happen once?",
            skill="idempotency", line="Keep jobs idempotent.", level=role.level, difficulty="hard", guide=WHOLE_GUIDE,
        ),
        KitQuestion(question="=1+1 <b>Replication</b> lag grows every night. Why?", skill="replication", level=role.level,
                    guide=LONG_GUIDE),
        KitQuestion(question="Latency tripled after a deploy, the median did not change. Where do you look?",
                    skill="-latency", level=role.level, missing=["No guide: starter wrote none that can be used."]),
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "role": role, "language": "en", "questions": questions, "left_out": ["sharding"], "model": "writer",
        "guide_model": "writer", "checked_by": "judge",
    }  # fmt: skip
    return Kit(**{**fields, **changes})
