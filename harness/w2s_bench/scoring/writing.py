"""What a call leaves behind, whole or not at all: a folder beside the one asked for, which takes its name at the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from w2s_bench.errors import LabelsError
from w2s_bench.names import README
from w2s_bench.scoring.rows import Row
from w2s_bench.types import BoolArray, FloatArray

#: By it a folder is known as one that a call wrote, and may be put in another's place.
SUMMARY = "score.json"
SCORED, SCORED_LINES = "scored.parquet", "scored.jsonl"
TRAINING, TRAINING_LINES = "training", "training.jsonl"
COVERAGE, CALIBRATION = "coverage.svg", "calibration.svg"
FILES = (README, SUMMARY, SCORED, SCORED_LINES, TRAINING_LINES, COVERAGE, CALIBRATION)


def refuse_taken(out: Path, *, force: bool) -> None:
    """Refuse a folder that holds something, unless it is an earlier result and may go; nothing is written."""
    if not out.exists() and not out.is_symlink():
        _refuse_unwritable(out)
        return
    if not out.is_dir():
        raise LabelsError(f"--out {str(out)!r} is no folder; give a new one")
    if any(out.iterdir()):
        if not (out / SUMMARY).is_file():
            raise LabelsError(f"--out {str(out)!r} holds other things; give a new folder")
        if not force:
            raise LabelsError(
                f"--out {str(out)!r} holds an earlier result; give a new folder, or --force to put this one in its place"
            )
    _refuse_unwritable(out)


def _refuse_unwritable(out: Path) -> None:
    """Hours of scoring should not end in a folder that cannot be made."""
    parent = next(folder for folder in out.absolute().parents if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise LabelsError(
            f"--out {str(out)!r} cannot be made: no permission to write to {str(parent)!r}; give another folder"
        )


@contextmanager
def put_in_place(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to write to; at the end it takes the place of `out`, or nothing is left of it."""
    out = out.absolute()
    beside = out.with_name(f".{out.name}.{os.urandom(4).hex()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside.mkdir()
        try:
            yield beside
            old = out.with_name(f".{out.name}.{os.urandom(4).hex()}.old")
            if out.exists():
                out.rename(old)
            beside.rename(out)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        reasons = {
            errno.ENOSPC: "the disk is full",
            errno.EACCES: "no permission",
            errno.EROFS: "the file system is read-only",
        }
        why = reasons.get(error.errno or 0, error.strerror or str(error))
        raise LabelsError(
            f"cannot write to {str(out)!r}: {why}; nothing of it is left. Make room, or give another --out"
        ) from error


def write_tables(
    folder: Path,
    parts: Iterable[Sequence[Row]],
    scores: dict[str, FloatArray],
    kept: BoolArray,
    in_trust: BoolArray,
    *,
    has_options: bool,
) -> None:
    """The scored table and the training set, part after part: as much memory for a million rows as for some thousand.

    `scores` by the trust functions' specs, in the order of all rows of the pool; the first decides what is kept.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    columns = [("id", pa.string()), ("prompt", pa.string()), ("label", pa.string())]
    columns += [("options", pa.list_(pa.string()))] if has_options else []
    schema = pa.schema(
        [*columns, ("in_trust_set", pa.bool_()), *((name_of(s), pa.float64()) for s in scores), ("kept", pa.bool_())]
    )
    trained = pa.schema(
        [
            ("id", pa.string()),
            ("prompt", pa.string()),
            ("completion", pa.string()),
            *columns[3:],
            ("score", pa.float64()),
        ]
    )
    training = folder / f".{TRAINING}.parquet"
    first = next(iter(scores))
    start = 0
    with (
        ParquetWriter(folder / SCORED, schema) as scored,
        (folder / SCORED_LINES).open("w", encoding="utf-8") as scored_lines,
        ParquetWriter(training, trained) as train,
        (folder / TRAINING_LINES).open("w", encoding="utf-8") as train_lines,
    ):
        for rows in parts:
            lines, chosen = list[dict[str, Any]](), list[dict[str, Any]]()
            for place, row in enumerate(rows, start):
                options = {"options": list(row.options)} if row.options is not None else {}
                own = {name_of(spec): float(values[place]) for spec, values in scores.items()}
                named = {"id": row.id, "prompt": row.prompt}
                lines.append(
                    named
                    | {"label": row.label}
                    | options
                    | {"in_trust_set": bool(in_trust[place])}
                    | own
                    | {"kept": bool(kept[place])}
                )
                if kept[place]:
                    chosen.append(named | {"completion": row.label} | options | {"score": float(scores[first][place])})
            start += len(rows)
            for table, writer, shape, file in (
                (lines, scored, schema, scored_lines),
                (chosen, train, trained, train_lines),
            ):
                if table:
                    writer.write_table(pa.Table.from_pylist(table, schema=shape))
                    file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in table)
    _as_dataset(training, folder / TRAINING, any_rows=bool(kept.any()))


def name_of(spec: str) -> str:
    """The column of a trust function's scores."""
    return f"score:{spec}"


def _as_dataset(parquet: Path, folder: Path, *, any_rows: bool) -> None:
    """The rows of a Parquet file as a folder of `datasets`, by way of files and not of memory."""
    import tempfile

    import datasets
    from pyarrow.parquet import read_schema

    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".cache-") as cache:
            features = None
            if not any_rows:  # a reader of no rows cannot tell their columns
                features = datasets.Features.from_arrow_schema(read_schema(parquet))
            made = (
                datasets.Dataset.from_parquet(str(parquet), cache_dir=cache)
                if features is None
                else datasets.Dataset.from_dict({name: [] for name in features}, features=features)
            )
            made.save_to_disk(str(folder))
    finally:
        if shown:
            datasets.enable_progress_bars()
    parquet.unlink()
