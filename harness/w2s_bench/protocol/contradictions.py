"""Items and their gold → how many questions have contrary golds.

A stage of its own, so that items and answers that are stored already are looked at too; nothing else needs its result.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from w2s_bench.domains.contradictions import Asked, contrary, plain, said_of
from w2s_bench.protocol.catalogue import picked, read_groups
from w2s_bench.protocol.files import ANSWERS, ITEMS, REMARKS
from w2s_bench.protocol.items import loaded_task
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import write_json
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Answer, Item


def contradictions(domain: PlannedDomain, *, items: Stage, answers: Stage, label: str = "") -> Stage:
    """Stage: a remark where items of one key have golds of which each is wrong for the other. It trains nothing."""
    inputs = {"items": items, "answers": answers}
    return Stage(find_contradictions, {"domain": domain.params}, inputs, domain.libraries, label, code=domain.code)


@stage("contradictions", version=1)
def find_contradictions(context: StageContext) -> None:
    questions = _with_several_golds(context)
    ids = [item for question in questions for item in question]
    items = {item.id: item for item in picked(context.inputs["items"] / ITEMS, Item, ids)}
    golds = {gold.id: gold for gold in picked(context.inputs["answers"] / ANSWERS, Answer, ids)}
    found = []
    for question in questions:
        same = [Asked(items[name], golds[name]) for name in question]
        if (other := contrary(context.params["domain"]["name"], loaded_task(context), same)) is not None:
            found.append((same, other))
    write_json(context.out / REMARKS, [said_of(found)] if found else [])


def _with_several_golds(context: StageContext) -> list[list[str]]:
    """The ids of each question whose golds do not all read the same. Most domains have none: then no task is loaded."""
    questions = _asked_again(context.inputs["items"])
    ids = [item for question in questions for item in question]
    texts = {gold.id: plain(gold.completion) for gold in picked(context.inputs["answers"] / ANSWERS, Answer, ids)}
    return [question for question in questions if len({texts[item] for item in question}) > 1]


def _asked_again(items: Path) -> list[list[str]]:
    """The ids of each key that several items have, in the items' order."""
    ids, _, keys = read_groups(items)
    counts = Counter(keys.raw())
    out: dict[bytes, list[str]] = {}
    for item, key in zip(ids, keys.raw(), strict=True):
        if counts[key] > 1:
            out.setdefault(key, []).append(item)
    return list(out.values())
