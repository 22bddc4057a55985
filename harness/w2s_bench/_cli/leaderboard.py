"""`w2s-bench leaderboard`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from w2s_bench._cli.output import print_json, say

EPILOG = """
**Examples**

`w2s-bench leaderboard leaderboards/tiny` — one board: its page, its plots, and those of its curves

`w2s-bench leaderboard leaderboards` — a folder of boards: one page over all of them, with how often each trust function holds up

A folder of boards has no suite.yaml itself, and folders right below it that have one. Its README.md is written over only where this
command has made it. Exit codes: 0 done; 2 the user's mistake, or a cell that cannot be believed: nothing is written.
"""


def leaderboard(
    results: Annotated[
        Path,
        typer.Argument(
            help="A suite's results folder (suite.yaml and results/DOMAIN/ARM.json), or a folder of such folders.",
            metavar="DIR",
        ),
    ],
    json_output: Annotated[bool, typer.Option("--json", help="Print the rows as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Write README.md and the plots anew from the cell files, those of curves/ too: identical cells give identical bytes."""
    from w2s_bench._cli.errors import explained

    with explained():
        if not os.path.lexists(results / "suite.yaml") and not (results / "results").is_dir():
            _across(results, json_output=json_output, quiet=quiet)
        else:
            _board(results, json_output=json_output, quiet=quiet)


def _board(results: Path, *, json_output: bool, quiet: bool) -> None:
    from w2s_bench._cli.report import print_leaderboard
    from w2s_bench.errors import CellError
    from w2s_bench.results.curve_pages import write_curves
    from w2s_bench.results.leaderboard import write_leaderboard

    try:
        curves = write_curves(results)
        board = write_leaderboard(results)
    except CellError as error:
        # A page that stays is of all cells or of none; what can be believed is shown by others.
        told = "the page is left as it is. `w2s-bench check` tells all that is wrong; `table` and `report` show the other rows"
        raise CellError(f"{error}; {told}", error.path) from error
    if not quiet:
        print_leaderboard(board, as_json=json_output)
        if not json_output:
            say(f"Wrote {results / 'README.md'}" + (f" and {curves}" if curves else ""))


def _across(folder: Path, *, json_output: bool, quiet: bool) -> None:
    from w2s_bench._cli.across_table import print_across
    from w2s_bench.names import ACROSS, README
    from w2s_bench.results.across_pages import write_across
    from w2s_bench.results.pages.data import across_as_json

    across = write_across(folder)
    if quiet:
        return
    if json_output:
        print_json(across_as_json(across))
        return
    print_across(across)
    say(f"Wrote {folder / README} and {folder / ACROSS}")
