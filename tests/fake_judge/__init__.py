"""A judge behind HTTP that scores by the rubric judge and misbehaves on demand. By hand: `python -m tests.fake_judge`."""

from tests.fake_judge.faults import FAULTS, Faults
from tests.fake_judge.server import FakeJudge

__all__ = ["FAULTS", "FakeJudge", "Faults"]
