"""`w2s_bench.score` and `w2s-bench score`: a file of weak labels → scores, what is kept, and a report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np

from w2s_bench.errors import LabelsError, ModelError, TrustFunctionError
from w2s_bench.hookspecs import ReadingModel
from w2s_bench.names import DEVICE_VARIABLE
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.protocol.scores import PackedIds
from w2s_bench.scoring.applying import Applied, Read, in_half
from w2s_bench.scoring.evidence import Available, with_models
from w2s_bench.scoring.functions import Wanted, chosen, installed
from w2s_bench.scoring.label_tables import table_of
from w2s_bench.scoring.labels import Labels, Progress, checked
from w2s_bench.scoring.outcome import Asked, Of, Scored
from w2s_bench.scoring.page import write_report
from w2s_bench.scoring.rows import Row
from w2s_bench.scoring.schema import Columns
from w2s_bench.scoring.seen import Seen
from w2s_bench.scoring.selecting import Goal, kept_of
from w2s_bench.scoring.writing import put_in_place, refuse_taken, write_scored, write_training
from w2s_bench.types import FloatArray, Reader


def prepared(asked: Asked, progress: Progress) -> tuple[Labels, Available]:
    """The labels, checked, and what evidence there is of them; no model is loaded."""
    gold = None if asked.trust_set is None else table_of(asked.trust_set)
    labels = checked(table_of(asked.labels, split=asked.split), asked.columns, gold, progress)
    return labels, Available(labels.kind, labels.shapes, dict.fromkeys(asked.models or {}))


def applicable(asked: Asked, progress: Progress, awaits: Awaits = unheard) -> tuple[Labels, list[Wanted]]:
    """Every installed trust function, with what it lacks to be applied to these labels."""
    labels, available = prepared(asked, progress)
    return labels, installed(Registry.load(awaits=awaits), available, [bool(row.right) for row in labels.trust])


def score_labels(
    asked: Asked, out: Path, *, force: bool, progress: Progress, awaits: Awaits = unheard, all_files: bool = True
) -> Scored:
    """Score the labels, choose, and write everything to the folder `out`; the scored table alone where not `all_files`."""
    began = time.monotonic()
    refuse_taken(out, force=force)
    registry = Registry.load(awaits=awaits)
    labels, available = prepared(asked, progress)
    trust = [bool(row.right) for row in labels.trust]
    wanted = chosen(registry, asked.trust, available, trust)
    if asked.goal.purity is not None and not trust:
        raise LabelsError(
            "--purity is guaranteed by a trust set; give --trust-set GOLD, or a column 'correct' in some rows"
        )
    available = _with_models(registry, asked, labels, available, wanted)
    with put_in_place(out) as folder:
        scored = outcome_of(registry, asked, labels, available, wanted, progress, began)
        seen = Seen(scored)
        parts = seen.watching(_told(labels, "writing", progress))
        specs = {of.wanted.spec: of.pool for of in scored.functions}
        has_options = labels.kind == "choice"
        write_scored(folder, parts, specs, scored.kept, scored.in_trust, has_options=has_options)
        if all_files:
            if scored.kept.any():
                write_training(folder, has_options=has_options)
            write_report(folder, scored, seen)
    return scored


def outcome_of(
    registry: Registry,
    asked: Asked,
    labels: Labels,
    available: Available,
    wanted: Sequence[Wanted],
    progress: Progress,
    began: float,
) -> Scored:
    """What comes of it: every function fitted and applied, rows chosen; nothing is written."""
    needs = {need for function in wanted for need in function.needs}

    def read(rows: Sequence[Row]) -> Read:
        return with_models(rows, needs, available, asked.delimiter)

    learn = any(function.learns for function in wanted)
    # Where a guarantee is asked for, no row may both teach a function and certify it.
    halves = asked.goal.purity is not None and learn
    lesson = [row for row in labels.trust if not halves or in_half(row, asked.seed)]
    read_of_lesson = read(lesson) if learn else {}
    faults: dict[str, str] = {}
    applied = list[Applied]()
    for number, function in enumerate(wanted):
        progress(f"fitting {function.spec}", number, len(wanted))
        with _left_out(function, faults):
            applied.append(Applied.fitted(registry, function, lesson, available, read_of_lesson, seed=asked.seed))
    scores, ids = _scores_of(labels, applied, read, faults, progress)
    if len(faults) == len(wanted):
        raise LabelsError(f"every trust function failed, the first: {next(iter(faults.values()))}")
    in_trust = np.zeros(labels.count, dtype=np.bool_)
    in_trust[[*labels.right]] = True
    known_wrong = np.zeros(labels.count, dtype=np.bool_)
    known_wrong[[place for place, is_right in labels.right.items() if not is_right]] = True
    # The rows of a trust set of its own were scored after the pool's.
    beside = range(labels.count, labels.count + len(labels.trust))
    places = np.array([*(beside if labels.outside else labels.right)], dtype=np.int64)
    right = np.array([bool(row.right) for row in labels.trust], dtype=np.bool_)
    taught = {row.id for row in lesson}
    held = np.array([row.id not in taught for row in labels.trust], dtype=np.bool_)
    functions = []
    for function in wanted:
        if function.spec not in faults:
            judges = held if halves and function.learns else np.ones(len(right), dtype=np.bool_)
            pool, own, truth = (
                scores[function.spec][: labels.count],
                scores[function.spec][places][judges],
                right[judges],
            )
            kept = kept_of(asked.goal, pool, ids, in_trust, known_wrong, own, truth, seed=asked.seed)
            functions.append(Of(function, pool, own, truth, kept))
    entries = [registry.resolve("trust_function", function.name) for function in wanted]
    versions = {entry.distribution: entry.version for entry in entries}
    learnt = len(lesson) if halves else 0
    return Scored(asked, labels, tuple(functions), in_trust, learnt, time.monotonic() - began, versions, faults)


def _scores_of(
    labels: Labels,
    applied: Sequence[Applied],
    read: Callable[[Sequence[Row]], Read],
    faults: dict[str, str],
    progress: Progress,
) -> tuple[dict[str, FloatArray], PackedIds]:
    """Spec → scores of all rows of the pool, and of a trust set that lies beside it after them; and the pool's ids."""
    whole = [fitted for fitted in applied if fitted.wanted.scope == "pool"]
    scores: dict[str, list[FloatArray]] = {fitted.wanted.spec: [] for fitted in applied}
    ids, everything = PackedIds(), list[Row]()
    for part in chain(_told(labels, "scoring", progress), [[*labels.trust]] if labels.outside else []):
        said = read(part)
        for fitted in applied:
            if fitted.wanted.scope == "row" and fitted.wanted.spec not in faults:
                with _left_out(fitted.wanted, faults):
                    scores[fitted.wanted.spec].append(fitted.score(part, said))
        if len(ids) < labels.count:
            for row in part:
                ids.add(row.id)
        if whole:
            everything += part
    said = read(everything) if whole else {}
    for fitted in whole:
        progress(f"scoring the pool as a whole by {fitted.wanted.spec}", 0, None)
        with _left_out(fitted.wanted, faults):
            scores[fitted.wanted.spec].append(fitted.score(everything, said))
    return {spec: np.concatenate(parts) for spec, parts in scores.items() if spec not in faults}, ids


@contextmanager
def _left_out(wanted: Wanted, faults: dict[str, str]) -> Iterator[None]:
    """What nobody named may fail and is said to; a fault of a named function ends the call."""
    try:
        yield
    except TrustFunctionError as error:
        if wanted.named:
            raise
        faults[wanted.spec] = str(error)


def _told(labels: Labels, what: str, progress: Progress) -> Iterator[list[Row]]:
    """The parts of the labels, with what is done of them."""
    done = 0
    progress(what, 0, labels.count)
    for part in labels.parts():
        yield part
        done += len(part)
        progress(what, done, labels.count)


def _with_models(
    registry: Registry, asked: Asked, labels: Labels, available: Available, wanted: Sequence[Wanted]
) -> Available:
    """With the models loaded that a need of the functions asks for; one that nobody asks is said."""
    models: dict[Reader, ReadingModel | None] = {}
    for of, name in (asked.models or {}).items():
        needs = [need for function in wanted for need in function.needs if need.of == of and need.applies(labels.kind)]
        if all(available.column_of(need) is not None for need in needs):
            read = "is read from columns" if needs else "nothing is read of it"
            raise LabelsError(
                f"--{of} {name!r} has no part in this: {read}; leave it out, or the columns: --column NAME="
            )
        models[of] = _engine(registry, name)
    return Available(available.kind, available.shapes, models)


def _engine(registry: Registry, name: str) -> ReadingModel:
    from w2s_bench.models.loading import load_engine

    origin = registry.model(name)
    device = os.environ.get(DEVICE_VARIABLE) or "cpu"
    try:
        return cast(ReadingModel, load_engine(origin, None, device=device))
    except OSError as error:
        raise ModelError(f"model {name!r} cannot be loaded: {error}; give another, or save it again") from error


def silent(what: str, done: int, total: int | None) -> None:
    """A progress that shows nothing."""


def score(
    labels: Any,
    *,
    trust: str | Sequence[str],
    trust_set: Any = None,
    teacher: str | None = None,
    student: str | None = None,
    keep: float | None = None,
    purity: float | None = None,
    confidence: float = 0.95,
    guarantee: str = "ltt",
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    delimiter: str = " ",
    seed: int = 0,
    out: str | Path | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Any:
    """Score weak labels of your own and choose among them, as `w2s-bench score` does; docs/score.md has the columns.

    `labels` and `trust_set` are paths (.jsonl, .csv, .tsv, .parquet, a folder of `datasets`), a `datasets.Dataset`, or lists of
    mappings. `trust` names trust functions as NAME or NAME:key=value,…; the first decides what is kept: the share `keep` of
    the pool (default .5), or what has `purity` with `confidence` by the method `guarantee` (ltt, sgr, hoeffding, conformal); of
    either, rows whose label gold calls wrong are not kept. `columns` maps our names of columns to yours. With `out`,
    everything that the command writes is written there.

    Returns the scored table as a `datasets.Dataset` of n rows in the order of the labels: id, prompt, label, options where
    there are some, in_trust_set, `score:NAME` for each trust function (higher = more trusted), kept. Raises `LabelsError`.
    """
    import tempfile

    import datasets

    from w2s_bench.scoring.writing import SCORED

    models: dict[Reader, str] = {}
    for of, name in (("teacher", teacher), ("student", student)):
        if name is not None:
            models[cast(Reader, of)] = name
    named = (trust,) if isinstance(trust, str) else tuple(trust)
    goal = Goal(0.5 if keep is None and purity is None else keep, purity, confidence, cast(Any, guarantee))
    asked = Asked(labels, Columns.of(columns or {}), named, trust_set, models, goal, split, delimiter, seed)
    with tempfile.TemporaryDirectory(prefix="w2s-bench-score-") as temporary:
        folder = Path(out) if out is not None else Path(temporary) / "out"
        score_labels(asked, folder, force=force, progress=progress, all_files=out is not None)
        shown = datasets.is_progress_bar_enabled()
        datasets.disable_progress_bars()
        try:
            return datasets.Dataset.from_parquet(str(folder / SCORED), keep_in_memory=True, cache_dir=temporary)
        finally:
            if shown:
                datasets.enable_progress_bars()
