"""The harness from Python: what `w2s-bench run`, `verify`, `leaderboard` and `score` do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.names import RESULTS
from w2s_bench.results.leaderboard import write_leaderboard as leaderboard
from w2s_bench.runs.execute import RunReport, execute, local_executor, make_plan
from w2s_bench.runs.verify import Verified, verify
from w2s_bench.scoring.score import score

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.suite import Suite

__all__ = ["RunReport", "Verified", "leaderboard", "run", "score", "verify"]


def run(
    suite: str | Path | Suite = "tiny",
    *,
    domains: Sequence[str] = (),
    trust: Sequence[str] | None = None,
    seeds: int | None = None,
    out: Path | str = RESULTS,
    store: Path | str | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    events: Callable[[Event], None] = lambda event: None,
) -> RunReport:
    """Take a suite through the protocol and write cells, leaderboard and plot to `out/<suite>/`.

    `domains` restricts what runs (default: the suite's domains), `trust` names the trust functions (None: the suite's
    default; `("all",)`: every installed one; `()`: the controls alone). Whatever is in the store already is not computed
    again; a run that was stopped anywhere goes on from there. Stages run in `workers` local processes, or where `executor`
    runs them. `store` is a folder or a URL.
    """
    from w2s_bench.store import default_location

    planned = make_plan(suite, domains=domains, trust=trust, seeds=seeds)
    return execute(
        planned,
        out=Path(out),
        store=store or default_location(),
        executor=executor or local_executor(workers),
        events=events,
    )
