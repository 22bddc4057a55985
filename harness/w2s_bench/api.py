"""The harness from Python: what `w2s-bench run`, `verify`, `leaderboard`, `table`, `items` and `score` do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.names import RESULTS
from w2s_bench.results.compared import Verified
from w2s_bench.results.leaderboard import write_leaderboard as leaderboard
from w2s_bench.runs.curves import plan_points, run_points
from w2s_bench.runs.execute import RunReport, execute, local_executor, make_plan
from w2s_bench.runs.logs.opening import opened
from w2s_bench.runs.verify import verify
from w2s_bench.scoring.score import score

if TYPE_CHECKING:
    import pandas

    from w2s_bench.executors import Event, Executor
    from w2s_bench.runs.plan import Plan
    from w2s_bench.suite import Suite

__all__ = ["RunReport", "Verified", "items", "leaderboard", "run", "score", "table", "verify"]


def run(
    suite: str | Path | Suite = "long-tail",
    *,
    domains: Sequence[str] = (),
    trust: Sequence[str] | None = None,
    seeds: int | None = None,
    decompose: bool | Collection[str] = False,
    coverages: Sequence[float] = (),
    gold_budgets: Sequence[int] = (),
    out: Path | str = RESULTS,
    store: Path | str | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    events: Callable[[Event], None] = lambda event: None,
    log: Sequence[str] = (),
) -> RunReport:
    """Take a suite through the protocol and write cells, leaderboard and plot to `out/<suite>/`.

    `domains` restricts what runs (default: the suite's domains), `trust` names the trust functions (None: the suite's
    default; `("all",)`: every installed one; `()`: the controls alone). `decompose` adds the controls that explain others,
    five students a trust function and ten beside, at every point of a curve too; names take these alone:
    `decompose=["kept_plus_gold"]`. `coverages` and `gold_budgets` (items of the trust
    set whose gold is seen) are points of curves: each is run after the suite, into `out/<suite>/curves/`, where a page shows them
    together; the report is the suite's own. Whatever is in the store already is not computed again; a run that was stopped anywhere
    goes on from there. Stages run in `workers` local processes, or where `executor` runs them. `store` is a folder or a URL. `log`
    names loggers (tensorboard, mlflow, wandb) that are told of losses and rows.
    """
    from w2s_bench.store import default_location

    planned = make_plan(suite, domains=domains, trust=trust, seeds=seeds, decompose=decompose, events=events)
    beside = plan_points(
        planned,
        coverages=coverages,
        gold_budgets=gold_budgets,
        domains=domains,
        trust=trust,
        decompose=decompose,
        events=events,
    )
    where, place = executor or local_executor(workers), store or default_location()

    def each(point: Plan, into: Path, *, models: bool) -> RunReport:
        with opened(log, point.suite, Path(out)) as told:
            return execute(point, out=into, store=place, executor=where, events=events, models=models, log=told)

    report = each(planned, Path(out), models=True)
    made = run_points(beside, report.folder, lambda point, into: each(point, into, models=False))
    troubles = [done for done in made if isinstance(done, RunReport) and not done.ok] if beside else []
    problems = [
        f"{each.suite.name}: {why}" for each in troubles for why in (*each.problems, *(f[2] for f in each.failures))
    ]
    return replace(report, problems=(*report.problems, *problems)) if problems else report


def table(results: Path | str, *, arms: Sequence[str] = (), columns: Sequence[str] = ()) -> pandas.DataFrame:
    """The cells of a results folder as a pandas frame: one line an arm and domain, references and arms of every table of the board.

    Columns: `domain`, `arm`, `track`, `table` (`references`, `rows`, `other_selections`, `other_objectives` or `explaining`), `of`
    (the arm that one beside the ranked `rows` goes back to, else empty), and figures such as `pgr` with `pgr_low` and
    `pgr_high`, its 95 % interval. `arms` and `columns` restrict it, by name or by a pattern such as `gold_*`. Raises CellError
    where a cell cannot be believed.
    """
    from w2s_bench.results.frames import sound_board
    from w2s_bench.results.tables.formats import frame
    from w2s_bench.results.tables.lines import cells_table

    return frame(cells_table(sound_board(Path(results)), arms, columns).data())


def items(
    results: Path | str,
    rows: Sequence[str],
    *,
    store: Path | str | None = None,
    gold: bool = False,
    prompts: bool = False,
    trust_folder: bool = False,
) -> pandas.DataFrame:
    """Rows (`DOMAIN/ARM`) of a results folder item by item, as a pandas frame; `runs.items` says what its columns are.

    The store of the run is read, nothing is computed. `gold` and `prompts` add the right answers and the questions.
    """
    from w2s_bench.results.tables.formats import frame
    from w2s_bench.runs.items import columns_of, item_lines
    from w2s_bench.store import default_location

    lines = item_lines(
        Path(results), rows, store or default_location(), gold=gold, prompts=prompts, trust_folder=trust_folder
    )
    return frame(columns_of(lines))
