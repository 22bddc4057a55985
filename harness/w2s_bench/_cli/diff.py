"""`w2s-bench diff` and `w2s-bench merge`: results folders beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.output import console, print_json, say

if TYPE_CHECKING:
    from w2s_bench.results.combining.differing import Compared
    from w2s_bench.results.combining.merging import Merged

DIFF_EPILOG = """
**Examples**

`w2s-bench diff leaderboards/tiny w2s-results/tiny` — the published board and a run of one's own

`w2s-bench diff A B --tolerance 0.02` — as a suite's tolerance allows between machines

Figures are B − A with 95 % intervals, paired by seed and item; PGR in units of A's gap. Exit codes: 0 all bodies are equal
(or within `--tolerance`, as `verify` understands it); 1 some differ, are in one folder alone, or could not be read; 2 a
folder is no folder of results.
"""
MERGE_EPILOG = """
**Examples**

`w2s-bench merge laptop/tiny cluster/tiny --out both/tiny` — rows that two machines computed

`w2s-bench merge A B --out C --prefer B` — where both have a row with other figures, B's is taken

The folders must be of one suite. Exit codes: 0 written; 1 nothing is written, and why is said; 2 the user's mistake.
"""


def diff(
    a: Annotated[Path, typer.Argument(help="A results folder.", metavar="A")],
    b: Annotated[Path, typer.Argument(help="Another.", metavar="B")],
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance", help="How far accuracies may be apart (default: bodies must be equal).", min=0, max=1
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show identical rows, too.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print every row as JSON on standard output.")] = False,
) -> None:
    """Compare two results folders cell by cell, with paired intervals."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.results.combining.differing import differences

        compared = differences(a, b, tolerance)
        if json_output:
            refused = [{"folder": str(path), "file": f.file, "found": f.found} for path, f in compared.refused]
            rows = [difference.to_json() for difference in compared.differences]
            print_json({"rows": rows, "refused": refused})
        else:
            _print_differences(compared, everything)
        raise typer.Exit(0 if compared.same else 1)


def _print_differences(compared: Compared, everything: bool) -> None:
    from collections import Counter

    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results.pages.style import count, difference
    from w2s_bench.text import one_line, shortened

    for path, finding in compared.refused:
        say(one_line(f"left out: {path / finding.file}: {shortened(finding.found, 600)}"), error=True)
    shown = [d for d in compared.differences if everything or d.verdict != "identical"]
    if shown:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("row", overflow="fold")
        for column in ("accuracy, B − A", "PGR, B − A"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("verdict", overflow="fold")
        for d in shown:
            why = f" ({shortened(one_line(d.why), 300)})" if d.why else ""
            figures = (difference(d.accuracy), difference(d.pgr))
            table.add_row(Text(one_line(d.row)), *map(Text, figures), Text(f"{d.verdict}{why}"))
        console().print(table)
    counted = Counter(d.verdict for d in compared.differences)
    told = ", ".join(f"{number} {verdict}" for verdict, number in counted.items())
    say(f"{count(len(compared.differences), 'row')}: {told or 'nothing to compare'}")


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Results folders of one suite, two or more.", metavar="A B …")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write; new, or empty.", metavar="C")],
    prefer: Annotated[
        Path | None,
        typer.Option("--prefer", help="Whose cell is taken where several have a row.", metavar="DIR"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but what stands against it.")] = False,
) -> None:
    """Make one results folder of several: rows that were computed on different machines."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.errors import CellError
        from w2s_bench.results.combining.merging import merge as merged

        if len(folders) < 2:
            raise CellError("give two results folders or more to merge")
        with told_waits(quiet=quiet) as awaits:
            done = merged(folders, out, prefer, awaits)
        _print_merged(done, out, prefer, quiet=quiet)
        raise typer.Exit(0 if done.written else 1)


def _print_merged(done: Merged, out: Path, prefer: Path | None, *, quiet: bool) -> None:
    from w2s_bench.results.pages.style import count
    from w2s_bench.text import one_line, shortened

    for conflict in done.conflicts:
        both = f"{conflict.row} is in {conflict.kept} and in {conflict.other} with other figures"
        say(one_line(f"conflict: {both}: {shortened(conflict.why, 300)}"), error=True)
    for finding in done.findings:
        say(one_line(f"error: {finding.file}: {shortened(finding.found, 600)}"), error=True)
    if not done.written:
        if done.conflicts and not done.findings:
            say("Nothing is written: say with --prefer DIR whose rows to take", error=True)
        else:
            say("Nothing is written", error=True)
    elif not quiet:
        note = f"; where they differ, those of {prefer}" if done.conflicts else ""
        say(f"Wrote {count(done.written, 'cell')} and their pages to {out}{note}")
