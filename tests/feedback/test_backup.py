"""A backup of a busy server holds everything that was acknowledged before it, and can be put back."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from feedback import backup
from recruiter.errors import ConfigError, DataError

from .load import Caller, Notes, ServerProcess, rate_until_empty
from .test_load import hand_in


def counted(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return connection.execute("SELECT count(*) FROM ratings").fetchone()[0]


def test_backup_of_a_busy_server_loses_nothing_and_comes_back(tmp_path: Path) -> None:
    url, target = f"sqlite:///{tmp_path / 'feedback.db'}", tmp_path / "saved.db"
    with (tmp_path / "server.log").open("wb") as log:
        server = ServerProcess(url, log)
        server.start()
        hand_in(server, 40)
        notes, stop = Notes(), threading.Event()
        rater = threading.Thread(target=rate_until_empty, args=(server.port, notes, 0.01, 1, stop))
        rater.start()
        while len(notes.acknowledged) < 15:
            stop.wait(0.01)
        acknowledged = len(notes.acknowledged)
        assert backup.save(url, target) >= acknowledged
        rater.join()
        assert counted(target) >= acknowledged
        assert target.stat().st_mode & 0o777 == 0o600
        total = len(notes.acknowledged)
        server.stop()
        assert backup.restore(url, target) == counted(target) < total
        assert counted(tmp_path / "feedback.db.before-restore") == total
        server.start()
        assert Caller(server.port).call("GET", "/api/rate/progress")[1]["team"]["total"] == counted(target)
        server.stop()


def test_what_cannot_be_saved_or_restored_is_said(tmp_path: Path, sqlite_file: Path) -> None:
    url = f"sqlite:///{shutil.copy(sqlite_file, tmp_path / 'feedback.db')}"
    (tmp_path / "there.db").touch()
    with pytest.raises(DataError, match="name another file"):
        backup.save(url, tmp_path / "there.db")
    (tmp_path / "other.db").write_text("no database, but long enough to look like one " * 30)
    for wrong, part in (("none.db", "no file"), ("other.db", "no database of the feedback server")):
        with pytest.raises(DataError, match=part):
            backup.restore(url, tmp_path / wrong)
    with pytest.raises(ConfigError, match="pg_dump"):
        backup.save("postgresql://u@h/n", tmp_path / "x.db")
