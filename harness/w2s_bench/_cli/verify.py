"""`w2s-bench verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from w2s_bench.names import DATA_VARIABLE, DEVICE_VARIABLE

EPILOG = """
**Examples**

`w2s-bench verify leaderboards/tiny` — every row

`w2s-bench verify leaderboards/tiny --row math/oracle --row chess/probe` — two rows

`w2s-bench verify THEIRS --model 3680d3cfab9c=models/x` — a suite of local models, one of which lies here

A row is `identical` (the same bytes of every result), `within tolerance` (accuracies and answers as close as the suite
declared beforehand: another machine or library), or it `DIFFERS`; so do README.md and the plot. Exit codes: 0 every row was
reproduced; 1 a row differs, cannot be run here, or has a failed seed, be it the same failure again.
"""


def verify(
    results: Annotated[
        Path, typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR")
    ],
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "-r", help="A row to verify; repeat for more (default: all).", metavar="DOMAIN/ARM"),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Where a model that the suite has as a folder lies here; it must have the same fingerprint; repeat for more.",
            metavar="NAME|FINGERPRINT=FOLDER",
        ),
    ] = None,
    trust_folder: Annotated[
        bool,
        typer.Option(
            "--trust-folder",
            help="Open the models' folders that DIR names, and run plugins with the parameters that it gives.",
        ),
    ] = False,
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
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Folder with data files of lm-eval tasks (docs/lm-eval.md).",
            envvar=DATA_VARIABLE,
            metavar="DIR",
        ),
    ] = None,
    include_path: Annotated[
        list[Path] | None,
        typer.Option(
            "--include-path",
            help="Folder with YAML files of lm-eval tasks; their code is run. Repeat for more.",
            metavar="DIR",
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print verdicts as JSON on standard output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; verdicts only.")] = False,
) -> None:
    """Compute rows of a leaderboard again in a fresh store and compare."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_device, use_tasks
        from w2s_bench._cli.progress import shown_progress
        from w2s_bench._cli.report import print_verdicts
        from w2s_bench.runs.verify import verify as compute_again

        use_device(device)
        use_tasks(data, include_path or ())
        folders = _places(model or ())
        with shown_progress(f"verify {results}", quiet=quiet or json_output) as events:
            verdicts = compute_again(
                results, row or (), models=folders, trust_folder=trust_folder, workers=workers, events=events
            )
        print_verdicts(verdicts, as_json=json_output)
        raise typer.Exit(0 if all(v.ok for v in verdicts) else 1)


def _places(models: Sequence[str]) -> dict[str, str]:
    """`NAME=FOLDER` or `FINGERPRINT=FOLDER` → name or fingerprint and folder."""
    from w2s_bench.errors import ModelError

    folders = {}
    for text in models:
        key, equals, folder = text.partition("=")
        if not (key and equals and folder):
            raise ModelError(
                f"--model {text!r}: write NAME=FOLDER, or the first 8 digits of a fingerprint or more, =FOLDER"
            )
        folders[key] = folder
    return folders
