"""The model of this machine that writes questions to practise with, in a thread of its own.

It is loaded when somebody first asks about it, so a server that only collects ratings for training never pays for it.
Jobs are done one after the other; a request only leaves a job here or asks how far one is.
"""

from __future__ import annotations

import queue
import random
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from recruiter.config import JudgeConfig
from recruiter.config.paths import command_line
from recruiter.errors import ModelError, RecruiterError
from recruiter.judges import Judge
from recruiter.judges.making import make_judge, named_judge
from recruiter.roles import Role
from recruiter.roles.completing import CompletedRole, complete_role
from recruiter.rubric import Rubric
from recruiter.writers import Writer
from recruiter.writers.advertisements import read_advertisement
from recruiter.writers.finding import default_writer, find_writer
from recruiter.writers.generate import QuestionSet, Report, fitted_judge, generate, judge_beside, sampling_of
from recruiter.writers.kit import Kit
from recruiter.writers.kit.making import make_kit

GET_ONE = f"There is no model here yet; get one with `{command_line('download')} --starter`."
JOBS_WAITING, JOBS_KEPT = 20, 500
JOBS_OF_ONE = 2  # that one person may have under way
Work = Callable[["QuestionGenerator", Report], Any]


@dataclass
class Job:
    """Something to write, and how far it is.

    Attributes:
        whose: the person who waits for it.
        state: waiting, loading_model, writing, done or failed.
        progress: share that is done, in [0, 1].
        message: for the person who waits.
        result: what the work returned.
    """

    work: Work
    whose: Hashable = None
    state: str = "waiting"
    progress: float = 0.0
    message: str = "Waiting for the questions of others."
    result: Any = None


class QuestionGenerator:
    """Loads a model once and does jobs with it, one at a time."""

    def __init__(self, model: str | None = None) -> None:
        """Use `model`, anything that `find_writer` takes, or the best one that is here."""
        self._wanted = model
        self._writer: Writer | None = None
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._waiting: queue.Queue[Job | None] = queue.Queue(JOBS_WAITING)
        self._lock, self._choosing = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._ready = False
        self._failure: str | None = None
        self._closing = False

    def state(self) -> dict[str, Any]:
        """`state` (none, loading, ready, failed), `name` and `message`. Asking begins the loading."""
        name = self._wanted and self.without_paths(self._wanted)
        try:
            name = self.without_paths(self._chosen().name)
        except RecruiterError as error:
            return {"state": "failed", "name": name, "message": self.without_paths(str(error))}
        except LookupError:
            return {"state": "none", "name": None, "message": GET_ONE}
        if self._failure:
            return {"state": "failed", "name": name, "message": self._failure}
        self._start()
        if self._ready:
            return {"state": "ready", "name": name, "message": ""}
        return {"state": "loading", "name": name, "message": f"Loading {name} …"}

    def without_paths(self, text: str) -> str:
        """A text for raters: where the model lies on this machine is shortened to its folder's name."""
        for place in (self._wanted or "", self._writer.name if self._writer else ""):
            folder = Path(place)
            if place and (folder.exists() or folder.is_absolute()):
                for known in sorted({str(folder.resolve()), str(folder), place}, key=len, reverse=True):
                    text = text.replace(known, folder.name)
        return text

    def submit(self, work: Work, whose: Hashable = None) -> str:
        """Take on a job and return its id.

        Raises:
            queue.Full: too many wait.
            PermissionError: too many of this person's are under way.
        """
        job = Job(work, whose)
        job_id = secrets.token_urlsafe(9)
        with self._lock:
            under_way = sum(
                other.whose == whose and other.state not in ("done", "failed") for other in self._jobs.values()
            )
            if whose is not None and under_way >= JOBS_OF_ONE:
                raise PermissionError
            self._waiting.put_nowait(job)
            self._jobs[job_id] = job
            while len(self._jobs) > JOBS_KEPT:
                self._jobs.popitem(last=False)
        self._start()
        return job_id

    def job(self, job_id: str) -> Job | None:
        """A job, if it is known."""
        return self._jobs.get(job_id)

    def write(
        self, role: Role, count: int, report: Report = lambda *_: None, *, best_of: int = 1, judge: Judge | None = None
    ) -> QuestionSet:
        """`count` different questions for a role, or as many as the model has; for work, in the job's thread.

        Raises:
            RecruiterError: model or judge cannot be used, or nothing usable was written.
        """
        writer, go_on = self._load(), self._until_closed(report)
        seed = random.SystemRandom().randrange(2**31)
        settings = sampling_of(writer)
        (found,) = generate(writer, [role], count, settings, best_of=best_of, judge=judge, seed=seed, report=go_on)
        if not found.questions:
            raise RecruiterError(f"{writer.name} has nothing for this role ({found.shortfall}); try again.")
        return found

    def kit(self, role: Role, count: int, report: Report, **wishes: Any) -> Kit:
        """A kit for a role, see `make_kit` for the wishes; for work, in the job's thread.

        Raises:
            RecruiterError: the model cannot be used, or there is not one question.
        """
        writer, seed = self._load(), random.SystemRandom().randrange(2**31)
        kit = make_kit(writer, role, count, seed=seed, report=self._until_closed(report), **wishes)
        if not kit.questions:
            raise RecruiterError(f"{writer.name} has nothing for this role ({' '.join(kit.notes)}); try again.")
        return kit

    def read(self, text: str, report: Report) -> CompletedRole:
        """The role that an advertisement describes; for work, in the job's thread.

        Raises:
            RecruiterError: it names no title or nothing that the work is done with.
        """
        progress = partial(self._until_closed(report), "reading")
        read = partial(read_advertisement, self._load(), progress=progress)
        return complete_role({"description": text}, "The advertisement", read)

    def judge(self, named: JudgeConfig | None, rubric: Rubric) -> Judge:
        """The judge of what is written; None: whoever `who_picks` finds; for work, in the job's thread.

        Raises:
            RecruiterError: model or judge cannot be used.
        """
        writer = self._load()
        if named:
            return judge_beside(writer, named, rubric)
        return fitted_judge(writer, rubric) or make_judge(named_judge("rubric"), rubric=rubric)

    def _until_closed(self, report: Report) -> Report:
        def go_on(what: str, share: float) -> None:
            if self._closing:
                raise RecruiterError("The server is stopping.")
            report(what, share)

        return go_on

    def close(self) -> None:
        """End the thread; a job under way ends at its next step."""
        self._closing = True
        while self._thread and self._thread.is_alive():
            try:
                self._waiting.put_nowait(None)
            except queue.Full:
                self._waiting.get_nowait()
                continue
            self._thread.join(timeout=5)
            break

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="generator", daemon=True)
                self._thread.start()

    def _chosen(self) -> Writer:
        """The model that is to write, loaded or not.

        Raises:
            LookupError: there is none.
            RecruiterError: there is no such model.
        """
        with self._choosing:
            if self._writer is None and self._wanted:
                self._writer = find_writer(self._wanted)
            elif self._writer is None:
                try:
                    self._writer = default_writer()
                except ModelError:
                    raise LookupError from None
            return self._writer

    def _load(self) -> Writer:
        try:
            writer = self._chosen()
        except LookupError:
            raise RecruiterError(GET_ONE) from None
        writer.prepare()
        self._failure, self._ready = None, True
        return writer

    def _run(self) -> None:
        try:
            self._load()
        except Exception as error:
            self._failure = self.without_paths(_said(error))
        while (job := self._waiting.get()) is not None and not self._closing:
            self._do(job)

    def _do(self, job: Job) -> None:
        def report(what: str, share: float) -> None:
            job.state = "loading_model" if what.startswith("loading") else "writing"
            job.progress, job.message = share, self.without_paths(f"{what.capitalize()}, {share:.0%} done.")

        try:
            job.state, job.message = "loading_model", "Loading the model."
            self._load()
            job.result = job.work(self, report)
            job.progress, job.message, job.state = 1.0, "", "done"
        except Exception as error:
            job.message, job.state = self.without_paths(_said(error)), "failed"


def _said(error: Exception) -> str:
    """What a person who waits is told."""
    if isinstance(error, RecruiterError):
        return str(error)
    return f"The model failed ({type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else 'no reason'})."
