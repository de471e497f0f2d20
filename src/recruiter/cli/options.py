"""What the value of an option can be: types for argparse, which refuse in one sentence what cannot work.

Numbers are checked and described as settings of a run are (`config.setting`).
"""

from __future__ import annotations

import argparse
import difflib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import Field, TypeAdapter, ValidationError

from recruiter.config.paths import WORKSPACE, command_line
from recruiter.config.setting import ADDRESS, Setting
from recruiter.engines.ranks import count_ranks
from recruiter.errors import ConfigError

Read = Callable[[str], Any]


class OptionParser(argparse.ArgumentParser):
    """Says in one sentence what cannot work, and lets no output take the place of an input."""

    def error(self, message: str) -> NoReturn:
        """Name the option and what to write.

        Raises:
            ConfigError: always.
        """
        if found := re.match(r"argument (\S+?)(?:/\S+)?: (.*)", message, re.DOTALL):
            message = f"{found[1]}{'' if ' cannot work; ' in found[2] else ':'} {found[2]}"
        elif found := re.match(r"unrecognized arguments: (--[\w-]+)", message):
            longer = [name for name in self._option_string_actions if name.startswith(found[1])]
            alike = longer or difflib.get_close_matches(found[1], self._option_string_actions, 1)
            message = f"There is no option {found[1]}" + (f"; did you mean {alike[0]}?" if alike else "")
        raise ConfigError(f"{message.rstrip('.')}{'' if message.endswith('?') else '.'} --help lists the options.")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, and then compare every output with every input."""
        options, rest = super().parse_known_args(args, namespace)
        given = {action: value for action in self._actions if (value := getattr(options, action.dest, None))}
        for output in (
            action for action in given if action.type in (cache_file, output_file, output_folder, results_file)
        ):
            for action in given.keys() - {output}:
                values = given[action] if isinstance(given[action], list) else [given[action]]
                if any(_is_same(given[output], value) for value in values):
                    name = (*action.option_strings, action.metavar)[0]
                    self.error(
                        f"{output.option_strings[0]} {given[output]} is what {name} names: write to another place"
                    )
        return options, rest


def whole(**limits: int) -> Read:
    """A whole number; limits `ge` and `le`."""
    return _read(int, limits)


def number(**limits: float) -> Read:
    """A number, neither infinite nor NaN; limits `ge`, `gt` and `le`."""
    return _read(float, limits)


def _read(kind: type, limits: dict[str, Any]) -> Read:
    entry = Setting("", kind, None, False, "", **limits)
    allowed: Any = Annotated[kind, Field(**limits)]
    checked = TypeAdapter[Any](allowed)

    def read(text: str) -> Any:
        try:
            value = checked.validate_python(text.strip())
        except ValidationError:
            raise refused(text, entry.wanted) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise refused(text, entry.wanted)
        return value

    return read


seed = whole()


def gpus(value: str) -> int:
    """How many GPUs of this machine; without any, so many processes."""
    try:
        return count_ranks("auto" if value.strip() == "auto" else whole(ge=1)(value), "auto", "--gpus ")
    except argparse.ArgumentTypeError:
        raise refused(value, "a whole number, 1 or more, or auto") from None


dollars = number(gt=0)
dollars_a_million = number(ge=0)


def text(value: str) -> str:
    """A text that says something."""
    if not value.strip():
        raise argparse.ArgumentTypeError("it is empty; write something, or leave the option out")
    return value


def address(value: str) -> str:
    """The address of a server."""
    if not re.fullmatch(ADDRESS, value):
        raise refused(value, "an address such as http://localhost:8000, without a user name")
    return value


def input_file(value: str) -> Path:
    """A file that is there."""
    path = Path(text(value))
    if not path.exists():
        raise argparse.ArgumentTypeError(f"there is no file {value}")
    if path.is_dir():
        raise refused(value, "a file; this is a folder")
    return path


def stored_results(value: str) -> Path:
    """The results of an evaluation."""
    if not Path(text(value)).exists():
        raise argparse.ArgumentTypeError(f"there are no results at {value}; make some with `{command_line('eval')}`")
    return input_file(value)


def input_folder(value: str) -> Path:
    """A folder that is there."""
    path = Path(text(value))
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {value}")
    return path


def output_file(value: str) -> Path:
    """A file that can be written: its folder is there."""
    path = Path(text(value))
    if path.is_dir():
        raise refused(value, "a file; this is a folder")
    if not path.resolve().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def cache_file(value: str) -> str:
    """A file that keeps what was paid for, here or made."""
    return str(output_file(value).resolve())


def rubric_file(value: str) -> Path:
    """A rubric, as `load_rubric` finds it."""
    in_workspace = WORKSPACE / text(value)
    return in_workspace if in_workspace.is_file() and not Path(value).exists() else input_file(value)


def results_file(value: str) -> Path:
    """A .json file, whose folder is made if it is missing."""
    path = Path(text(value))
    if path.suffix != ".json" or path.is_dir():
        raise refused(value, "the name of a .json file")
    return output_folder(str(path.parent)) / path.name


def output_folder(value: str) -> Path:
    """A folder that is there or can be made."""
    path = Path(text(value))
    if any(part.exists() and not part.is_dir() for part in (path, *path.parents)):
        raise refused(value, "a folder; this is a file, or lies in one")
    return path


def refused(value: object, wanted: str) -> argparse.ArgumentTypeError:
    """What is said of a value that cannot work."""
    return argparse.ArgumentTypeError(f"{value} cannot work; write {wanted}")


def format_of(
    parser: argparse.ArgumentParser, output: Path | None, endings: dict[str, str], without: str, given: str | None
) -> str:
    """The format that --format or the name of --output says.

    Args:
        endings: format by ending of a name.
        without: the format on the terminal.
    """
    found = given or (endings.get(output.suffix.lower()) if output else without)
    if found is None:
        parser.error(f"--output {output} names no format; end it in {', '.join(endings)}, or add --format")
    return found


def _is_same(output: str | Path, value: object) -> bool:
    try:
        return isinstance(value, (str, Path)) and Path(output).samefile(value)
    except (OSError, ValueError):  # there is none, or it is no name of a file
        return False
