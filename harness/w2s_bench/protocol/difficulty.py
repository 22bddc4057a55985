"""How hard each item of the pool is: what its gold costs a ceiling student that was trained without it. Gold by another name.

Nothing of a run reads it but the controls that are about it, which are `privileged`; cells with full diagnostics say how hard
what was kept is, and `w2s-bench analyse` shows it of runs that are finished.
"""

from __future__ import annotations

import numpy as np

from w2s_bench.protocol.evidence.readings.base import ragged_of
from w2s_bench.protocol.files import ANSWERS, FORMAT, PREDICTIONS, READING
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_arrays, read_json, read_records, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Answer, FloatArray, Kind, Need, Prediction


def gold_as_labels(subset: Stage, gold: Stage, label: str = "") -> Stage:
    """Stage: the gold of a split in the form of labels, so that models can read it as they read weak ones."""
    return Stage(make_labels, {}, {"subset": subset, "gold": gold}, label=label)


def need_of(kind: Kind) -> Need:
    """What is read of gold to tell its loss: the options' probabilities, or those of the answer's tokens."""
    return Need("student", "choice_probs" if kind == "choice" else "label_logprobs")


def difficulty(reading: Stage, labels: Stage, kind: Kind, label: str = "") -> Stage:
    """Stage: id → difficulty, in nats, from 0, higher = harder.

    Where options are chosen, −log p(gold) with p over the item's options; where answers are generated, the mean over the gold's
    tokens of −log p. `labels` is the gold, `reading` what was read of it.
    """
    return Stage(tell_losses, {"kind": kind}, {"reading": reading, "labels": labels}, label=label)


@stage("gold_as_labels", version=1)
def make_labels(context: StageContext) -> None:
    ended = read_json(context.inputs["subset"] / FORMAT)["kind"] == "generate"
    answers = read_records(context.inputs["gold"] / ANSWERS, Answer)
    labels = [Prediction(a.id, a.completion, a.completion, ended, a.index) for a in answers]
    write_records(context.out / PREDICTIONS, sorted(labels, key=lambda label: label.id))


@stage("difficulty", version=1)
def tell_losses(context: StageContext) -> None:
    labels = read_records(context.inputs["labels"] / PREDICTIONS, Prediction)
    rows = ragged_of(read_arrays(context.inputs["reading"] / READING))
    of_options = context.params["kind"] == "choice"
    losses = [_loss(label, row, of_options=of_options) for label, row in zip(labels, rows, strict=True)]
    Scores.of([label.id for label in labels], np.array(losses, dtype=np.float64)).write(context.out)


def _loss(label: Prediction, row: FloatArray, *, of_options: bool) -> float:
    if not of_options:
        return float(-row.mean()) if len(row) else 0.0  # a gold without tokens costs nothing
    assert label.index is not None, "a choice domain's gold is an option"
    return float(np.logaddexp.reduce(row) - row[label.index])  # what is stored are the options' scores
