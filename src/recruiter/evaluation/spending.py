"""What an evaluation may cost: prices from the command line, one budget for all that is called, a look at each judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recruiter.errors import ConfigError
from recruiter.evaluation.contestants import Contestant
from recruiter.evaluation.records import Plan, Spent
from recruiter.judges import Judge
from recruiter.judges.llm.estimate import ask_for_probe
from recruiter.llm.usage import Budget, Price, Tally, Usage
from recruiter.roles import Role


def limit_spending(
    contestants: Sequence[Contestant],
    judges: Sequence[Judge],
    budget_usd: float | None,
    prices: Mapping[str, tuple[float, float]],
    others: Sequence[Usage] = (),
) -> None:
    """Give all models and judges that are called, and `others`, one budget.

    Args:
        prices: USD per million tokens in and out, by model, beside those that are known.

    Raises:
        ConfigError: a price is given for a model that takes no part, or one is missing that the budget needs.
    """
    called = [*usages(contestants, judges), *others]
    unknown = prices.keys() - {usage.model for usage in called}
    if unknown:
        raise ConfigError(f"--price names {min(unknown)}, which is no model, judge or reader that is called here.")
    budget = Budget(budget_usd, "--budget-usd")
    for usage in called:
        if usage.model in prices:
            usage.price = Price(*prices[usage.model])
        if budget_usd is not None and usage.price is None:
            raise ConfigError(
                f"--budget-usd {budget_usd:g} needs the price of {usage.model}: add --price {usage.model} INPUT OUTPUT "
                f"(USD per million tokens)."
            )
        usage.share(budget)


def usages(contestants: Sequence[Contestant], judges: Sequence[Judge]) -> list[Usage]:
    """The usage of every model that is called over a network."""
    each = [*(contestant.writer.usage for contestant in contestants), *(judge.usage for judge in judges)]
    return [part for usage in each for part in usage.parts]


def probe(judge: Judge, plan: Plan, roles: int, models: int) -> str | None:
    """Ask a judge for one judgement, and say what the evaluation will take of it at most; None if it costs nothing.

    Raises:
        ApiError: it does not answer.
    """
    found = ask_for_probe(judge)
    if found is None:
        return None
    calls = models * roles * plan.samples + plan.twice
    calls += models * (models - 1) * roles * plan.samples if plan.pairwise else 0
    price = judge.usage.price
    cost = f", about ${calls * price.cost(found.tokens):.2f}" if price else ""
    return f"{judge.name} answered in {found.seconds:.1f} s; it will be asked at most {calls:,} times{cost}."


def probe_candidates(judge: Judge, plan: Plan, roles: Sequence[Role], models: int) -> str | None:
    """Hold one interview, and say what all of them will take at most; None if they cost nothing.

    Raises:
        ApiError: a model does not answer.
    """
    found = ask_for_probe(judge)
    bill = judge.bill(found, roles[0], models * len(roles) * plan.samples) if found else None
    if bill is None:
        return None
    cost = "" if bill.usd is None else f", about ${bill.usd:.2f}"
    return f"{judge.name} held an interview; it will take at most {round(bill.calls):,} calls{cost}."


def spending(contestants: Sequence[Contestant], judges: Sequence[Judge]) -> dict[str, Spent]:
    """What calls took in this run, by the names of models and judges; a judge that is also a model has its own entry."""
    spent = {each.name: took(each.writer.usage) for each in contestants if each.writer.usage.parts}
    for judge in judges:
        if judge.usage.parts:
            spent[f"{judge.name} as a judge" if judge.name in spent else judge.name] = took(judge.usage)
    return spent


def took(usage: Usage) -> Spent:
    """What calls of one model, or of several together, took so far."""
    total = Tally()
    for part in usage.parts:
        total.add(part.total)
    return Spent(
        wanted=total.wanted,
        stored_before=total.hits,
        calls=total.calls,
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        cost_usd=total.cost_usd if all(part.price for part in usage.parts) else None,
        seconds_median=total.percentile(0.5),
        errors=dict(total.errors),
    )
