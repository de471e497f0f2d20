"""Training on ratings when the run or the server ends: nothing is lost, nobody is asked twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import Config
from recruiter.errors import DataError, JudgeError, UnscoredError
from recruiter.train.interruption import Interrupted
from recruiter.train.layout import RunFolder
from tests.fake_policy import FakePolicy
from tests.train.online.conftest import pending, same, when
from tests.train.online.people import Crowd, Person, Server
from tests.train.running import Train


@pytest.mark.parametrize("interval", [1, 100], ids=["each step saved", "nothing saved"])
def test_run_that_is_killed_asks_nobody_twice_and_ends_alike(online: Config, train: Train, interval: int) -> None:
    """Without a checkpoint every step is trained again, with the same samples and the ratings that are there."""
    online.trainer.ckpt_interval = interval
    url = online.human_feedback.api_url
    with Crowd(url):
        undisturbed, rows, _ = train(online, name="undisturbed")

    class Dies(FakePolicy):
        def forward_backward(self, groups: Any) -> Any:
            if self.names().count("optim_step") == 2:
                raise KeyboardInterrupt
            return super().forward_backward(groups)

        def snapshot(self) -> Any:
            if interval == 100:
                raise RuntimeError("killed before anything was written")
            return super().snapshot()

    with Crowd(url) as crowd:
        train(online, policy=Dies(), raises=KeyboardInterrupt if interval == 1 else RuntimeError)
        assert len(crowd.person.seen) == 12
        policy, again, _ = train(online)
    assert len(crowd.person.seen) == len(set(crowd.person.seen)) == 12
    assert policy.weight == undisturbed.weight
    assert same(again) == same(rows)
    assert "sample" not in policy.names()


def test_stop_is_answered_at_once_and_nothing_is_lost(
    online: Config, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, asked_at = online.human_feedback.api_url, []
    person = Person(url)

    def two_are_rated() -> bool:
        if len(person.seen) < 2:
            person.rate(2) if person.seen == [] and any((tmp_path / "run/pending").glob("*")) else None
            return False
        asked_at.append(time.monotonic())
        return True

    _, rows, _ = train(online, stop=two_are_rated, raises=Interrupted)
    assert time.monotonic() - asked_at[0] < 5
    assert rows == []
    assert "questions of step 1 stay in the queue" in capsys.readouterr().out
    with Crowd(url) as crowd:
        train(online)
    assert len({*person.seen, *crowd.person.seen}) == 12
    assert not {*person.seen} & {*crowd.person.seen}


def test_server_that_is_killed_and_comes_back_disturbs_nothing(
    online: Config, train: Train, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    online.human_feedback.api_url, online.trainer.max_training_steps = server.url, 2
    with Crowd(online.human_feedback.api_url):
        undisturbed, _, _ = train(online, name="undisturbed")

    def restart() -> None:
        server.stop(signal.SIGKILL)
        time.sleep(0.5)
        server.start()

    with Crowd(server.url) as crowd:
        restarting = when(lambda: len(crowd.handled) >= 2, restart)
        policy, rows, _ = train(online)
    restarting.join()
    assert policy.weight == undisturbed.weight
    assert [row["unscored"] for row in rows] == [0, 0]
    said = capsys.readouterr().out
    assert said.index("The feedback server does not answer (") < said.index("The feedback server is back.")


def test_server_that_lost_its_database_gets_the_groups_again(
    online: Config, train: Train, server: Server, tmp_path: Path
) -> None:
    online.human_feedback.api_url, online.trainer.max_training_steps = server.url, 1

    def lose() -> None:
        server.stop()
        for file in tmp_path.glob("feedback.db*"):
            file.unlink()
        server.start()
        Person(server.url).rate(4)

    losing = when(lambda: pending(tmp_path / "run"), lose)
    _, rows, _ = train(online)
    losing.join()
    assert rows[0]["unscored"] == 0


def test_server_that_is_away_for_too_long_ends_the_run_saved(online: Config, train: Train, server: Server) -> None:
    online.human_feedback.api_url = server.url

    def handle(person: Any, shown: Any) -> None:
        person.submit(shown)
        if len(person.seen) == 4:
            server.stop()
            online.human_feedback.timeout = 1.0

    with Crowd(server.url, handle):
        policy, rows, folder = train(online, raises=JudgeError)
    assert "has not answered for 1 s" in policy.error
    assert RunFolder(folder).steps == [row["step"] for row in rows]


def test_damaged_file_of_a_pending_step_is_one_sentence(online: Config, train: Train) -> None:
    online.human_feedback.timeout = 0.5
    _, _, folder = train(online, raises=UnscoredError)
    (folder / "pending/step_1.json").write_text('[{"id": 1}]')
    policy, _, _ = train(online, raises=DataError)
    assert "step_1.json is damaged: delete it" in policy.error
    Person(online.human_feedback.api_url).rate(4)
