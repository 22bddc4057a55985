"""What the order is worth in which a student sees the rows that an arm keeps: the most trusted first, or last, against shuffled."""

from __future__ import annotations

from w2s_bench.controls import TRUST_FIRST, TRUST_LAST
from w2s_bench.names import of_arm
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.mechanisms.facts import ArmOrder


def orders(domain: Comparison) -> tuple[ArmOrder, ...]:
    """Of every arm of a domain that has a control with its rows in order. Differences are of the same seeds and items."""
    found = []
    for arm, cell in domain.cells.items():
        first, last = of_arm(TRUST_FIRST, arm), of_arm(TRUST_LAST, arm)
        if first in domain.cells or last in domain.cells:
            found.append(
                ArmOrder(
                    arm,
                    cell.body.arm.supervision,
                    shuffled=domain.pgr(arm),
                    first=domain.pgr(first),
                    last=domain.pgr(last),
                    first_against_shuffled=domain.difference(first, arm),
                    last_against_shuffled=domain.difference(last, arm),
                    first_against_last=domain.difference(first, last),
                )
            )
    return tuple(found)
