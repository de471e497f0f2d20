"""A language model in this process as a judge: it writes nothing, what it makes of a question is read.

In training it is by default the policy's own base, adapter switched off: no second copy, no download, no key. Any folder or
Hub id serves as well. `signals.py` says what is read, `calibration.py` how that becomes scores.

It sees what readers saw in the anchors, as far as the model's states hold it. What was not among the anchors it may take for
good: the rubric judge beside it, and closeness to the base, keep a policy from going there.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

from recruiter.config import JudgeConfig
from recruiter.config.paths import WORKSPACE
from recruiter.errors import ConfigError
from recruiter.files import one_at_a_time
from recruiter.judges.in_trainer import Group, InTrainer
from recruiter.judges.local.calibration import Calibration, anchors
from recruiter.judges.local.signals import READS_CHECKS, Floats, read_checks, read_states
from recruiter.judges.rubric_judge.wording import manipulation
from recruiter.prompts import PROMPT_HASH
from recruiter.rubric import Judgement, Rubric, load_rubric

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recruiter.engines import Policy, Reader

CALIBRATIONS = "data/local_judge"
SHIPPED = Path(__file__).parent / "heads"  # of the starter model, by `benchmarks/heads.py`


class LocalJudge(InTrainer):
    """Scores by the states of a causal language model. Deterministic for given groups.

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
        self._own = [c for c in self.rubric.criteria if c.checks and c.name not in anchors()[1]]
        asked = [text for criterion in self._own for text in (criterion.name, *criterion.checks)]
        here = Path(__file__).parent
        files = [here / name for name in ("anchors.json", "calibration.py", "signals.py")]
        self._fitting = _hash(files, PROMPT_HASH, *self.rubric.names, *asked)
        self.version = _hash([Path(__file__)], self._fitting, self.rubric.hash, self.name)
        self._open: Callable[[], AbstractContextManager[Reader]] | None = None
        self._calibration: Calibration | None = None
        self._lock = threading.Lock()
        if self.model:
            from recruiter.engines.loading import check_model

            check_model(self.model, "auto", settings.spelled("model", "{}"))

    def attach(self, policy: Policy) -> None:
        """Judge with the base of the policy, in the trainer's thread, from now on."""
        super().attach(policy)
        self.read_with(policy.base)

    def read_with(self, base: Callable[[], AbstractContextManager[Reader]]) -> None:
        """See `Judge`."""
        if self.model is None:
            self._open = base

    async def judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        """One judgement for each question of each group."""
        return self._judge(groups) if self._in_trainer else await asyncio.to_thread(self._judge, groups)

    def _judge(self, groups: Sequence[Group]) -> list[list[Judgement]]:
        with self._lock, self._reader() as reader:
            calibration = self._calibration or self._calibrate(reader)
            states_NC, checks = self._read(reader, groups)
        scores = iter(calibration.scores(self.rubric.names, states_NC, checks))
        return [[self._judgement(question, next(scores)) for question in questions] for _, questions in groups]

    def _read(self, reader: Reader, groups: Sequence[Group]) -> tuple[Floats, dict[str, Floats]]:
        """States (N, C) of all questions, and what the checks say (N,) of criteria that the anchors have no scores of."""
        checks = {c.name: read_checks(reader, c, groups) for c in self._own if reader.parameters >= READS_CHECKS}
        return read_states(reader, groups), checks

    def _judgement(self, question: str, scores: dict[str, float]) -> Judgement:
        if manipulation(self.rubric.names).search(question):
            zeros = dict.fromkeys(self.rubric.names, 0.0)
            return Judgement(self.rubric.scores(zeros), "It addresses the judge instead of the candidate.")
        return Judgement(self.rubric.scores(scores), "What readers gave questions that the model takes alike.")

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
        """What is shipped for this model, what an earlier run with it made, or a new one; of two at once, one reads."""
        shipped, own = (folder / self.head_name(reader) for folder in (SHIPPED, WORKSPACE / CALIBRATIONS))
        if shipped.is_file():
            self._calibration = Calibration.load(shipped)
            return self._calibration
        with one_at_a_time(own.parent):
            try:
                self._calibration = Calibration.load(own)
            except (OSError, EOFError, ValueError, LookupError, BadZipFile):
                self._calibration = self.fit(reader)
                self._calibration.save(own)
        return self._calibration

    @property
    def is_fitted(self) -> bool:
        """Whether the head of the model that it reads with is at hand.

        Raises:
            ConfigError: it reads with none.
            ModelError: the model cannot be loaded.
        """
        with self._reader() as reader:
            name = self.head_name(reader)
        return any((folder / name).is_file() for folder in (SHIPPED, WORKSPACE / CALIBRATIONS))

    def head_name(self, reader: Reader) -> str:
        """Name of the file that keeps what `fit` makes of this model."""
        return f"{_hash((), self._fitting, reader.fingerprint)}.npz"

    def fit(self, reader: Reader) -> Calibration:
        """Read the anchors and fit the head to them."""
        groups, scores = anchors()
        known = {name: scores[name] for name in self.rubric.names if name in scores} or scores
        states_NC, checks = self._read(reader, groups)
        return Calibration.fit(states_NC, known, checks)


def _hash(files: Sequence[Path], *texts: str) -> str:
    digest = hashlib.sha256("\n".join(texts).encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
