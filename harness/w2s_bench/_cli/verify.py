"""`w2s-bench verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from w2s_bench.names import DEVICE_VARIABLE

EPILOG = """
**Examples**

`w2s-bench verify leaderboards/tiny` — every row

`w2s-bench verify leaderboards/tiny --row math/oracle --row chess/probe` — two rows

A row is `identical` (the same bytes of every result), `within tolerance` (accuracies and answers as close as the suite
declared beforehand: another machine or library), or it `DIFFERS`. Exit codes: 0 every row was reproduced; 1 a row differs,
cannot be run here, or has a failed seed, be it the same failure again.
"""


def verify(
    results: Annotated[
        Path, typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR")
    ],
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "-r", help="A row to verify; repeat for more (default: all).", metavar="DOMAIN/ARM"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-w", help="Processes, one thread each (default: one a processor).", metavar="N", min=1
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="Where models run: cpu, cuda, cuda:N or mps.", envvar=DEVICE_VARIABLE, metavar="D"
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print verdicts as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; verdicts only.")] = False,
) -> None:
    """Compute rows of a leaderboard again in a fresh store and compare."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_device
        from w2s_bench._cli.progress import shown_progress
        from w2s_bench._cli.report import print_verdicts
        from w2s_bench.verify import verify as compute_again

        use_device(device)
        with shown_progress(f"verify {results}", quiet=quiet or json_output) as events:
            verdicts = compute_again(results, row or (), workers=workers, events=events)
        print_verdicts(verdicts, as_json=json_output)
        raise typer.Exit(0 if all(v.ok for v in verdicts) else 1)
