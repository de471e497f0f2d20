"""Blind reads as part of `recruiter eval`: the sheet that is written, the readings that are taken in."""

from __future__ import annotations

import argparse
import functools
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from recruiter.cli.command import shown_progress
from recruiter.config import HumanFeedbackConfig
from recruiter.errors import ConfigError, DataError, RecruiterError
from recruiter.evaluation.blind import is_of, make_sheet, sheet_roles, with_sheet
from recruiter.evaluation.model_reader import ModelReader
from recruiter.evaluation.people_reader import PeopleReader
from recruiter.evaluation.readings import read_readings
from recruiter.evaluation.records import Reading
from recruiter.evaluation.results import Results, load_results
from recruiter.evaluation.spending import took
from recruiter.evaluation.store import RecordStore
from recruiter.files import short_path
from recruiter.report.sheet import write_sheet

STORE = "eval_store.sqlite"  # beside the results


def with_earlier_reads(results: Results, output: Path, console: Console) -> Results:
    """The results with the sheet and the readings of the file that they replace; it is kept if its questions were others."""
    try:
        earlier = load_results(output)
    except DataError:
        return results
    if earlier.sheet is None:
        return results
    if is_of(earlier.sheet, results, earlier):
        return with_sheet(results, earlier.sheet)
    kept = output.with_name(f"{output.stem}-{re.sub(r'[^0-9]', '', earlier.made_at)[:14]}.json")
    output.replace(kept)
    console.print(
        f"The questions changed, so the sheet and the readings of the earlier ones stay with these, in {short_path(kept)}.",
        soft_wrap=True,
    )
    return results


def _given(results: Results, options: argparse.Namespace) -> dict[str, Reading]:
    """The readings in the files of `--readings`, by reader."""
    given: dict[str, Reading] = {}
    for path in options.readings:
        if results.sheet is None:
            raise ConfigError(
                f"{short_path(options.output)} has no sheet that could have been read: write one with --blind-sheet FOLDER."
            )
        found = read_readings(path, results.sheet, options.readings_kind)
        if twice := found.keys() & given.keys():
            raise DataError(f"{path}: another file is by {min(twice)} too; give one of the files another name.")
        given |= found
    return given


def read_blind(
    results: Results, options: argparse.Namespace, readers: Sequence[ModelReader], console: Console
) -> tuple[Results, list[str]]:
    """Write the sheet, take readings in, have language models read it.

    Returns:
        The results with what was read, and what went wrong.

    Raises:
        ConfigError: there is another sheet already, or none that could have been read.
        DataError: a file of readings is wrong.
    """
    given = _given(results, options)
    asked = HumanFeedbackConfig(options.people or "", overlap=options.people_each, task=options.people_task)
    people = PeopleReader(asked) if options.people else None
    sheet, problems = results.sheet, list[str]()
    if options.blind_sheet or ((readers or people) and sheet is None):
        fresh = make_sheet(results, options.seed, options.sheet_roles)
        if sheet and sheet.items != fresh.items:
            raise ConfigError(
                f"{short_path(options.output)} holds another sheet, which somebody may be reading (seed {sheet.seed}): give "
                f"its --seed and --sheet-roles, or make the new sheet from a copy of the file."
            )
        sheet = sheet or fresh
    if sheet is None:
        return results, []
    if options.blind_sheet:
        with_sheet(results, sheet).save(options.output)  # before anybody can have the sheet
        key = write_sheet(results, sheet, options.blind_sheet)
        console.print(
            f"Wrote {short_path(options.blind_sheet)}, the sheet of {len(sheet.items)} questions, for readers, and the key "
            f"{short_path(key)}, not for them.",
            soft_wrap=True,
        )
    if people:
        with_sheet(results, sheet).save(options.output)
        count = people.hand_in(sheet_roles(results, sheet), sheet)
        by_people = people.readings(sheet, options.output.with_name(f"{options.output.stem}_people.csv"))
        line = (
            f"{count} roles of the sheet are there to be read at {people.url}; the same command takes in what was read."
        )
        console.print(line, soft_wrap=True)
        if twice := by_people.keys() & given.keys():
            raise DataError(f"{people.url}: a file is by {min(twice)} too; give the file another name.")
        given |= by_people
    for name, reading in given.items():
        before = f", {len(sheet.readings[name].marks)} of them earlier" if name in sheet.readings else ""
        line = f"{name} ({reading.kind}) read {len(reading.marks)} of {len(sheet.items)} questions{before}."
        console.print(line, soft_wrap=True)
    readings = {**sheet.readings, **given}
    with shown_progress(console) as progress:
        for reader in readers:
            said = functools.partial(progress, reader.name, "reading")
            try:
                store = RecordStore(options.output.parent / STORE)
                readings[reader.name], unread = reader.read(sheet_roles(results, sheet), store, said)
                problems += unread
            except RecruiterError as error:
                problems.append(f"{reader.name}: {error}")
            results.spent[f"{reader.name} as a reader"] = took(reader.usage)
    return with_sheet(results, sheet.model_copy(update={"readings": readings})), problems
