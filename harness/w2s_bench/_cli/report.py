"""What the verbs print when they are done: tables for people, JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from w2s_bench._cli.output import console, say
from w2s_bench.names import short
from w2s_bench.store.stage import walk
from w2s_bench.text import one_line, shortened

if TYPE_CHECKING:
    from w2s_bench.executors.slurm.executor import Submitted
    from w2s_bench.results.board import Leaderboard
    from w2s_bench.runs.execute import RunReport
    from w2s_bench.runs.forecast import Forecast
    from w2s_bench.runs.plan import Plan
    from w2s_bench.runs.verify import Verified


def print_report(report: RunReport, *, as_json: bool, quiet: bool) -> None:
    """The leaderboard, what failed, and where the results are."""
    _print_problems(report.problems)
    if as_json:
        from w2s_bench.results.pages.data import board_as_json

        failures = [{"row": row, "seed": seed, "reason": reason} for row, seed, reason in report.failures]
        _json(
            {
                "folder": str(report.folder),
                "leaderboard": board_as_json(report.leaderboard),
                "failures": failures,
                "problems": report.problems,
                "notes": report.notes,
            }
        )
        return
    if not quiet:
        print_leaderboard(report.leaderboard, as_json=False)
    _print_failures(report)
    for note in report.notes:
        say(f"note: {note}", error=True)
    if not quiet:
        say(f"Wrote {report.folder / 'README.md'}, {len(report.cells)} cells under {report.folder / 'results'}")


def _print_problems(problems: Sequence[str]) -> None:
    for problem in problems:
        say(f"left out: {problem}", error=True)


def _print_failures(report: RunReport) -> None:
    """One line a reason: a stage that many rows need fails them all."""
    by_reason: dict[str, list[str]] = {}
    for row, seed, reason in report.failures:
        by_reason.setdefault(reason, []).append(f"{row} seed {seed}")
    for reason, rows in by_reason.items():
        shown = ", ".join(rows[:4]) + (f" and {len(rows) - 4} more" if len(rows) > 4 else "")
        say(f"failed: {shown}: {reason}", error=True)


def print_leaderboard(board: Leaderboard, *, as_json: bool) -> None:
    """PGR of every arm in every domain with its 95 % interval, ranked within tracks; controls below."""
    if as_json:
        from w2s_bench.results.pages.data import board_as_json

        _json(board_as_json(board))
        return
    from w2s_bench._cli.board_table import print_board

    print_board(board)


def print_submitted(submitted: Submitted, planned: Plan, *, as_json: bool, quiet: bool) -> None:
    """What was handed to Slurm, and where its end will show."""
    _print_problems(planned.problems)
    if as_json:
        jobs = {"jobs": len(submitted.jobs), "stored": submitted.stored, "last_job": submitted.last}
        _json({"submission": str(submitted.folder), **jobs, "problems": planned.problems})
    elif not quiet:
        say(
            f"Submitted {len(submitted.jobs)} stages, a job each ({submitted.stored} are stored), and job {submitted.last},"
            f" which writes the results when they have ended.\n`squeue --me` shows them, {submitted.folder} what each printed"
            " and how it ended."
        )


def print_dry_run(planned: Plan, store: str, unchecked: Sequence[str], *, as_json: bool) -> None:
    """What is stored and what would run, stage by stage name; `unchecked`: domains that may be too small for their sizes."""
    from w2s_bench.executors.timings import Timings
    from w2s_bench.runs.forecast import forecast
    from w2s_bench.runs.preview import preview
    from w2s_bench.store import open_store

    _print_problems(planned.problems)
    opened = open_store(store)
    previewed = preview(planned.stages(), opened)
    cost = forecast(planned.suite, previewed.to_run, Timings.of_store(opened.root))
    stored, to_run = Counter(s.name for s in previewed.stored), Counter(s.name for s in previewed.to_run)
    own = _for_one_arm(planned, {stage.node for stage in previewed.to_run})
    if as_json:
        _json(
            {
                "cells": [cell.row for cell in planned.cells],
                "stored": dict(stored),
                "to_run": dict(to_run),
                "to_run_for_one_arm": own,
                "forecast": asdict(cost),
                "sizes_unchecked": list(unchecked),
                "store": store,
                "problems": planned.problems,
            }
        )
        return
    suite = planned.suite
    say(
        f"{suite.name} {suite.version}: {_counted(len(planned.cells), 'cell')}, {_counted(suite.seeds, 'seed')}; store {store}"
    )
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("stage", "stored", "to run"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name in dict.fromkeys(stage.name for stage in planned.stages()):
        table.add_row(name, str(stored[name]), str(to_run[name]))
    table.add_section()
    table.add_row("all", str(stored.total()), str(to_run.total()))
    console().print(table)
    if own:
        arms = ", ".join(f"{short(arm)} {count}" for arm, count in own.items())
        say(f"To run for one arm alone: {arms}; for several: {to_run.total() - sum(own.values())}")
    _print_cost(cost)
    _print_unchecked(unchecked)


def _print_cost(cost: Forecast) -> None:
    """Nothing where nothing would run."""
    if not cost.trainings and not cost.items:
        return
    say(
        f"To compute: {_counted(cost.trainings, 'training')} of {cost.rows:,} rows in all; {cost.items:,} items to read."
    )
    shares = ("for the teacher", "for trust functions", "for ceiling and privileged arms alone")
    for domain, gold in cost.gold.items():
        words = dict(zip(("weak_train", "trust", "transfer"), shares, strict=True))
        told = ", ".join(f"{size:,} {words[split]}" for split, size in gold.items())
        say(f"Gold labels a seed, {domain}: {told}.")
    minutes = cost.seconds / 60
    if not cost.untimed:
        say(f"Time: about {minutes:.0f} min of one worker, as long as such stages took in this store.")
        return
    several = f"{_counted(len(cost.untimed), 'kind')} of stages never ran in this store"
    known = f"about {minutes:.0f} min of one worker for the others; " if minutes >= 1 else ""
    say(f"Time: {known}{several}. A run tells its time left once each kind has run.")


def _for_one_arm(planned: Plan, to_run: set[str]) -> dict[str, int]:
    """Arm → how many of the stages to run it alone needs; arms that need none for themselves are left out."""
    users: dict[str, set[str]] = {}
    for cell in planned.cells:
        for stage in walk(cell.targets()):
            if stage.node in to_run:
                users.setdefault(stage.node, set()).add(cell.arm.ref.name)
    return dict(Counter(next(iter(arms)) for arms in users.values() if len(arms) == 1).most_common())


def _print_unchecked(domains: Sequence[str]) -> None:
    if domains:
        named = ", ".join(map(short, domains))
        say(
            f"note: whether {named} can fill the suite's sizes is seen as the run begins: the items are not stored yet",
            error=True,
        )


def print_explanation(planned: Plan, store: str, unchecked: Sequence[str], *, as_json: bool) -> None:
    """A line for every stage: what it is, whether it is stored, and why it is not; `unchecked` as for `print_dry_run`."""
    from w2s_bench.runs.preview import explain
    from w2s_bench.store import open_store

    _print_problems(planned.problems)
    explained = explain(planned.stages(), open_store(store))
    counts = Counter(row.status for row in explained)
    if as_json:
        rows = [{"stage": o.stage.name, "label": o.stage.label, "status": o.status, "why": o.why} for o in explained]
        told = {
            "counts": dict(counts),
            "sizes_unchecked": list(unchecked),
            "store": store,
            "problems": planned.problems,
        }
        _json({"stages": rows, **told})
        return
    width = max((len(row.stage.label) for row in explained), default=0)
    for row in explained:
        say(f"{row.status:<7}  {row.stage.name:<9}  {row.stage.label:<{width}}  {row.why}".rstrip())
    shares = ", ".join(f"{count} {status}" for status, count in counts.items())
    say(f"{planned.suite.name} {planned.suite.version}: {len(explained)} stages ({shares}); store {store}")
    _print_unchecked(unchecked)


def print_verdicts(verdicts: Sequence[Verified], *, as_json: bool) -> None:
    """One line a row."""
    if as_json:
        _json([{"row": v.row, "verdict": v.verdict, "why": v.why} for v in verdicts])
        return
    width = max(len(v.row) for v in verdicts)
    for verdict in verdicts:
        why = f"  ({shortened(one_line(verdict.why))})" if verdict.why else ""
        say(f"{verdict.row:<{width}}  {verdict.verdict}{why}")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _json(value: Any) -> None:
    print(json.dumps(value, indent=1, allow_nan=False))
