"""Checked rows → the view that trust functions see: the protocol's own, with arrays from columns or read of models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import LabelsError
from w2s_bench.hookspecs import ReadingModel
from w2s_bench.protocol.evidence.layers import chosen
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.base import Arrays, BuiltInReading, Values, to_arrays
from w2s_bench.protocol.evidence.readings.hidden_states import HiddenStates
from w2s_bench.protocol.evidence.view import EvidenceView, opaque_id
from w2s_bench.protocol.prediction import as_completion
from w2s_bench.scoring.rows import Row
from w2s_bench.types import Item, Kind, Need, Prediction, Reader, TrainingRow

#: Readings whose columns hold the layers of a model, or one.
LAYERED = ("hidden_states", "prompt_states", "option_states")


@dataclass(frozen=True)
class Available:
    """What evidence there is: the signals of a file by their shapes, and models that were named, by who they are."""

    kind: Kind
    shapes: Mapping[str, tuple[int, ...]]
    models: Mapping[Reader, ReadingModel | None] = field(default_factory=dict)

    def lacks(self, need: Need) -> str | None:
        """What it takes for a need to be met, in words for people; None where it is."""
        if not need.applies(self.kind) or self.column_of(need) is not None:
            return None
        reading = built_in_reading(need.read, need.parameters)
        if reading is not None and self.kind not in reading.kinds:
            return f"{need} (there is none where answers are {'generated' if self.kind == 'generate' else 'chosen'})"
        if self.of_model(need):
            return None
        column = _column(need)
        if need.of not in ("teacher", "student") or (reading is not None and not reads_by_itself(reading)):
            return f"{need} (column {column!r}; `w2s-bench run` makes it)"
        takes_model = reading is not None
        return f"{need} (column {column!r}{f', or --{need.of} MODEL' if takes_model else ''})"

    def column_of(self, need: Need) -> str | None:
        """The key of the signal that a need is met from; None where no column does."""
        if str(need) in self.shapes:
            return str(need)
        key = f"{need.of}.{need.read}"
        if key in self.shapes and (need.read in (*LAYERED, "samples") or not need.parameters):
            return key
        scores = f"{need.of}.choice_scores"
        return scores if need.read == "choice_probs" and scores in self.shapes else None

    def of_model(self, need: Need) -> bool:
        """Whether a model reads it: one of the harness's own readings, by the call of an engine alone."""
        reading = built_in_reading(need.read, need.parameters)
        return (
            need.of in self.models and reading is not None and reads_by_itself(reading) and self.kind in reading.kinds
        )


def reads_by_itself(reading: BuiltInReading) -> bool:
    """Whether it is one call of a model; others are made of stages, which train more models."""
    return type(reading).read is not BuiltInReading.read


def _column(need: Need) -> str:
    from w2s_bench.scoring.schema import short_signals

    if (need.of, need.read) == ("teacher", "samples"):
        return need.read
    names = [name for name, signal in short_signals().items() if (signal.of, signal.read) == (need.of, need.read)]
    return names[0] if names else str(need)


def with_models(
    rows: Sequence[Row], needs: Iterable[Need], available: Available, delimiter: str
) -> Mapping[Need, Values]:
    """What the models say of the rows, for every need that no column meets; each is asked once, whoever needs it."""
    asked = TrainingRows.of(rows, delimiter)
    read: dict[Need, Values] = {}
    for need in sorted({n for n in needs if n.applies(available.kind)}, key=str):
        if available.column_of(need) is None and available.of_model(need):
            reading, model = built_in_reading(need.read, need.parameters), available.models[need.of]
            assert reading is not None and model is not None
            rng = np.random.default_rng(0) if reading.draws else None
            read[need] = reading.read(model, asked, rng=rng)
    return read


class TrainingRows:
    """Rows as an engine takes them."""

    @staticmethod
    def of(rows: Sequence[Row], delimiter: str) -> list[TrainingRow]:
        """`delimiter` goes before a label that begins with no white space."""
        return [
            TrainingRow(
                row.id,
                row.prompt,
                as_completion(row.label, delimiter),
                row.options is None,
                None if row.options is None else tuple(as_completion(option, delimiter) for option in row.options),
                row.index,
            )
            for row in rows
        ]


def view_of(
    rows: Sequence[Row],
    needs: Sequence[Need],
    available: Available,
    read: Mapping[Need, Values],
    *,
    salt: str,
    fitting: bool,
) -> EvidenceView:
    """The rows as a trust function with these needs sees them; `read` is what `with_models` gave of the same rows."""
    items = [Item(row.id, "", "", "", row.prompt, row.options) for row in rows]
    arrays: dict[Need, Arrays] = {}
    scores: list[tuple[float, ...]] = [
        (0.0,) * len(row.options or ()) for row in rows
    ]  # read by nobody who did not declare it
    for need in needs:
        if not need.applies(available.kind):
            continue
        reading = built_in_reading(need.read, need.parameters)
        values = read[need] if need in read else _from_columns(rows, need, available)
        if reading is not None and reading.comes_with_labels(need.of):
            scores = [tuple(float(score) for score in row) for row in values]
        else:
            arrays[need] = to_arrays(reading.form if reading is not None else "array", values)
    labels = [
        Prediction(row.id, row.label, row.label, row.options is None, row.index, None if row.options is None else own)
        for row, own in zip(rows, scores, strict=True)
    ]
    return EvidenceView(items, labels, salt=salt, declared=needs, arrays=arrays, fitting=fitting)


def in_order(rows: Sequence[Row], salt: str) -> NDArray[np.int64]:
    """Place among `rows` of each row of their view."""
    opaque = [opaque_id(salt, row.id) for row in rows]
    return np.array(sorted(range(len(rows)), key=opaque.__getitem__), dtype=np.int64)


def _from_columns(rows: Sequence[Row], need: Need, available: Available) -> Values:
    key = available.column_of(need)
    if key is None:
        raise LabelsError(f"there is no {need}")  # `functions` refused it before
    values = [row.signals[key] for row in rows]
    if need.read in LAYERED and key != str(need):
        values = [_layers(need, value) for value in values]
    reading = built_in_reading(need.read, need.parameters)
    return np.stack(values) if reading is None or reading.form == "array" else values


def _layers(need: Need, value: NDArray[Any]) -> NDArray[Any]:
    """The layers that a need asks for, out of those that a row has; the only one serves whatever is asked."""
    options = 1 if need.read == "option_states" else 0
    reading: Any = built_in_reading(need.read, need.parameters)
    if value.ndim == 1 + options:
        # The row stands for a model of one layer, which serves every need. Zeros stand for its embedding, which nobody gave.
        value = np.stack([np.zeros_like(value), value], axis=options)
        wanted = [0, 1] if isinstance(reading, HiddenStates) and reading.layer == "all" else [1]
    elif isinstance(reading, HiddenStates):
        return cast("NDArray[Any]", reading.of_all(value[None])[0])
    else:
        wanted = chosen(reading.layers, value.shape[options])
    taken = np.take(value, wanted, axis=options)
    return cast("NDArray[Any]", taken[0] if isinstance(reading, HiddenStates) and type(reading.layer) is int else taken)
