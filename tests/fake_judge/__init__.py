"""A model behind HTTP that judges by the rubric judge, writes set questions, and misbehaves on demand.

By hand: `python -m tests.fake_judge`.
"""

from tests.fake_judge.faults import FAULTS, Faults
from tests.fake_judge.server import FakeJudge

__all__ = ["FAULTS", "FakeJudge", "Faults"]
