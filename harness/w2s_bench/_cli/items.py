"""`w2s-bench items`."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from w2s_bench._cli.options import Data, IncludePath
from w2s_bench._cli.output import say

EPILOG = """
**Examples**

`w2s-bench items w2s-results/tiny --row math/probe --out probe.jsonl` — then `datasets.load_dataset("json", data_files=…)`

`w2s-bench items w2s-results/tiny --row math/probe --row math/confidence --gold --out two.parquet`

A line an item, seed and row: id, stratum, the teacher's label and whether it is right; of the pool the trust score and whether
the student trained on it; of the evaluated split the student's answer and whether it is right. They come out of the store
of the run: a cell holds digests and bits alone. Nothing is computed. From Python: `w2s_bench.items(DIR, rows)`.
"""


class ItemFormat(StrEnum):
    """How lines are written."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def items(
    results: Annotated[
        Path, typer.Argument(help="A suite's results folder: suite.yaml and results/DOMAIN/ARM.json.", metavar="DIR")
    ],
    row: Annotated[
        list[str] | None, typer.Option("--row", "-r", help="A row to show; repeat for more.", metavar="DOMAIN/ARM")
    ] = None,
    store: Annotated[
        str | None, typer.Option("--store", help="The store of the run (default: as for run).", metavar="PLACE")
    ] = None,
    gold: Annotated[bool, typer.Option("--gold", help="Add the right answers.")] = False,
    prompts: Annotated[bool, typer.Option("--prompts", help="Add the questions.")] = False,
    format_: Annotated[
        ItemFormat | None,
        typer.Option("--format", "-f", help="How lines are written (default: by the file's ending, or jsonl)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: standard output).", metavar="FILE")
    ] = None,
    trust_folder: Annotated[
        bool, typer.Option("--trust-folder", help="Open the models' folders that DIR names, as for verify.")
    ] = False,
    data: Data = None,
    include_path: IncludePath = None,
) -> None:
    """Rows of a board item by item: labels, scores, what was kept, answers."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.preflight import use_tasks
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.runs.items import item_lines
        from w2s_bench.store import default_location

        use_tasks(data, include_path or ())
        how = format_ or {".csv": ItemFormat.CSV, ".parquet": ItemFormat.PARQUET}.get(
            out.suffix if out else "", ItemFormat.JSONL
        )
        if how is ItemFormat.PARQUET and out is None:
            from w2s_bench.errors import W2SBenchError

            raise W2SBenchError("parquet is binary: give --out FILE")
        store_location = store or default_location()
        with told_waits() as awaits:
            lines = item_lines(
                results,
                row or (),
                store_location,
                gold=gold,
                prompts=prompts,
                trust_folder=trust_folder,
                awaits=awaits,
            )
        _write(lines, how, out)
        if out is not None:
            say(f"Wrote {len(lines)} lines to {out}", error=True)


def _write(lines: Sequence[dict[str, Any]], how: ItemFormat, out: Path | None) -> None:
    from w2s_bench.record import canonical_json, replacing, write_atomically
    from w2s_bench.results.tables.formats import as_csv, frame
    from w2s_bench.runs.items import columns_of

    if how is ItemFormat.PARQUET and out is not None:
        with replacing(out) as file:
            frame(columns_of(lines)).to_parquet(file, index=False)
        return
    text = (
        as_csv(columns_of(lines)) if how is ItemFormat.CSV else "".join(canonical_json(line) + "\n" for line in lines)
    )
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, text, errors="backslashreplace")
