"""Question Generation RL: train a language model to write technical screening questions, and use it.

from recruiter import QuestionWriter
writer = QuestionWriter("exports/starter")
print(writer.questions(title="Senior Backend Engineer", stack=["Go", "Kafka"])[0].text)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Before torch is imported, which reads it once: threads that wait then sleep instead of keeping a core from other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from recruiter.writers.question_writer import QuestionWriter as QuestionWriter

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`QuestionWriter`, without loading what it needs before somebody asks for it."""
    if name != "QuestionWriter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from recruiter.writers.question_writer import QuestionWriter

    return QuestionWriter
