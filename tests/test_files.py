"""Texts that people wrote, tables that spreadsheets open, and files that are replaced."""

from __future__ import annotations

import csv
import io
import os
import threading
from pathlib import Path

import pytest

from recruiter.errors import DataError
from recruiter.files import JsonLines, csv_text, load_environment, one_at_a_time, read_text, replaced, write_json
from recruiter.roles.dataset import read_raw, write_raw
from recruiter.roles.rows import read_rows
from recruiter.train.find_checkpoint import find_checkpoint
from tests.conftest import MakeRole

ODD = "a b%2F%?#[x]'\"é日本${y}&;="  # a folder's name that means something to URLs, globs, INI files, shells, markup


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dotenv_is_read_as_editors_and_powershell_write_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr("recruiter.files.WORKSPACE", tmp_path)
    monkeypatch.delenv("A_KEY", raising=False)
    (tmp_path / ".env").write_bytes("A_KEY=é\r\n".encode(encoding))
    load_environment()
    assert os.environ.pop("A_KEY") == "é"


@pytest.mark.parametrize(
    "content", ["A=1\nA_KEY=é".encode("latin-1"), "A=1\nB=2".encode("utf-16-le"), b"A=1\nB=\0", b"\xff\xfe\0"]
)
def test_dotenv_in_another_encoding_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr("recruiter.files.WORKSPACE", tmp_path)
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(DataError, match=r"\.env, line [12]: it is no text in UTF-8; save the file in that encoding"):
        load_environment()


def test_a_folder_named_dotenv_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recruiter.files.WORKSPACE", tmp_path)
    (tmp_path / ".env").mkdir()
    load_environment()
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_text(tmp_path / ".env")


TEXTS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'quoted'", "'=1", "plain", 'a, b; "c"\n=d']


def test_spreadsheets_compute_nothing_and_we_read_back_what_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "questions.csv"
    path.write_text(csv_text(["question"], [{"question": text, "other": 1} for text in TEXTS]), newline="")
    cells = [row["question"] for row in csv.DictReader(io.StringIO(path.read_bytes().decode(), newline=""))]
    assert not [cell for cell in cells if cell[0] in "=+-@\t\r"]
    assert [row["question"] for _, row in read_rows(path)] == TEXTS


def test_what_is_written_follows_links_and_leaves_them(tmp_path: Path, role: MakeRole) -> None:
    disk, here = tmp_path / ODD, tmp_path / "here"
    disk.mkdir()
    here.mkdir()
    for name in ("run.json", "rows.jsonl", "train.parquet", "not_yet.json"):
        (here / name).symlink_to(disk / name)
    write_json(here / "run.json", {"a": 1})
    lines = JsonLines(here / "rows.jsonl", [{"step": 1}])
    lines.write({"step": 2})
    lines.close()
    write_raw([role(1)], [role(2)], here)
    with replaced(here / "not_yet.json") as beside:
        beside.write_text("{}")
    assert read_rows(disk / "run.json")[0][1] == {"a": 1}
    assert [row for _, row in read_rows(disk / "rows.jsonl")] == [{"step": 1}, {"step": 2}]
    assert [each.id for each in read_raw(disk / "train.parquet")] == ["role-001"]
    assert all((here / name).is_symlink() and (disk / name).is_file() for name in ("run.json", "not_yet.json"))
    assert not list(disk.glob("*.tmp"))


def test_what_two_want_to_make_in_a_folder_is_made_by_one_after_the_other(tmp_path: Path) -> None:
    entered = threading.Event()

    def other() -> None:
        with one_at_a_time(tmp_path / "new"):
            entered.set()

    with one_at_a_time(tmp_path / "new"):
        (thread := threading.Thread(target=other)).start()
        assert not entered.wait(0.3)
    assert entered.wait(10)
    thread.join()


@pytest.mark.parametrize("name", ["latest", "best"])
def test_a_run_on_another_disk_is_found_through_its_link(tmp_path: Path, name: str) -> None:
    (run := tmp_path / "disk" / ODD).mkdir(parents=True)
    (run / "global_step_3/policy/lora_adapter").mkdir(parents=True)
    (run / "best.json").write_text('{"global_step": 3}')
    (root := tmp_path / "checkpoints").mkdir()
    (root / "mine").symlink_to(run)
    assert find_checkpoint(name, root).path == root / "mine/global_step_3"
