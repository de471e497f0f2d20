"""The whole command with a tiny model, a server with a key, and one person: stopped, killed, continued."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from recruiter.files import read_jsonl
from recruiter.train.layout import RunFolder
from tests import REPOSITORY
from tests.conftest import known
from tests.test_main import command_for, data, tiny  # noqa: F401
from tests.train.online.people import Crowd, Person, Server

KEY = "a-long-key-of-the-tests"


def begun(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "FEEDBACK_API_KEY": KEY, "PYTHONUNBUFFERED": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True, env=environment)


def says(process: subprocess.Popen[str], part: str) -> None:
    """Read on until a line has this part."""
    for line in known(process.stdout):
        if part in line:
            return
    raise AssertionError(known(process.stderr).read())


@pytest.mark.parametrize("gpus", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_command_survives_no_server_ctrl_c_and_sigkill_and_asks_nobody_twice(
    tiny: Path,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
    gpus: int,
) -> None:
    run, server = tmp_path / "run", Server(tmp_path, FEEDBACK_API_KEY=KEY)
    command = [
        *command_for(
            tiny,
            data,
            run,
            "trainer.max_training_steps=2",
            "judge.provider=human",
            f"human_feedback.api_url={server.url}",
            "human_feedback.poll_interval=0.3",
            "trainer.eval_interval=0",
            "trainer.ckpt_interval=1",
            "generator.sampling_params.max_generate_length=8",
            f"trainer.gpus={gpus}",
        )
    ]
    out, err = (process := begun(command)).communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith(f"There is no feedback server at human_feedback.api_url={server.url}")
    assert len(err.strip().splitlines()) == 1
    assert not run.exists()

    try:
        server.start()
        process = begun(command)
        says(process, "groups are there to be rated at")
        person = Person(server.url)
        person.rate(2)
        asked = [group["id"] for group in json.loads((run / "pending/step_1.json").read_text())]
        process.send_signal(signal.SIGKILL)
        process.communicate()

        process = begun(command)
        says(process, "groups are there to be rated at")
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        says(process, "questions of step 1 stay in the queue")
        assert time.monotonic() - start < 10  # a second is what a user is promised; this machine may be busy
        says(process, "Run the same command again to continue")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err

        with Crowd(server.url) as crowd:
            out, err = (process := begun(command)).communicate(timeout=60)
        assert process.returncode == 0, err
    finally:
        server.close()
    assert "Trained 2 steps" in out
    assert "Next: python scripts/eval.py" in out
    assert {*person.seen, *crowd.person.seen} >= {*asked}
    assert len(person.seen) + len(crowd.person.seen) == 8 == len({*person.seen, *crowd.person.seen})
    assert RunFolder(run).steps == [1, 2]
    assert [row["unscored"] for row in read_jsonl(run / "metrics.jsonl")] == [0, 0]
    assert KEY not in "".join(path.read_text() for path in run.glob("*.json*"))
