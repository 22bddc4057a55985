"""`w2s-bench analyse`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from w2s_bench._cli.options import Data, Device, IncludePath, Store, Workers
from w2s_bench._cli.output import print_json

if TYPE_CHECKING:
    from w2s_bench.results.mechanisms.facts import Analysis

EPILOG = """
**Examples**

`w2s-bench run tiny --decompose && w2s-bench analyse w2s-results/tiny` — then open `w2s-results/tiny/analysis.md`

`w2s-bench analyse w2s-results/tiny --section gradients --domain math --rows 128 --out /tmp/look` — a part of it, sooner

**curriculum**: does trust prefer easy rows? How hard an item is tell students trained on the gold of the others, five a domain
and seed. **order**: what it is worth to see the most trusted rows first; **attribution**: what of each gain over naive is
budget, items, purity; both from the cells alone, of a run with `--decompose`. **gradients**: how alike the gradients of kept rows
are, at the untuned student and at one warmed up on all weak labels, equally many rows an arm. **fit**: how soon students fit
labels that are right, and those that are wrong. **faithfulness**: of worked solutions, whether their own steps lead to their answer.

The store must be that of the run; what it lacks is named with the command that makes it. What is computed here goes into the
same store, so an analysis that was stopped goes on. Nothing learns from it: no cell, board or rank changes. The page says what
is claimed and what is found. Exit codes: 0 all of it could be had; 1 a part failed, and the page says which; 2 a mistake in the call.
"""


class Section(StrEnum):
    """What can be asked for; the same words as `facts.SECTIONS`, which would take half a second to import."""

    CURRICULUM = "curriculum"
    ORDER = "order"
    ATTRIBUTION = "attribution"
    GRADIENTS = "gradients"
    FIT = "fit"
    FAITHFULNESS = "faithfulness"


def analyse(
    results: Annotated[
        Path, typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR")
    ],
    section: Annotated[
        list[Section] | None, typer.Option("--section", help="A section; repeat for more (default: all).")
    ] = None,
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", "-d", help="A domain of the suite; repeat for more (default: all).", metavar="D"),
    ] = None,
    rows: Annotated[
        int,
        typer.Option(
            "--rows",
            help="Rows of the pool whose gradients are taken, and of dev.",
            metavar="N",
            min=64,
            show_default=True,
        ),
    ] = 256,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for analysis.md and its figures (default: DIR).", metavar="FOLDER"),
    ] = None,
    store: Store = None,
    workers: Workers = None,
    device: Device = None,
    trust_folder: Annotated[
        bool, typer.Option("--trust-folder", help="Open the models' folders that DIR names, as for verify.")
    ] = False,
    data: Data = None,
    include_path: IncludePath = None,
    json_output: Annotated[
        bool,
        typer.Option(
            "--json", help="Print all figures as JSON on standard output; write no page unless --out is given."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Why did a finished run come out so? Curriculum, attribution, gradients and more of its arms, as a page with figures."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_device, use_tasks
        from w2s_bench._cli.progress import shown_progress
        from w2s_bench.errors import W2SBenchError
        from w2s_bench.runs.analyse import analyse as analysed
        from w2s_bench.runs.execute import local_executor
        from w2s_bench.store import default_location

        if out is not None and out.exists() and not out.is_dir():
            raise W2SBenchError(
                f"--out {str(out)!r} is a file; give the folder to write analysis.md and its figures to"
            )
        use_device(device)
        use_tasks(data, include_path or ())
        with shown_progress(f"analyse {results.name}", quiet=quiet, as_json=json_output) as events:
            analysis = analysed(
                results,
                store=store or default_location(),
                executor=local_executor(workers),
                events=events,
                domains=domain or (),
                sections=[*(section or Section)],
                sample=rows,
                trust_folder=trust_folder,
            )
        if out is not None or not json_output:
            _write(analysis, out or results, say_so=not json_output)
        if json_output:
            _print(analysis)
        raise typer.Exit(1 if analysis.problems else 0)


def _write(analysis: Analysis, folder: Path, *, say_so: bool) -> None:
    from w2s_bench._cli.output import say
    from w2s_bench.record import write_atomically
    from w2s_bench.results.mechanisms.page import PAGE, pages
    from w2s_bench.text import one_line

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(analysis).items():
        write_atomically(folder / name, text)
    for problem in analysis.problems:
        say(f"could not be had: {one_line(problem)}", error=True)
    if say_so:
        say(f"Wrote {folder / PAGE}")


def _print(analysis: Analysis) -> None:
    from dataclasses import asdict

    def plain(value: Any) -> Any:
        """What JSON holds: figures without what only means are made of."""
        if isinstance(value, dict):
            return {name: plain(inner) for name, inner in value.items() if name != "variance"}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    print_json(plain(asdict(analysis)))
