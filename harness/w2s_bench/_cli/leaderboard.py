"""`w2s-bench leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2s_bench._cli.output import say


def leaderboard(
    results: Annotated[
        Path, typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR")
    ],
    json_output: Annotated[bool, typer.Option("--json", help="Print the rows as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Write README.md and the plots anew from the cell files, those of curves/ too: identical cells give identical bytes."""
    from w2s_bench._cli.errors import explained

    with explained():
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
