"""Commands where there is no terminal, nobody reads, little can be shown, or nothing may be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from recruiter.cli.command import command
from recruiter.cli.terminal import make_console, shown_status
from recruiter.errors import JudgeError
from recruiter.roles.dataset import write_raw
from tests import REPOSITORY
from tests.checkout import make_checkout
from tests.conftest import MakeRole
from tests.engines.conftest import tiny_model, tiny_tokenizer

JUDGE = (sys.executable, "scripts/judge.py", "--judge", "rubric", "--role", "ad-serving-01")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        arguments, cwd=REPOSITORY, env={**os.environ, **environment}, capture_output=True, timeout=60, check=False
    )


WORK = """
import sys
from recruiter.cli.command import command
from recruiter.cli.terminal import make_console
@command
def main():
    console = make_console()
    for step in range(2000):
        print("printed", step)
        console.print("step", step)
        print("said", step, file=sys.stderr)
    open(sys.argv[1], "w").write("done")
main()
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_work_goes_on_when_nobody_reads_its_output_any_more(tmp_path: Path, unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    work = [sys.executable, "-c", WORK, str(tmp_path / "result")]
    with subprocess.Popen(work, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 0
    assert (tmp_path / "result").read_text() == "done"


SETTINGS = (sys.executable, "-m", "feedback.settings")


@pytest.mark.parametrize("swap", ["", "3>&1 >&2 2>&3"], ids=["stdout", "stderr"])
@pytest.mark.parametrize(
    ("folder", "arguments"), [(".", (*JUDGE, "How?")), ("feedback-ui", SETTINGS)], ids=["judge", "settings"]
)
def test_what_is_piped_to_nobody_ends_without_a_word(folder: str, arguments: tuple[str, ...], swap: str) -> None:
    found = subprocess.run(
        ["bash", "-c", f'"$@" {swap} | true; echo "rc ${{PIPESTATUS[0]}}"', "-", *arguments],
        cwd=REPOSITORY / folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "rc 0" in found.stdout
    assert "Traceback" not in found.stderr
    assert "Exception" not in found.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437:strict"])
def test_letters_that_an_output_cannot_show_end_nothing(encoding: str) -> None:
    found = run(*JUDGE, "Wie würden Sie 日本 – …?", PYTHONIOENCODING=encoding)
    assert (found.returncode, b"Traceback" in found.stderr) == (0, False)
    assert b"composite" in found.stdout


@pytest.mark.parametrize(
    "variables", [{"FORCE_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {"FORCE_COLOR": "3", "TERM": "xterm-256color"}]
)
def test_a_log_of_ci_gets_lines_and_no_cursor(variables: dict[str, str]) -> None:
    code = (
        "from recruiter.cli.command import command, shown_progress\n"
        "from recruiter.cli.terminal import make_console\n"
        "@command\ndef main():\n"
        "    with shown_progress(make_console()) as progress:\n"
        "        for share in (0.1, 0.5, 1.0): progress('judge [/x]', 'scores', share)\n"
        "main()"
    )
    assert run(sys.executable, "-c", code, **variables).stdout == b"judge [/x]: scores: done\n"


@pytest.mark.parametrize("text", ["exports/[x]", "the judge said [/INST]", "[red]not red", "[link=http://x]a[/link]"])
def test_brackets_are_no_markup(capsys: pytest.CaptureFixture[str], text: str) -> None:
    console = make_console()
    with shown_status(console, text) as status:
        status(f"{text} again")
        console.print(text)
    assert capsys.readouterr().out.strip() == text


# ---- what cannot be written


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder in which this process may write nothing, though it may be root's."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "closed"
        folder.mkdir(mode=0o555)
        Path(parent).chmod(0o755)
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)


def refusal(work: Any, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        command(work)()
    assert ended.value.code == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1, message
    return message


def test_a_read_only_folder_is_named(closed_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    target = closed_folder / "out.csv"
    for work in (
        lambda: target.write_text("x"),
        lambda: (closed_folder / "new").mkdir(),
        lambda: pq.write_table(pa.table({"a": [1]}), closed_folder / "out.parquet"),
    ):
        message = refusal(work, capsys)
        assert str(closed_folder) in message
        assert "ermission denied" in message
        assert "mend that or name another place, and run the same command again." in message


def test_other_places_that_take_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "file/out cannot be read or written (Not a directory)" in refusal(
        lambda: (tmp_path / "file/out").write_text("x"), capsys
    )
    assert "(File name too long)" in refusal(lambda: (tmp_path / ("x" * 300)).write_text("x"), capsys)
    assert f"{tmp_path} cannot be read or written (Is a directory)" in refusal(lambda: tmp_path.write_text("x"), capsys)
    assert "The disk is full" in refusal(lambda: Path("/dev/full").write_text("x" * 9000), capsys)


def test_a_command_names_the_output_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "out.csv").mkdir()
    found = run(*JUDGE, "--format", "csv", "--output", str(tmp_path / "out.csv"), "How?")
    assert found.returncode == 1
    assert b"out.csv cannot work; write a file; this is a folder" in found.stderr
    assert b"Traceback" not in found.stderr
    found = run(*JUDGE, "--format", "csv", "--output", str(tmp_path / "none/out.csv"), "How?")
    assert found.returncode == 1
    assert b"there is no folder " in found.stderr


@pytest.fixture(scope="module")
def closed_checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout that somebody else owns, as far as commands that `without_override` runs can see."""
    root = make_checkout(tmp_path_factory.mktemp("closed"))
    folders = [root, *(folder for folder in root.rglob("*") if folder.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield root
    for folder in folders:
        folder.chmod(0o755)


def without_override(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that may not write what its user may not, even if that is root."""
    given_up = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*given_up, sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("scripts/prepare_dataset.py",), "{root}/data/raw"),
        (("scripts/download_model.py", "--starter"), "{root}/exports"),
        ((*JUDGE[1:], "--format", "csv", "--output", "out.csv", "How?"), "out.csv"),
        (("scripts/analyze_results.py", "--run", "{run}", "--output", "{root}/plots"), "{root}/plots"),
        (
            ("scripts/eval.py", "--model", "{run}/tiny", "--roles", "{run}/raw/test.parquet", "--judge", "rubric"),
            "{root}/results/eval_store.sqlite",
        ),
        (
            ("-m", "src.recruiter.main", "--config-name=quickstart_config", "trainer.policy.model.path={run}/tiny",
             "trainer.ckpt_path={run}/new", "data.raw_dir={run}/raw"),
            "{root}/data/processed",
        ),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)  # fmt: skip
def test_commands_in_a_checkout_that_others_own_name_what_they_cannot_write(
    closed_checkout: Path, tmp_path: Path, role: MakeRole, arguments: tuple[str, ...], named: str
) -> None:
    row = {"step": 1, "reward_mean": 0.5, "scored": 4, "unscored": 0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row))
    tiny_model("llama", max_position_embeddings=8192).save_pretrained(tmp_path / "tiny")
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    write_raw([role(i) for i in range(60)], [role(70)], tmp_path / "raw")
    places = {"root": closed_checkout, "run": tmp_path}
    found = without_override(closed_checkout, *(text.format(**places) for text in arguments))
    assert found.returncode == 1, found.stderr
    last = found.stderr.strip().splitlines()[-1]
    assert named.format(**places) in last
    assert "Permission denied" in last
    assert "Traceback" not in found.stderr
    assert "Fetching" not in found.stdout


def test_what_is_no_refusal_of_the_system_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise OSError("a fault of ours")

    with pytest.raises(OSError, match="a fault of ours"):
        command(work)()

    def judge() -> None:
        raise JudgeError("It said [/x].")

    assert refusal(judge, capsys) == "It said [/x].\n"

    def learn() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    said = refusal(learn, capsys)
    assert "trainer.micro_train_batch_size_per_gpu" in said
    assert said.count("\n") == 1
