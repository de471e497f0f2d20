"""A run's folder has one owner at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from recruiter.errors import ConfigError
from recruiter.files import lock
from recruiter.train.layout import RunFolder


@contextmanager
def sole_owner(run: RunFolder) -> Iterator[None]:
    """Keep other processes out of a run's folder.

    The lock is the system's, on a file that says who holds it: it ends with the process, however that ends, and the file
    that stays behind locks nothing.

    Raises:
        ConfigError: another process has the folder, or nothing can be written there.
    """
    try:
        file = run.lock.open("a+", encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"trainer.ckpt_path={run.path} cannot be written: {error.strerror}.") from None
    with file:
        try:
            lock(file.fileno(), wait=False)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "not named"
            raise ConfigError(
                f"trainer.ckpt_path={run.path} is in use by another run ({owner}): wait until it ends, stop it there, or "
                f"choose another trainer.ckpt_path."
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                file.truncate(0)
