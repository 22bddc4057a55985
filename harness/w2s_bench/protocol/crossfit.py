"""Cross-fitting: a student a fold of the items, trained without the fold, that reads the fold's weak labels.

The trust set and the pool are cut into folds apart; fold k of one and fold k of the other are read by the same student. So
what a trust function is fitted on comes from students like those whose reading it then scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from w2s_bench.errors import W2SBenchError
from w2s_bench.protocol.evidence.readings.base import Arrays, arranged
from w2s_bench.protocol.files import ITEMS, PREDICTIONS, READING
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.protocol.slices import grouped
from w2s_bench.protocol.training import folders_of, numbered
from w2s_bench.randomness import hash_rank
from w2s_bench.record import iter_rows, read_arrays, read_records, write_arrays, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Form, Item, Prediction

#: How many students a cross-fitted reader is.
FOLDS: Final = 5


@dataclass(frozen=True)
class CrossFitted:
    """A reader that is a student a fold. `without` gives the weights of the student that has not seen fold k, from 0.

    `whole`: the weights that read the pool instead, of a model that was not trained on the pool.
    """

    model: PlannedModel
    without: Callable[[int], Stage]
    whole: Stage | None = None

    def parts(self, labels: Stage, subset: Stage, *, fitting: bool) -> list[tuple[Stage, Stage]]:
        """Of the weak labels of a split, which are read with which weights: (labels, weights) pairs that cover them."""
        if self.whole is not None and not fitting:
            return [(labels, self.whole)]
        return [(fold_labels(labels, subset, fold), self.without(fold)) for fold in range(FOLDS)]


def others(subset: Stage, fold: int) -> Stage:
    """Stage: the items of a split that are not of the fold, as a selection of rows to train on."""
    return Stage(keep_others, _params(fold), {"subset": subset}, label=f"{subset.label} · without fold {fold + 1}")


def fold_labels(labels: Stage, subset: Stage, fold: int) -> Stage:
    """Stage: the weak labels of one fold of a split."""
    inputs = {"labels": labels, "subset": subset}
    return Stage(cut_labels, _params(fold), inputs, label=f"{labels.label} · fold {fold + 1}")


def joined_reading(form: Form, labels: Stage, parts: Sequence[tuple[Stage, Stage]], label: str = "") -> Stage:
    """Stage: one reading of a split out of those of its folds; `parts` are (labels, reading) pairs."""
    if len(parts) == 1:
        return parts[0][1]
    inputs = numbered("labels", [labels, *(stage for stage, _ in parts)]) | numbered(
        "part", [stage for _, stage in parts]
    )
    return Stage(join_readings, {"form": form}, inputs, label=label)


def _params(fold: int) -> dict[str, int]:
    return {"fold": fold, "folds": FOLDS}


def folds_of(items: Sequence[Item], folds: int) -> Mapping[str, int]:
    """Id → fold, from 0. Items of a group share one; groups go to the smallest fold, larger groups first, equal ones by a hash."""
    groups = grouped((item.id, item.group) for item in items)
    if len(groups) < 2:
        raise W2SBenchError(
            f"{len(items)} items of {len(groups)} group cannot be cut into folds, as a student learns from the others'; give the "
            "split items of at least two groups, or take a trust function that reads no cross-fitted student"
        )
    sizes, fold_of = [0] * min(folds, len(groups)), dict[str, int]()
    for group in sorted(groups, key=lambda name: (-len(groups[name]), hash_rank("fold", name))):
        fold = sizes.index(min(sizes))
        sizes[fold] += len(groups[group])
        fold_of |= dict.fromkeys(groups[group], fold)
    return fold_of


def _folds(context: StageContext) -> Mapping[str, int]:
    return folds_of(read_records(context.inputs["subset"] / ITEMS, Item), context.params["folds"])


@stage("fold_others", version=1)
def keep_others(context: StageContext) -> None:
    kept = [name for name, fold in _folds(context).items() if fold != context.params["fold"]]
    Kept.whole(kept, len(kept)).write(context.out)


@stage("fold_labels", version=1)
def cut_labels(context: StageContext) -> None:
    folds, fold = _folds(context), context.params["fold"]
    labels = read_records(context.inputs["labels"] / PREDICTIONS, Prediction)
    write_records(context.out / PREDICTIONS, [label for label in labels if folds[label.id] == fold])


@stage("join_readings", version=1)
def join_readings(context: StageContext) -> None:
    form: Form = context.params["form"]
    whole, *parts = ([row["id"] for row in iter_rows(folder / PREDICTIONS)] for folder in folders_of(context, "labels"))
    read = [read_arrays(folder / READING) for folder in folders_of(context, "part")]
    filled = [(ids, arrays) for ids, arrays in zip(parts, read, strict=True) if ids]  # few groups leave folds empty
    places = {name: index for index, name in enumerate(name for ids, _ in filled for name in ids)}
    order = [places[name] for name in whole]
    write_arrays(
        context.out / READING, arranged(form, concatenated(form, [arrays for _, arrays in filled]), order, None)
    )


def concatenated(form: Form, parts: Sequence[Arrays]) -> Arrays:
    """The rows of readings of one form, one after another, as a file holds them."""
    if form == "array":
        return {"states": np.concatenate([part["states"] for part in parts])}
    lengths = np.concatenate([np.diff(part["offsets"]) for part in parts])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return {"values": np.concatenate([part["values"] for part in parts]), "offsets": offsets}
