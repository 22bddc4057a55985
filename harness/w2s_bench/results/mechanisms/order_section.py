"""The section of an analysis on the order in which students see what an arm keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from w2s_bench.controls import TRUST_FIRST, TRUST_LAST
from w2s_bench.results.mechanisms.facts import Analysis, ArmOrder
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import count, difference, figure
from w2s_bench.results.statistics import Estimate, Ratio

_DIFFERENCES: Final[tuple[tuple[str, Callable[[ArmOrder], Ratio]], ...]] = (
    ("the most trusted first − shuffled", lambda told: told.first_against_shuffled),
    ("the least trusted first − shuffled", lambda told: told.last_against_shuffled),
    ("the most trusted first − the least trusted first", lambda told: told.first_against_last),
)


def order_blocks(analysis: Analysis) -> list[str]:
    """What is found, the table of each domain, and why a domain has none."""
    nothing = [
        f"In {escape(d.name)} there is no order of rows: {escape(d.no_order)}." for d in analysis.domains if d.no_order
    ]
    shown = [domain for domain in analysis.domains if domain.orders]
    if not shown:
        if nothing and len(nothing) == len(analysis.domains):
            return nothing
        how = f": `{analysis.decompose}`" if analysis.decompose else ""
        lack = f"This run has no arms `{TRUST_FIRST}:ARM` and `{TRUST_LAST}:ARM`; run it with `--decompose`{how}"
        return [lack, *nothing]
    blocks = [
        f"What is found: {_found([told for domain in shown for told in domain.orders])}",
        "PGR of students that see the same rows of an arm with the same weak labels, steps, batch size and seed, and paired differences "
        "of them; intervals are not corrected for how many there are.",
    ]
    for domain in shown:
        header = [
            "arm",
            "shuffled",
            f"`{TRUST_FIRST}`",
            f"`{TRUST_LAST}`",
            "first − shuffled",
            "last − shuffled",
            "first − last",
        ]
        rows = [
            [
                escape(told.arm),
                *map(figure, (told.shuffled, told.first, told.last)),
                *(difference(of(told)) for _, of in _DIFFERENCES),
            ]
            for told in domain.orders
        ]
        blocks += [f"### Order in {escape(domain.name)}", table(header, rows)]
    return [*blocks, *nothing]


def _found(orders: Sequence[ArmOrder]) -> str:
    """How many intervals of each difference lie above 0, and how many below."""
    told = []
    for words, of in _DIFFERENCES:
        there = [ratio for order in orders if isinstance(ratio := of(order), Estimate)]
        above, below = sum(ratio.low > 0 for ratio in there), sum(ratio.high < 0 for ratio in there)
        told.append(f"{words} above 0 in {above} and below in {below} of {len(there)}")
    return f"of {count(len(orders), 'pair')} of arm and domain, beyond their intervals: {'; '.join(told)}."
