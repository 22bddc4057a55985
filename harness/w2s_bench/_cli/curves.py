"""`run --coverage` and `run --gold-budget`: the points of a suite's curves, planned before anything runs and run one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench._cli.executors import ExecutorName
from w2s_bench.errors import W2SBenchError

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.runs.execute import RunReport
    from w2s_bench.runs.logs.told import Told
    from w2s_bench.runs.plan import Plan
    from w2s_bench.suite import Suite


def plans_beside(
    planned: Plan,
    coverage: str | None,
    gold_budget: str | None,
    executor: ExecutorName,
    *,
    as_json: bool,
    domains: Sequence[str],
    trust: Sequence[str] | None,
    decompose: bool | Collection[str],
    events: Callable[[Event], None],
) -> tuple[Plan, ...]:
    """A plan for each coverage and each gold budget, as the command line has them."""
    if coverage is None and gold_budget is None:
        return ()
    if as_json:
        raise W2SBenchError(
            "--json tells of one board; leave it out with --coverage and --gold-budget, or write each as a suite file"
        )
    from w2s_bench.runs.curves import numbers, plan_points

    if executor is ExecutorName.SLURM:
        raise W2SBenchError(
            "--coverage and --gold-budget run one board after another, and --executor slurm returns at once: write each as a suite "
            "file (`coverage`, `gold_budget`) and hand it in, or use another executor"
        )
    budgets = numbers("--gold-budget", gold_budget, int) if gold_budget is not None else ()
    shares = numbers("--coverage", coverage, float) if coverage is not None else ()
    return plan_points(
        planned,
        coverages=shares,
        gold_budgets=[int(each) for each in budgets],
        domains=domains,
        trust=trust,
        decompose=decompose,
        events=events,
    )


def run_beside(
    plans: Sequence[Plan],
    folder: Path,
    store: str,
    executor: Callable[[], Executor],
    *,
    quiet: bool,
    log: Callable[[Suite], AbstractContextManager[Told]],
) -> bool:
    """Run the points, say what went wrong in each and where the curves are; whether nothing did."""
    from w2s_bench._cli.announced import announced
    from w2s_bench._cli.output import say
    from w2s_bench._cli.progress import shown_progress
    from w2s_bench._cli.report import print_failures, print_problems
    from w2s_bench.runs.curves import run_points
    from w2s_bench.runs.execute import RunReport, execute

    def run(planned: Plan, out: Path) -> RunReport:
        name = planned.suite.name
        with (
            log(planned.suite) as logged,
            shown_progress(name, quiet=quiet) as events,
            announced(name, out / name, events) as told,
        ):
            done = execute(planned, out=out, store=store, executor=executor(), events=told, models=False, log=logged)
        print_problems(done.problems)
        print_failures(done, events)
        return done

    fine = True
    for done in run_points(plans, folder, run):
        if isinstance(done, RunReport):
            fine &= done.ok
        elif not quiet:
            say(f"Wrote {done}, {len(plans)} boards beside it")
    return fine
