"""Of a domain whose training gold is worse than what grades: what the cells say of labels that are better than that gold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from w2s_bench.arm_facts import Facts, Rows
from w2s_bench.results.seed_results import BETTER, RIGHT_WHERE_DIFFERENT, TRAINING_GOLD_ACCURACY, TRAINING_PURITY
from w2s_bench.store.stage import Stage

if TYPE_CHECKING:
    from w2s_bench.protocol.generation import Generation

#: Stage → id → whether what stands there is right, as `outcomes.Results.grades` reads it.
Grades = Mapping[str, bool]


def learns_from_own_gold(graph: Generation) -> bool:
    """Whether any gold that is learned from in this graph may be another answer than the one that grades."""
    return any(_own(one) for one in (graph, graph.with_trust_set))


def graded_against_training_gold(facts: Facts, graph: Generation) -> list[Stage]:
    """The stages that `told` and `rows_of_gold` are made of, for an arm of these facts; none where training gold is what grades."""
    out = [stage for rows in facts.rows if (stage := rows_of_gold(rows, graph)) is not None]
    if not _own(graph):
        return out
    if facts.answers == "teacher":
        out.append(graph.grades_of_training_gold(graph.pool))
    elif facts.keeps_weak_labels:
        out.append(graph.training_grades(graph.pool))
    return out


def rows_of_gold(rows: Rows, graph: Generation) -> Stage | None:
    """Which of the gold that an arm trains on is right, where some of it may be wrong."""
    whose = graph.with_trust_set if rows.split == "trust" else graph
    if rows.labels != "gold" or not _own(whose):
        return None
    return whose.grades_of_training_gold(whose.pool if rows.split == "transfer" else rows.split)


def of_the_gold(gold: Grades, pool: Collection[str]) -> dict[str, float]:
    """The teacher's diagnostic: what share of the pool's training gold is right."""
    return {TRAINING_GOLD_ACCURACY: float(np.mean([gold[item] for item in pool]))}


def of_the_rows(right: Grades, as_gold: Grades, kept: Collection[str]) -> dict[str, float]:
    """An arm's diagnostics: how its labels stand to training gold, among the rows kept, those dropped, and all of the pool.

    `right` and `as_gold` say of every label of the pool whether it is right, and whether it is what training gold says. A figure
    of no rows is left out. What random rows have is, in expectation, what all of the pool has.
    """
    chosen = set(kept)
    parts = {"kept": chosen & right.keys(), "dropped": right.keys() - chosen, "pool": set(right)}
    told: dict[str, float] = {}
    if parts["kept"]:
        told[TRAINING_PURITY] = sum(as_gold[i] for i in parts["kept"]) / len(parts["kept"])
    for better, where_different, rows in zip(BETTER, RIGHT_WHERE_DIFFERENT, parts.values(), strict=True):
        different = [i for i in rows if not as_gold[i]]
        found = sum(right[i] for i in different)
        if rows:
            told[better] = found / len(rows)
        if different:
            told[where_different] = found / len(different)
    return told


def keeps_labels(facts: Facts, graph: Generation) -> bool:
    """Whether `of_the_rows` says anything of such an arm."""
    return _own(graph) and facts.keeps_weak_labels


def _own(graph: Generation) -> bool:
    return graph.task.domain.own_training_gold
