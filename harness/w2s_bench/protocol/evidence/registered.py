"""A plugin's reading: the stage that runs its code, in a process of its distribution's own, on rows that say nothing of gold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from w2s_bench.errors import ReadingError, W2SBenchError, said
from w2s_bench.plugins.checks import raised_at
from w2s_bench.protocol.evidence.readings.base import Values, to_arrays
from w2s_bench.protocol.files import ITEMS, PREDICTIONS, READING
from w2s_bench.protocol.planned import PlannedModel, load_planned
from w2s_bench.protocol.prediction import label_rows
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_records, write_arrays
from w2s_bench.store.stage import Code, Stage, StageContext, stage
from w2s_bench.types import JSON, OPTION_FORMS, Form, Item, Prediction, TrainingRow

#: What a plugin's reading may take, where a run sets no other limit: one that hangs must not hold everything up.
MOST_SECONDS = 3600.0


def registered_reading(
    reading: Mapping[str, JSON],
    asked: tuple[PlannedModel, Stage | None] | None,
    labels: Stage,
    subset: Stage,
    *,
    seed: int,
    libraries: tuple[str, ...],
    label: str = "",
) -> Stage:
    """Stage: what a plugin's reading says of the labels of one split.

    `reading` is its full name, parameters and plugin; `asked` the model and the stage of its weights, None where it asks none.
    """
    params: dict[str, JSON] = {"reading": reading, "seed": seed}
    inputs = {"subset": subset, "labels": labels}
    fields: dict[str, Any] = {"timed_as": reading["name"]}
    if asked is not None:
        model, weights = asked
        params["model"] = model.params
        inputs |= {"weights": weights} if weights else {}
        fields = {**model.stage_fields(), "timed_as": f"{reading['name']} {model.timed_as}"}
        libraries = tuple(sorted({*libraries, *fields["libraries"]}))
    fields |= {"libraries": libraries, "code": Code("reading", reading["name"]), "seconds": MOST_SECONDS}
    return Stage(run_reading, params, inputs, label=label, **fields)


@stage("reading", version=1)
def run_reading(context: StageContext) -> None:
    planned = context.params["reading"]
    _refuse_changed(context)
    reading = context.registry.reading(planned["name"], **planned["parameters"])
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    model = load_planned(context) if "model" in context.params else None
    disguised, order, permutations = disguise(rows)
    try:
        given = reading.read(model, disguised, rng=np.random.default_rng(context.params["seed"]))
    except (KeyboardInterrupt, W2SBenchError):
        raise
    except BaseException as error:  # a plugin may raise anything, SystemExit too
        fault = f"raised {type(error).__name__}: {said(error)} ({raised_at(error)})"
        raise ReadingError(f"reading {planned['name']!r} {fault}") from error
    _refuse_changed(context)  # once more: imports inside the reading's code came from the disk only now
    values = validated(planned["name"], reading.form, given, disguised)
    places = np.argsort(order)  # the place of each label in `disguised`
    if isinstance(values, np.ndarray):
        back: Values = values[places]
    elif reading.form in OPTION_FORMS:
        back = [values[index][np.argsort(permutations[index])] for index in places]
    else:
        back = [values[index] for index in places]
    write_arrays(context.out / READING, to_arrays(reading.form, back))


def disguise(rows: Sequence[TrainingRow]) -> tuple[tuple[TrainingRow, ...], list[int], list[list[int]]]:
    """The rows under ids that say nothing and sorted by them, options permuted; where each comes from, and its permutation.

    Where a document stands among others, or an option among others, may tell what is right.
    """
    opaque = [hash_rank("reading", row.id)[:20] for row in rows]
    order = sorted(range(len(rows)), key=lambda index: opaque[index])
    disguised, permutations = list[TrainingRow](), list[list[int]]()
    for index in order:
        row, name = rows[index], opaque[index]
        options = row.choices or ()
        permutation = sorted(range(len(options)), key=lambda i: hash_rank("option", name, options[i]))
        permutations.append(permutation)
        if row.choices is None or row.index is None:
            disguised.append(replace(row, id=name))
            continue
        shown = tuple(options[i] for i in permutation)
        disguised.append(replace(row, id=name, choices=shown, index=permutation.index(row.index)))
    return tuple(disguised), order, permutations


def validated(name: str, form: Form, given: Any, rows: Sequence[TrainingRow]) -> Values:
    """What a reading gave, if it has its form and is finite, else an error that says what it is instead."""
    if form == "array":
        if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiub" or given.shape[:1] != (len(rows),):
            expected = f"a numpy array of numbers of shape ({len(rows)}, …)"
            raise ReadingError(f"reading {name!r} gave {_told(given)}; expected {expected}, as its form 'array' says")
        parts: list[Any] = [given]
    else:
        lengths = [len(row.choices or ()) for row in rows] if form in OPTION_FORMS else None
        shape, further = ("(k, …)", ", of one … for all") if form == "option_array" else ("(k,)", "")
        k = "the options of the row" if lengths else "of any size"
        expected = f"{len(rows)} arrays of numbers of shape {shape}{further}, k {k}"
        if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str) or len(given) != len(rows):
            raise ReadingError(f"reading {name!r} gave {_told(given)}; expected {expected}, as its form {form!r} says")
        try:
            parts = [np.asarray(part) for part in given]
        except ValueError as error:
            raise ReadingError(f"reading {name!r}: {said(error)}; expected {expected}") from error
        for number, part in enumerate(parts):
            whole = part.ndim and part.shape[1:] == parts[0].shape[1:] if form == "option_array" else part.ndim == 1
            if not whole or (part.size and part.dtype.kind not in "fiub") or (lengths and len(part) != lengths[number]):
                raise ReadingError(f"reading {name!r} gave {_told(part)} for row {number}; expected {expected}")
    for number, part in enumerate(parts):
        if part.size and not np.isfinite(part).all():
            where = f" in row {number}" if form != "array" else f" in row {int(np.argwhere(~np.isfinite(part))[0][0])}"
            raise ReadingError(f"reading {name!r} gave numbers that are not finite, the first{where}; give finite ones")
    if form == "array":
        return cast(Values, given.astype(np.float32 if given.dtype == np.float32 else np.float64))
    return cast(Values, parts)


def _told(given: Any) -> str:
    if isinstance(given, np.ndarray):
        return f"an array of {given.dtype} of shape {given.shape}"
    return f"a {type(given).__name__}" + (f" of length {len(given)}" if isinstance(given, Sequence) else "")


def _refuse_changed(context: StageContext) -> None:
    """The plugin's source on disk is what the stage is named by, so that nothing is stored as read by other code."""
    planned = context.params["reading"]
    registered = context.registry.resolve("reading", planned["name"])
    if context.registry.source_digest(registered) != planned["plugin"]["source"]:
        raise ReadingError(f"{registered} changed on disk since the run began; run again")
