"""The same suite at other coverages and gold budgets: planned beside it, run after it, shown as curves of its results folder."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.domains.documents import Documents
from w2s_bench.errors import W2SBenchError
from w2s_bench.names import CURVES
from w2s_bench.results.curve_pages import write_curves
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.execute import RunReport, make_plan
from w2s_bench.runs.plan import Plan
from w2s_bench.suite import Suite

if TYPE_CHECKING:
    from w2s_bench.executors import Event


def points(suite: Suite, *, coverages: Sequence[float] = (), gold_budgets: Sequence[int] = ()) -> tuple[Suite, ...]:
    """The suite at each of these; its own coverage, which every curve has, is none of them. Raises SuiteError where it has none."""
    kept = [each for each in dict.fromkeys(coverages) if each != suite.coverage]
    seen = [each for each in dict.fromkeys(gold_budgets) if each != suite.gold_budget]
    return (*(suite.at(gold_budget=each) for each in seen), *(suite.at(coverage=each) for each in kept))


def plan_points(
    planned: Plan,
    *,
    coverages: Sequence[float] = (),
    gold_budgets: Sequence[int] = (),
    domains: Sequence[str] = (),
    trust: Sequence[str] | None = None,
    decompose: bool | Collection[str] = False,
    events: Callable[[Event], None] = lambda event: None,
) -> tuple[Plan, ...]:
    """A plan a point, with the domains and trust functions that the suite's own was made with; `decompose` explains each."""
    documents = Documents(planned.documents, planned.unmade.counts)
    return tuple(
        make_plan(point, domains=domains, trust=trust, documents=documents, decompose=decompose, events=events)
        for point in points(planned.suite, coverages=coverages, gold_budgets=gold_budgets)
    )


def run_points(
    plans: Sequence[Plan], folder: Path, execute: Callable[[Plan, Path], RunReport]
) -> Iterator[RunReport | Path]:
    """Run each point into `folder/curves/` and give its report; at the end the page of the curves, and the board's that leads there."""
    for planned in plans:
        yield execute(planned, folder / CURVES)
    page = write_curves(folder)
    if page is not None:
        write_leaderboard(folder)
        yield page


def numbers(option: str, text: str, number: type[int] | type[float]) -> tuple[float, ...]:
    """Numbers as the command line has them, `.2,.5`. Raises W2SBenchError for what is none."""
    out = []
    for part in text.split(","):
        try:
            out.append(number(part.strip()))
        except ValueError:
            what = "a whole number" if number is int else "a number above 0, at most 1"
            raise W2SBenchError(
                f"{option} {text!r}: {part.strip()!r} is not {what}; write them with commas, as in {option} "
                f"{'25,75,150' if number is int else '.2,.5,.8'}"
            ) from None
    return tuple(out)
