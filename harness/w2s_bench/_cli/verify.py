"""`w2s-bench verify`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import Data, Device, IncludePath, Workers
from w2s_bench._cli.output import print_json, say

if TYPE_CHECKING:
    from w2s_bench.results.compared import Verified

EPILOG = """
**Examples**

`w2s-bench verify leaderboards/tiny` — every row

`w2s-bench verify leaderboards/tiny --row math/oracle --row chess/probe` — two rows

`w2s-bench verify leaderboards/tiny --sample 1` — one row, drawn at random

`w2s-bench verify results/math/oracle.json` — one cell; without its suite.yaml it must be of a built-in suite

`w2s-bench verify THEIRS --explain` — what to install first

`w2s-bench verify THEIRS --model 3680d3cfab9c=models/x` — a suite of local models, one of which lies here

A row is `identical` (the same bytes of every result), `within tolerance` (accuracies and answers as close as the suite
declared beforehand: another machine or library), or it `DIFFERS`; so do README.md and the plot. What was
found is written to `DIR/attestations/`, and shown by the page as `w2s-bench leaderboard DIR` writes it. Exit codes: 0 every row was
reproduced; 1 a row differs, cannot be run here, or has a failed seed, be it the same failure again.
"""


def verify(
    results: Annotated[
        Path,
        typer.Argument(
            help="A suite's results folder (suite.yaml and results/DOMAIN/ARM.json), or one cell's file.",
            metavar="DIR|CELL.json",
        ),
    ],
    row: Annotated[
        list[str] | None,
        typer.Option("--row", "-r", help="A row to verify; repeat for more (default: all).", metavar="DOMAIN/ARM"),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", help="Verify so many rows, drawn at random.", metavar="N", min=1)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Verify every row: as without --row and --sample.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what is missing here or has another version, and compute nothing.")
    ] = False,
    attest: Annotated[
        bool, typer.Option("--attest/--no-attest", help="Write what was found to DIR/attestations/.")
    ] = True,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Where a model that the suite has as a folder lies here; it must have the same fingerprint (of an "
            "adapter FOLDER, or FOLDER+BASE where the base lies elsewhere too); repeat for more.",
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
    workers: Workers = None,
    device: Device = None,
    data: Data = None,
    include_path: IncludePath = None,
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

        _refuse_several(row, sample, every)
        use_device(device)
        use_tasks(data, include_path or ())
        folders = _places(model or ())
        with _rows_of(results, row or (), sample) as (folder, rows):
            if explain:
                raise typer.Exit(_explain(folder, rows, folders, trust_folder, as_json=json_output))
            with shown_progress(f"verify {results}", quiet=quiet, as_json=json_output) as events:
                verdicts = compute_again(
                    folder, rows, models=folders, trust_folder=trust_folder, workers=workers, events=events
                )
            print_verdicts(verdicts, as_json=json_output)
            if attest:
                _attest(folder, verdicts, quiet=quiet, lasting=results.is_dir() or folder in results.absolute().parents)
        raise typer.Exit(0 if all(v.ok for v in verdicts) else 1)


def _refuse_several(row: Sequence[str] | None, sample: int | None, every: bool) -> None:
    from w2s_bench.errors import W2SBenchError

    asked = [name for name, given in (("--row", row), ("--sample", sample), ("--all", every)) if given]
    if len(asked) > 1:
        raise W2SBenchError(f"{' and '.join(asked)} say different things of which rows to verify; give one of them")


@contextmanager
def _rows_of(results: Path, rows: Sequence[str], sample: int | None) -> Iterator[tuple[Path, Sequence[str]]]:
    """The results folder and the rows of it that are asked for."""
    from w2s_bench.runs.verify import folder_of, sampled

    if results.is_file():
        if rows or sample:
            from w2s_bench.errors import W2SBenchError

            raise W2SBenchError(f"{results} is one cell's file; --row and --sample are for a results folder")
        with folder_of(results) as (folder, row):
            yield folder, [row]
    else:
        yield results, sampled(results, sample) if sample else rows


def _attest(folder: Path, verdicts: Sequence[Verified], *, quiet: bool, lasting: bool) -> None:
    """Write the attestation, where there is a folder to write it to; that it cannot be written changes no verdict."""
    from w2s_bench.runs.verify import attest

    if not lasting:
        return
    try:
        path = attest(folder, verdicts)
    except OSError as error:
        say(f"note: no attestation is written: {error.strerror or error} ({error.filename})", error=True)
        return
    if path is not None and not quiet:
        say(f"Wrote {path}; `w2s-bench leaderboard {folder}` shows it on the page", error=True)


def _explain(folder: Path, rows: Sequence[str], models: Mapping[str, str], trust_folder: bool, *, as_json: bool) -> int:
    """Print what is otherwise here; 1 where rows cannot be computed for it."""
    from dataclasses import asdict

    from w2s_bench.runs.requirements import lacks

    missing = lacks(folder, rows, models=models, trust_folder=trust_folder)
    if as_json:
        print_json([asdict(lack) for lack in missing])
    else:
        from w2s_bench.text import one_line

        for lack in missing:
            word = "needed" if lack.needed else "other"
            say(one_line(f"{word}: {lack.what} ({_counted(lack.rows)}) → {lack.to_do}"))
        if not missing:
            say("Everything is here as where the rows were made: verify demands identical bodies")
    return int(any(lack.needed for lack in missing))


def _counted(rows: Sequence[str]) -> str:
    return rows[0] if len(rows) == 1 else f"{len(rows)} rows"


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
