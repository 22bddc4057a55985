"""What the verbs print when they are done: tables for people, JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench._cli.output import print_json, say
from w2s_bench.errors import NotApplicableError
from w2s_bench.names import short
from w2s_bench.text import one_line, shortened

if TYPE_CHECKING:
    from w2s_bench._cli.progress import Shown
    from w2s_bench.executors.slurm.executor import Submitted
    from w2s_bench.results.board import Leaderboard
    from w2s_bench.results.compared import Verified
    from w2s_bench.runs.again import Again
    from w2s_bench.runs.execute import RunReport
    from w2s_bench.runs.plan import Plan


def print_report(report: RunReport, shown: Shown, *, as_json: bool, quiet: bool) -> None:
    """The leaderboard, what failed, and where the results are; what `shown` has said is not said at length again."""
    print_problems(report.problems)
    if as_json:
        from w2s_bench.results.pages.data import board_as_json

        failures = [{"row": row, "seed": seed, "reason": reason} for row, seed, reason in report.failures]
        print_json(
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
    print_failures(report, shown)
    for note in report.notes:
        if not shown.has_noted(note):
            say(f"note: {note}", error=True)
    if not quiet:
        count = len(report.cells) - len(report.unwritten)
        say(f"Wrote {report.folder / 'README.md'}, {count} cells under {report.folder / 'results'}")


def print_problems(problems: Sequence[str]) -> None:
    for problem in problems:
        say(f"left out: {problem}", error=True)


def print_failures(report: RunReport, shown: Shown) -> None:
    """One line a reason: a stage that many rows need fails them all. What is not applicable is told as a note.

    A reason that was told when its stage failed is not told again: the line names the rows that it costs, and the stage.
    """
    by_reason: dict[tuple[str, str], list[str]] = {}
    for row, seed, error in report.failures:
        kind = "note" if NotApplicableError.is_behind(error) else "failed"
        stage = shown.told_of(error)
        why = error if stage is None else f"see above what is said of {stage}"
        by_reason.setdefault((kind, why), []).append(f"{row} seed {seed}")
    for (kind, why), rows in by_reason.items():
        named = ", ".join(rows[:4]) + (f" and {len(rows) - 4} more" if len(rows) > 4 else "")
        say(f"{kind}: {named}: {why}", error=True)


def print_leaderboard(board: Leaderboard, *, as_json: bool) -> None:
    """PGR of every arm in every domain with its 95 % interval, ranked within tracks; controls below."""
    if as_json:
        from w2s_bench.results.pages.data import board_as_json

        print_json(board_as_json(board))
        return
    from w2s_bench._cli.board_table import print_board

    print_board(board)


def print_submitted(submitted: Submitted, planned: Plan, *, as_json: bool, quiet: bool) -> None:
    """What was handed to Slurm, and where its end will show."""
    print_problems(planned.problems)
    if as_json:
        jobs = {"jobs": len(submitted.jobs), "stored": submitted.stored, "last_job": submitted.last}
        print_json({"submission": str(submitted.folder), **jobs, "problems": planned.problems})
    elif not quiet:
        say(
            f"Submitted {len(submitted.jobs)} stages, a job each ({submitted.stored} are stored), and job {submitted.last},"
            f" which writes the results when they have ended.\n`squeue --me` shows them, {submitted.folder} what each printed"
            " and how it ended."
        )


def print_unseen(domains: Sequence[str], passed_over: Sequence[str]) -> None:
    """What nobody knows before the run of `domains`, which may be too small, and what the plan leaves out with the reason."""
    if domains:
        named = ", ".join(map(short, domains))
        say(
            f"note: whether {named} can fill the suite's sizes is seen as the run begins: the items are not stored yet",
            error=True,
        )
    for note in passed_over:
        say(f"note: {note}", error=True)


def print_explanation(
    planned: Plan,
    folder: Path,
    store: str,
    unchecked: Sequence[str],
    *,
    as_json: bool,
    earlier: Collection[str] = (),
) -> None:
    """A line for every stage: what it is, whether it is stored, and why it is not; `folder`, `unchecked` and `earlier` as for
    `print_dry_run`."""
    from w2s_bench.runs.again import computed_again
    from w2s_bench.runs.preview import as_after, explain
    from w2s_bench.store import open_store

    print_problems(planned.problems)
    looked = explain(planned.stages(), open_store(store))
    again, explained = computed_again(planned, folder, looked), as_after(looked, earlier)
    counts = Counter(row.status for row in explained)
    if as_json:
        rows = [{"stage": o.stage.name, "label": o.stage.label, "status": o.status, "why": o.why} for o in explained]
        told = {
            "counts": dict(counts),
            "computed_again": {each.why: each.rows for each in again},
            "sizes_unchecked": list(unchecked),
            "store": store,
            "problems": planned.problems,
            "passed_over": planned.passed_over,
        }
        print_json({"stages": rows, **told})
        return
    width = max((len(row.stage.label) for row in explained), default=0)
    for row in explained:
        say(f"{row.status:<7}  {row.stage.name:<9}  {row.stage.label:<{width}}  {row.why}".rstrip())
    shares = ", ".join(f"{count} {status}" for status, count in counts.items())
    say(f"{planned.suite.name} {planned.suite.version}: {len(explained)} stages ({shares}); store {store}")
    print_again(again, folder)
    print_unseen(unchecked, planned.passed_over)


def print_again(again: Sequence[Again], folder: Path) -> None:
    """Which rows of the results folder would be computed again, and why."""
    from w2s_bench.runs.again import in_words

    for line in in_words(again, folder):
        say(one_line(line))


def print_verdicts(verdicts: Sequence[Verified], *, as_json: bool) -> None:
    """One line a row."""
    if as_json:
        print_json([{"row": v.row, "verdict": v.verdict, "why": v.why} for v in verdicts])
        return
    width = max(len(v.row) for v in verdicts)
    for verdict in verdicts:
        why = f"  ({shortened(one_line(verdict.why))})" if verdict.why else ""
        say(f"{verdict.row:<{width}}  {verdict.verdict}{why}")


def counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
