"""`w2s-bench table`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from w2s_bench._cli.output import say

EPILOG = """
**Examples**

`w2s-bench table leaderboards/tiny` — one line an arm, as the board's page begins

`w2s-bench table leaderboards/tiny --arms 'gold_*' --columns mean_pgr --columns pgr@math --format latex` — a part of it

`w2s-bench table leaderboards/tiny --cells --out tiny.parquet` — one line an arm and domain, for pandas and others

`--columns list` names all columns. Markdown, LaTeX and HTML show figures as pages do; CSV, JSON and Parquet have plain numbers,
`pgr`, `pgr_low`, `pgr_high`. From Python: `w2s_bench.table(DIR)`. Exit codes: 0 done; 1 a cell was refused and is left out;
2 the user's mistake.
"""


class Format(StrEnum):
    """How a table is written."""

    MD = "md"
    CSV = "csv"
    JSON = "json"
    LATEX = "latex"
    HTML = "html"
    PARQUET = "parquet"


def table(
    results: Annotated[
        Path, typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR")
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", "-f", help="How it is written (default: by the file's ending, or md).")
    ] = None,
    cells: Annotated[
        bool, typer.Option("--cells", help="One line an arm and domain: references, and arms of every table.")
    ] = False,
    arms: Annotated[
        list[str] | None,
        typer.Option("--arms", help="An arm, or a pattern such as gold_*; repeat for more.", metavar="ARM"),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", help="A column, or a pattern; repeat for more; `list` names them.", metavar="COLUMN"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: standard output).", metavar="FILE")
    ] = None,
) -> None:
    """A board as a table to take along."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.results.checking.folder import board_of
        from w2s_bench.results.tables.formats import format_of, write
        from w2s_bench.results.tables.lines import arms_table, cells_table
        from w2s_bench.text import one_line, shortened

        board, refused = board_of(results)
        for finding in refused:
            say(one_line(f"left out: {finding.file}: {shortened(finding.found, 600)}"), error=True)
        make = cells_table if cells else arms_table
        if columns == ["list"]:
            from w2s_bench.results.tables.lines import column_names

            print("\n".join(column_names(board, cells=cells)))
            raise typer.Exit
        text = write(make(board, arms or (), columns or ()), format_of(out, format_), out)
        if text is not None:
            print(text, end="")
        raise typer.Exit(1 if refused else 0)
