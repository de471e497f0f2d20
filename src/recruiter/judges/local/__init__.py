"""A language model in this process as a judge: it writes nothing, its probabilities are read.

In training it is by default the policy's own base, adapter switched off: no second copy, no download, no key. Any folder or
Hub id serves as well. `signals.py` says what is read, `calibration.py` how that becomes scores.

It sees whether a question makes sense and belongs to its role. It does not see keyword lists or copies of the role, and
it cannot tell which of two good questions is better: the rubric judge beside it knows the first, people the second.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recruiter.config import JudgeConfig
from recruiter.config.paths import WORKSPACE
from recruiter.errors import ConfigError
from recruiter.files import write_json
from recruiter.judges.in_trainer import InTrainer
from recruiter.judges.local.calibration import Calibration, anchors
from recruiter.judges.local.signals import READS_CHECKS, Group, Signals, read_signals
from recruiter.judges.rubric_judge.wording import manipulation
from recruiter.rubric import Judgement, Rubric, load_rubric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recruiter.engines import Policy, Reader

CALIBRATIONS = "data/local_judge"
FEW_ANCHORS = 12  # roles, six questions each: enough for the four signals of a small model, which mostly runs on a CPU


class LocalJudge(InTrainer):
    """Scores by the probabilities of a causal language model. Deterministic for given groups.

    Attributes:
        model: folder or Hub id; None: the base of the policy that is trained.
    """

    def __init__(self, settings: JudgeConfig, rubric: Rubric | None = None, base: str | None = None) -> None:
        """Nothing is loaded yet.

        Args:
            base: what the policy is trained from, where one is trained.

        Raises:
            ModelError: there is no such model.
        """
        super().__init__()
        self.rubric = rubric or load_rubric()
        self.model = settings.model
        self.name = "/".join(filter(None, ("local", self.model or base)))
        self.version = _hash(Path(__file__).parent.glob("*.*"), self.rubric.hash, self.name)
        self._open: Callable[[], AbstractContextManager[Reader]] | None = None
        self._calibration: Calibration | None = None
        self._is_large = True
        self._lock = threading.Lock()
        if self.model:
            from recruiter.engines.loading import check_model

            check_model(self.model, "auto", settings.spelled("model", "{}"))

    def attach(self, policy: Policy) -> None:
        """Judge with the base of the policy, in the trainer's thread, from now on."""
        super().attach(policy)
        if self.model is None:
            self._open = policy.base

    async def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement for each question of each group."""
        return self._judge(groups) if self._in_trainer else await asyncio.to_thread(self._judge, groups)

    def _judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        with self._lock, self._reader() as reader:
            calibration = self._calibration or self._calibrate(reader)
            signals = read_signals(reader, self.rubric, groups, self._is_large)
        return [
            [self._judgement(calibration, question, found) for question, found in zip(questions, group, strict=True)]
            for (_, questions), group in zip(groups, signals, strict=True)
        ]

    def _judgement(self, calibration: Calibration, question: str, signals: Signals) -> Judgement:
        if manipulation(self.rubric.names).search(question):
            zeros = dict.fromkeys(self.rubric.names, 0.0)
            return Judgement(self.rubric.scores(zeros), "It addresses the judge instead of the candidate.")
        listed = ", ".join(f"{name} {value:.2f}" for name, value in signals.items())
        return Judgement(self.rubric.scores(calibration.scores(self.rubric, signals)), f"Read: {listed}.")

    def _reader(self) -> AbstractContextManager[Reader]:
        if self._open is None:
            self._open = self._load()
        return self._open()

    def _load(self) -> Callable[[], AbstractContextManager[Reader]]:
        if self.model is None:
            raise ConfigError(
                "The judge local needs a model where nothing is trained: write for example local/exports/starter."
            )
        from recruiter.engines.model import LocalModel
        from recruiter.engines.reading import ModelReader

        reader = ModelReader(LocalModel(self.model))

        @contextmanager
        def opened() -> Iterator[Reader]:
            yield reader

        return opened

    def _calibrate(self, reader: Reader) -> Calibration:
        """Read the anchors, or what an earlier run with the same model made of them."""
        self._is_large = reader.parameters >= READS_CHECKS
        path = WORKSPACE / CALIBRATIONS / f"{_hash((), self.version, reader.fingerprint)}.json"
        try:
            self._calibration = Calibration.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError):
            groups = anchors()[0][: None if self._is_large else FEW_ANCHORS]
            signals = read_signals(reader, self.rubric, groups, self._is_large)
            self._calibration = Calibration.fit(self.rubric, signals)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self._calibration.to_json())
        return self._calibration


def _hash(files: object, *texts: str | None) -> str:
    digest = hashlib.sha256("\n".join(map(str, texts)).encode())
    for path in sorted(files):  # type: ignore[call-overload]
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
