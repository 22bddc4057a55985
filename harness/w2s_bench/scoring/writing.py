"""What a call leaves behind, whole or not at all: a folder beside the one asked for, which takes its name at the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from w2s_bench.errors import LabelsError
from w2s_bench.record import iter_rows
from w2s_bench.scoring.rows import Row
from w2s_bench.types import BoolArray, FloatArray

_SCORE = "score:"
#: By it a folder is known as one that a call wrote, and may be put in another's place.
SUMMARY = "score.json"
SCORED, SCORED_LINES = "scored.parquet", "scored.jsonl"
TRAINING, TRAINING_LINES = "training", "training.jsonl"
COVERAGE, CALIBRATION = "coverage.svg", "calibration.svg"


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


def write_scored(
    folder: Path,
    parts: Iterable[Sequence[Row]],
    scores: Mapping[str, FloatArray],
    kept: BoolArray,
    in_trust: BoolArray,
    *,
    has_options: bool,
) -> None:
    """The scored table, part after part: as much memory for a million rows as for some thousand.

    `scores` by the trust functions' specs, in the order of all rows of the pool; the first decides what is kept.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    texts = ["id", "prompt", "label"]
    schema = pa.schema(
        [
            *((name, pa.string()) for name in texts),
            *([("options", pa.list_(pa.string()))] if has_options else []),
            ("in_trust_set", pa.bool_()),
            *((name_of(spec), pa.float64()) for spec in scores),
            ("kept", pa.bool_()),
        ]
    )
    start = 0
    with ParquetWriter(folder / SCORED, schema) as table, (folder / SCORED_LINES).open("w", encoding="utf-8") as lines:
        for rows in parts:
            told = []
            for index, row in enumerate(rows, start):
                line: dict[str, Any] = {name: getattr(row, name) for name in texts}
                if row.options is not None:
                    line["options"] = list(row.options)
                line["in_trust_set"] = bool(in_trust[index])
                line |= {name_of(spec): float(values[index]) for spec, values in scores.items()}
                told.append(line | {"kept": bool(kept[index])})
            start += len(rows)
            table.write_table(pa.Table.from_pylist(told, schema=schema))
            lines.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in told)


def write_training(folder: Path, *, has_options: bool) -> None:
    """The kept rows out of the scored table, as lines of JSON and as a folder of `datasets`; by way of files, not of memory.

    At least one row is kept: a training set of none could only be taken for one.
    """
    import tempfile

    import datasets

    text = datasets.Value("string")
    columns: dict[str, Any] = {"id": text, "prompt": text, "completion": text}
    columns |= {"options": datasets.List(text)} if has_options else {}
    features = datasets.Features({**columns, "score": datasets.Value("float64")})
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".cache-") as cache:
            given = {"scored": folder / SCORED_LINES}
            kept: Any = datasets.Dataset.from_generator(
                _training_rows, features=features, cache_dir=cache, gen_kwargs=given
            )
            kept.save_to_disk(str(folder / TRAINING))
    finally:
        if shown:
            datasets.enable_progress_bars()
    with (folder / TRAINING_LINES).open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in _training_rows(folder / SCORED_LINES))


def _training_rows(scored: Path) -> Iterator[dict[str, Any]]:
    """What a student is to train on: the label as its completion, nothing of gold, and the score that chose it."""
    for row in iter_rows(scored):
        if row["kept"]:
            score = next(value for name, value in row.items() if name.startswith(_SCORE))
            options = {"options": row["options"]} if "options" in row else {}
            yield {"id": row["id"], "prompt": row["prompt"], "completion": row["label"], **options, "score": score}


def name_of(spec: str) -> str:
    """The column of a trust function's scores."""
    return f"{_SCORE}{spec}"
