"""A chain: the student that an arm makes in one generation teaches the same arm in the next. Nothing runs here.

In generation g its teacher labels pool and trust set anew and the arm's trust function is fitted anew on those labels, whose
correctness on the trust set is graded anew. So generations differ in their models, labels and (where it is `fresh`) pool, and
in nothing else from the one hop of the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from w2s_bench.protocol.arms import Arm, ArmStages
from w2s_bench.protocol.generation import Generation, Teacher


@dataclass(frozen=True)
class Link:
    """One generation of an arm's chain on one seed: who taught what, and what the arm made of it."""

    graph: Generation
    stages: ArmStages


def links(arm: Arm, hop: Generation) -> Iterator[Link]:
    """The generations of an arm's chain, first to last, on the domain and seed of `hop`, the one hop without it.

    The first has the suite's teacher, the last the suite's student.
    """
    spec, taught_by = hop.task.spec, None
    parts = spec.generations if spec.pool == "fresh" else 1
    for index in range(1, spec.generations + 1):
        task = hop.task.link(index)
        graph = replace(hop, task=task, index=index, taught_by=taught_by, of=spec.generations, parts=parts)
        stages = arm.build(graph)
        yield Link(graph, stages)
        taught_by = Teacher(task.student, stages.student.weights)
