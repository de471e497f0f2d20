"""The terminal, or what stands in its place: a file, a pipe, the log of a CI.

What a console prints is text, never markup: brackets in names, paths and answers stay as they are.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

_IS_A_TERMINAL = ("FORCE_COLOR", "TTY_COMPATIBLE")  # what a CI says of its logs, to get colours


def make_console(stderr: bool = False) -> Console:
    """Standard output or error for people to read."""
    return Console(stderr=stderr, markup=False, highlight=False)


@contextmanager
def shown_status(console: Console, text: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done on a terminal; the function that is yielded changes it."""
    with console.status(Text(text)) as status:
        yield lambda text: status.update(Text(text))


def prepare_terminal() -> None:
    """Let a command finish its work whatever becomes of its output, and let the streams alone say what they are.

    Letters that an output's encoding lacks become question marks.
    """
    for name in _IS_A_TERMINAL:
        os.environ.pop(name, None)
    for name in ("stdout", "stderr"):
        if type(stream := getattr(sys, name)) is io.TextIOWrapper:
            setattr(sys, name, _lasting(stream))


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    raw: Any = _Output(stream.fileno(), "wb", closefd=False)
    buffer = raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw)  # python -u has no buffer
    return io.TextIOWrapper(
        buffer, stream.encoding, "replace", line_buffering=stream.line_buffering, write_through=stream.write_through
    )


class _Output(io.FileIO):
    """Once nobody reads it any more, what is written is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (no path)
                os.dup2(nowhere.fileno(), self.fileno())
            return len(data)
