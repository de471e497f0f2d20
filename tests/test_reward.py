import asyncio
import json
import statistics
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from recruiter.config import RewardConfig
from recruiter.errors import JudgeError
from recruiter.judges import Judge
from recruiter.reward import shape
from recruiter.roles import Role
from recruiter.rubric import Judgement
from recruiter.train.background_judge import BackgroundJudge
from recruiter.train.overlap import OverlapWindow, masked_trigrams
from tests.scoring import RUBRIC, scored

NINE = Judgement(scored(9.0))
DATA = Path(__file__).parent / "data"


def questions_of(file: str, kind: str) -> list[dict]:
    rows = [json.loads(line) for line in (DATA / file).read_text(encoding="utf-8").splitlines()]
    return [{**row, "role": Role.model_validate(row["role"])} for row in rows if row["kind"] == kind]


# ---- overlap ---------------------------------------------------------------------------------------------------------


def test_masked_trigrams_replace_the_roles_own_words_by_one_slot(role):
    # Own words: python, postgresql, index, design; "a", "in" and "is" are kept though the description holds such words.
    got = masked_trigrams(role(), "Why is index design in PostgreSQL slow?")
    assert got == {
        ("why", "is", "_"),
        ("is", "_", "in"),
        ("_", "in", "_"),
        ("in", "_", "slow"),
    }


def test_masking_sees_through_endings_and_case(role):
    assert masked_trigrams(role(), "Slow INDEXES hurt designing") == {("slow", "_", "hurt"), ("_", "hurt", "_")}


@pytest.mark.parametrize(("said", "asked"), [("queue", "queues"), ("services", "service"), ("caching", "cache")])
def test_masking_sees_through_a_final_e(role, said, asked):
    assert masked_trigrams(role(key_skills=[said]), f"debug {asked} under load") == {
        ("debug", "_", "under"),
        ("_", "under", "load"),
    }


def test_technology_names_with_signs_are_one_word(role):
    other = role(stack=["C++", "Node.js"])
    assert masked_trigrams(other, "debug C++ under load") == {("debug", "_", "under"), ("_", "under", "load")}
    assert masked_trigrams(other, "why Node.js stalls") == {("why", "_", "stalls")}
    assert masked_trigrams(role(), "debug C++ under load") == {("debug", "c++", "under"), ("c++", "under", "load")}


@pytest.mark.parametrize("question", ["", "Why?", "Why so", "?!"])
def test_question_too_short_for_a_trigram_has_no_overlap(role, question):
    window = OverlapWindow(8)
    window.remember(role(1), [question])
    assert masked_trigrams(role(), question) == frozenset()
    assert window.overlap(role(), question) == 0.0


def test_overlap_is_the_share_found_in_the_single_most_similar_question(role):
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three four", "five six seven"])
    # Trigrams: (one two three), (two three five), (three five six), (five six seven): 1 of 4 in each remembered one.
    assert window.overlap(role(2), "one two three five six seven") == 0.25
    assert window.overlap(role(2), "one two three four") == 0.0 + 1.0
    assert window.overlap(role(2), "alpha beta gamma") == 0.0


def test_same_roles_earlier_questions_do_not_count(role):
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three four"])
    assert window.overlap(role(1), "one two three four") == 0.0
    assert window.overlap(role(2), "one two three four") == 1.0


def test_window_is_bounded_and_forgets_the_oldest(role):
    window = OverlapWindow(2)
    window.remember(role(1), ["one two three", "four five six", "seven eight nine"])
    assert len(window.state()) == 2
    assert window.overlap(role(2), "one two three") == 0.0
    assert window.overlap(role(2), "four five six") == 1.0


def test_window_of_size_zero_never_finds_anything(role):
    window = OverlapWindow(0)
    window.remember(role(1), ["one two three"])
    assert window.overlap(role(2), "one two three") == 0.0


def test_window_state_survives_json(role):
    window, restored = OverlapWindow(4), OverlapWindow(4)
    window.remember(role(1), ["why is the index slow today", "four five six"])
    restored.remember(role(3), ["something that was there before"])
    restored.load_state(json.loads(json.dumps(window.state())))
    assert restored.state() == window.state()
    assert restored.overlap(role(2), "four five six") == 1.0
    assert restored.overlap(role(1), "four five six") == 0.0


# ---- shaping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlap_words", "overlap", "value"),
    [
        ("aa ab ac", 0.0, 0.9),  # nothing in common
        ("one two three ba bb", 1 / 3, 0.9 * (1 - 0.5 * (1 / 3 - 0.2) / 0.8)),
        ("one two three four ca", 2 / 3, 0.9 * (1 - 0.5 * (2 / 3 - 0.2) / 0.8)),
        ("one two three four five", 1.0, 0.45),
    ],
)
def test_shaped_reward_by_hand(role, overlap_words, overlap, value):
    settings = RewardConfig(overlap_penalty=0.5, overlap_free=0.2, overlap_window=8)
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three four five"])
    reward = shape(settings, window, role(2), overlap_words, NINE)
    assert reward.overlap == pytest.approx(overlap)
    assert reward.value == pytest.approx(value)
    assert reward.penalty == pytest.approx(0.9 - value)
    assert reward.judgement is NINE


def test_overlap_up_to_what_is_free_costs_exactly_nothing(role):
    settings = RewardConfig(overlap_penalty=0.9, overlap_free=0.5)
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    reward = shape(settings, window, role(2), "one two three four", NINE)
    assert (reward.overlap, reward.value, reward.penalty) == (0.5, NINE.reward, 0.0)


def test_unscored_question_stays_without_a_value(role):
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    reward = shape(RewardConfig(), window, role(2), "one two three", Judgement.unscored("timed out"))
    assert reward.value is None
    assert reward.penalty == 0.0
    assert reward.overlap == 1.0


def test_shaping_never_leaves_the_unit_interval(role):
    window = OverlapWindow(8)
    window.remember(role(1), ["one two three"])
    for score in (0.0, 10.0):
        judgement = Judgement(scored(score))
        for free in (0.0, 1.0):
            value = shape(RewardConfig(1.0, free, 8), window, role(2), "one two three", judgement).value
            assert 0.0 <= value <= 1.0


@pytest.mark.parametrize("template", [0, 1, 2])
def test_every_instance_of_a_template_ends_at_four_of_ten_or_less_even_if_the_judge_gives_nine(template):
    settings = RewardConfig()
    instances = [row for row in questions_of("attack_questions.jsonl", "template") if row["template"] == template]
    assert len(instances) == 10
    shaped = {}
    for row in instances:
        window = OverlapWindow(settings.overlap_window)
        for other in instances:
            if other["role"].id != row["role"].id:
                window.remember(other["role"], [other["question"]])
        shaped[row["role"].id] = round(10 * shape(settings, window, row["role"], row["question"], NINE).value, 2)
    assert {role_id: value for role_id, value in shaped.items() if value > 4.0} == {}


def test_honest_questions_lose_nothing_or_nearly_nothing():
    settings = RewardConfig()
    rows = questions_of("honest_questions.jsonl", "honest")
    assert len(rows) >= 30
    window = OverlapWindow(settings.overlap_window)
    for row in rows:
        window.remember(row["role"], [row["question"]])
    losses = [10 * shape(settings, window, row["role"], row["question"], NINE).penalty for row in rows]
    assert statistics.median(losses) == 0.0
    assert max(losses) <= 0.5


# ---- judging in the background ---------------------------------------------------------------------------------------


class SlowJudge(Judge):
    """Scores 5 after `seconds`; counts how many roles it works on at once."""

    name = "slow"
    version = "1"
    rubric = RUBRIC

    def __init__(self, seconds: float) -> None:
        self.seconds, self.now, self.most, self.cancelled, self.threads = seconds, 0, 0, 0, set()

    async def score(self, role, questions):
        self.threads.add(threading.current_thread())
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.now -= 1
        return [Judgement(scored(5, 5, len(question))) for question in questions]


def test_background_judge_works_on_roles_concurrently_and_keeps_the_order_of_questions(role):
    judge = SlowJudge(0.1)
    background = BackgroundJudge(judge)
    start = time.perf_counter()
    futures = [background.submit(role(i), ["a", "bb", "ccc"]) for i in range(10)]
    assert time.perf_counter() - start < 0.09  # submitting does not wait
    for future in futures:
        assert [judgement.scores["discriminative"] for judgement in future.result(timeout=5)] == [1, 2, 3]
    background.close()
    assert judge.most == 10
    assert time.perf_counter() - start < 0.9
    assert threading.current_thread() not in judge.threads


def test_background_judge_passes_an_error_on_to_whoever_waits(role):
    class Broken(Judge):
        name = "broken"
        version = "1"
        rubric = RUBRIC

        async def score(self, role, questions):
            raise JudgeError("the key was refused")

    background = BackgroundJudge(Broken())
    with pytest.raises(JudgeError, match="the key was refused"):
        background.submit(role(), ["a"]).result(timeout=5)
    background.close()


def test_closing_cancels_what_is_still_running_and_ends_the_thread(role):
    judge = SlowJudge(60)
    background = BackgroundJudge(judge)
    futures = [background.submit(role(i), ["a"]) for i in range(3)]
    while judge.now < 3:
        time.sleep(0.001)
    start = time.perf_counter()
    background.close()
    assert time.perf_counter() - start < 5
    assert judge.cancelled == 3
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(timeout=1)
    assert all(not thread.is_alive() for thread in judge.threads)


def test_closing_twice_is_harmless():
    background = BackgroundJudge(SlowJudge(0))
    background.close()
    background.close()
