"""What every command shares: keys from `.env`, errors as one sentence, Ctrl-C without a stack trace."""

from __future__ import annotations

import argparse
import errno
import functools
import re
import sys
from collections.abc import Callable, Mapping

from dotenv import load_dotenv

from recruiter.config.paths import WORKSPACE, command_line
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


def argument_parser(about: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a module's docstring, with its examples as one runs them here."""
    text = re.sub(r"\brecruiter ([a-z-]+)(?= )", lambda match: command_line(match[1]), about or "")
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def check_numbers(
    parser: argparse.ArgumentParser,
    options: argparse.Namespace,
    wanted: Mapping[str, tuple[Callable[[float], bool], str]],
) -> None:
    """End with one sentence where an option that was given is not as it must be: a condition, and its words."""
    for name, (is_right, words) in wanted.items():
        value = getattr(options, name.lstrip("-").replace("-", "_"))
        if value is not None and not is_right(value):
            parser.error(f"{name} {value} cannot work; write a number {words}")


def add_price(parser: argparse.ArgumentParser) -> None:
    """The option --price, for models whose price is not known; see `read_prices`."""
    parser.add_argument(
        "--price",
        nargs=3,
        action="append",
        default=[],
        metavar=("MODEL", "INPUT", "OUTPUT"),
        help="USD per million tokens of a model whose price is not known",
    )


def read_prices(parser: argparse.ArgumentParser, given: list[list[str]]) -> dict[str, tuple[float, float]]:
    """USD per million tokens in and out, by model."""
    try:
        return {model: (float(dollars), float(more)) for model, dollars, more in given}
    except ValueError:
        parser.error("--price takes a model and two numbers, USD per million tokens in and out")
