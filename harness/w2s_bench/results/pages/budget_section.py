"""Whether a suite's steps are enough: a board's table of ceiling and naive at half, once and twice as many, on `dev`."""

from __future__ import annotations

from collections.abc import Iterator

from w2s_bench.controls import CEILING
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.budgets import ARMS, FACTORS, FLAT, DomainBudget, SuiteBudget
from w2s_bench.results.pages.blocks import escape, table, unfolding
from w2s_bench.results.pages.style import NONE, count, number

_HEADER = ("domain", "student", "the suite's steps", "half", "once", "twice", "twice − once", "")


def budget_section(board: Leaderboard) -> list[str]:
    """The blocks; none where the folder keeps no budget."""
    if board.budget is None:
        return []
    shown = [table(_HEADER, [line for domain in board.budget.domains for line in _lines(domain)])]
    if board.wide:
        shown = unfolding(f"In {len(board.budget.domains)} domains", shown)
    return ["## Are the steps enough?", _note(board.budget), *shown, _verdicts(board.budget)]


def _lines(domain: DomainBudget) -> Iterator[list[str]]:
    for arm in ARMS:
        once = domain.at(arm, 1.0)
        accuracies = [number(domain.at(arm, factor).accuracy, 3) for factor in FACTORS]
        yield [
            escape(domain.domain),
            f"`{arm}`",
            str(once.steps),
            *accuracies,
            gained(once.more, once.within),
            once.verdict or "",
        ]


def gained(more: float | None, within: float | None) -> str:
    """What twice the steps bring, with half of its interval; a dash where they were not trained."""
    if more is None:
        return NONE
    text = number(more, 3)
    plus = "+" if more > 0 and float(text) else ""
    return f"{plus}{text} ± {number(within, 3)}"


def _note(budget: SuiteBudget) -> str:
    asked = sorted({domain.items for domain in budget.domains})
    items = f"{asked[0]} `dev` items" if len(asked) == 1 else f"{asked[0]} to {asked[-1]} `dev` items a domain"
    return (
        f"Mean accuracy on {items} (none of `test`) of {count(budget.seeds, 'seed')}, where students take half, once and twice the "
        f"suite's steps. *flat*: twice the steps change the mean by no more than {FLAT:g}. ±: half of the 95 % interval over clusters "
        "of items, these seeds given: a verdict is no surer than that."
    )


def _verdicts(budget: SuiteBudget) -> str:
    """What the ceilings' verdicts mean for PGRs."""
    domains: dict[str, list[str]] = {}
    for domain in budget.domains:
        domains.setdefault(domain.at(CEILING, 1.0).verdict or "", []).append(escape(domain.domain))
    named = {verdict: ", ".join(names) for verdict, names in domains.items()}
    said = [f"The ceiling is flat in {named['flat']}."] if "flat" in named else []
    if "rises" in named:
        said.append(
            f"**The ceiling rises in {named['rises']}**: it is under-trained there, so that the gap is too narrow and the PGR of a "
            "student that has learned all that its labels teach is too high."
        )
    if "falls" in named:
        said.append(f"**The ceiling falls in {named['falls']}**: more steps make it worse.")
    return " ".join(said)
