"""The noise of the differences that a board is about, and how small a difference can be told in it: asked by a board's page of the
board as it is, and by `w2s-bench plan` of other numbers of seeds and items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from w2s_bench.controls import CEILING, NAIVE, WEAK, rivals
from w2s_bench.results import statistics
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.statistics import Components, Unresolved, components, pooled


@dataclass(frozen=True)
class Noise:
    """One domain: the components of its noise, and its clusters of test items (items, where each is its own)."""

    domain: str
    components: Components
    clusters: int


def measured(domains: Mapping[str, Comparison]) -> tuple[Noise, ...]:
    """Of trust functions against naive, else of controls, pooled over the arms; domains without two seeds to measure it with are
    left out."""
    of_domains = ((name, _pooled(domain), domain) for name, domain in domains.items())
    return tuple(
        Noise(name, parts, domain.units(max(cell.body.items for cell in domain.cells.values())))
        for name, parts, domain in of_domains
        if parts
    )


def detectable(noise: Sequence[Noise], seeds: int, power: float, *, items: float = 1.0) -> float:
    """The least true difference of two arms' mean PGRs over the domains that one test at 5 % finds so often.

    `items`: with so many times the test items; `seeds` ≥ 2. The noise is taken as known to the plan, and not to the test
    (`statistics.detectable`).
    """
    return statistics.detectable([(one.components, max(one.clusters * items, 2.0)) for one in noise], seeds, power)


def _pooled(domain: Comparison) -> Components | None:
    refs = {arm: cell.body.arm for arm, cell in domain.cells.items()}
    trusting = [
        arm for arm, ref in refs.items() if ref.selection == "top" and not ref.made_of and not ref.is_other_objective
    ]
    parts = []
    for arm in trusting or [rival for rival in rivals() if rival != NAIVE]:
        matrices = domain.matrices(arm, NAIVE, WEAK, CEILING)
        if not isinstance(matrices, Unresolved) and len(matrices[0]) > 1:
            parts.append(components(*matrices, clusters=domain.clusters))
    return pooled(parts) if parts else None
