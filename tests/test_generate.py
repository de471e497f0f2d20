"""Questions for a role: which are kept, what is said when there are too few, and the command as a person runs it."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from recruiter import QuestionWriter
from recruiter.config import SamplingParams
from recruiter.errors import ConfigError, DataError
from recruiter.files import as_markdown
from recruiter.judges import Judge
from recruiter.judges.lists import read_questions
from recruiter.judges.making import make_judge, named_judge
from recruiter.judges.rubric_judge import RubricJudge
from recruiter.llm.usage import NO_USAGE, Usage
from recruiter.rubric import Judgement
from recruiter.writers import Written
from recruiter.writers.formats import format_sets
from recruiter.writers.generate import Cancelled, Question, choose, generate, is_same
from recruiter.writers.local import LocalWriter
from recruiter.writers.starter import ensure_starter
from tests import REPOSITORY
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge, Faults
from tests.scoring import RUBRIC, scored

SAMPLING = SamplingParams(max_generate_length=16)
QUESTIONS = (
    "How would you find out why the queue of service grows at night?",
    "Two workers picked up the same job after a failover: what makes its effect happen once?",
    "A column that twelve services read has to be renamed. In which steps do you do it?",
)


class Lists:
    """A writer that goes through a list, one text a sample, on from call to call."""

    name, fingerprint = "lists", "0"
    trained_with: SamplingParams | None = SAMPLING
    usage: Usage = NO_USAGE
    is_service = False
    notes: list[str] = []  # noqa: RUF012

    def release(self) -> None:
        pass

    def __init__(self, *texts: str | None) -> None:
        self.texts = iter(texts)
        self.calls: list[Any] = []

    def prepare(self) -> None:
        pass

    def write(
        self,
        roles: Any,
        samples: Any,
        sampling: Any,
        seed: int = 0,
        skip: Any = frozenset(),
        progress: Any = lambda _: None,
    ) -> Iterator[Written]:
        self.calls.append((len(roles), samples, seed))
        for role in roles:
            for sample in range(samples):
                text = next(self.texts)
                error = "timeout: no answer" if text is None else None
                yield Written(role.id, sample, text or "", 5, text != "Cut off", 0.1, error=error)
        progress(1.0)

    def answer(
        self, prompts: Any, samples: Any, sampling: Any, seed: int = 0, schema: Any = None, progress: Any = None
    ) -> Iterator[Written]:
        raise NotImplementedError


class LengthJudge(Judge):
    """Longer is better; a text with "unscored" in it has no score."""

    name = version = "length"
    rubric = RUBRIC

    async def score(self, role: Any, questions: Any) -> list[Any]:
        scores = [scored(min(10.0, len(q) / 10)) for q in questions]
        return [Judgement.unscored("no answer") if "unscored" in q else Judgement(s, "Its length.")
                for q, s in zip(questions, scores, strict=True)]  # fmt: skip


# ---- which are kept --------------------------------------------------------------------------------------------------


def test_the_judge_keeps_the_best_and_unscored_ones_come_last(role: MakeRole) -> None:
    writer = Lists("Why?", QUESTIONS[0], "unscored " + QUESTIONS[2], QUESTIONS[1])
    (one,) = generate(writer, [role()], 2, SAMPLING, best_of=2, judge=LengthJudge())
    assert [q.text for q in one.questions] == [QUESTIONS[1], QUESTIONS[0]]
    assert known(one.questions[0].judgement).reasoning == "Its length."
    assert (one.drawn, one.shortfall, len(writer.calls)) == (4, "", 1)


def test_without_a_judge_the_order_is_that_of_writing(role: MakeRole) -> None:
    (one,) = generate(Lists(*QUESTIONS), [role()], 3, SAMPLING)
    assert [q.text for q in one.questions] == list(QUESTIONS)
    assert {q.judgement for q in one.questions} == {None}


def test_repeated_cut_off_and_failed_ones_are_replaced_by_new_ones(role: MakeRole) -> None:
    writer = Lists(QUESTIONS[0], QUESTIONS[0].upper(), None, QUESTIONS[1], QUESTIONS[2])
    (one,) = generate(writer, [role()], 3, SAMPLING, judge=LengthJudge())
    assert [q.text for q in one.questions] == sorted(QUESTIONS, key=len, reverse=True)
    assert len({seed for _, _, seed in writer.calls}) == len(writer.calls) == 2


def test_too_few_are_said_with_the_reasons_and_other_roles_are_not_written_again(role: MakeRole) -> None:
    texts = [*QUESTIONS[:2], QUESTIONS[0], "Cut off", QUESTIONS[0], None]
    writer = Lists(*texts)
    good, short = generate(writer, [role(0), role(1)], 2, SAMPLING)
    assert (len(good.questions), good.shortfall) == (2, "")
    assert short.shortfall == (
        "1 of 2; of 4 written, 1 repeating others; 1 cut off at the length limit; 1 timeout: no answer"
    )
    assert [calls[:2] for calls in writer.calls] == [(2, 2), (1, 1), (1, 1)]


def test_questions_with_half_of_their_wording_in_common_are_the_same(role: MakeRole) -> None:
    one = "How would you find out why the queue of the payment service grows at night?"
    assert is_same(role(), one, "How would you find out why the queue of the billing service grows on Sundays?")
    assert not is_same(role(), one, QUESTIONS[1])
    assert is_same(role(), "Why?", " why?")
    assert not is_same(role(), "Why?", "When?")
    kept = choose(role(), [Question(text, None, cast(Any, None)) for text in (one, one, QUESTIONS[1])], 5)
    assert [q.text for q in kept] == [one, QUESTIONS[1]]


def test_what_cannot_work_is_refused_before_anything_is_written(role: MakeRole) -> None:
    wrong: list[dict[str, Any]] = [{"n": 0}, {"n": 1, "best_of": 0}, {"n": 1, "best_of": 2}]
    for arguments in wrong:
        writer = Lists()
        with pytest.raises(ConfigError):
            generate(writer, [role()], arguments.pop("n"), SAMPLING, **arguments)
        assert not writer.calls


def test_progress_is_reported_and_may_cancel(role: MakeRole) -> None:
    seen = []
    generate(Lists(*QUESTIONS), [role()], 3, SAMPLING, judge=RubricJudge(), report=lambda *what: seen.append(what))
    assert list(dict.fromkeys(doing for doing, _ in seen)) == ["loading lists", "writing", "judging with rubric"]
    assert seen[-1] == ("judging with rubric", 1.0)

    def cancel(doing: Any, share: Any) -> None:
        if doing == "writing" and share:
            raise Cancelled

    with pytest.raises(Cancelled):
        generate(Lists(*QUESTIONS), [role()], 3, SAMPLING, report=cancel)


# ---- for programs ----------------------------------------------------------------------------------------------------


def test_three_lines_of_python(tiny_writer_folder: Any) -> None:
    writer = QuestionWriter(str(tiny_writer_folder))
    questions = writer.questions(
        title="Senior Backend Engineer", stack=["Go", "Kafka"], n=2, sampling=SamplingParams(200, temperature=3.0)
    )
    assert all(question.text for question in questions)
    with pytest.raises(DataError, match="no title"):
        writer.questions(stack=["Go"])


def test_what_the_starter_writes_is_judged_by_itself_without_a_word() -> None:
    ensure_starter(REPOSITORY / "exports/starter")
    writer = QuestionWriter("starter")
    fields: dict[str, Any] = {"title": "Senior Backend Engineer", "stack": ["Go", "Kafka"]}
    (question,) = writer.questions(**fields)
    assert known(question.judgement).reasoning.startswith("What readers gave")


def test_in_a_notebook_whose_loop_runs_already(tiny_writer_folder: Any, tmp_path: Path) -> None:
    async def cell() -> list[Question]:
        with FakeJudge() as server:
            settings = named_judge("openai_compatible/m", server.openai_url)
            settings = dataclasses.replace(settings, cache_path=str(tmp_path / "cache.sqlite"))
            writer = QuestionWriter(str(tiny_writer_folder), make_judge(settings))
            fields: dict[str, Any] = {"title": "Senior Backend Engineer", "stack": ["Go"]}
            first = writer.questions(**fields, best_of=2, sampling=SamplingParams(40, temperature=3.0))
            return first + writer.questions(**fields, seed=1, sampling=SamplingParams(40, temperature=3.0))

    assert all(each.judgement and each.judgement.scores for each in asyncio.run(cell()))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import recruiter, sys; print('torch' in sys.modules, 'pydantic' in sys.modules, recruiter.__version__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["False", "False"]


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(given: str | None) -> None:
    """What torch's threads were told is asked of the library that reads it, once, when torch is imported."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {"OMP_DISPLAY_ENV": "TRUE", **({"OMP_WAIT_POLICY": given} if given else {})}
    for code in ("import recruiter.engines.loading", "import src.recruiter.main, torch", "import app, torch"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            env={**environment, "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}/feedback-ui"},
        )
        assert done.returncode == 0, done.stderr
        assert f"OMP_WAIT_POLICY = '{given or 'PASSIVE'}'" in done.stderr


@pytest.fixture(scope="session")
def tiny_writer_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.engines.conftest import tiny_model, tiny_tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_settings_are_those_of_training(tiny_writer_folder: Any, tmp_path: Path) -> None:
    from recruiter.writers.generate import sampling_of

    assert sampling_of(LocalWriter(str(tiny_writer_folder))) == SamplingParams(256)
    assert sampling_of(LocalWriter("exports/starter", name="starter")) == SamplingParams(128, temperature=0.5)
    stored = '{"temperature": 0.7, "top_p": 0.8, "top_k": 20, "do_sample": true}'
    (tmp_path / "generation_config.json").write_text(stored)  # a model from elsewhere, as its makers recommend
    assert sampling_of(LocalWriter(str(tmp_path))) == SamplingParams(256, temperature=0.7, top_p=0.8, top_k=20)
    (tmp_path / "export.json").write_text("{}")
    (tmp_path / "generation_config.json").write_text('{"temperature": 0.7, "top_p": 0.9, "do_sample": true}')
    assert sampling_of(LocalWriter(str(tmp_path))) == SamplingParams(256, temperature=0.7, top_p=0.9)


# ---- sheets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sets(role: MakeRole) -> Any:
    texts = ("How [would] you, | do it?", QUESTIONS[1], "unscored " + QUESTIONS[2])
    good = generate(Lists(*texts), [role()], 3, SAMPLING, judge=LengthJudge())
    return good + generate(Lists(*[QUESTIONS[0]] * 4), [role(1)], 2, SAMPLING)


def test_text_fits_the_width_and_says_everything(sets: Any) -> None:
    text = format_sets(sets, "text", {"model": "m", "criteria": RUBRIC.names}, 60)
    assert max(map(len, text.splitlines())) <= 60
    joined = " ".join(text.split())
    for part in ("(junior; Python, PostgreSQL)", "1. Two workers", "8.7 of 10 (relevance 8.7", "Its length.",
                 "How [would] you, | do it?", "No score: no answer",
                 "Only 1 of 2; of 4 written, 3 repeating others."):  # fmt: skip
        assert part in joined


def test_json_and_csv_hold_roles_scores_and_reasons_and_can_be_judged_again(sets: Any, tmp_path: Path) -> None:
    data = json.loads(format_sets(sets, "json", {"model": "m", "seed": 3, "criteria": RUBRIC.names}))
    assert (data["model"], data["seed"], len(data["sets"])) == ("m", 3, 2)
    first, _, last = data["sets"][0]["questions"]
    assert (first["composite"], first["reasoning"]) == (8.7, "Its length.")
    assert (last["composite"], last["unscored_reason"]) == (None, "no answer")
    path = tmp_path / "q.csv"
    path.write_text(format_sets(sets, "csv", {"criteria": RUBRIC.names}), encoding="utf-8")
    assert len(list(csv.DictReader(path.read_text().splitlines()))) == 4
    again = read_questions(path, {})
    assert [(role, text) for role, text in again] == [(s.role, q.text) for s in sets for q in s.questions]


def test_markdown_shows_what_looks_like_html_as_it_stands() -> None:
    text = "Why does <b>this</b> `a < b && <T>` hold for 1 < 2?"
    assert as_markdown(text) == "Why does &lt;b>this&lt;/b> `a < b && <T>` hold for 1 < 2?"


def test_an_ending_that_is_not_written_is_refused(tmp_path: Path) -> None:
    for script, asked in (
        ("generate", ["--title", "Engineer", "--stack", "Go"]),
        ("judge", ["--role", "ad-serving-01", "Why?"]),
    ):
        for name, told in (("out.docx", "names no format; end it in"), ("nowhere/out.csv", "there is no folder")):
            command = [sys.executable, f"scripts/{script}.py", *asked, "--output", str(tmp_path / name)]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
            assert done.returncode == 1
            assert told in done.stderr


def test_markdown_names_model_and_judge(sets: Any) -> None:
    text = format_sets(sets, "markdown", {"model": "m", "judge": "length"})
    assert text.startswith("## Backend Engineer, Area 0 (junior; Python, PostgreSQL)\n\n1. Two workers")
    assert "Written by m, judged by length." in text


# ---- the command -----------------------------------------------------------------------------------------------------


def run(*arguments: Any, stdin: str = "", **environment: Any) -> Any:
    command = [sys.executable, "scripts/generate.py", *map(str, arguments)]
    environment = {**os.environ, "XAI_API_KEY": "", "COLUMNS": "80", **environment}
    return subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, input=stdin, timeout=60
    )


def test_a_budget_needs_a_price_and_the_option_that_is_named_gives_it(tmp_path: Path) -> None:
    with FakeJudge() as server:
        asked = ("--model", "openai_compatible/fake", "--base-url", server.openai_url, "--title", "Engineer", "--stack", "Go",
                 "-n", 1, "--budget-usd", "0.5")  # fmt: skip
        refused = run(*asked)
        assert refused.returncode == 1
        assert "--budget-usd=0.5 needs the price of fake: write --price fake INPUT OUTPUT" in refused.stderr
        done = run(*asked, "--price", "fake", "1", "2")
    assert done.returncode == 0, done.stderr
    assert "$0." in done.stderr


def test_a_judge_at_an_address_of_its_own_is_asked_there(role: MakeRole) -> None:
    judge_name = f"openai_compatible/judge-{uuid.uuid4()}"  # no cache knows what it said
    with FakeJudge() as model, FakeJudge() as judge:
        done = run(
            "--model", "openai_compatible/fake", "--base-url", model.openai_url, "--title", "Engineer", "--stack", "Go",
            "-n", 1, "--judge", judge_name, "--judge-base-url", judge.openai_url,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "of 10 (relevance" in done.stdout
        asked = len(judge.requests)
        assert asked
        writer = QuestionWriter(
            "openai_compatible/fake", judge_name, base_url=model.openai_url, judge_base_url=judge.openai_url
        )
        (question,) = writer.questions(role(1))
        assert len(judge.requests) > asked
    assert question.judgement
    assert question.judgement.scores


@pytest.mark.parametrize("command", ["generate", "judge", "eval"])
def test_people_are_not_waited_for_where_nobody_is_asked(command: str) -> None:
    asked = {
        "generate": ["--model", "starter", "--title", "Engineer", "--stack", "Go"],
        "judge": ["--role", "ad-serving-01", "How do you find the slow query?"],
        "eval": ["--model", "starter", "--roles", "data/backend_roles.json"],
    }
    arguments = [sys.executable, f"scripts/{command}.py", *asked[command], "--judge", "human"]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("--judge human cannot be waited for here: have people read")
    assert len(done.stderr.splitlines()) == 1
    with pytest.raises(ConfigError, match="--judge human cannot be waited for here"):
        QuestionWriter("starter", judge="human")


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("-n", 0, "1 or more"),
        ("--temperature", -1, "0 or more and up to 10"),
        ("--budget-usd", 0, "above 0"),
        ("--price", "m", "3 arguments"),
    ],
)
def test_numbers_that_cannot_work_are_refused(option: str, value: Any, wanted: str) -> None:
    done = run("--title", "Engineer", "--stack", "Go", option, value)
    assert done.returncode == 1
    assert option in done.stderr
    assert wanted in done.stderr


def test_command_writes_judges_and_says_what_it_assumed_and_what_comes_next(tmp_path: Path) -> None:
    with FakeJudge() as server:
        done = run(
            "--model", "openai_compatible/fake", "--base-url", server.openai_url, "--title", "Backend Engineer, Search",
            "--stack", "Go, Kafka", "-n", 2, "--best_of", 2,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Backend Engineer, Search (mid; Go, Kafka)"
    assert max(map(len, lines)) <= 80
    assert done.stdout.count("of 10 (relevance") == 2
    for said in ("Assumed: level mid; skills Go, Kafka; no description.", "rubric picks the best", "--seed 1"):
        assert said in done.stderr


def test_command_reads_pasted_text_and_files_and_writes_files(tmp_path: Path) -> None:
    roles, output = tmp_path / "roles.csv", tmp_path / "out.md"
    roles.write_text("Title,Stack\nEngineer A,Go\nEngineer B,Java; Spring\n")
    with FakeJudge(Faults(["refusal"], share=1.0, times=None, after=3)) as server:
        model = ("--model", server.openai_url, "-n", "1")
        done = run(*model, "--description", "-", "--format", "json", stdin="Senior Engineer\nWrites Rust and SQL.\n")
        assert done.returncode == 0, done.stderr
        data = json.loads(done.stdout)
        assert data["sets"][0]["role"]["stack"] == ["Rust", "SQL"]
        done = run(*model, "--roles", roles, "--output", output)
        assert done.returncode == 0, done.stderr
        assert "Wrote 2 questions for 2 roles" in done.stderr
        assert output.read_text().count("## Engineer") == 2
        done = run(*model, "--roles", roles, "-n", "2")
    assert done.returncode == 2
    assert "refusal: the model declined" in done.stdout
    assert "2 of 2 roles got fewer than 2 questions." in done.stderr


def test_a_file_is_its_text_where_a_description_or_a_role_is_named(tmp_path: Path) -> None:
    advertisement = tmp_path / "ad.txt"
    advertisement.write_text("Senior Engineer\nWrites Rust and SQL.\n")
    with FakeJudge() as server:
        for option in ("--description", "--role"):
            done = run("--model", server.openai_url, "-n", 1, "--format", "json", option, advertisement)
            assert done.returncode == 0, done.stderr
            role = json.loads(done.stdout)["sets"][0]["role"]
            assert (role["title"], role["stack"]) == ("Senior Engineer", ["Rust", "SQL"])


def test_command_that_ends_early_writes_the_roles_that_are_finished(tmp_path: Path) -> None:
    roles, output = tmp_path / "roles.csv", tmp_path / "out.json"
    roles.write_text("Title,Stack\n" + "".join(f"Engineer {n},Go\n" for n in range(3)))
    with FakeJudge(Faults(["no_credit"], share=1.0, times=None, after=140)) as server:
        done = run("--model", server.openai_url, "-n", "1", "--best_of", 70, "--roles", roles, "--output", output)
    assert done.returncode == 1
    assert "These are 2 of 3 roles." in done.stderr
    assert "is used up" in done.stderr.strip().splitlines()[-1]
    assert [one["role"]["title"] for one in json.loads(output.read_text())["sets"]] == ["Engineer 0", "Engineer 1"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--title", "Engineer", "--stack", "Go", "--model", "grok-4-1"], ["XAI_API_KEY"]),
        (["--title", "Engineer", "--model", "starter"], ["no stack"]),
        (["--roles", "nowhere.csv"], ["--roles: there is no file nowhere.csv"]),
        (["--role", "nobody", "--model", "starter"], ["--role nobody"]),
        (["--title", "Engineer", "--stack", "Go", "--model", "nothing"], ["There is no model nothing"]),
        (["--title", "Engineer", "--stack", "Go", "--model", "startr"], ["did you mean starter: write one of"]),
        (["--title", "E", "--stack", "Go", "--model", "starter", "--checkpoint", "x"], ["--checkpoint belongs to"]),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[Any], parts: list[Any]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert all(part in done.stderr for part in parts)
