"""Cells of chains → what a board says of them: generation by generation, beside the one hop of the same arm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from w2s_bench.controls import NAIVE
from w2s_bench.names import short
from w2s_bench.results import statistics
from w2s_bench.results.board import ArmChain, Cost, DomainChains, MeanChain
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.costs import seconds_of
from w2s_bench.results.places import holm_corrected
from w2s_bench.results.references import Spent
from w2s_bench.results.statistics import Ratio, Unresolved


def chains_of(
    cells: Sequence[Cell], one_hop: Mapping[str, Mapping[str, Cell]], order: Sequence[str], of_seeds: int
) -> tuple[DomainChains, ...]:
    """The chains of every domain that has any; `cells` are generations, `one_hop` has domain → arm → its cell without a chain.

    Arms come in the `order` given, others after them.
    """
    by_domain: dict[str, dict[str, dict[int, Cell]]] = {}
    for cell in cells:
        arms = by_domain.setdefault(short(cell.body.domain.name), {})
        arms.setdefault(short(cell.body.arm.name), {})[cell.body.generation] = cell
    rank = {arm: number for number, arm in enumerate(order)}
    return tuple(
        _of_domain(name, dict(sorted(arms.items(), key=lambda named: rank.get(named[0], len(rank)))), one_hop, of_seeds)
        for name, arms in sorted(by_domain.items())
    )


def _of_domain(
    name: str, arms: Mapping[str, Mapping[int, Cell]], one_hop: Mapping[str, Mapping[str, Cell]], of_seeds: int
) -> DomainChains:
    every = [cell for steps in arms.values() for cell in steps.values()]
    first = every[0].body.chain
    assert first is not None
    last, hops = first.generations, one_hop.get(name, {})
    # Generations stand beside the one hops under names that no arm has, so that every difference is paired by seed and item.
    beside = {_key(arm, number): cell for arm, steps in arms.items() for number, cell in steps.items()}
    comparison = Comparison({**hops, **beside})

    def difference(a: str, b: str) -> Ratio:
        return comparison.difference(a, b)

    chains = []
    for arm, steps in arms.items():
        some = next(iter(steps.values()))
        body = steps[max(steps)].body
        assert body.chain is not None
        chains.append(
            ArmChain(
                arm=arm,
                track="control" if some.body.arm.role != "trust_function" else some.body.arm.supervision,
                one_hop=comparison.entry(arm, of_seeds) if arm in hops else None,
                generations=tuple(
                    comparison.entry(_key(arm, number), of_seeds) if number in steps else None
                    for number in range(1, last + 1)
                ),
                minus_one_hop=difference(_key(arm, last), arm),
                minus_naive=None if arm == NAIVE else difference(_key(arm, last), _key(NAIVE, last)),
                spent=_cost(body.chain.spent, steps[max(steps)]),
                spent_one_hop=_cost(body.chain.one_hop, hops.get(arm)),
            )
        )
    tested = holm_corrected({(chain.arm, "one hop"): chain.minus_one_hop for chain in chains})
    to_naive = holm_corrected(
        {(chain.arm, NAIVE): chain.minus_naive for chain in chains if chain.minus_naive is not None}
    )
    chains = [
        replace(
            chain,
            minus_one_hop=tested[chain.arm, "one hop"],
            minus_naive=to_naive.get((chain.arm, NAIVE), chain.minus_naive),
        )
        for chain in chains
    ]
    models = {cell.body.generation - 1: cell.body.teacher for cell in every}
    models |= {cell.body.generation: cell.body.student for cell in every}
    ladder = [models.get(number) for number in range(last + 1)]
    return DomainChains(
        domain=name,
        ladder=tuple(f"{model.name} ({model.fingerprint[:12]})" if model else "?" for model in ladder),
        students=tuple(model.name if model else "?" for model in ladder[1:]),
        pool=first.pool,
        arms=tuple(chains),
    )


def means_of(chains: Sequence[DomainChains], entering: Collection[str]) -> tuple[MeanChain, ...]:
    """Means over the domains that have a chain and enter means; empty where there are fewer than two."""
    here = [domain for domain in chains if domain.domain in entering]
    if len(here) < 2:
        return ()
    arms = dict.fromkeys(chain.arm for domain in here for chain in domain.arms)
    absent = Unresolved("no cell", "–")

    def over(arm: str, figure: Callable[[ArmChain], Ratio | None]) -> Ratio:
        by_domain = {domain.domain: next((c for c in domain.arms if c.arm == arm), None) for domain in here}
        told = {domain: (figure(chain) if chain else None) or absent for domain, chain in by_domain.items()}
        return statistics.mean_over_domains(told)

    track = {chain.arm: chain.track for domain in here for chain in domain.arms}
    minus = holm_corrected({(arm, "one hop"): over(arm, lambda chain: chain.minus_one_hop) for arm in arms})
    to_naive = holm_corrected(
        {(arm, NAIVE): over(arm, lambda chain: chain.minus_naive) for arm in arms if arm != NAIVE}
    )
    return tuple(
        MeanChain(
            arm=arm,
            track=track[arm],
            one_hop=over(arm, lambda chain: chain.one_hop.pgr if chain.one_hop else None),
            chain=over(arm, lambda chain: chain.generations[-1].pgr if chain.generations[-1] else None),
            minus_one_hop=minus[arm, "one hop"],
            minus_naive=to_naive.get((arm, NAIVE)),
        )
        for arm in arms
    )


def _key(arm: str, generation: int) -> str:
    """A name that no arm has: none begins with a space."""
    return f" {generation} {arm}"


def _cost(spent: Spent, cell: Cell | None) -> Cost:
    return Cost(spent.steps, spent.gold_labels, seconds_of(cell, "cpu_seconds") if cell else None)
