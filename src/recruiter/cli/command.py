"""What every command shares: keys from `.env`, errors as one sentence, Ctrl-C without a stack trace, a terminal or none."""

from __future__ import annotations

import argparse
import errno
import functools
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from recruiter.cli.options import OptionParser, address, cache_file, dollars_a_million, gpus
from recruiter.cli.terminal import prepare_terminal
from recruiter.config.paths import command_line
from recruiter.errors import RecruiterError
from recruiter.files import load_environment

STOPPED = 130  # exit status after Ctrl-C: what is chained with && does not go on
NO_MEMORY = (
    "The GPU's memory is used up; what was finished is stored. In training, write a smaller "
    "trainer.micro_train_batch_size_per_gpu, trainer.policy.model.quantization=int8 or, if nobody else needs the GPU, a larger "
    "trainer.gpu_memory_utilization."
)


def command(function: Callable[[], None]) -> Callable[[], None]:
    """Decorate a script's `main`: print user errors as their one sentence and set the exit status."""

    @functools.wraps(function)
    def run() -> None:
        prepare_terminal()
        try:
            load_environment()
            function()
        except RecruiterError as error:
            print(error, file=sys.stderr)
            sys.exit(1)
        except KeyboardInterrupt:
            print("\nStopped; what was finished is stored.", file=sys.stderr)
            sys.exit(STOPPED)
        except OSError as error:
            if error.errno is None:  # none of the system's, so a fault of ours
                raise
            print(_refused(error), file=sys.stderr)
            sys.exit(1)
        except RuntimeError as error:
            if type(error).__name__ != "OutOfMemoryError":  # torch's, which most commands never import
                raise
            print(NO_MEMORY, file=sys.stderr)
            sys.exit(1)

    return run


def _refused(error: OSError) -> str:
    """What the system would not do, in one sentence."""
    if error.errno == errno.ENOSPC:
        return f"The disk is full ({error.filename or 'while writing'}): free some space and run again."
    reason = " ".join((error.strerror or str(error)).split()).rstrip(".")
    what = f"{error.filename} cannot be read or written ({reason})" if error.filename else reason
    return f"{what}: mend that or name another place, and run the same command again."


def argument_parser(about: str | None) -> OptionParser:
    """A parser whose help is a module's docstring, with its examples as one runs them here."""
    text = re.sub(r"\brecruiter ([a-z-]+)(?= )", lambda match: command_line(match[1]), about or "")
    form = argparse.RawDescriptionHelpFormatter
    return OptionParser(description=text, formatter_class=form, allow_abbrev=False)


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
        return {model: (dollars_a_million(one), dollars_a_million(more)) for model, one, more in given}
    except argparse.ArgumentTypeError:
        parser.error("--price takes a model and two numbers of 0 or more, USD per million tokens in and out")


def add_judge_address(parser: argparse.ArgumentParser, *others: str) -> None:
    """The option --judge-base-url, with the other names that a command gives it."""
    parser.add_argument(
        "--judge-base-url",
        *others,
        type=address,
        metavar="URL",
        help="address of the judge's server instead of its provider's, such as http://localhost:11434/v1",
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """The option --cache."""
    parser.add_argument(
        "--cache", type=cache_file, metavar="FILE", help="cache of judgements (default data/judge_cache.sqlite)"
    )


def add_gpus(parser: argparse.ArgumentParser) -> None:
    """The option --gpus."""
    parser.add_argument(
        "--gpus",
        type=gpus,
        default=1,
        metavar="N",
        help="GPUs that a model on this machine writes on, a process for each; auto: all (default 1)",
    )


@contextmanager
def shown_progress(console: Console) -> Iterator[Callable[[str, str, float], None]]:
    """A bar for everything that somebody is at work on; where there is no terminal, a line when it is done."""
    what = TextColumn("{task.description}", markup=False)
    columns = what, BarColumn(bar_width=24), TaskProgressColumn(), TimeElapsedColumn()
    bars = Progress(*columns, console=console, disable=not console.is_interactive)
    tasks: dict[str, TaskID] = {}

    def progress(who: str, what: str, share: float) -> None:
        name = f"{who}: {what}"
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=1.0)
        was_done = bars.tasks[tasks[name]].finished
        bars.update(tasks[name], completed=share)
        if bars.disable and share >= 1.0 and not was_done:
            console.print(f"{name}: done")

    with bars:
        yield progress
