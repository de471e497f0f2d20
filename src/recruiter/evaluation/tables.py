"""Results as tables, for a terminal of 80 columns and as Markdown. Both show the same cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from recruiter.evaluation.results import Difference, Estimate, Results
from recruiter.roles import LEVELS

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A title, column names, and rows of cells. `is_long` ones are folded away in Markdown and left out on a terminal."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    is_long: bool = False


def tables(results: Results) -> Iterator[Table]:
    """Everything that is worth a table, the most important first."""
    for judge in results.judges:
        yield _scores(results, judge)
        if len(results.models) > 1:
            yield _differences(results, judge)
            yield _by_group(results, judge, "level")
            yield _by_group(results, judge, "focus")
        if results.plan.trim:
            yield _trimmed(results, judge)
        if judge in results.pairwise:
            yield _strengths(results, judge)
    yield _texts(results)
    yield _texts_against_others(results)
    if results.consistency:
        yield _consistency(results)
    if results.agreement:
        yield _agreement(results)


def warnings(results: Results) -> list[str]:
    """Everything that a reader should know before believing any figure, a sentence each."""
    notes = [f"{name}: {note}." for name, model in results.models.items() for note in model.notes]
    return results.flags + notes + [f"{name} is left out: {reason}" for name, reason in results.left_out.items()]


def markdown(results: Results) -> str:
    """All tables, what a reader should know first, and how it was made."""
    plan = results.plan
    sampling = ", ".join(f"{name} {value}" for name, value in plan.sampling.items())
    parts = [
        "# Evaluation",
        f"{_count(len(results.roles), 'role')} from {plan.roles_from}, {_count(plan.samples, 'question')} a role, seed "
        f"{plan.seed}; {sampling}. Scores are 0–10. Intervals are 95%, by bootstrap over roles. Made {results.made_at}.",
    ]
    if known := warnings(results):
        parts.append("Before you believe a figure:\n\n" + "\n".join(f"- {warning}" for warning in known))
    for table in tables(results):
        lines = [
            f"| {' | '.join(table.columns)} |",
            "| --- |" + " ---: |" * (len(table.columns) - 1),
            *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in table.rows),
        ]
        body = "\n".join(lines)
        if table.is_long:
            parts.append(f"<details><summary>{table.title}</summary>\n\n{body}\n\n</details>")
        else:
            parts.append(f"## {table.title}\n\n{body}")
    made_by = ", ".join(f"{name} {version}" for name, version in results.versions.items() if version)
    parts.append(
        f"Prompt {plan.prompt_hash}, rubric {plan.rubric_hash} ({', '.join(results.rubric.names)}); {made_by}."
    )
    return "\n\n".join(parts) + "\n"


def short_names(results: Results) -> dict[str, str]:
    """Names of models and judges for narrow columns: what stands after the last slash, where that is no other's name."""
    names = [*results.models, *results.judges]
    ends = [name.rstrip("/").rsplit("/", 1)[-1] for name in names]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)}


def _scores(results: Results, judge: str) -> Table:
    short = short_names(results)
    rows = [
        [
            short[model],
            *(_mean(figures.scores[name]) for name in results.rubric.names),
            _interval(figures.scores["composite"]),
            _share(figures.below_5),
            f"{figures.questions - figures.unwritten - figures.unscored}/{figures.questions}",
        ]
        for model, figures in results.figures[judge].items()
    ]
    columns = ["model", *results.rubric.names, "composite (95%)", "below 5", "scored"]
    return Table(f"Scores by {judge}", columns, rows)


def _differences(results: Results, judge: str) -> Table:
    rows, short = [], short_names(results)
    for model, difference in _each_difference(results, judge):
        if difference is None:
            rows.append([short[model], NOTHING, NOTHING, NOTHING, "0"])
            continue
        record = f"{difference.wins}/{difference.ties}/{difference.losses}"
        p_value = _p_value(difference.p_corrected)
        rows.append(
            [short[model], _interval(difference.scores["composite"], "+"), p_value, record, str(difference.roles)]
        )
    several = len(results.models) > 2
    columns = ["model", "composite (95%)", "p, Holm" if several else "p", "win/tie/loss", "roles"]
    return Table(f"Difference to {results.plan.baseline} by {judge}", columns, rows)


def _by_group(results: Results, judge: str, noun: Literal["level", "focus"]) -> Table:
    found = {
        model: (difference.by_level if noun == "level" else difference.by_focus) if difference else {}
        for model, difference in _each_difference(results, judge)
    }
    order: Sequence[str] = LEVELS if noun == "level" else sorted({role.focus for role in results.roles})
    groups = [group for group in order if any(getattr(role, noun) == group for role in results.roles)]
    rows = [[group, *(_interval(estimates.get(group), "+") for estimates in found.values())] for group in groups]
    title = f"Difference to {results.plan.baseline} by {judge} and {noun}"
    short = short_names(results)
    return Table(title, [noun, *(short[model] for model in found)], rows, is_long=noun == "focus")


def _trimmed(results: Results, judge: str) -> Table:
    short = short_names(results)
    rows = [
        [short[model], _interval(trimmed.scores["composite"]), _interval(trimmed.difference, "+")]
        for model, figures in results.figures[judge].items()
        if (trimmed := figures.trimmed)
    ]
    title = f"Without the {results.plan.trim:.0%} lowest and the {results.plan.trim:.0%} highest roles, by {judge}"
    return Table(title, ["model", "composite (95%)", "difference"], rows)


def _strengths(results: Results, judge: str) -> Table:
    found, short = results.pairwise[judge], short_names(results)
    rows = [
        [
            short[model],
            _interval(strength.log_strength, "+") if model != results.plan.baseline else "0",
            _share(strength.beats_baseline, with_interval=True),
            f"{strength.wins}/{strength.ties}/{strength.losses}",
        ]
        for model, strength in found.strengths.items()
    ]
    title = (
        f"Compared by {judge}: both orders agree in {_percent(found.orders_agree)} of the pairs, the first one wins "
        f"{_percent(found.first_preferred)}, {found.unanswered} of {len(found.comparisons)} unanswered"
    )
    columns = ["model", "log strength (95%)", "preferred to baseline", "win/tie/loss"]
    return Table(title, columns, rows)


def _texts(results: Results) -> Table:
    short = short_names(results)
    rows = [
        [
            short[model],
            _mean(texts.tokens, 0),
            _mean(texts.words, 0),
            str(texts.cut_off),
            _number(texts.seconds_median, 2),
            _number(texts.seconds_p95, 2),
            NOTHING if texts.cost_usd is None else f"${texts.cost_usd:.4f}" if texts.cost_usd else "0",
        ]
        for model, texts in results.texts.items()
    ]
    columns = ["model", "tokens", "words", "cut off", "s, median", "s, 95%", "cost"]
    return Table("Length, time and cost of a question", columns, rows)


def _texts_against_others(results: Results) -> Table:
    short = short_names(results)
    rows = [
        [
            short[model],
            *(_number(value, 2) for value in texts.distinct.values()),
            _mean(texts.overlap),
            str(texts.identical),
            _mean(texts.novelty),
            NOTHING if texts.copies is None else str(texts.copies),
        ]
        for model, texts in results.texts.items()
    ]
    distinct = [f"distinct-{n}" for n in next(iter(results.texts.values())).distinct]
    columns = ["model", *distinct, "overlap", "same", "novelty", "copied"]
    return Table("Diversity across roles, and novelty against the questions of training", columns, rows)


def _consistency(results: Results) -> Table:
    short = short_names(results)
    rows = [
        [
            short[judge], str(found.questions), _percent(found.within_half), _number(found.mean_absolute_difference, 2),
            _number(found.spearman, 2),
        ]
        for judge, found in results.consistency.items()
    ]  # fmt: skip
    columns = ["judge", "questions", "within 0.5", "mean difference", "rank correlation"]
    return Table("Each judge asked twice", columns, rows)


def _agreement(results: Results) -> Table:
    short = short_names(results)
    rows = [
        [
            " – ".join(short[judge] for judge in found.judges), str(found.questions), _number(found.spearman, 2),
            _number(found.mean_difference, 2, "+"), f"{_percent(found.same_preference)} of {found.preferences}",
        ]
        for found in results.agreement
    ]  # fmt: skip
    columns = ["judges", "questions", "rank correlation", "mean difference", "same preference"]
    return Table("Judges against each other", columns, rows)


def _each_difference(results: Results, judge: str) -> Iterator[tuple[str, Difference | None]]:
    for model, figures in results.figures[judge].items():
        if model != results.plan.baseline:
            yield model, figures.difference


def _interval(estimate: Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return NOTHING
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:{sign}.1f}, {_count(estimate.roles, 'role')}"
    until = " to " if sign else "–"
    return f"{estimate.mean:{sign}.2f} ({estimate.low:{sign}.1f}{until}{estimate.high:{sign}.1f})"


def _mean(estimate: Estimate | None, digits: int = 2) -> str:
    return _number(estimate.mean if estimate else None, digits)


def _share(estimate: Estimate | None, with_interval: bool = False) -> str:
    if estimate is None:
        return NOTHING
    if not with_interval or estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.0%}"
    return f"{estimate.mean:.0%} ({estimate.low:.0%} to {estimate.high:.0%})"


def _number(value: float | None, digits: int, sign: str = "") -> str:
    return NOTHING if value is None else f"{value:{sign}.{digits}f}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0%}"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
