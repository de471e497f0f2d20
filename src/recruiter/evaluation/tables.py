"""Results as tables, for a terminal of 80 columns and as Markdown. Both show the same cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from recruiter.evaluation import cells
from recruiter.evaluation.cells import Table
from recruiter.evaluation.estimates import Difference, Simulated
from recruiter.evaluation.read_tables import read_tables
from recruiter.evaluation.results import Results
from recruiter.roles import LEVELS


def tables(results: Results) -> Iterator[Table]:
    """Everything that is worth a table, the most important first: blind reads."""
    if results.reads:
        yield from read_tables(results.reads, results.metrics, short_names(results))
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
    if results.simulated:
        yield _simulated(results, results.simulated)
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
        *(f"**{line}**" for line in results.evidence),
        f"{cells.count(len(results.roles), 'role')} from {plan.roles_from}, {cells.count(plan.samples, 'question')} a role, "
        f"seed {plan.seed}; {sampling}. Scores are 0–10. Intervals are 95%, over roles. Made {results.made_at}.",
    ]
    if known := warnings(results):
        parts.append("Before you believe a figure:\n\n" + "\n".join(f"- {warning}" for warning in known))
    for table in tables(results):
        body = table.markdown()
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
    """Names of models, judges and readers for narrow columns: what follows the last slash, where that is no other's name."""
    readers = results.reads.readers if results.reads else {}
    names = list(dict.fromkeys([*results.models, *results.judges, *readers]))
    ends = [name.rstrip("/").rsplit("/", 1)[-1] for name in names]
    return {name: end if ends.count(end) == 1 else name for name, end in zip(names, ends, strict=True)}


def _marked(results: Results, judge: str) -> dict[str, str]:
    """Short names, with a mark at the models that this judge trained."""
    short = short_names(results)
    trained = {model: short[model] + "*" for model, each in results.figures[judge].items() if each.judge_trained_it}
    return {**short, **trained}


def _title(results: Results, judge: str, title: str) -> str:
    """A title that says what the mark means, where it stands."""
    trained = any(figures.judge_trained_it for figures in results.figures[judge].values())
    return title + (f" (*: {judge} trained it, so its word is no evidence)" if trained else "")


def _scores(results: Results, judge: str) -> Table:
    short = _marked(results, judge)
    rows = [
        [
            short[model],
            *(cells.mean(figures.scores[name]) for name in results.rubric.names),
            cells.interval(figures.scores["composite"]),
            cells.share(figures.below_5),
            f"{figures.questions - figures.unwritten - figures.unscored}/{figures.questions}",
        ]
        for model, figures in results.figures[judge].items()
    ]
    columns = ["model", *results.rubric.names, "composite (95%)", "below 5", "scored"]
    return Table(_title(results, judge, f"Scores by {judge}"), columns, rows)


def _differences(results: Results, judge: str) -> Table:
    rows, short = [], _marked(results, judge)
    for model, difference in _each_difference(results, judge):
        if difference is None:
            rows.append([short[model], cells.NOTHING, cells.NOTHING, cells.NOTHING, "0"])
            continue
        record = f"{difference.wins}/{difference.ties}/{difference.losses}"
        p_value = cells.p_value(difference.p_corrected)
        rows.append(
            [short[model], cells.interval(difference.scores["composite"], "+"), p_value, record, str(difference.roles)]
        )
    several = len(results.models) > 2
    columns = ["model", "composite (95%)", "p, Holm" if several else "p", "win/tie/loss", "roles"]
    title = f"Difference to {results.plan.baseline} by {judge}"
    return Table(_title(results, judge, title), columns, rows)


def _by_group(results: Results, judge: str, noun: Literal["level", "focus"]) -> Table:
    found = {
        model: (difference.by_level if noun == "level" else difference.by_focus) if difference else {}
        for model, difference in _each_difference(results, judge)
    }
    order: Sequence[str] = LEVELS if noun == "level" else sorted({role.focus for role in results.roles})
    groups = [group for group in order if any(getattr(role, noun) == group for role in results.roles)]
    rows = [[group, *(cells.interval(estimates.get(group), "+") for estimates in found.values())] for group in groups]
    title = _title(results, judge, f"Difference to {results.plan.baseline} by {judge} and {noun}")
    short = _marked(results, judge)
    return Table(title, [noun, *(short[model] for model in found)], rows, is_long=noun == "focus")


def _trimmed(results: Results, judge: str) -> Table:
    short = _marked(results, judge)
    rows = [
        [short[model], cells.interval(trimmed.scores["composite"]), cells.interval(trimmed.difference, "+")]
        for model, figures in results.figures[judge].items()
        if (trimmed := figures.trimmed)
    ]
    title = f"Without the {results.plan.trim:.0%} lowest and the {results.plan.trim:.0%} highest roles, by {judge}"
    return Table(_title(results, judge, title), ["model", "composite (95%)", "difference"], rows)


def _strengths(results: Results, judge: str) -> Table:
    found, short = results.pairwise[judge], _marked(results, judge)
    rows = [
        [
            short[model],
            cells.interval(strength.log_strength, "+") if model != results.plan.baseline else "0",
            cells.share(strength.beats_baseline, with_interval=True),
            f"{strength.wins}/{strength.ties}/{strength.losses}",
        ]
        for model, strength in found.strengths.items()
    ]
    title = (
        f"Compared by {judge}: both orders agree in {cells.percent(found.orders_agree)} of the pairs, the first one wins "
        f"{cells.percent(found.first_preferred)}, {found.unanswered} of {len(found.comparisons)} unanswered"
    )
    columns = ["model", "log strength (95%)", "preferred to baseline", "win/tie/loss"]
    return Table(_title(results, judge, title), columns, rows)


def _simulated(results: Results, found: Simulated) -> Table:
    short = short_names(results)
    rows = [
        [short[model], cells.share(estimate, with_interval=True), str(found.missing[model])]
        for model, estimate in found.models.items()
    ]
    title = (
        f"Simulated candidates ({found.judge}, {found.answers} answers each): how often a strong answer beats a weak one; 50% "
        f"tells nothing"
    )
    return Table(title, ["model", "strong beats weak (95%)", "missing"], rows)


def _texts(results: Results) -> Table:
    short = short_names(results)
    rows = [
        [
            short[model],
            cells.mean(texts.tokens, 0),
            cells.mean(texts.words, 0),
            str(texts.cut_off),
            cells.number(texts.seconds_median, 2),
            cells.number(texts.seconds_p95, 2),
            cells.NOTHING if texts.cost_usd is None else f"${texts.cost_usd:.4f}" if texts.cost_usd else "0",
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
            *(cells.number(value, 2) for value in texts.distinct.values()),
            cells.mean(texts.overlap),
            str(texts.identical),
            cells.mean(texts.novelty),
            cells.NOTHING if texts.copies is None else str(texts.copies),
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
            short[judge],
            str(found.questions),
            cells.percent(found.within_half),
            cells.number(found.mean_absolute_difference, 2),
            cells.number(found.spearman, 2),
        ]
        for judge, found in results.consistency.items()
    ]
    columns = ["judge", "questions", "within 0.5", "mean difference", "rank correlation"]
    return Table("Each judge asked twice", columns, rows)


def _agreement(results: Results) -> Table:
    short = short_names(results)
    rows = [
        [
            " – ".join(short[judge] for judge in found.judges),
            str(found.questions),
            cells.number(found.spearman, 2),
            cells.number(found.mean_difference, 2, "+"),
            f"{cells.percent(found.same_preference)} of {found.preferences}",
        ]
        for found in results.agreement
    ]
    columns = ["judges", "questions", "rank correlation", "mean difference", "same preference"]
    return Table("Judges against each other", columns, rows)


def _each_difference(results: Results, judge: str) -> Iterator[tuple[str, Difference | None]]:
    for model, figures in results.figures[judge].items():
        if model != results.plan.baseline:
            yield model, figures.difference
