"""Items with a few solved ones of the trust set before their prompts: what readers who learn in context read. Gold is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from w2s_bench.protocol.files import FORMAT, ITEMS, ROWS
from w2s_bench.randomness import hash_rank
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Item, TrainingRow

#: How many examples stand before a prompt. No source says how many there are to be: this is ours.
SHOTS: Final = 4
#: What stands between them, as between the few-shot examples of lm-eval.
BETWEEN: Final = "\n\n"


def with_examples(subset: Stage, gold: Stage, *, seed: int, label: str = "") -> Stage:
    """Stage: the items of `subset`, each with `SHOTS` of the rows of `gold` before its prompt; no item is its own example."""
    return Stage(write_shots, {"shots": SHOTS, "seed": seed}, {"subset": subset, "gold": gold}, label=label)


@stage("shots", version=1)
def write_shots(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    solved = read_records(context.inputs["gold"] / ROWS, TrainingRow)
    shown = shots(items, solved, context.params["shots"], seed=context.params["seed"])
    write_records(context.out / ITEMS, shown)
    write_json(context.out / FORMAT, read_json(context.inputs["subset"] / FORMAT))


def shots(items: Sequence[Item], solved: Sequence[TrainingRow], count: int, *, seed: int) -> list[Item]:
    """The items with `count` solved ones before the prompt, or all there are: the first by a seeded hash of the id, the same for all
    items but for the one that is among them, which has the next instead."""
    ranked = sorted(solved, key=lambda row: hash_rank("shot", seed, row.id))
    told = []
    for item in items:
        own = [row for row in ranked[: count + 1] if row.id != item.id][:count]
        told.append(replace(item, prompt="".join(row.prompt + row.completion + BETWEEN for row in own) + item.prompt))
    return told
