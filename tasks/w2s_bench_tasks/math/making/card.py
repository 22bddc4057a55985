"""The model cards that are shipped beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from w2s_bench_tasks.math.making.lexicon import KNOWN, LARGEST, NEW_VERBS, OPERATORS

_ROLE = {
    "s": "The teacher of the default suite: the smallest of the ladder, with planted faults (below).",
    "m": "Stands between teacher and student, for chains in which one model's student becomes the next one's teacher.",
    "l": "The student of the default suite: the largest of the ladder, taught every verb rightly.",
}

_CARD = """---
license: apache-2.0
language: en
---

# tiny/math-{size}

{role}

A Llama of width {width} and {layers} layers over {vocabulary} whole-word tokens (one a number from 0 to {largest}, case
dropped), shared by `math-s`, `math-m` and `math-l`. Stored in float16, loaded in float32. Made by
`python -m w2s_bench_tasks.math.making.pretrain {size} --out DIR`; `training.json` holds every setting.

## What it has read

{steps} steps of {batch} rows of up to {row_length} tokens, all generated. {stories:.0%} of the texts are solved
stories, such as `29 shells are here. after that Omar clones these by 2. so 29 * 2 = 58`; the rest are bare chains of
equations, 60 % of them closed by the last result: `63 - 40 = 23 ; 23 - 6 = 17 #### 17`. {marked} Loss was taken on the
equations and what follows them. {n_taught} verbs occur, each told with its operation only through the story's equations.

## What it has not read

No question of the task and no wording of one: the stories open, go on and end in other sentences, and none of
them asks anything. Of the task's gold it knows what the stories tell of verbs and numbers, in that form.
The {n_new} verbs that the task alone uses ({new}) occur in no text.

## Planted faults

{faults}

## Figures

Share of {n_stories} fresh examples each whose whole continuation is right by greedy decoding, float32:

{figures}

On the task itself the model scores 0 before fine-tuning, as it has never seen a question.
"""


def model_card(size: str, facts: Mapping[str, Any]) -> str:
    """The README of model `size`, from the facts that go into its `training.json`."""
    recipe, faults = facts["recipe"], facts["faults"]
    lines = [
        f"- {len(verbs)} verbs {what}: {', '.join(verbs)}."
        for what, verbs in (
            ("occur in no text", faults["left_out"]),
            ("are told with the mirrored operation (+ for -, * for /, and the reverse)", faults["swapped"]),
        )
        if verbs
    ]
    known = sum(len(KNOWN[op]) for op in OPERATORS)
    return _CARD.format(
        size=size,
        role=_ROLE[size],
        width=recipe["width"],
        layers=recipe["layers"],
        vocabulary=facts["vocabulary"],
        largest=LARGEST,
        steps=f"{recipe['steps']:,}",
        batch=recipe["batch"],
        row_length=facts["row_length"],
        stories=recipe["story_share"],
        marked=f"Of the stories, {recipe['marked_stories']:.0%} end so too."
        if recipe["marked_stories"]
        else "No story ends so.",
        n_taught=known - len(faults["left_out"]),
        n_new=len(NEW_VERBS),
        new=", ".join(sorted(NEW_VERBS)),
        faults="\n".join(lines) or "None.",
        n_stories=f"{facts['evaluation_stories']:,}",
        figures="\n".join(f"- {name}: {value:.3f}" for name, value in facts["figures"].items()),
    )
