"""Blind reads without a command: what is on a sheet, what readings may look like, and figures worked out by hand."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from recruiter.errors import ConfigError, DataError
from recruiter.evaluation.blind import is_of, make_sheet, with_sheet
from recruiter.evaluation.readings import read_readings
from recruiter.evaluation.records import Mark, ReaderKind, Reading, Sheet
from recruiter.evaluation.results import Results, load_results
from recruiter.evaluation.tables import markdown
from recruiter.report.sheet import write_sheet
from tests.conftest import MakeRole, known
from tests.report_data import make_results

JUDGED = {"base": lambda judge, n: 4.0, "rl": lambda judge, n: 3.0 + n}
RUBRIC_RUN: dict[str, object] = {"run": "checkpoints/x", "step": 3, "judge": "rubric", "config": None}


def results_of(role: MakeRole, roles: int = 6, **changes: object) -> Results:
    return make_results([role(i) for i in range(roles)], JUDGED, **changes)  # type: ignore[arg-type]


def reading(results: Results, sheet: Sheet, scores: Mapping[str, list[float]], kind: ReaderKind = "person") -> Reading:
    """A reader who gives the n-th role's question by a model `scores[model][n]`; a negative one makes no sense."""
    place = {role.id: n for n, role in enumerate(results.roles)}
    marks = {}
    for item in sheet.items:
        score = scores[item.samples[0][0]][place[item.role_id]]
        marks[item.id] = Mark(score=abs(score), no_sense=score < 0)
    return Reading(kind=kind, marks=marks)


def read(results: Results, readings: Mapping[str, Reading], sheet: Sheet) -> Results:
    return with_sheet(results, sheet.model_copy(update={"readings": dict(readings)}))


# ---- the sheet -------------------------------------------------------------------------------------------------------


def test_a_sheet_holds_every_question_once_and_neither_names_nor_scores(role: MakeRole, tmp_path: Path) -> None:
    results = results_of(role, question=lambda model, n: "The same?" if n == 2 else f"Case {n}, {len(model)}: why?")
    sheet = make_sheet(results, seed=5)
    assert len(sheet.items) == 11  # role 2 has one text
    assert next(len(item.samples) for item in sheet.items if item.role_id == "role-002") == 2
    key = write_sheet(results, sheet, tmp_path / "sheet")
    assert key == tmp_path / "sheet.key.json"
    assert hashlib.sha256(key.read_bytes()).hexdigest() == sheet.hash
    assert json.loads(key.read_text())["questions"][sheet.items[0].id]["role"] == sheet.items[0].role_id
    for name in ("sheet.md", "sheet.csv", "sheet.html"):
        text = (tmp_path / "sheet" / name).read_text(encoding="utf-8")
        assert sheet.hash in text
        assert "Mark with X a question that makes no sense" in text
        for secret in ("base", "rl", "rubric", sheet.salt, "role-002", "seed"):
            assert f'"{secret}"' not in text
            assert name == "sheet.html" or secret not in text
        for item in sheet.items:
            assert item.id in text
    assert (tmp_path / "sheet/sheet.md").read_text().startswith("These questions were written for the roles")


def test_order_comes_from_the_seed_and_letters_say_nothing(role: MakeRole) -> None:
    results = results_of(role, roles=40)
    one, again, other = make_sheet(results, 1), make_sheet(results, 1), make_sheet(results, 2)
    assert one.items == again.items
    assert one.hash != again.hash  # salted
    assert one.items != other.items
    firsts = [item.samples[0][0] for item in one.items if item.id.endswith("A")]
    assert 10 < firsts.count("rl") < 30
    assert [item.role_id for item in one.items[::2]] != sorted(role.id for role in results.roles)
    assert len({item.role_id for item in make_sheet(results, 1, roles=7).items}) == 7


def test_what_was_not_written_is_not_on_the_sheet(role: MakeRole) -> None:
    results = results_of(role, question=lambda model, n: None if model == "rl" else "Why?")
    assert {item.samples[0][0] for item in make_sheet(results, 0).items} == {"base"}
    with pytest.raises(DataError, match="no model wrote"):
        make_sheet(results_of(role, question=lambda model, n: None), 0)


def test_texts_that_are_formulas_or_markup_do_no_harm(role: MakeRole, tmp_path: Path) -> None:
    results = results_of(role, roles=1, question=lambda model, n: "=1+1" if model == "rl" else "</script><b>a</b>\n# b")
    sheet = make_sheet(results, 0)
    write_sheet(results, sheet, tmp_path / "s")
    text = (tmp_path / "s/sheet.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(text[text.index("ID,score") :])))
    assert {row["question"] for row in rows} == {"'=1+1", "</script><b>a</b>\n# b"}
    assert "</script><b>" not in (tmp_path / "s/sheet.html").read_text()
    assert "> </script><b>a</b>\n> # b" in (tmp_path / "s/sheet.md").read_text()


def test_a_folder_that_holds_something_is_left_alone(role: MakeRole, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("1A,3")
    with pytest.raises(ConfigError, match="is there already; name a new folder"):
        write_sheet(results_of(role), make_sheet(results_of(role), 0), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


def test_a_sheet_belongs_to_its_questions(role: MakeRole) -> None:
    results, other = results_of(role), results_of(role, question=lambda model, n: f"Other {model} {n}?")
    sheet = make_sheet(results, 0)
    assert is_of(sheet, results_of(role), results)
    assert not is_of(sheet, other, results)


# ---- readings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "1A,6.5\n1B,3,X\n",
        "1a, 6.5\n1b, 3, x\n",
        "\ufeffID,score,X\r\n1A,6.5,\r\n1B,3,X\r\n",
        "id;score;x\n1A;6,5;\n1B;3;X\n",
        "1A;6,5\n1B;3;X\n",
        "# read slowly\n\n1A\t6.5\n1B\t3\tX\n",
        'ID,score,X,question\n1A,6.5,,"Why, and how?"\n1B,3,X,Why?\n2A,,,Why?\n',
    ],
)
def test_readings_as_people_and_spreadsheets_write_them(role: MakeRole, tmp_path: Path, text: str) -> None:
    path = tmp_path / "anna.csv"
    path.write_text(text, encoding="utf-8")
    found = read_readings(path, make_sheet(results_of(role), 0), "person")
    marks = {"1A": Mark(score=6.5), "1B": Mark(score=3, no_sense=True)}
    assert found == {"anna": Reading(kind="person", marks=marks)}


def test_a_file_says_who_read_and_which_sheet(role: MakeRole, tmp_path: Path) -> None:
    sheet, path = make_sheet(results_of(role), 0), tmp_path / "export.csv"
    head = "ID,score,X,reader,kind,sheet\n"
    path.write_text(f"{head}1A,6,,Anna,person,{sheet.hash}\n1A,5,,some/model,language model,{sheet.hash}\n")
    found = read_readings(path, sheet)
    assert {name: each.kind for name, each in found.items()} == {"Anna": "person", "some/model": "language model"}
    path.write_text(f"{head}1A,6,,Anna,person,{'0' * 64}\n")
    with pytest.raises(DataError, match=r"export.csv, line 2: it is of another sheet \(000000000000…"):
        read_readings(path, sheet)


def test_the_sheets_own_table_can_be_filled_in(role: MakeRole, tmp_path: Path) -> None:
    results = results_of(role)
    sheet = make_sheet(results, 0)
    write_sheet(results, sheet, tmp_path / "s")
    path = tmp_path / "s/sheet.csv"
    path.write_text(path.read_text().replace("2A,,,", "2A,7,,").replace("3B,,,", "3B,1,X,"))
    (found,) = read_readings(path, sheet).values()
    assert found.marks == {"2A": Mark(score=7), "3B": Mark(score=1, no_sense=True)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1A,5\n9Z,5\n", "line 2: there is no question 9Z on the sheet (1A to 6B)."),
        ("1A,5\n1a,6\n", "line 2: 1A stands there twice; leave one of the lines."),
        ("1A,11\n", "line 1: the score 11 of 1A is no number from 0 to 10."),
        ("1A,-1\n", "line 1: the score -1 of 1A is no number from 0 to 10."),
        ("1A,nan5\n", "line 1: the score nan5 of 1A is no number from 0 to 10."),
        ("ID,score,X\n1A,,X\n", "line 2: the score that is missing of 1A is no number from 0 to 10."),
        ("1A,5,Y\n", "line 1: Y after the score of 1A means nothing; write X or nothing."),
        ("ID,score,kind\n1A,5,cat\n", "line 2: a reader of kind cat is not known; write person or language model."),
        ("ID,score,X\n", "anna.csv holds no scores."),
        ("", "anna.csv holds no scores."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(role: MakeRole, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "anna.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_readings(path, make_sheet(results_of(role), 0))
    assert str(caught.value).endswith(said)
    assert "\n" not in str(caught.value)


# ---- figures ---------------------------------------------------------------------------------------------------------


def test_preference_mean_sense_and_agreement_by_hand(role: MakeRole) -> None:
    results = results_of(role, training={"rl": RUBRIC_RUN})
    sheet = make_sheet(results, 0)
    anna = reading(results, sheet, {"base": [5, 5, 5, 5, 5, -1], "rl": [6, 7, 8, 4, 5, 9]})
    ben = reading(results, sheet, {"base": [4, 6, 5, 5, 5, 2], "rl": [6, 5, 8, -3, 5, 9]}, "language model")
    found = read(results, {"anna": anna, "ben": ben}, sheet).reads
    assert found is not None
    base, rl = found.models["base"], found.models["rl"]
    # anna: won 4, lost 1, tied 1; ben: won 3, lost 2, tied 1; by role won 2 1 2 0 0 2, lost 0 1 0 2 0 0
    assert (rl.won, rl.lost, rl.tied) == (7, 3, 2)
    assert (base.won, base.lost, base.tied, base.preferred, base.difference) == (0, 0, 0, None, None)
    assert rl.preferred is not None
    assert rl.preferred.mean == pytest.approx(0.7)
    assert rl.preferred.low == pytest.approx(0.3059, abs=1e-4)  # as in test_statistics: the same five roles
    assert known(rl.score).mean == pytest.approx((6 + 6 + 8 + 3.5 + 5 + 9) / 6)
    assert known(rl.difference).mean == pytest.approx(((1 + 2) + (2 - 1) + (3 + 3) + (-1 - 2) + 0 + (8 + 7)) / 12)
    assert [known(rl.no_sense).mean, known(base.no_sense).mean] == pytest.approx([1 / 12, 1 / 12])
    assert known(known(base.no_sense).high) > 0.2  # one mark in six roles
    assert (known(rl.score).roles, rl.readers) == (6, ["anna", "ben"])
    (pair,) = found.agreement
    assert (pair.readers, pair.questions) == (("anna", "ben"), 12)
    assert pair.spearman == pytest.approx(0.87, abs=0.05)
    # per item differences 1 1 0 0 0 1 | 0 2 0 1 0 0: within 2 * 8/2 = 8; total over 24 values of mean 5.375
    values = [*[5] * 5, 1, 6, 7, 8, 4, 5, 9, 4, 6, 5, 5, 5, 2, 6, 5, 8, 3, 5, 9]
    total = sum((value - sum(values) / 24) ** 2 for value in values)
    assert found.alpha == pytest.approx(1 - 23 / 24 * 8 / total)
    # the judge gives base 4 and rl 3 + n; readers' means of base 4.5 5.5 5 5 5 1.5, of rl 6 6 8 3.5 5 9
    judged = found.judges["rubric"]
    assert (judged.questions, set(judged.spearman)) == (12, set(results.metrics))
    assert judged.spearman["composite"] == pytest.approx(judged.spearman["clarity"])
    assert judged.spearman["composite"] == pytest.approx(16 / (115 * 137.5) ** 0.5)  # covariance and variances of ranks


def test_the_same_text_is_a_tie_and_half_a_reading_counts_where_it_is(role: MakeRole) -> None:
    results = results_of(role, question=lambda model, n: "Same?" if n < 2 else f"{model} {n}?")
    sheet = make_sheet(results, 0)
    full = reading(results, sheet, {"base": [1] * 6, "rl": [9] * 6})
    half = Reading(kind="person", marks={name: mark for name, mark in full.marks.items() if int(name[0]) <= 3})
    found = read(results, {"full": full, "half": half}, sheet).reads
    assert found is not None
    same = [item.id for item in sheet.items if len(item.samples) == 2]
    decided = 4 + sum(f"{n}A" not in same for n in (1, 2, 3))
    assert (found.models["rl"].won, found.models["rl"].lost) == (decided, 0)
    assert found.models["rl"].tied == 9 - decided


def test_a_reader_that_takes_part_is_flagged_once(role: MakeRole) -> None:
    results = results_of(role)
    sheet = make_sheet(results, 0)
    mine = {"exports/rl": reading(results, sheet, {"base": [5] * 6, "rl": [9] * 6}, "language model")}
    flag = "Reader exports/rl: it is the contestant rl, and may favour its own questions."
    once = read(results, mine, sheet)
    assert read(once, mine, sheet).flags == [*results.flags, flag]


def test_readings_are_stored_and_lead_the_pages(role: MakeRole, tmp_path: Path) -> None:
    results = results_of(role, training={"rl": RUBRIC_RUN})
    sheet = make_sheet(results, 0)
    anna = reading(results, sheet, {"base": [5] * 6, "rl": [6, 7, 8, 6, 7, -1]})
    done = read(results, {"anna": anna, "xai/grok-4.3": anna.model_copy(update={"kind": "language model"})}, sheet)
    done.save(tmp_path / "r.json")
    assert load_results(tmp_path / "r.json") == done
    (line,) = done.evidence
    assert line.startswith("Read blind by 1 person and 1 language model: rl is preferred to base in 10 of 12 decided")
    assert line.endswith("17% of its questions make no sense, of base's 0%.")
    text = markdown(done).split("\n\n")
    assert text[1] == f"**{line}**"
    assert next(part for part in text if part.startswith("## ")).startswith("## Read blind by 1 person and 1 language")
