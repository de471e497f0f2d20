"""Statistics against the same figures computed another way, and exports against what was rated."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
from datetime import datetime
from itertools import combinations
from statistics import fmean
from typing import Any

import krippendorff
import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from feedback import export
from feedback.access import TimedCache
from feedback.correlation import ordinal_alpha, pearson
from recruiter.evaluation.calibration import tau_b

from .conftest import FAR, answer, group, hand_in

CRITERIA = ("relevance", "clarity", "discriminative")


def coincidences(reliability: Any) -> Any:
    """The coincidence matrix of (raters, units), by definition."""
    matrix = [[0.0] * 5 for _ in range(5)]
    for unit in np.array(reliability, dtype=float).T:
        given = [int(value) for value in unit if not np.isnan(value)]
        for i, j in ((i, j) for i in range(len(given)) for j in range(len(given)) if i != j):
            matrix[given[i] - 1][given[j] - 1] += 1 / (len(given) - 1)
    return matrix


def test_alpha_of_the_published_example() -> None:
    """Krippendorff 2011, section C: four observers, twelve units, with gaps; its ordinal alpha is 0.815."""
    gap = np.nan
    data = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, gap, gap, gap],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, gap, 3],
        [gap, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, gap],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, gap],
    ]
    assert ordinal_alpha(coincidences(data)) == pytest.approx(0.815, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_alpha_agrees_with_the_package(seed: Any) -> None:
    chance = random.Random(seed)
    data = [[chance.choice([1, 2, 3, 4, 5, np.nan]) for _ in range(30)] for _ in range(4)]
    expected = krippendorff.alpha(np.array(data), level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
    assert ordinal_alpha(coincidences(data)) == pytest.approx(expected)


def test_alpha_is_not_made_up() -> None:
    assert ordinal_alpha([[0.0] * 5] * 5) is None
    assert ordinal_alpha(coincidences([[3, 3], [3, 3]])) is None


def test_tau_b_by_hand() -> None:
    assert tau_b([1, 2, 3], [1, 2, 3]) == 1
    assert tau_b([1, 2, 3], [3, 2, 1]) == -1
    # Six pairs: four agree, none disagrees, one is tied in each list.
    assert tau_b([1, 2, 2, 3], [1, 1, 2, 3]) == pytest.approx(4 / 5)
    assert tau_b([1, 1], [1, 2]) is None


def test_pearson_from_sums() -> None:
    x, y = np.array([1.0, 2, 4, 5]), np.array([2.0, 1, 5, 4])
    sums = (len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum())
    assert pearson(sums[0], *map(float, sums[1:])) == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert pearson(4, 8, 8, 16, 16, 16) is None


@pytest.fixture
def rated(server: Any) -> tuple[Any, ...]:
    """Twelve groups of four, every second one rated by two of three people; scores by (group, rater, text)."""
    chance = random.Random(7)
    people = [server.rater() for _ in range(3)]
    given = {}
    for number in range(12):
        name = f"g{number}"
        texts = [f"How {number}.{q}?" for q in range(4)]
        server.training.ok("POST", "/api/groups", group(name, *texts, overlap=1 + number % 2, run=f"run-{number % 2}"))
        for index in chance.sample(range(3), 1 + number % 2):
            taken = people[index].next(prefer=name)
            body = answer(taken, 3)
            for candidate in taken["group"]["candidates"]:
                scores = {criterion: chance.randint(1, 5) for criterion in CRITERIA}
                body["ratings"][candidate["candidate_id"]] = scores
                given[name, index, candidate["text"]] = (scores, int(candidate["candidate_id"]))
            people[index].ok("POST", people[index].lease("submit", taken), body)
    return server, people, given


def test_statistics_are_what_was_rated(rated: tuple[Any, ...]) -> None:
    _, people, given = rated
    stats = people[0].ok("GET", "/api/stats")
    assert stats["counts"] == {
        "ratings": 18, "groups": 12, "questions": 72, "raters": 3, "all_equal": 0, "skipped": 0, "pending": 0, "late": 0
    }  # fmt: skip
    for criterion in CRITERIA:
        values = [scores[criterion] for scores, _ in given.values()]
        assert stats["criteria"][criterion]["mean"] == pytest.approx(fmean(values))
        assert stats["criteria"][criterion]["histogram"] == [values.count(v) for v in range(1, 6)]
        units = sorted({(name, text) for name, _, text in given})
        table = [[given[(n, r, t)][0][criterion] if (n, r, t) in given else np.nan for n, t in units] for r in range(3)]
        expected = krippendorff.alpha(np.array(table), level_of_measurement="ordinal", value_domain=[1, 2, 3, 4, 5])
        assert stats["agreement"]["alpha"][criterion] == pytest.approx(expected)
        for rater in stats["raters"]:
            index = int(rater["rater"].removeprefix("rater-")) - 1
            own = [scores[criterion] for (_, r, _), (scores, _) in given.items() if r == index]
            assert rater["means"][criterion] == pytest.approx(fmean(own))
    assert stats["agreement"]["groups"] == 6
    taus = []
    for name in {name for name, *_ in given}:
        by_rater: dict[Any, Any] = {}
        for (n, rater, _), (scores, _) in sorted(given.items()):
            if n == name:
                by_rater.setdefault(rater, []).append(sum(scores.values()))
        taus += [t for a, b in combinations(by_rater.values(), 2) if (t := tau_b(a, b)) is not None]
    assert stats["agreement"]["rank"] == pytest.approx(fmean(taus))
    overall = fmean(fmean(scores.values()) for scores, _ in given.values())
    away: dict[Any, Any] = {}
    for name, rater, _ in given:
        group_mean = fmean(fmean(s.values()) for (n, r, _), (s, _) in given.items() if (n, r) == (name, rater))
        for (n, r, _), (scores, place) in given.items():
            if (n, r) == (name, rater):
                away.setdefault(place, []).append(fmean(scores.values()) - group_mean)
    assert [p["position"] for p in stats["position"]] == [1, 2, 3, 4]
    for place in stats["position"]:
        assert place["mean"] == pytest.approx(overall + fmean(away[place["position"]]))
    assert sum(point["ratings"] for point in stats["over_time"]) == 18
    assert stats["runs"] == ["run-0", "run-1"]


def test_statistics_of_a_choice(rated: tuple[Any, ...]) -> None:
    _, people, _ = rated
    one_run = people[0].ok("GET", "/api/stats?run=run-0")
    assert (one_run["counts"]["ratings"], one_run["agreement"]["groups"]) == (6, 0)
    one_rater = people[0].ok("GET", "/api/stats?rater=rater-2")
    assert [r["rater"] for r in one_rater["raters"]] == ["rater-2"]
    assert people[0].ok("GET", "/api/stats?from=2999-01-01")["counts"]["ratings"] == 0
    assert people[0].refused("GET", "/api/stats?from=yesterday")[0] == 422


def test_empty_statistics_hold_no_figures(server: Any) -> None:
    stats = server.rater().ok("GET", "/api/stats")
    assert stats["criteria"]["clarity"] == {"mean": None, "histogram": [0] * 5}
    assert stats["agreement"] == {"alpha": dict.fromkeys(CRITERIA), "rank": None, "groups": 0}
    assert (stats["over_time"], stats["judges"], stats["position"]) == ([], [], [])


def test_old_figures_are_shown_while_new_ones_are_computed() -> None:
    """Nobody waits for figures that somebody else computes, but for the first."""
    figures: TimedCache[int] = TimedCache(seconds=0)
    computing, go_on = threading.Event(), threading.Event()
    assert figures.get("k", lambda: 1) == 1

    def slow() -> int:
        computing.set()
        go_on.wait(5)
        return 2

    thread = threading.Thread(target=figures.get, args=("k", slow))
    thread.start()
    computing.wait(5)
    assert figures.get("k", lambda: 3) == 1
    go_on.set()
    thread.join()


def test_people_are_compared_with_a_judge(rated: tuple[Any, ...]) -> None:
    server, people, given = rated
    people_by_text: dict[Any, Any] = {}
    for (_, _, text), (scores, _) in given.items():
        people_by_text.setdefault(text, []).append(scores["clarity"])
    for number in range(12):
        scores = [dict.fromkeys(CRITERIA, fmean(people_by_text[f"How {number}.{q}?"]) * 2) for q in range(4)]
        body = {"judge": "copycat", "scores": scores}
        server.training.ok("POST", f"/api/groups/g{number}/judge", body)
        server.training.ok("POST", f"/api/groups/g{number}/judge", body)
    (judge,) = people[0].ok("GET", "/api/stats")["judges"]
    assert (judge["judge"], judge["n"]) == ("copycat", 48)
    assert judge["correlation"]["clarity"] == pytest.approx(1)
    assert judge["correlation"]["relevance"] < 0.9
    assert -1 <= judge["rank"] <= 1
    assert server.training.refused("POST", "/api/groups/g1/judge", {"judge": "j", "scores": [None]})[0] == 422
    assert server.training.refused("POST", "/api/groups/none/judge", {"judge": "j", "scores": [None]})[0] == 404


def test_what_calibration_would_change_is_shown_when_enough_is_rated(server: Any) -> None:
    """Of two judges one says what people say and one the opposite: weighing them helps."""
    rater = server.rater()
    chance = random.Random(1)

    def rate(name: str) -> None:
        server.training.ok("POST", "/api/groups", group(name))
        taken = rater.next()
        stars = {one["text"]: chance.sample(range(1, 6), 1)[0] for one in taken["group"]["candidates"]}
        rater.rate(taken, *(stars[one["text"]] for one in taken["group"]["candidates"]))
        for judge, score in (("good", lambda s: 2.5 * (s - 1)), ("bad", lambda s: chance.uniform(0, 10))):
            scores = [dict.fromkeys(CRITERIA, score(stars[text])) for text in ("How?", "Why?", "When?")]
            server.training.ok("POST", f"/api/groups/{name}/judge", {"judge": judge, "scores": scores})

    assert rater.ok("GET", "/api/stats")["calibration"] is None
    server.context.statistics = TimedCache(0.0)
    rate("g0")
    few = rater.ok("GET", "/api/stats")["calibration"]
    assert (few["judges"], few["groups"], few["needed"], few["gain"]) == (["bad", "good"], 1, 20, None)
    for number in range(1, 30):
        rate(f"g{number}")
    found = rater.ok("GET", "/api/stats")["calibration"]
    assert found["helps"]
    assert found["without_scores"] == 0
    hand_in(server, "order", task="rank")
    taken = rater.next()
    places = {one["candidate_id"]: {"place": int(one["candidate_id"])} for one in taken["group"]["candidates"]}
    rater.ok("POST", rater.lease("submit", taken), {"ratings": places})
    assert rater.ok("GET", "/api/stats")["calibration"]["without_scores"] == 1
    assert found["gain"]["low"] > 0
    assert found["after"]["mean"] > 0.9


def test_ratings_are_searched_and_paged(rated: tuple[Any, ...]) -> None:
    _, people, given = rated
    first = people[0].ok("GET", "/api/ratings?size=5")
    assert (first["total"], len(first["ratings"])) == (18, 5)
    pages = [people[0].ok("GET", f"/api/ratings?size=5&page={page}")["ratings"] for page in range(1, 6)]
    ids = [rating["rating_id"] for page in pages for rating in page]
    assert sorted(ids, reverse=True) == ids
    assert len(set(ids)) == 18
    found = people[0].ok("GET", "/api/ratings?query=how 3.2")
    assert {rating["group_id"] for rating in found["ratings"]} == {"g3"}
    rating = found["ratings"][0]
    index = int(rating["rater"].removeprefix("rater-")) - 1
    for candidate in rating["candidates"]:
        scores, place = given["g3", index, candidate["text"]]
        assert (candidate["scores"], candidate["position"]) == (scores, place)
    assert people[0].ok("GET", "/api/ratings?query=100%25")["total"] == 0
    assert people[0].ok("GET", "/api/ratings?query=run-1&rater=rater-1")["total"] > 0


def read(form: Any, content: Any) -> Any:
    if form == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pylist()
    text = content.decode()
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    return json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]


def test_every_format_holds_the_same(rated: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(export, "ROWS_IN_GROUP", 10)
    server, people, given = rated
    server.training.ok("POST", "/api/groups/consume", {"ids": ["g0"], "step": 9})
    rating = people[0].ok("GET", "/api/ratings?query=g0")["ratings"][0]
    rater = people[int(rating["rater"].removeprefix("rater-")) - 1]
    edit = {"ratings": {str(n): dict.fromkeys(CRITERIA, 5) for n in range(1, 5)}, "note": 'a "note",\nin two lines'}
    rater.ok("PUT", f"/api/ratings/{rating['rating_id']}", edit)
    found = {}
    for form in ("json", "jsonl", "csv", "parquet"):
        response = people[0].http.get(f"/api/export?format={form}")
        assert f"ratings.{form}" in response.headers["content-disposition"]
        found[form] = read(form, response.content)
        assert len(found[form]) == 72 + 4
    assert found["json"] == found["jsonl"]
    times = [name for name in found["json"][0] if name.endswith("_at")]
    assert len(times) == 4
    for row, plain in zip(found["parquet"], found["json"], strict=True):
        assert {name: value for name, value in row.items() if name not in times} == {
            name: value for name, value in plain.items() if name not in times
        }
        for name in times:
            assert row[name] == (plain[name] and datetime.fromisoformat(plain[name]))
    for row, plain in zip(found["json"], found["csv"], strict=True):
        assert plain == {
            name: "" if value is None else " ".join(map(str, value)) if isinstance(value, list) else str(value)
            for name, value in row.items()
        }
    unused = [row for row in found["json"] if row["unused"]]
    assert [(row["revision"], row["counts"], row["note"]) for row in unused] == [(2, False, edit["note"])] * 4
    for row in found["json"]:
        assert row["rater"].startswith("rater-")
        assert (row["consumed_step"] == 9) is (row["group_id"] == "g0")
        assert row["lease_id"]
        assert row["leased_at"] <= row["rated_at"] <= row["revised_at"]
        if not row["unused"]:
            scores, place = given[row["group_id"], int(row["rater"].removeprefix("rater-")) - 1, row["question"]]
            assert ({name: row[name] for name in CRITERIA}, row["position"]) == (scores, place)
    assert people[0].refused("GET", "/api/export?format=xml")[0] == 422


def test_export_has_the_context_and_only_what_was_asked_for(rated: Any) -> None:
    server, people, _ = rated
    judged = {"judge": "j", "scores": [dict.fromkeys(CRITERIA, 7.0), None, None, None]}
    server.training.ok("POST", "/api/groups/g0/judge", judged)
    for name in ("s0", "s1"):
        server.training.ok("POST", "/api/groups", group(name, run=f"run-{name[1]}"))
        taken = people[0].next(prefer=name)
        people[0].ok("POST", people[0].lease("skip", taken), {"reason": "not_my_field", "note": "=1+1 \u00fc"})

    def export_of(query: str) -> Any:
        return read("jsonl", people[0].http.get(f"/api/export?{query}").content)

    whole = export_of("")
    assert {json.loads(row["role"])["title"] for row in whole} == {"Backend Engineer"}
    (scored,) = [row for row in whole if row["judges"]]
    assert (scored["group_id"], scored["question_indices"]) == ("g0", [0])
    assert json.loads(scored["judges"]) == {"j": dict.fromkeys(CRITERIA, 7.0)}
    assert {row["run"] for row in export_of("run=run-1")} == {"run-1"}
    assert {row["rater"] for row in export_of("rater=rater-2")} == {"rater-2"}
    assert export_of("from=2999-01-01") == []
    assert 0 < len(export_of("run=run-1&rater=rater-2")) < len(export_of("run=run-1")) < len(whole)
    assert people[0].refused("GET", "/api/export?runs=run-1") == (422, "invalid")
    skipped = export_of("what=skips&run=run-1")
    assert [(row["group_id"], row["reason"], row["note"]) for row in skipped] == [("s1", "not_my_field", "=1+1 \u00fc")]
    for form in ("json", "csv", "parquet"):
        assert len(read(form, people[0].http.get(f"/api/export?what=skips&format={form}").content)) == 2


def test_spreadsheets_compute_nothing_that_people_wrote(server: Any) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "plain = text"]
    server.training.ok("POST", "/api/groups", group("g", *texts))
    rater = server.rater()
    rater.rate(rater.next(), 3)
    cells = {row["question"] for row in read("csv", rater.http.get("/api/export?format=csv").content)}
    assert cells == {"'=1+1", "'+1", "'-1", "'@SUM(A1)", "plain = text"}
    assert {row["question"] for row in read("jsonl", rater.http.get("/api/export").content)} == set(texts)


def test_raters_do_not_see_the_scores_of_a_group_that_they_may_still_get(server: Any) -> None:
    server.training.ok("POST", "/api/groups", group("g", overlap=2))
    owner = server.rater()
    owner.rate(owner.next(), 5)
    token = owner.ok("POST", "/api/owner/raters", {"name": "Ada"})["path"].partition("#")[2]
    ada = server.person(FAR, "x")
    ada.headers["X-CSRF-Token"] = ada.ok("POST", "/api/session", {"token": token})["csrf_token"]
    assert owner.ok("GET", "/api/ratings")["total"] == 1
    assert ada.ok("GET", "/api/ratings")["total"] == 0
    ada.rate(ada.next(), 1)
    assert ada.ok("GET", "/api/ratings")["total"] == 2


def test_empty_exports_are_valid(server: Any) -> None:
    for form in ("json", "jsonl", "csv", "parquet"):
        assert read(form, server.rater().http.get(f"/api/export?format={form}").content) == []


def test_hot_queries_use_indexes(server: Any) -> None:
    """What every request asks must not read a whole table."""
    if not server.context.database.is_sqlite:
        return
    statements = []
    engine = server.context.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *a: statements.append((a[2], a[3])))
    server.training.ok("POST", "/api/groups", group("g"))
    rater = server.rater()
    rater.rate(rater.next(), 3)
    rater.ok("POST", "/api/rate/undo")
    asked = [s for s in statements if s[0].startswith(("SELECT", "UPDATE"))]
    assert len(asked) > 20
    with engine.connect() as c:
        for statement, parameters in asked:
            plan = c.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters).all()
            steps = [row[-1] for row in plan if row[-1].startswith("SCAN") and "COVERING INDEX" not in row[-1]]
            if " LIMIT " in statement:  # the latest rows by an index, and what was taken of them
                steps = [s for s in steps if "USING INDEX" not in s and not s.startswith("SCAN anon_")]
            assert not [s for s in steps if s not in ("SCAN CONSTANT ROW",) and "secrets" not in s], (statement, steps)
