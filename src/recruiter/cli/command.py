"""What every command shares: keys from `.env`, errors as one sentence, Ctrl-C without a stack trace."""

from __future__ import annotations

import errno
import functools
import sys
from collections.abc import Callable

from dotenv import load_dotenv

from recruiter.config.paths import WORKSPACE
from recruiter.errors import RecruiterError


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Decorate a script's `main`: print user errors as their one sentence and set the exit status."""

    @functools.wraps(function)
    def run() -> None:
        load_dotenv(WORKSPACE / ".env")
        try:
            function()
        except RecruiterError as error:
            print(error, file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("\nStopped; what was finished is stored.", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            print(
                f"The disk is full ({error.filename or 'while writing'}): free some space and run again.",
                file=sys.stderr,
            )
            sys.exit(1)

    return run
