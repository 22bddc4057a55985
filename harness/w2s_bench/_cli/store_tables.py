"""What `w2s-bench store ls` prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.table import Table

from w2s_bench._cli.output import console, print_json, say
from w2s_bench._cli.progress import duration
from w2s_bench.store.entries import Entry
from w2s_bench.store.sizes import size_text


def print_stages(entries: Sequence[Entry], *, as_json: bool) -> None:
    """A row for every stage."""
    by_stage: dict[str, list[Entry]] = {}
    for entry in entries:
        by_stage.setdefault(entry.stage, []).append(entry)
    if as_json:
        print_json([{"stage": stage, **_sums(some)} for stage, some in by_stage.items()])
        return
    table = _table("stage", "results", "size", "computed in", "newest, UTC", "last used, UTC")
    for stage, some in by_stage.items():
        table.add_row(stage, *_cells(some))
    table.add_section()
    table.add_row("all", *_cells(entries))
    console().print(table)
    _print_hint(entries)


def print_results(entries: Sequence[Entry], *, as_json: bool) -> None:
    """A row for every result."""
    if as_json:
        print_json([{"stage": entry.stage, "key": entry.key, **_sums([entry])} for entry in entries])
        return
    table = _table("stage", "key", "size", "computed in", "made, UTC", "last used, UTC")
    for entry in entries:
        size, seconds, made, used = _cells([entry])[1:]
        table.add_row(entry.stage, entry.key[:16], size, seconds, made, used)
    console().print(table)
    _print_hint(entries)


def _sums(entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "results": len(entries),
        "bytes": sum(entry.bytes for entry in entries),
        "seconds": round(sum(entry.seconds for entry in entries), 3),
        "newest": max((entry.facts["created"] for entry in entries if entry.facts), default=None),
        "used": max((_date(entry.used).isoformat(timespec="seconds") for entry in entries), default=None),
        "unreadable": sum(entry.facts is None for entry in entries),
    }


def _cells(entries: Sequence[Entry]) -> list[str]:
    """Number, size, seconds, when the newest was made, when one was last used."""
    sums = _sums(entries)
    moments = [moment[:16].replace("T", " ") if moment else "?" for moment in (sums["newest"], sums["used"])]
    return [str(sums["results"]), size_text(sums["bytes"]), duration(sums["seconds"]), *moments]


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _print_hint(entries: Sequence[Entry]) -> None:
    if unreadable := sum(entry.facts is None for entry in entries):
        say(f"{unreadable} of them cannot be read: see `w2s-bench store verify`")


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("stage", "key") else "right", no_wrap=True)
    return table
