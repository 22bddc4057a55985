"""`w2s-bench store`: look after what was computed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.output import console, say

if TYPE_CHECKING:
    from w2s_bench.store import Store

HELP = """Look after the store, where every computed stage is kept: list it, check it, make it smaller, take it elsewhere.

Nothing in a store is ever needed: what is not there is computed again.
"""
EPILOG = """
**Examples**

`w2s-bench store ls` — what is stored, by stage

`w2s-bench store verify` — read every byte and compare it with what was written

`w2s-bench store gc --older-than 30d` — remove what no run has used for a month

`w2s-bench store gc --limit 5GB --dry-run` — what would go, the longest unused first, until 5 GB are left

`w2s-bench store export s3://bucket/store` — copy everything to where other machines find it

Exit codes: 0 done, 1 something is damaged or the store cannot be read or written, 2 a mistake in the call.
"""

app = typer.Typer(name="store", help=HELP, epilog=EPILOG, no_args_is_help=True, rich_markup_mode="markdown")

Location = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="A folder, or a URL such as s3://… (default: $W2S_BENCH_STORE, or your cache folder).",
        metavar="DIR",
    ),
]
Stages = Annotated[
    list[str] | None, typer.Option("--stage", help="Results of this stage only; repeat for more.", metavar="NAME")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; errors and damage only.")]


@app.command("ls")
def ls(
    store: Location = None,
    stage: Stages = None,
    long: Annotated[bool, typer.Option("--long", "-l", help="Every result, not sums by stage.")] = False,
    json_output: Json = False,
) -> None:
    """List what is stored: number, size, what it took to compute, when it was made and last used."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.store_tables import print_results, print_stages
        from w2s_bench.store.upkeep import existing

        entries = existing(_opened(store), stage or ())
        (print_results if long else print_stages)(entries, as_json=json_output)


@app.command("verify")
def verify(
    store: Location = None,
    stage: Stages = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is damaged; the next run computes it again.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Read every byte and compare it with what was written; exit code 1 if anything is damaged and stays."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.store.sizes import size_text
        from w2s_bench.store.upkeep import check_all, existing

        opened = _opened(store)
        entries = existing(opened, stage or ())
        damaged = 0
        with _progress("verify", len(entries), quiet) as advance:
            for damage in check_all(opened, entries, repair=repair):
                advance()
                if damage is not None:
                    damaged += 1
                    say(f"damaged{', removed' if repair else ''}: {damage.path}: {damage.reason}")
        if not quiet:
            size = size_text(sum(entry.bytes for entry in entries))
            told = (
                f"{damaged} of {len(entries)} results are damaged"
                if damaged
                else f"{_results(len(entries))}, all sound"
            )
            hint = "; remove them with --repair, and the next run computes them again" if damaged and not repair else ""
            say(f"{told} ({size} read){hint}")
        raise typer.Exit(1 if damaged and not repair else 0)


@app.command("gc")
def gc(
    store: Location = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", help="Remove what was not used for so long: 12h, 30d, 8w.", metavar="AGE"),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            help="Remove the longest unused until so much is left: 500MB, 5GB (default: $W2S_BENCH_STORE_LIMIT).",
            metavar="SIZE",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Remove results, and what dead processes left half made. What a running process needs stays."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.store.eviction import collect, limit_from_environment
        from w2s_bench.store.sizes import parse_age, parse_size, size_text

        opened = _opened(store)
        done = collect(
            opened,
            older_than=None if older_than is None else parse_age(older_than, "--older-than"),
            limit=limit_from_environment() if limit is None else parse_size(limit, "--limit"),
            dry_run=dry_run,
        )
        if not dry_run:
            opened.clean()
        if not quiet:
            freed = size_text(sum(entry.bytes for entry in done.removed))
            stay = f" {_results(len(done.spared))} in use stay." if done.spared else ""
            verb = "Would remove" if dry_run else "Removed"
            say(f"{verb} {_results(len(done.removed))}, {freed}; {size_text(done.bytes_left)} left.{stay}")


@app.command("export")
def export(
    target: Annotated[
        str,
        typer.Argument(help="Another store, a folder or a URL; or a file to write, ending in .tar.", metavar="PLACE"),
    ],
    store: Location = None,
    stage: Stages = None,
    quiet: Quiet = False,
) -> None:
    """Copy results, each checked, to another store, or to a tar file that is one when it is unpacked."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.store import open_store
        from w2s_bench.store.sizes import size_text
        from w2s_bench.store.upkeep import copy_results, existing, write_archive

        opened = _opened(store)
        entries = existing(opened, stage or ())
        with _progress("export", len(entries), quiet) as advance:
            if target.endswith(".tar"):
                done = write_archive(opened, Path(target), entries, advance)
            else:
                done = copy_results(opened, open_store(target, limited=False), entries, advance)
        for damage in opened.damages:
            say(f"left out: {damage}", error=True)
        if not quiet:
            there = f"; {_results(done.present)} were there already" if done.present else ""
            say(f"Copied {_results(done.copied)}, {size_text(done.bytes)}, to {target}{there}")
        raise typer.Exit(1 if opened.damages else 0)


def _opened(location: str | None) -> Store:
    from w2s_bench.errors import W2SBenchError
    from w2s_bench.store import default_location, open_store

    store = open_store(location or default_location(), limited=False)
    if not store.exists():
        raise W2SBenchError(f"there is no store at {store.root}; give another --store DIR, or run a suite first")
    return store


def _results(count: int) -> str:
    return f"{count} result{'' if count == 1 else 's'}"


@contextmanager
def _progress(title: str, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """Yields what is called after each result."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(error=True), transient=True) as progress:
        bar = progress.add_task(title, total=total)
        yield lambda: progress.advance(bar)
