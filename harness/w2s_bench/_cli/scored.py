"""What `score` shows: its progress, which trust functions apply, and what came out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench._cli.output import console, print_json, say
from w2s_bench.text import one_line

if TYPE_CHECKING:
    from w2s_bench.scoring.functions import Wanted
    from w2s_bench.scoring.labels import Labels, Progress
    from w2s_bench.scoring.outcome import Scored

_EVERY = 15.0  # seconds, at least, between lines where there is no terminal


@contextmanager
def shown_phases(*, quiet: bool) -> Iterator[Progress]:
    """Yields what is called with a phase, the rows done and all rows: a bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda what, done, total: None
    elif sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console(error=True), transient=True) as shown:
            bar = shown.add_task("reading", total=None)

            def draw(what: str, done: int, total: int | None) -> None:
                shown.update(bar, description=one_line(what), completed=done, total=total)

            yield draw
    else:
        yield _Lines()


class _Lines:
    """Progress for logs."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            say(f"{one_line(what)}: {done}{f' of {total}' if total else ''}", error=True)


def print_functions(labels: Labels, functions: Sequence[Wanted], *, as_json: bool) -> None:
    """Every installed trust function: applies, or what it lacks."""
    if as_json:
        print_json(
            [
                {"name": wanted.spec, "track": wanted.supervision, "scope": wanted.scope, "lacks": wanted.lacks}
                for wanted in functions
            ]
        )
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    how = "chosen among options" if labels.kind == "choice" else "generated"
    say(f"{labels.count} rows, {how}; signals: {', '.join(sorted(labels.shapes)) or 'none'}")
    if labels.unused:
        say(f"columns that are not used: {', '.join(labels.unused)} (name them by --column OURS=YOURS)")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("trust function", "track", "scope", "lacks"):
        table.add_column(column, overflow="fold", no_wrap=column == "trust function")
    for function in sorted(functions, key=lambda function: bool(function.lacks)):
        lacks = "; ".join(function.lacks) or "nothing: it applies"
        table.add_row(
            *(
                Text(one_line(str(cell)))
                for cell in (function.spec, function.supervision or "?", function.scope or "?", lacks)
            )
        )
    console().print(table)


def print_scored(scored: Scored, out: Path, *, as_json: bool, quiet: bool) -> None:
    """The figures of the report."""
    from w2s_bench.scoring.figures import summary_of

    told = summary_of(scored)
    if as_json:
        print_json(told)
        return
    if quiet:
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("trust function", "AUROC", "purity at 20 %", "at 50 %", "at 80 %", "kept"):
        table.add_column(column)
    for function in told["functions"]:
        purities = [
            "–" if purity is None else f"{purity[0]:.2f} [{purity[1]:.2f}, {purity[2]:.2f}]"
            for purity in function["purity_at"].values()
        ]
        area = "–" if function["auroc"] is None else f"{function['auroc']:.3f}"
        table.add_row(*(Text(one_line(cell)) for cell in (function["name"], area, *purities, str(function["kept"]))))
    console().print(table)
    certified = scored.functions[0].kept.certified
    if certified is not None and certified.threshold is None:
        say(f"It abstains: {certified.why}. Nothing is kept.")
    elif certified is not None:
        say(f"Guaranteed purity: {certified.purity:.1%} ({scored.asked.goal.words}).")
    if wrong := scored.functions[0].kept.known_wrong:
        say(
            f"{wrong} of the {scored.functions[0].kept.chosen} rows chosen are not kept: gold calls their labels wrong."
        )
    for fault in scored.faults.values():
        say(f"left out: {fault}", error=True)
    say(
        f"{told['kept']} of {told['rows']} rows kept by {scored.functions[0].wanted.spec}; the report: {out / 'README.md'}"
    )
