"""`w2s-bench report` and `w2s-bench serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.options import Data, IncludePath
from w2s_bench._cli.output import refuse_no_file, say

if TYPE_CHECKING:
    from w2s_bench.results.report.reading import Folder

REPORT_EPILOG = """
**Examples**

`w2s-bench report w2s-results/tiny --out tiny.html` — then open `tiny.html` in any browser

`w2s-bench report w2s-results/tiny --items --out tiny.html` — with rows kept and dropped, out of the store of the run

`w2s-bench report leaderboards/tiny leaderboards/offline-lm --out boards.html` — two boards in one file

The file is whole: no network, nothing beside it. A link may end in `#row=math/probe` (a row), `#row=probe` (an arm) or
`#compare=probe,naive`; with several boards in `#board=tiny&row=…`. A cell that cannot be believed is left out, said here and
on the page, and the others are shown. Exit codes: 0 all cells are shown; 1 some are left out; 2 there is nothing to show.
"""
SERVE_EPILOG = """
**Examples**

`w2s-bench serve w2s-results/tiny` — in one terminal, while `w2s-bench run tiny` goes on in another

The server listens on 127.0.0.1 alone, so nobody but users of this machine sees the page; Ctrl-C ends it.
"""


def report(
    results: Annotated[
        list[Path],
        typer.Argument(
            help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json; several for several boards.",
            metavar="DIR",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.", metavar="FILE.html")],
    items: Annotated[
        bool,
        typer.Option(
            "--items",
            help="Show also what the store of the run knows: rows kept and dropped with their questions, risk at every coverage, "
            "which rows two arms keep.",
        ),
    ] = False,
    store: Annotated[
        str | None,
        typer.Option("--store", help="With --items: the store of the run (default: as for run).", metavar="PLACE"),
    ] = None,
    trust_folder: Annotated[
        bool,
        typer.Option("--trust-folder", help="With --items: open the models' folders that DIR names, as for verify."),
    ] = False,
    data: Data = None,
    include_path: IncludePath = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Write one self-contained HTML file: the table to sort and filter, plots, a page a row, two rows item by item."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_tasks
        from w2s_bench.errors import W2SBenchError
        from w2s_bench.record import write_atomically
        from w2s_bench.results.report.page import render
        from w2s_bench.results.report.reading import read_folder

        refuse_no_file(out, "--out", "report.html")
        if store is not None and not items:
            raise W2SBenchError("--store is where --items reads; add --items, or leave it out")
        folders = [read_folder(folder) for folder in results]
        if items:
            use_tasks(data, include_path or ())
            folders = [_with_items(folder, store, trust_folder=trust_folder) for folder in folders]
        page = render(folders)
        write_atomically(out, page)
        faults = [fault for folder in folders for fault in folder.faults]
        for fault in faults:
            say(f"left out: {fault}", error=True)
        if not quiet:
            cells = sum(len(folder.cells) for folder in folders)
            say(f"Wrote {out}: {cells} cells, {len(page.encode()) / 1e6:.1f} MB")
        raise typer.Exit(1 if faults else 0)


def _with_items(folder: Folder, store: str | None, *, trust_folder: bool) -> Folder:
    """The folder with what the store of its run knows. Rows that this store knows nothing of are shown without."""
    from dataclasses import replace

    from w2s_bench._cli.waiting import told_waits
    from w2s_bench.errors import StoreError
    from w2s_bench.runs.items import pools
    from w2s_bench.store import default_location

    place = store or default_location()
    with told_waits() as awaits:
        told, refused = pools(folder.path, folder.cells, place, trust_folder=trust_folder, awaits=awaits)
    if not told and refused:
        raise StoreError(f"--items: nothing of {folder.path} is in this store. {next(iter(refused.values()))}")
    if refused:
        row, why = next(iter(refused.items()))
        say(f"note: {len(refused)} rows are shown without their items, such as {row}: {why}", error=True)
    return replace(folder, pools=told)


def serve(
    results: Annotated[Path, typer.Argument(help="A suite's results folder, which may still be empty.", metavar="DIR")],
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            "-p",
            help="The port (default: 8765, or a free one where that is taken).",
            metavar="N",
            min=1,
            max=65535,
        ),
    ] = None,
) -> None:
    """Show a results folder in the browser, on this machine alone, and refresh it while a run goes on."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.results.report.serving import address_of, open_server

        with open_server(results, port) as server:
            if not results.is_dir():
                say(f"note: there is no folder {results} yet; the page fills when a run writes there", error=True)
            say(f"{results} is shown at {address_of(server)} (Ctrl-C ends)")
            try:
                server.serve_forever(poll_interval=0.2)
            except KeyboardInterrupt:
                say("Ended.")
