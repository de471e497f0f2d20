"""The bank: kept once, found, edited into pairs, retired for everybody, taken in and given out again."""

from __future__ import annotations

import io
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from datasets import Dataset

import database as db
from feedback import bank
from feedback.alike import ALIKE, bands, likeness, trigrams
from recruiter.judges.ratings import choose_examples, read_ratings
from recruiter.prompts import PreferredExample, generator_messages
from recruiter.roles import Role
from recruiter.rubric import load_rubric
from recruiter.writers.kit.sheets import render_kits
from tests.kits import sample_kit

from .conftest import FAR, KEY, ROLE, hand_in, invite
from .load import Caller, ServerProcess, p95

TEXT = "Two workers picked up one job at once after a failover. How do you make its effect happen once?"
OTHER = "Latency tripled after a deploy, the median did not change. Where do you look first, and why there?"


def question(text: str = TEXT, **changes: Any) -> dict[str, Any]:
    return {
        "request_id": f"r{hash((text, str(changes)))}",
        "role": ROLE,
        "text": text,
        "skill": "idempotency",
        **changes,
    }


def keep(person: Any, text: str = TEXT, **changes: Any) -> Any:
    return person.ok("POST", "/api/bank", question(text, **changes))["question"]


def found(person: Any, query: str = "", **wishes: Any) -> list[str]:
    page = person.http.get("/api/bank", params={"query": query, **wishes}, headers=person.headers)
    assert page.status_code == 200, page.text
    return [one["text"] for one in page.json()["questions"]]


def exported(person: Any, what: str) -> list[Any]:
    text = person.http.get(f"/api/export?what={what}", headers=person.headers).text
    return [json.loads(line) for line in text.splitlines()]


def test_what_is_much_alike_shares_a_band() -> None:
    chance, words = random.Random(1), sorted({word for line in (TEXT, OTHER) for word in line.split()})
    texts = [" ".join(chance.choices(words, k=20)) for _ in range(200)]
    assert bands(TEXT) == bands(TEXT.upper().replace(".", " ,"))
    missed = near = shared = 0
    for text in texts:
        changed = text.split()
        for place in chance.sample(range(20), 3):
            changed[place] = chance.choice(words)
        other = " ".join(changed)
        if likeness(trigrams(text), trigrams(other)) >= ALIKE:
            near += 1
            missed += not set(bands(text)) & set(bands(other))
        shared += bool(set(bands(text)) & set(bands("What does a B-tree index cost when rows are written?")))
    assert near > 150
    assert missed <= 0.04 * near
    assert shared <= 10


def test_a_question_is_kept_once_and_found(server: Any, rater: Any, role: Callable[..., Role]) -> None:
    entry = sample_kit(role(1)).questions[0].model_dump(mode="json")
    kept = keep(rater, entry=entry, tags=["Payments", "round one"])
    assert keep(rater, entry=entry, tags=["Payments", "round one"]) == kept  # sent again
    assert kept["entry"]["guide"]["good"] == entry["guide"]["good"]
    assert kept["tags"] == ["payments", "round one"]
    assert rater.refused("POST", "/api/bank", question(TEXT.upper(), request_id="x")) == (409, "known")
    assert keep(rater, OTHER, role={"title": "SRE, Gateways", "stack": ["Envoy"]}, skill="")["role"]["stack"] == [
        "Envoy"
    ]
    assert rater.refused("POST", "/api/bank", question(role={"title": "SRE"})) == (422, "incomplete_role")
    assert rater.refused("POST", "/api/bank", question("\u2800")) == (422, "invalid")
    assert rater.refused("POST", "/api/bank", question(skill="a\0b")) == (422, "invalid")
    assert rater.refused("POST", "/api/bank", question(entry={**entry, "line": "a\0b"})) == (422, "invalid")
    assert found(rater) == [OTHER, TEXT]
    for query in ("failover BACKEND", "idempot", "senior once", "round one"):
        assert found(rater, query) == [TEXT]
    assert found(rater, "100%") == found(rater, "fail_over") == []
    assert found(rater, tag="payments") == [TEXT]
    assert found(rater, page=2, size=1) == [TEXT]
    assert server.person(FAR, "ratings.example").refused("GET", "/api/bank") == (401, "sign_in")
    assert stored_bands(server, kept["id"]) == set(bands(TEXT))


def stored_bands(server: Any, key: int) -> set[int]:
    with server.context.database.read() as c:
        query = sa.select(db.bank_bands.c.band).where(db.bank_bands.c.bank_id == key)
        return set(c.execute(query).scalars())


def test_hints_and_what_is_much_alike_are_shown_before_a_question_is_kept(rater: Any) -> None:
    key = keep(rater, role={**ROLE, "id": "r2", "title": "SRE"})["id"]
    near = TEXT.replace("job", "task").replace("failover", "restart")
    seen = rater.ok("POST", "/api/bank/check", {"text": near})
    assert [(one["id"], one["role_title"], one["retired"]) for one in seen["alike"]] == [(key, "SRE", False)]
    assert ALIKE <= seen["alike"][0]["likeness"] < 1
    assert rater.ok("POST", "/api/bank/check", {"text": near, "id": key})["alike"] == []
    assert rater.ok("POST", "/api/bank/check", {"text": OTHER}) == {"hints": [], "alike": []}
    hinted = rater.ok("POST", "/api/bank/check", {"text": "Ask the candidate what ACID stands for."})
    assert hinted["hints"][0]["reason"]


def test_an_edit_makes_a_version_and_pairs_that_preference_trainers_read(server: Any, rater: Any) -> None:
    key = keep(rater)["id"]
    path = f"/api/bank/{key}"
    texts = [TEXT, TEXT + " Name a case where it fails.", TEXT + " And when does that fail?"]
    rater.ok("PATCH", path, {"version": 1, "text": texts[1]})
    assert rater.refused("PATCH", path, {"version": 1, "text": texts[2]}) == (409, "changed")
    detail = rater.ok("PATCH", path, {"version": 2, "text": texts[2], "tags": ["edited"], "skill": "retries"})
    assert [one["text"] for one in detail["versions"]] == texts[::-1]
    assert rater.ok("PATCH", path, {"version": 3, "tags": []})["question"]["version"] == 3  # no other text
    assert found(rater, "retries") == [texts[2]]
    assert stored_bands(server, key) == set(bands(texts[2]))
    keep(rater, OTHER)
    assert rater.refused("PATCH", path, {"version": 3, "text": OTHER}) == (409, "known")
    pairs = exported(rater, "pairs")
    assert [(one["rejected"], one["chosen"]) for one in pairs] == [(texts[0], texts[2]), (texts[1], texts[2])]
    assert {(one["run"], one["group_id"], one["role_id"]) for one in pairs} == {("bank", f"bank-{key}", "r1")}
    answer = rater.http.get("/api/export?what=preferences&format=parquet&run=bank", headers=rater.headers)
    data = Dataset(pq.read_table(io.BytesIO(answer.content)))
    assert data.to_list() == exported(rater, "preferences")
    assert data.column_names == ["prompt", "chosen", "rejected"]
    assert data[0]["prompt"] == generator_messages(Role.model_validate(ROLE))
    assert data[0]["chosen"] == [{"role": "assistant", "content": texts[2]}]
    assert exported(rater, "preferences&run=other") == []
    # back to the first text: what stands is what is better, and nothing says the opposite
    rater.ok("PATCH", path, {"version": 3, "text": TEXT})
    assert [(one["rejected"], one["chosen"]) for one in exported(rater, "pairs")] == [(t, TEXT) for t in texts[1:]]


def test_a_guide_is_edited_and_has_versions_as_the_text_has(rater: Any, server: Any, role: Callable[..., Role]) -> None:
    guide = {
        "good": ["Names the lease."],
        "weak": [],
        "probes": ["And twice?"],
        "scale": ["1", "2", "3", "4"],
        "minutes": 4,
    }
    key = keep(rater)["id"]
    path = f"/api/bank/{key}"
    made = rater.ok("PATCH", path, {"version": 1, "guide": guide})["question"]
    assert (made["version"], made["entry"]["guide"], made["entry"]["level"]) == (2, guide, "senior")
    assert rater.ok("PATCH", path, {"version": 2, "guide": guide})["question"]["version"] == 2  # the same
    other = {**guide, "good": ["Names the lease.", "Stores the key with the effect."]}
    assert rater.refused("PATCH", path, {"version": 1, "guide": other}) == (409, "changed")
    assert rater.refused("PATCH", path, {"version": 2, "guide": {**guide, "scale": ["1"] * 5}}) == (422, "invalid")
    assert rater.refused("PATCH", path, {"version": 2, "guide": {**guide, "good": ["a\0"]}}) == (422, "invalid")
    assert exported(rater, "pairs") == []  # another guide is no other text
    hinted = rater.ok("PATCH", path, {"version": 2, "text": "Ask the candidate what ACID stands for."})["question"]
    assert hinted["entry"]["hints"]
    second = server.rater()
    detail = second.ok("PATCH", path, {"version": 3, "guide": other})
    assert [one["guide"] for one in detail["versions"]] == [other, guide, guide, None]
    (pair,) = exported(rater, "pairs")
    assert (pair["rejected"], pair["rater"]) == (
        TEXT,
        detail["versions"][1]["by"],
    )  # by whom the text is, not the guide
    emptied = rater.ok("PATCH", path, {"version": 4, "guide": {}})["question"]
    assert (emptied["version"], emptied["entry"]["guide"]) == (5, None)
    (row,) = exported(rater, "bank")
    assert json.loads(row["entry"])["guide"] is None

    entry = sample_kit(role(1)).questions[2].model_dump(mode="json")
    judged = {**entry, "guide": guide, "checked": {"reason": "r", "right": True, "specific": True, "answers": True}}
    kept = keep(rater, OTHER, entry=judged)
    assert rater.ok("GET", f"/api/bank/{kept['id']}")["versions"][0]["guide"] == guide
    edited = rater.ok("PATCH", f"/api/bank/{kept['id']}", {"version": 1, "guide": other})["question"]["entry"]
    assert (edited["checked"], edited["missing"]) == (None, [])


def test_edits_orders_and_better_wordings_teach_a_judge_by_one_file(rater: Any, server: Any, tmp_path: Path) -> None:
    key = keep(rater, role={**ROLE, "id": "r2"})["id"]
    rater.ok("PATCH", f"/api/bank/{key}", {"version": 1, "text": OTHER})
    hand_in(server, "scored", role={**ROLE, "id": "r3"})
    taken = rater.next()
    better = {"1": {"improved": "How would you see that it is slow?"}}
    rater.rate(taken, 5, 1, 3, remarks=better)
    hand_in(server, "ordered", role={**ROLE, "id": "r4"}, task="rank")
    ordered = rater.next()
    places = {
        "ratings": {one["candidate_id"]: {"place": int(one["candidate_id"])} for one in ordered["group"]["candidates"]}
    }
    rater.ok("POST", rater.lease("submit", ordered), places)
    texts = [one["text"] for one in ordered["group"]["candidates"]]
    wanted = {"r2": (OTHER, TEXT), "r3": ("How would you see that it is slow?", taken["group"]["candidates"][0]["text"]),
              "r4": (texts[0], texts[2])}  # fmt: skip
    for form in ("jsonl", "csv", "parquet"):
        file = tmp_path / f"pairs.{form}"
        file.write_bytes(rater.http.get(f"/api/export?what=pairs&format={form}", headers=rater.headers).content)
        chosen = choose_examples(read_ratings(file, load_rubric(), {}), load_rubric())
        assert {one.role.id: one[1:] for one in chosen if isinstance(one, PreferredExample)} == wanted
    file = tmp_path / "both.jsonl"
    file.write_text(
        "".join(json.dumps(row) + "\n" for row in [*exported(rater, "ratings"), *exported(rater, "comparisons")])
    )
    chosen = choose_examples(read_ratings(file, load_rubric(), {}), load_rubric())
    assert {one.role.id for one in chosen if isinstance(one, PreferredExample)} == {"r3", "r4"}


def test_a_leaked_question_is_retired_for_everybody_and_another_is_proposed(rater: Any, server: Any) -> None:
    leaked, near = keep(rater)["id"], keep(rater, TEXT.replace("job", "task"))["id"]
    good = keep(rater, OTHER)["id"]
    keep(rater, "How would you test it?", role={**ROLE, "title": "QA Engineer"}, skill="tests")
    used = {"request_id": "u1", "name": "Round one", "role_title": "Backend Engineer", "questions": [leaked, near]}
    for _ in range(2):
        rater.ok("POST", "/api/bank/uses", used)
    detail = server.rater().ok("POST", f"/api/bank/{leaked}/retire", {"reason": "Seen on a forum."})
    assert detail["question"]["retired_reason"] == "Seen on a forum."
    assert [one["id"] for one in detail["replacements"]] == [good]  # not the one that is much alike
    assert [(one["name"], one["role_title"], one["version"]) for one in detail["uses"]] == [
        ("Round one", "Backend Engineer", 1)
    ]
    assert detail["question"]["uses"] == 1
    assert TEXT not in found(rater)
    assert found(rater, state="retired") == [TEXT]
    assert rater.refused("POST", "/api/bank/uses", {**used, "request_id": "u2"}) == (409, "retired")
    assert rater.refused("POST", "/api/bank/uses", {**used, "questions": [99]}) == (404, "not_found")
    assert rater.ok("POST", "/api/bank/check", {"text": TEXT})["alike"][0]["retired"]
    assert rater.ok("POST", f"/api/bank/{leaked}/restore")["question"]["retired_at"] is None
    assert rater.refused("POST", "/api/bank/99/retire", {"reason": "x"}) == (404, "not_found")


def test_what_is_exported_and_kits_and_tables_are_taken_in(rater: Any, server: Any, role: Callable[..., Role]) -> None:
    kit = sample_kit(role(1))
    kits = render_kits([kit], "json")

    def take_in(form: str, text: str) -> str:
        return str(rater.ok("POST", "/api/bank/import", {"format": form, "text": text})["message"])

    assert take_in("json", kits) == "Took in 3 questions."
    assert take_in("json", kits) == "Took in 0 questions; 3 were there already."
    table = "question;title;stack;skill;tags\n" + f"{OTHER};SRE;Envoy, Go;latency;one, two\n"
    assert take_in("csv", table) == "Took in 1 question."
    for text, says in (
        ("question,title\nHow?,SRE\n", "the file, line 2 has no stack"),
        ("question,title,stack\n,SRE,Go\n", "the file, line 2, field 'text'"),
        ("", "holds no questions"),
    ):
        answer = rater.call("POST", "/api/bank/import", {"format": "csv", "text": text or "\n"})
        assert answer.status_code == 422
        assert says in answer.json()["error"]["message"]
    key = found_ids(rater)[-1]
    rater.ok("POST", f"/api/bank/{key}/retire", {"reason": "Leaked."})
    before = exported(rater, "bank")
    for form in ("csv", "json", "jsonl"):
        text = rater.http.get(f"/api/export?what=bank&format={form}", headers=rater.headers).text
        with server.context.database.write() as c:
            c.execute(sa.delete(db.bank))
        assert take_in(form, text) == "Took in 4 questions."
        again = exported(rater, "bank")
        told = ("question", "skill", "tags", "role", "entry", "retired_reason")
        assert [{name: row[name] for name in told} for row in again] == [
            {name: row[name] for name in told} for row in before
        ]


def found_ids(person: Any) -> list[int]:
    return [one["id"] for one in person.ok("GET", "/api/bank")["questions"]]


def test_who_is_erased_leaves_their_questions_to_the_team(server: Any) -> None:
    owner, number, _ = invite(server)
    key = keep(owner)["id"]
    with server.context.database.write() as c:
        for table in (db.bank, db.bank_versions):
            c.execute(sa.update(table).values(rater_id=number))
    owner.ok("POST", f"/api/owner/raters/{number}/erase", {"ratings": "delete"})
    assert owner.ok("GET", f"/api/bank/{key}")["question"]["kept_by"] is None


# ---- many questions, and a server that dies


def many(count: int) -> Iterator[bank.Kept]:
    """Questions of about 40 words, a tenth of which are much like the one before."""
    chance = random.Random(7)
    subjects = ["queue", "index", "cache", "replica", "gateway", "scheduler", "stream", "shard", "token", "deploy"]
    words = [f"{a}{b}" for a in subjects for b in ("s", "ing", " lag", " loss", " limit", " storm", " skew", " error")]
    text: list[str] = []
    for number in range(count):
        text = chance.choices(words, k=30) if number % 10 else [*text[:-1], str(number)]
        role = Role.model_validate({**ROLE, "id": f"r{number % 300}", "title": f"Engineer {number % 300}"})
        yield bank.Kept(role, f"How would you handle {' '.join(text)} number {number}?", chance.choice(subjects))


@pytest.fixture
def process(database_url: str, tmp_path: Path) -> Iterator[Any]:
    with (tmp_path / "server.log").open("wb") as log:
        server = ServerProcess(database_url, log, FEEDBACK_API_KEY=KEY)
        server.start()
        yield server
        server.stop()


def caller(port: int) -> Caller:
    made = Caller(port)
    made.headers["X-CSRF-Token"] = made.persist("GET", "/api/session")[1]["csrf_token"]
    return made


@pytest.mark.soak
def test_ten_thousand_questions_are_searched_and_compared_fast(database_url: str, process: Any) -> None:
    database, texts = db.Database(database_url), []
    with database.write() as c:
        for kept in many(10_000):
            assert bank.keep(c, kept, None, time.time())[1]
            texts.append(kept.text)
    database.close()
    person, chance = caller(process.port), random.Random(3)
    times: dict[str, list[float]] = {"search": [], "check": []}
    for _ in range(100):
        words = "%20".join(chance.sample(chance.choice(texts).split(), 2)).replace("?", "")
        status, page = person.persist("GET", f"/api/bank?query={words}", None, times["search"])
        assert (status, page["total"] > 0) == (200, True)
        text = chance.choice(texts).replace("How would", "How could")
        status, seen = person.persist("POST", "/api/bank/check", {"text": text}, times["check"])
        assert status == 200
        assert seen["alike"]
        time.sleep(0.05)  # the server takes 20 calls a second
    for what, seconds in times.items():
        print(f"{database_url.partition(':')[0]}, 10,000 questions, {what}: p95 {p95(seconds):.0f} ms")
        assert p95(seconds) < 100


@pytest.mark.soak
def test_a_server_that_dies_while_questions_are_kept_loses_and_doubles_nothing(database_url: str, process: Any) -> None:
    acknowledged: list[tuple[int, str]] = []
    errors: list[Any] = []

    def keep_some(worker: int) -> None:
        person = caller(process.port)
        for number in range(40):
            body = question(f"{TEXT} Case {worker}, {number}.", request_id=f"w{worker}-{number}")
            status, answer = person.persist("POST", "/api/bank", body)
            if status == 201:
                acknowledged.append((answer["question"]["id"], body["text"]))
            else:
                errors.append((status, answer))
            time.sleep(0.06)

    workers = [threading.Thread(target=keep_some, args=(worker,)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for kill in (1, 2, 3):
        while len(acknowledged) + len(errors) < 40 * kill:
            time.sleep(0.02)
        process.kill()
        process.start()
    for worker in workers:
        worker.join()
    database = db.Database(database_url)
    with database.read() as c:
        stored = [tuple(row) for row in c.execute(sa.select(db.bank.c.id, db.bank.c.text))]
        versions = c.execute(sa.select(sa.func.count()).select_from(db.bank_versions)).scalar_one()
    database.close()
    assert not errors
    assert sorted(acknowledged) == sorted(stored)
    assert len(stored) == versions == 160
