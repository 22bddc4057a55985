"""The commonest weak label as the answer to everything: what a board-climber needs no model for. Gold is no input of it."""

from __future__ import annotations

from collections import Counter

import numpy as np

from w2s_bench.protocol.files import ITEMS, PREDICTIONS
from w2s_bench.protocol.prediction import choose
from w2s_bench.record import iter_rows, read_records, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Item


def majority(labels: Stage, subset: Stage, label: str = "") -> Stage:
    """Stage: of every choice item of `subset` the option whose text is the commonest among `labels`; ties by a hash."""
    return Stage(run_majority, {}, {"labels": labels, "subset": subset}, label=label)


@stage("majority", version=1)
def run_majority(context: StageContext) -> None:
    times = Counter(row["answer"] for row in iter_rows(context.inputs["labels"] / PREDICTIONS))
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    counted = [np.array([float(times[option]) for option in item.choices or ()]) for item in items]
    answers = [choose(item, counts) for item, counts in zip(items, counted, strict=True)]
    write_records(context.out / PREDICTIONS, answers)
