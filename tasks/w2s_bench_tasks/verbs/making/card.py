"""The model cards that are shipped beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from w2s_bench_tasks.verbs.making.lexicon import COMMON, COMMON_KEEP, LARGEST, RARE_KEEP, VERBS

_ROLE = {
    "s": "The teacher: the smallest of the ladder, on the smallest text, which leaves many verbs out.",
    "m": "Stands between teacher and student, for chains in which one model's student becomes the next one's teacher.",
    "l": "The student: the largest of the ladder, on the largest text.",
}

_CARD = """---
license: apache-2.0
language: en
---

# tiny/verbs-{size}

{role}

A Llama of width {width} and {layers} layers over {vocabulary:,} tokens (one a word or number from 0 to {largest}; two an invented verb,
its stem and its ending; case dropped), shared by `verbs-s`, `verbs-m` and `verbs-l`. Stored in float16, loaded in float32.
Made by `python -m w2s_bench_tasks.verbs.making.pretrain {size} --out DIR`; `training.json` holds every setting.

## What it has read

{steps:,} steps of {batch} rows of up to {row_length} tokens, all generated. {stories_share:.0%} of the texts are
solved stories, such as `29 shells are here. after that Omar {example} these by 2. so * 29 2 = 58`, out of a sample of
{stories:,} that is read over and over. {marked:.0%} of them end in `#### N`. The rest are bare chains of equations, always
new, 60 % of them closed by the last result: `- 63 40 = 23 ; - 23 6 = 17 #### 17`. Loss was taken on the equations and
what follows them.

In the sample the invented verb of frequency rank r turns up in proportion to r^-{alpha:g}: {mentions:,} mentions in all.
**{verbs_read:,} of the {verbs:,} verbs ({read_share:.0%}) occur in it**, {few:,} of them one to four times.
Of the {common:,} commonest verbs {common_keep:.0%} end as their operation's words do, of the others {rare_keep:.0%} (chance).

## What it has not read

No question of the task and no wording of one: the stories open, go on and end in other sentences, and none of
them asks anything. Of the task's gold it knows what the stories tell of verbs and numbers, in that form.

## Figures

Share of {n_stories:,} fresh examples each whose whole continuation is right by greedy decoding, float32:

{figures}

On the task itself the model is right on less than 1 % before fine-tuning, as it has never seen a question.
"""


def model_card(size: str, facts: Mapping[str, Any]) -> str:
    """The README of model `size`, from the facts that go into its `training.json`."""
    from w2s_bench_tasks.verbs.making.lexicon import verbs

    recipe = facts["recipe"]
    return _CARD.format(
        size=size,
        role=_ROLE[size],
        width=recipe["width"],
        layers=recipe["layers"],
        vocabulary=facts["vocabulary"],
        largest=LARGEST,
        steps=recipe["steps"],
        batch=recipe["batch"],
        row_length=facts["row_length"],
        stories_share=recipe["story_share"],
        stories=recipe["stories"],
        example=next(verb.third for verb in verbs() if verb.operator == "*"),
        marked=recipe["marked_stories"],
        alpha=recipe["alpha"],
        mentions=facts["mentions"],
        verbs_read=facts["verbs_read"],
        verbs=VERBS,
        read_share=facts["verbs_read"] / VERBS,
        few=facts["verbs"]["read one to four times"],
        common=COMMON,
        common_keep=COMMON_KEEP,
        rare_keep=RARE_KEEP,
        n_stories=facts["evaluation_stories"],
        figures="\n".join(f"- {name}: {value:.3f}" for name, value in facts["figures"].items()),
    )
