"""Kits: every way in which a part can fail ends in a kit with fewer parts and the reason."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recruiter import QuestionWriter
from recruiter.config import SamplingParams
from recruiter.errors import ApiError, ConfigError
from recruiter.prompts import POINTS_EXAMPLE
from recruiter.roles import Role
from recruiter.writers.finding import find_writer
from recruiter.writers.generate import generate
from recruiter.writers.kit import Guide, Kit, KitQuestion
from recruiter.writers.kit.making import choose_skills, line_of, make_kit
from recruiter.writers.kit.sheets import render_kits
from recruiter.writers.local import LocalWriter
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge
from tests.fake_judge.server import GUIDE, POINTS, Request
from tests.kits import WHOLE_GUIDE, sample_kit
from tests.test_generate import run
from tests.writers.conftest import MakeWriter

ANSWERS, WRITES = "You are an experienced engineer and help", "You write guides"
CHECKS, GRADES = "You check guides", "You say how difficult"


@pytest.fixture
def wanted(role: MakeRole) -> Role:
    return role(
        description="Keep a payment service correct while providers time out. Design indexes for tables of 2 billion rows.",
        key_skills=["index design", "backpressure", "idempotent retries", "schema changes"],
    )


def answered(text: str | None, ended: str = "stop") -> tuple[int, Any]:
    """An answer of the server with this text."""
    message = {"role": "assistant", "content": text, "refusal": None if text else "No."}
    return 200, {"choices": [{"message": message, "finish_reason": ended}], "usage": {"completion_tokens": 9}}


def only(beginning: str, answer: tuple[int, Any]) -> Callable[[Request], tuple[int, Any] | None]:
    """This answer to what begins so."""
    return lambda request: answer if request.system.startswith(beginning) else None


def asked(server: FakeJudge, beginning: str) -> list[Request]:
    return [request for request in server.requests if request.system.startswith(beginning)]


def test_a_kit_covers_skills_and_each_question_has_its_guide(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    steps: list[str] = []
    kit = make_kit(api_writer(), wanted, 3, report=lambda doing, share: steps.append(doing))
    assert [made.skill for made in kit.questions] == ["index design", "backpressure", "idempotent retries"]
    assert kit.left_out == ["schema changes"]
    assert len({made.question for made in kit.questions}) == 3
    assert kit.questions[0].line == "Design indexes for tables of 2 billion rows."
    assert kit.questions[1].line is None
    assert all(made.guide == WHOLE_GUIDE and known(made.checked).is_passed for made in kit.questions)
    assert (kit.is_whole, kit.minutes, kit.checked_by) == (True, 12, kit.model)
    assert Kit.model_validate_json(kit.model_dump_json()) == kit
    for doing in ("writing questions", "writing guides", "checking guides"):
        assert doing in steps
    sent = len(server.requests)
    assert make_kit(api_writer(), wanted, 3) == kit
    assert len(server.requests) == sent  # everything was paid once


def test_a_question_without_a_word_of_its_skill_is_not_said_to_test_it(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    server.is_on_skill = False
    kit = make_kit(api_writer(), wanted, 2)
    assert kit.left_out == ["idempotent retries", "schema changes", "index design", "backpressure"]
    assert [made.missing for made in kit.questions] == [
        [f"It was asked for on {made.skill}, and has no word of that."] for made in kit.questions
    ]
    assert "Tests: " not in render_kits([kit], "markdown")
    assert "not found in the question: index design" in render_kits([kit], "markdown")
    assert render_kits([kit], "csv").count("not found in the question: ") == 2
    assert "<td>index design</td>" not in render_kits([kit], "html")


@pytest.mark.parametrize(
    ("skill", "line", "question", "is_on"),
    [
        ("connection storms", None, "What does a cloud company use to manage its disaster recovery processes?", False),
        ("connection storms", None, "40,000 chargers reconnect at once in a storm of connections. What breaks?", True),
        ("idempotency", None, "A retry repeats a booking. How do you keep its effect from happening twice?", True),
        ("PostgreSQL", None, "Why may Postgres ignore an index?", True),
        ("Kafka", None, "The consumer lag of one partition grows. What do you look at?", True),
        ("Kafka", None, "How do you review code?", False),
        ("schema changes", "Rename columns that services read.", "How do you rename columns without downtime?", True),
        ("Go", None, "How does Go stop a goroutine?", True),
        ("Ausfallsicherheit", None, "Wie prüfen Sie die Ausfallsicherheit einer Datenbank?", True),
        ("Ausfallsicherheit", None, "Wie benennen Sie Variablen?", False),
        ("索引设计", None, "您如何设计一个索引？", True),
        ("索引设计", None, "您如何处理消息？", False),
    ],
)
def test_a_question_is_on_its_skill_if_it_has_words_of_it(
    skill: str, line: str | None, question: str, is_on: bool
) -> None:
    assert KitQuestion(question=question, skill=skill, line=line, level="mid").is_on_skill is is_on


def test_skills_to_cover_come_first_and_more_questions_than_skills_use_the_stack(wanted: Role) -> None:
    skills, left = choose_skills(wanted, ["deadlocks", "Backpressure"], 3)
    assert (skills, left) == (
        ["deadlocks", "Backpressure", "index design"],
        ["idempotent retries", "schema changes"],
    )
    assert choose_skills(wanted, [], 7)[0][4:] == ["Python", "PostgreSQL", "index design"]
    assert line_of("数据库索引设计", "负责订单系统。\n熟悉数据库索引的设计与优化。") == "熟悉数据库索引的设计与优化。"


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ({}, "point_1 is missing"),
        (
            {"point_1": "Bakes bread with sourdough.", "point_2": "Kneads dough by hand on Tuesdays.",
             "point_3": "Serves warm cake afterwards.", "point_4": "Roasts coffee beans slowly."},
            "nothing to do",
        ),
        ({**POINTS, "point_2": "...", "point_3": "<sentence>"}, "point_2 is a placeholder; point_3 is a placeholder"),
        (dict.fromkeys(POINTS, "Understands it."), "too short"),
        (dict.fromkeys(POINTS, POINTS["point_2"]), "says again"),
        (POINTS_EXAMPLE, "copied from the example"),
        (dict.fromkeys(POINTS, "Has a good understanding of Kafka and queues."), "fits every question"),
        (dict.fromkeys(POINTS, "Uses various strategies to ensure that all requirements are met."), "fits every question"),
    ],
)  # fmt: skip
def test_a_guide_that_cannot_be_used_is_asked_for_once_more_and_then_left_out(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role, points: dict[str, Any], said: str
) -> None:
    server.parts[ANSWERS] = points
    kit = make_kit(api_writer(), wanted, 1)
    (made,) = kit.questions
    assert (made.guide, made.checked, kit.is_whole) == (None, None, False)
    assert made.missing[0].startswith("No guide: ")
    assert said in made.missing[0]
    first, second = asked(server, ANSWERS)
    assert not asked(server, WRITES)
    assert said in second.body["messages"][-1]["content"]
    assert second.body["messages"][: len(first.body["messages"])] == first.body["messages"]


@pytest.mark.parametrize(
    ("change", "said", "left"),
    [
        ({"score_4": GUIDE["score_3"]}, "score_4 says again", {"scale": []}),
        ({"score_1": None}, "score_1 is missing", {"scale": []}),
        ({"probe_1": "..."}, "probe_1 is a placeholder", {"probes": []}),
        ({"probe_1": "The network is the culprit."}, "probe_1 is no question", {"probes": []}),
        (
            {"probe_1": "How does the candidate handle a network that fails?"},
            "speaks to the interviewer",
            {"probes": []},
        ),
        ({"score_4": "The candidate does not mention the lag."}, "says what is lacking", {"scale": []}),
        ({"weak_2": GUIDE["weak_1"]}, "weak_2 says again", {"weak": [GUIDE["weak_1"]]}),
        (
            {"point_2": POINTS["point_1"]},
            "point_2 says again",
            {"good": [text for name, text in POINTS.items() if name != "point_2"]},
        ),
    ],
)
def test_a_part_of_a_guide_that_cannot_be_used_is_left_out_alone_with_the_reason(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role, change: dict[str, Any], said: str, left: dict[str, Any]
) -> None:
    for beginning, part in ((ANSWERS, POINTS), (WRITES, GUIDE)):
        wanted_of_it = {name: change.get(name, text) for name, text in part.items()}
        server.parts[beginning] = {name: text for name, text in wanted_of_it.items() if text is not None}
    kit = make_kit(api_writer(), wanted, 1)
    (made,) = kit.questions
    assert made.guide == WHOLE_GUIDE.model_copy(update=left)
    assert [said in text for text in made.missing] == [True]
    assert made.missing[0].startswith("Left out of the guide: ")
    assert len(asked(server, ANSWERS)) + len(asked(server, WRITES)) == 3
    for form in ("markdown", "html", "csv"):
        assert "A good answer" in render_kits([kit], form)


@pytest.mark.parametrize("rest", [{"minutes": "soon"}, {"minutes": 5}])
def test_a_guide_whose_rest_does_not_come_holds_its_points(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role, rest: dict[str, Any]
) -> None:
    server.parts[WRITES] = rest
    (made,) = make_kit(api_writer(), wanted, 1).questions
    assert known(made.guide) == Guide(good=list(POINTS.values()))
    assert [text.startswith("The guide has only points") for text in made.missing] == [True]


def test_the_second_try_takes_the_place_of_a_worse_first_one(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    tries = [{**GUIDE, "probe_1": "..."}, GUIDE]
    server.instead = lambda request: answered(json.dumps(tries.pop(0))) if request.system.startswith(WRITES) else None
    kit = make_kit(api_writer(), wanted, 1)
    assert kit.questions[0].guide == WHOLE_GUIDE
    assert kit.is_whole


def test_a_server_that_takes_no_schema_is_asked_without(server: FakeJudge, wanted: Role) -> None:
    refused = 400, {"error": {"message": "response_format is not supported by this server"}}
    server.instead = lambda request: refused if "response_format" in request.body else None
    kit = make_kit(find_writer(server.openai_url), wanted, 1)
    assert kit.questions[0].guide == WHOLE_GUIDE
    assert kit.is_whole


def test_a_model_of_ones_own_does_not_check_its_own_guides(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    own = find_writer(server.openai_url)
    kit = make_kit(own, wanted, 1)
    assert kit.questions[0].guide
    assert (kit.questions[0].checked, kit.checked_by, kit.is_whole) == (None, None, True)
    assert "checked by nobody" in render_kits([kit], "markdown")
    assert not asked(server, CHECKS)
    assert asked(server, WRITES)[0].body["response_format"]
    kit = make_kit(own, wanted, 1, difficulty="hard")
    assert "but no judge read the guides" in render_kits([kit], "markdown")
    judge = api_writer()
    kit = make_kit(own, wanted, 1, checker=judge)
    assert known(kit.questions[0].checked).is_passed
    assert kit.checked_by == judge.name


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answered(None), "refusal"),
        (answered('{"point_1": "Compares', "length"), "cut off"),
        ((500, {"error": "Internal error"}), "server_error"),
        (answered("I cannot say."), "no JSON object"),
    ],
)
def test_a_guide_that_does_not_come_is_left_out_with_the_reason(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role, answer: tuple[int, Any], said: str
) -> None:
    server.instead = only(ANSWERS, answer)
    kit = make_kit(api_writer(), wanted, 2)
    assert [made.guide for made in kit.questions] == [None, None]
    assert all(said in made.missing[0] for made in kit.questions)


def test_a_rejected_guide_is_written_anew_once_and_then_left_out(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    server.parts[CHECKS] = {"reason": "Jitter is wrong here.", "right": False, "specific": True, "answers": True}
    kit = make_kit(api_writer(), wanted, 1)
    (made,) = kit.questions
    assert made.guide is None
    assert made.missing == [f"No guide: {kit.guide_model} rejected it: Jitter is wrong here."]


def test_a_guide_that_nobody_could_check_stays_and_that_is_said(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    server.instead = only(CHECKS, answered("Fine."))
    kit = make_kit(api_writer(), wanted, 1)
    (made,) = kit.questions
    assert made.guide
    assert (made.checked, kit.checked_by) == (None, None)
    assert made.missing[0].startswith("Nobody checked the guide")


def test_difficulty_is_checked_and_a_question_of_another_one_is_written_anew(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    kit = make_kit(api_writer(), wanted, 1, difficulty="hard")
    assert (kit.questions[0].difficulty, kit.questions[0].missing) == ("hard", [])
    tries = len(asked(server, GRADES))
    kit = make_kit(api_writer(), wanted, 1, difficulty="easy")
    assert kit.questions[0].difficulty == "hard"
    assert "asked for as easy" in kit.questions[0].missing[0]
    assert len(asked(server, GRADES)) - tries > 1


def test_a_spent_budget_leaves_what_was_paid(api_writer: MakeWriter, server: FakeJudge, wanted: Role) -> None:
    whole = api_writer()
    make_kit(whole, wanted, 3)
    spent = whole.usage.cost_usd
    server.requests.clear()
    (Path(whole._cache)).unlink()
    kit = make_kit(api_writer(budget_usd=0.6 * known(spent)), wanted, 3)
    assert kit.questions
    reasons = [*kit.notes, *(text for made in kit.questions for text in made.missing)]
    assert reasons
    assert all("would exceed" in text for text in reasons)
    with pytest.raises(ApiError, match="would exceed"):
        make_kit(api_writer(budget_usd=1e-9), wanted.model_copy(update={"title": "Other"}), 3)


def test_a_refused_question_leaves_its_skill_uncovered(api_writer: MakeWriter, server: FakeJudge, wanted: Role) -> None:
    server.instead = lambda request: answered(None) if "It tests backpressure." in request.message else None
    kit = make_kit(api_writer(), wanted, 2)
    assert [made.skill for made in kit.questions] == ["index design"]
    assert kit.notes == ["No question on backpressure: refusal: the model declined."]
    assert "backpressure" in kit.left_out


def test_another_model_may_write_the_guides_and_another_check(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    guides, checker = api_writer("openai"), api_writer("anthropic")
    kit = make_kit(api_writer(), wanted, 1, guide_writer=guides, checker=checker)
    assert (kit.guide_model, kit.checked_by) == (guides.name, checker.name)
    assert {request.path for request in asked(server, CHECKS)} == {"/v1/messages"}


def test_a_question_in_another_language_than_asked_is_named(api_writer: MakeWriter, wanted: Role) -> None:
    kit = make_kit(api_writer(), wanted, 1, language="de")
    assert kit.language == "de"
    assert "asked for in German and came in English" in kit.questions[0].missing[-1]


def test_questions_are_asked_for_in_the_language_of_the_description_or_the_one_asked_for(
    api_writer: MakeWriter, server: FakeJudge, wanted: Role
) -> None:
    german = wanted.model_copy(update={"description": "Du entwickelst die Dienste für Zahlungen und bist für sie da."})
    cases: list[tuple[Role, Any, str]] = [
        (wanted, None, "role."), (german, None, "German."), (german, "en", "role."), (wanted, "zh", "Chinese."),
    ]  # fmt: skip
    for role, language, end in cases:
        server.requests.clear()
        generate(api_writer(), [role], 1, SamplingParams(64, temperature=0.9), seed=len(end), language=language)
        assert server.requests[0].message.endswith(end)


def test_a_model_that_cannot_write_guides_leaves_them_empty(wanted: Role, tiny_writer_folder: Path) -> None:
    kit = make_kit(LocalWriter(str(tiny_writer_folder), name="tiny"), wanted, 1, sampling=SamplingParams(16))
    reasons = [*kit.notes, *(text for made in kit.questions for text in made.missing)]
    assert reasons
    assert not any(made.guide for made in kit.questions)


def test_impossible_wishes_are_refused(api_writer: MakeWriter, wanted: Role) -> None:
    for wish, said in (
        ({"n": 0}, "1 to 20"),
        ({"n": 1, "cover": ["a", "b"]}, "raise -n"),
        ({"n": 1, "best_of": 2}, "needs a judge"),
    ):
        with pytest.raises(ConfigError, match=said):
            make_kit(api_writer(), wanted, **wish)


def test_sheets_hold_everything_and_cells_are_no_formulas(role: MakeRole) -> None:
    kit = sample_kit(role(2))
    rows = list(csv.DictReader(io.StringIO(render_kits([kit], "csv"))))
    assert {"attribute", "question", "guidance", "rating_scale"} <= rows[0].keys()
    assert rows[0]["rating_scale"].startswith("1: Guesses at random causes.")
    assert "• Adds more workers" in rows[0]["guidance"]
    assert (rows[1]["question"][:2], rows[2]["attribute"]) == ("'=", "'-latency")
    assert not any(cell[:1] in ("=", "+", "-", "@") for row in rows for cell in row.values())
    assert next(iter(csv.DictReader(io.StringIO(render_kits([kit], "csv", True))))).keys() == {"role", "question"}
    stored = json.loads(render_kits([kit], "json"))["kits"][0]
    assert Kit.model_validate(stored) == kit
    text = render_kits([kit], "markdown")
    assert "**A good answer**" in text
    assert "*Missing here: No guide: starter wrote none that can be used.*" in text
    for form in ("markdown", "html", "json", "csv"):
        told = render_kits([kit], form, for_candidate=True)
        assert "Latency tripled" in told
        assert "idempotency" not in told
        assert POINTS["point_1"] not in told


def test_command_writes_sheets_and_says_what_is_missing(tmp_path: Path) -> None:
    with FakeJudge() as server:
        server.parts[ANSWERS] = {}
        kit = ("--kit", "--model", server.openai_url, "--title", "Backend Engineer", "--stack", "Go, Kafka", "-n", "2")
        done = run(*kit, "--output", tmp_path / "kit.html", "--cover", "leases")
        assert done.returncode == 2, done.stderr
        assert "2 questions, 0 with a guide." in done.stderr
        assert "wrote none that can be used" in done.stderr
        assert "leases" in (tmp_path / "kit.html").read_text()
        for wrong, said in (
            (("--output", tmp_path / "kit.docx"), "names no format"),
            (("--format", "text"), "a kit is written as"),
            (("-n", "30"), "at most 20"),
        ):
            done = run(*kit, *wrong)
            assert done.returncode in (1, 2)
            assert said in done.stderr
        assert "belongs to --kit" in run("--model", "starter", "--title", "E", "--stack", "Go", "--cover", "x").stderr


def test_from_python_a_kit_takes_three_lines(api_writer: MakeWriter) -> None:
    writer = QuestionWriter(api_writer())
    kit = writer.kit(title="Backend Engineer", stack=["Go", "Kafka"], n=2, difficulty="hard")
    assert [made.skill for made in kit.questions] == ["Go", "Kafka"]
    assert all(made.guide and made.difficulty == "hard" for made in kit.questions)
