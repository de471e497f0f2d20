"""Training on ratings: the loop with a policy of one number, beside the real server and scripted people."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.errors import UnscoredError
from recruiter.files import read_jsonl
from recruiter.judges import Judge
from recruiter.roles.schedule import step_roles
from recruiter.rubric import Judgement
from tests.conftest import MakeRole, known
from tests.fake_policy import FakePolicy
from tests.scoring import RUBRIC
from tests.train.online.conftest import PATIENCE, pending, same, when
from tests.train.online.people import Crowd, Person, judged, stars_of
from tests.train.running import Train


class Opinionated(Judge):
    """The same opinions as an offline judge; roles in `silent` get none."""

    name, version = "opinionated", "1"
    rubric = RUBRIC

    def __init__(self, silent: tuple[str, ...] = ()) -> None:
        self.silent = silent

    async def score(self, role: Any, questions: Any) -> Any:
        if role.id in self.silent:
            return [Judgement.unscored("silent")] * len(questions)
        return [judged(stars_of(question)) for question in questions]


def gives_up(human: Any, is_over: Any) -> Callable[..., Any]:
    """Patience that is at an end while `is_over`; to be given as what asks whether to stop, which often happens."""

    def ask() -> bool:
        human.timeout = 0.0 if is_over() else PATIENCE
        return False

    return ask


def view(url: str, group: str) -> dict[str, Any]:
    return Person(url).get(f"/api/groups/{group}")


def test_parameters_equal_those_of_an_offline_run_with_the_same_rewards(online: Config, train: Train) -> None:
    with Crowd(online.human_feedback.api_url):
        people, rows, folder = train(online, name="people")
    offline, offline_rows, _ = train(online, Opinionated(), name="offline")
    assert people.weight == offline.weight != 0.0
    assert same(rows) == same(offline_rows)
    scores = [(row["question"], row["scores"]) for row in read_jsonl(folder / "rollouts.jsonl")]
    assert all(found["clarity"] == known(judged(stars_of(text)).scores)["clarity"] for text, found in scores)
    assert pending(folder) == {}


def test_skipped_groups_are_dropped_and_the_rest_is_trained_on(online: Config, train: Train, role: MakeRole) -> None:
    online.judge.max_unscored, online.trainer.max_training_steps = 1.0, 2
    roles = [role(i) for i in range(12)]
    skipped = tuple(step_roles(online, roles, step)[step].id for step in (1, 2))

    def skips_two(person: Any, shown: Any) -> None:
        (person.skip if shown["group"]["role"]["id"] in skipped else person.submit)(shown)

    with Crowd(online.human_feedback.api_url, skips_two):
        people, rows, _ = train(online, name="people")
    offline, offline_rows, _ = train(online, Opinionated(silent=skipped), name="offline")
    assert people.weight == offline.weight != 0.0
    assert same(rows) == same(offline_rows)
    assert [row["unscored_reasons"] for row in rows] == [{"skipped: broken text": 4}] * 2


def test_run_goes_on_where_every_group_is_skipped_and_says_so(
    online: Config, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    online.trainer.max_training_steps = 2
    with Crowd(online.human_feedback.api_url, Person.skip):
        policy, rows, _ = train(online)
    assert [(row["unscored"], row["updates"], row["reward_mean"]) for row in rows] == [(16, 0, None)] * 2
    assert policy.weight == 0.0
    assert "Step 1 taught nothing: none of its groups was rated (skipped: broken text)" in capsys.readouterr().out


def test_all_equal_groups_teach_nothing_and_are_counted(online: Config, train: Train) -> None:
    online.trainer.max_training_steps = 1
    with Crowd(online.human_feedback.api_url, lambda person, shown: person.submit(shown, all_equal=True)):
        policy, rows, _ = train(online)
    assert (rows[0]["groups_without_spread"], rows[0]["unscored"], rows[0]["updates"]) == (4, 0, 0)
    assert policy.names() == ["sample"]


def test_groups_that_nobody_rates_in_time_expire_and_training_goes_on(online: Config, train: Train) -> None:
    online.trainer.max_training_steps = 1
    person = Person(online.human_feedback.api_url)
    rater = threading.Thread(target=person.rate, args=(2,))
    rater.start()
    over = gives_up(online.human_feedback, lambda: not rater.is_alive())
    policy, rows, folder = train(online, stop=over)
    assert (rows[0]["unscored"], rows[0]["unscored_reasons"]) == (8, {"not rated in time": 8})
    assert policy.names().count("forward_backward") == 2
    assert {row["scores"] is None for row in read_jsonl(folder / "rollouts.jsonl")} == {True, False}
    assert person.open() is None


def test_nothing_rated_stops_saved_loses_no_question_and_a_queue_rated_overnight_goes_on(
    online: Config, train: Train
) -> None:
    url = online.human_feedback.api_url
    with Crowd(url):
        undisturbed, _, _ = train(online, name="undisturbed")
    online.human_feedback.timeout = 0.7
    stopped, rows, folder = train(online, raises=UnscoredError)
    for part in ("Nobody rated any of the 4 groups of step 1", "0.7 s", "stay in the queue", url):
        assert part in stopped.error
    assert "\n" not in stopped.error
    (asked,) = pending(folder).values()
    person = Person(url)
    person.rate(4)  # while no training is there
    assert sorted(person.seen) == sorted(asked)
    online.human_feedback.timeout = PATIENCE
    with Crowd(url) as crowd:
        policy, rows, _ = train(online)
    assert policy.names().count("sample") == 2  # step 1 was not sampled again
    assert policy.weight == undisturbed.weight
    assert len(crowd.person.seen) == 8
    assert [row["step"] for row in rows] == [1, 2, 3]


def test_ratings_are_taken_as_they_are_when_the_step_trains_and_are_frozen_then(online: Config, train: Train) -> None:
    url, online.trainer.max_training_steps = online.human_feedback.api_url, 1
    person = Person(url)
    low = dict.fromkeys(stars_of(""), 1)

    def rate_and_change_one_s_mind() -> None:
        person.rate(3)
        first = person.get("/api/rate/mine")["ratings"][-1]
        ratings = dict.fromkeys(first["answer"]["ratings"], low)
        changed = person.http.put(f"/api/ratings/{first['rating_id']}", json={"ratings": ratings, "all_equal": True})
        assert changed.json()["unused"] is False
        person.rate(1)

    rater = threading.Thread(target=rate_and_change_one_s_mind)
    rater.start()
    _, rows, folder = train(online)
    rater.join()
    assert rows[0]["groups_without_spread"] == 1
    assert sum(row["reward"] == 0.0 for row in read_jsonl(folder / "rollouts.jsonl")) >= 4
    assert {view(url, group)["consumed_step"] for group in person.seen} == {1}
    latest = person.get("/api/rate/mine")["ratings"][0]
    ratings = dict.fromkeys(latest["answer"]["ratings"], low)
    edited = person.http.put(f"/api/ratings/{latest['rating_id']}", json={"ratings": ratings, "all_equal": False})
    assert edited.json()["unused"] is True


@pytest.mark.parametrize("staleness", [0, 1])
def test_late_ratings_are_trained_on_only_if_allowed_then_against_the_policy_that_wrote(
    online: Config, train: Train, staleness: int
) -> None:
    human = online.human_feedback
    human.max_staleness_steps, online.trainer.max_training_steps = staleness, 2
    person, policy = Person(human.api_url), FakePolicy()
    late: list[Any] = []
    over = gives_up(human, lambda: late and "optim_step" not in policy.names())

    def work() -> None:
        person.rate(3)
        shown = known(person.open())  # stays on the screen until the step has gone on
        late.append(shown["group"]["group_id"])
        when(lambda: view(human.api_url, person.seen[0])["consumed_step"] == 1, lambda: person.submit(shown)).join()
        person.rate(4)

    rater = threading.Thread(target=work)
    rater.start()
    _, rows, folder = train(online, policy=policy, stop=over)
    rater.join()
    assert [row["unscored"] for row in rows] == [4, 0]
    assert [row["stale_groups"] for row in rows] == [0, staleness]
    stored = view(human.api_url, late[0])
    assert (stored["status"], stored["consumed_step"]) == ("rated", 2 if staleness else None)
    trained = [call[3] for call in policy.calls if call[0] == "forward_backward"]
    stale = [group for group in trained if group.old_logprobs is not None]
    assert len(trained) == 7 + staleness
    assert [group.old_logprobs for group in stale] == [[s.logprobs for s in group.samples] for group in stale]
    assert len(stale) == staleness
    lines = [row for row in read_jsonl(folder / "rollouts.jsonl") if "sampled_in" in row]
    assert [(row["step"], row["sampled_in"]) for row in lines] == [(2, 1)] * 4 * staleness


def test_what_is_too_stale_is_given_up(online: Config, train: Train) -> None:
    human, policy = online.human_feedback, FakePolicy()
    left: list[Any] = []
    human.max_staleness_steps = 1

    def leave_one(person: Any, shown: Any) -> None:
        if left:
            person.submit(shown)
        else:
            left.append(shown["group"]["group_id"])
            person.skip(shown, "not_my_field")

    somebody_else = Person(human.api_url)  # is there, so the skip leaves the group to them, but does nothing
    with Crowd(human.api_url, leave_one) as crowd:
        over = gives_up(human, lambda: len(crowd.handled) == 4 and "optim_step" not in policy.names())
        _, rows, _ = train(online, policy=policy, stop=over)
    assert somebody_else.open() is None
    assert view(human.api_url, left[0])["status"] == "expired"
    assert [(row["unscored"], row["stale_groups"]) for row in rows] == [(4, 0), (0, 0), (0, 0)]


def test_two_raters_a_group_are_waited_for(online: Config, train: Train) -> None:
    online.human_feedback.overlap, online.trainer.max_training_steps = 2, 1
    with Crowd(online.human_feedback.api_url), Crowd(online.human_feedback.api_url):
        _, rows, _ = train(online)
    assert rows[0]["unscored"] == 0


def test_pages_hear_what_the_run_waits_for(online: Config, train: Train, tmp_path: Path) -> None:
    url, online.trainer.max_training_steps = online.human_feedback.api_url, 1
    person = Person(url)
    heard: list[Any] = []
    others = {run["run"] for run in person.get("/api/runs")["runs"]}  # of tests before this one

    def look() -> bool:
        runs = [r for r in person.get("/api/runs")["runs"] if r["state"] == "waiting" and r["run"] not in others]
        heard[:] = runs[:1]
        return bool(runs)

    rating = when(look, lambda: person.rate(4))
    train(online)
    rating.join()
    assert heard[0]["step"] == 1
    assert len(heard[0]["waiting_groups"]) == 4
    assert "0 of 4 groups done" in heard[0]["message"]
    (run,) = [run for run in person.get("/api/runs")["runs"] if run["run"] == heard[0]["run"]]
    assert (run["state"], run["step"], run["total_steps"]) == ("done", 1, 1)
    assert run["recent"] == [{"step": 1, "reward": pytest.approx(run["reward_mean"]), "rated": 16, "unscored": 0}]
    assert run["run"] == json.loads((tmp_path / "run/run.json").read_text())["id"]


def test_question_that_cannot_be_shown_leaves_its_group_unscored(online: Config, train: Train) -> None:
    online.trainer.max_training_steps, online.judge.max_unscored = 1, 1.0

    class Odd(FakePolicy):
        def sample(self, *arguments: Any) -> Iterator[list[Any]]:
            for number, group in enumerate(super().sample(*arguments)):
                yield [type(s)(s.text + "\x00" * (number == 0), s.token_ids, s.logprobs, True) for s in group]

    with Crowd(online.human_feedback.api_url):
        _, rows, _ = train(online, policy=Odd())
    assert rows[0]["unscored"] == 4
    assert "refused /api/groups (HTTP 422)" in next(iter(rows[0]["unscored_reasons"]))


def test_validation_asks_people_too_but_never_twice(online: Config, train: Train) -> None:
    online.trainer.eval_interval, online.trainer.max_training_steps = 1, 1
    with Crowd(online.human_feedback.api_url) as crowd:
        _, rows, _ = train(online)
    assert rows[0]["validation_reward"] is not None
    assert len(crowd.person.seen) == 8  # two before training, four groups, two after
    with Crowd(online.human_feedback.api_url) as crowd:
        train(online, name="again")
    assert len(crowd.person.seen) == 4  # what it validates with was rated before, word for word
