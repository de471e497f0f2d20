"""A model that writes questions and kits, in one object: the way in for programs."""

from __future__ import annotations

from functools import partial
from typing import Any

from recruiter.config import SamplingParams
from recruiter.judges import Judge
from recruiter.judges.making import named_judge
from recruiter.roles import Role
from recruiter.roles.completing import CompletedRole, complete_role
from recruiter.rubric import load_rubric
from recruiter.writers import Writer
from recruiter.writers.advertisements import read_advertisement
from recruiter.writers.finding import default_writer, find_writer
from recruiter.writers.generate import Question, generate, judge_beside, sampling_of, who_picks
from recruiter.writers.kit import Kit
from recruiter.writers.kit.making import make_kit


class QuestionWriter:
    """A model that writes questions, in one object.

    Args:
        model: as `find_writer` takes it: a folder, an alias, `provider/model`, …; None: the best one on this machine.
        judge: `local` (the model before its training reads), `rubric`, a provider, `provider/model`, or a `Judge`; None:
            whoever `who_picks` finds, if anybody.
        rubric: file of the criteria that a judge named by a string scores by; None: the built-in ones.
        base_url, judge_base_url: servers to ask for model and judge instead of their providers' own.

    Raises:
        ConfigError, ModelError: there is no such model, judge or rubric, or a key is missing.
    """

    def __init__(
        self,
        model: str | Writer | None = None,
        judge: str | Judge | None = None,
        rubric: str | None = None,
        *,
        base_url: str | None = None,
        judge_base_url: str | None = None,
    ) -> None:
        self.writer = find_writer(model, base_url=base_url) if isinstance(model, str) else model or default_writer()
        if isinstance(judge, str):
            judge = judge_beside(self.writer, named_judge(judge, judge_base_url), load_rubric(rubric))
        self.judge, self._rubric = judge, load_rubric(rubric)

    def questions(
        self,
        role: Role | None = None,
        *,
        n: int = 1,
        best_of: int | None = None,
        seed: int = 0,
        sampling: SamplingParams | None = None,
        **fields: Any,
    ) -> list[Question]:
        """Write `n` different questions for a role, or for the fields of one: title, level, stack, …

        Fewer come back if the model repeats itself. Another seed gives other questions.

        Args:
            best_of: questions written for each that is kept; None: see `who_picks`.

        Raises:
            DataError: the fields make no role.
            ModelError, ApiError: model or judge cannot be used.
        """
        role = role or complete_role(fields).role
        settings = sampling or sampling_of(self.writer)
        best_of, judge = who_picks(self.writer, best_of, self.judge, self._rubric)
        (question_set,) = generate(self.writer, [role], n, settings, best_of=best_of, judge=judge, seed=seed)
        return question_set.questions

    def role(self, **fields: Any) -> CompletedRole:
        """A role of what is known of it; what rules do not find in its description, the model reads there.

        Raises:
            DataError: the fields make no role.
        """
        return complete_role(fields, read=partial(read_advertisement, self.writer))

    def kit(
        self,
        role: Role | None = None,
        *,
        n: int = 5,
        best_of: int | None = None,
        guide_model: str | None = None,
        **wishes: Any,
    ) -> Kit:
        """A kit for a role, or for the fields of one, see `make_kit`.

        Args:
            best_of: questions written for each that is kept; None: see `who_picks`.
            guide_model: who writes the guides, as `find_writer` takes it; None: whoever writes the questions.
            wishes: fields of a role, and `cover`, `difficulty`, `language`, `seed` of `make_kit`.

        Raises:
            DataError: the fields make no role.
            ConfigError: the wishes contradict each other.
            ModelError, ApiError: the model cannot be used.
        """
        names = ("cover", "difficulty", "language", "seed")
        options = {name: wishes.pop(name) for name in names if name in wishes}
        guide_writer = find_writer(guide_model) if guide_model else None
        made = role or self.role(**wishes).role
        best_of, judge = who_picks(self.writer, best_of, self.judge, self._rubric)
        return make_kit(self.writer, made, n, best_of=best_of, judge=judge, guide_writer=guide_writer, **options)
