"""Fit the heads that the judge `local` ships for the starter model, in float32 and in bfloat16.

  python -m benchmarks.heads

To be run when the anchors, the prompts, or what is read changes: the file's name says what it was fitted to. Without the file
each machine fits the head itself, which takes two cores more than a minute.
"""

from __future__ import annotations

from recruiter.config import NamedJudgeConfig
from recruiter.engines.model import LocalModel
from recruiter.engines.reading import ModelReader
from recruiter.judges.local import SHIPPED, LocalJudge
from recruiter.writers.finding import ALIASES


def main() -> None:
    """Replace the shipped heads."""
    judge, starter = LocalJudge(NamedJudgeConfig(provider="local")), ALIASES["starter"]
    for old in SHIPPED.glob("*.npz"):
        old.unlink()
    for dtype in ("float32", "bfloat16"):
        reader = ModelReader(LocalModel(starter, device="cpu", dtype=dtype))
        path = SHIPPED / judge.head_name(reader)
        judge.fit(reader).save(path)
        print(f"Wrote {path}: {starter} in {dtype}.")


if __name__ == "__main__":
    main()
