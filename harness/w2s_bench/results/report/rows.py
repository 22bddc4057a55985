"""The page of one arm: where it comes from and all that its cells say, seed by seed and stratum by stratum."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.controls import CEILING, ORACLE, WEAK, rivals
from w2s_bench.results.board import Entry, Leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.pages.columns import ENTRY, KEPT_OF
from w2s_bench.results.pages.style import NONE, number
from w2s_bench.results.report.arms import Arm
from w2s_bench.results.report.charts import Chart, charts
from w2s_bench.results.report.diagnostics import Curve, curves, is_rate_of, others
from w2s_bench.results.report.facts import Fact, cell_facts, flat
from w2s_bench.results.report.pool import Example, Pools, Shared, agreement, examples, kept_of
from w2s_bench.results.report.tables import Table, of_differences, of_domains
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.types import BoolArray

#: Strata and labels that a page lists; a board of classes by the thousand says how many there are.
_MOST_PARTS: Final = 200
#: Arms that a page names as keeping the same rows.
_MOST_SHARED: Final = 8


@dataclass(frozen=True)
class Stratum:
    """A stratum of test items: accuracies of this arm, the teacher and the ceiling, and the share of its rows that is kept."""

    name: str
    accuracy: str
    weak: str
    ceiling: str
    kept: str


@dataclass(frozen=True)
class Part:
    """One arm on one domain: its cell. `same_rows`: the arms that kept exactly the same rows, by seed; `shared`: those that kept
    the most of them. `examples`: rows of the pool of one seed. `attested`: how it came out when somebody computed it again;
    `signed`: who says to have signed it."""

    domain: str
    cell: Cell
    heads: tuple[str, ...]
    seeds: tuple[tuple[str, tuple[str, ...], str], ...]
    strata: tuple[Stratum, ...]
    strata_left_out: int
    kept_by: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    curves: tuple[Curve, ...]
    others: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, str], ...]
    facts: tuple[Fact, ...]
    same_rows: tuple[str, ...]
    shared: tuple[Shared, ...]
    charts: tuple[Chart, ...]
    examples: tuple[Example, ...]
    examples_seed: int
    attested: str
    signed: tuple[str, ...]

    @property
    def row(self) -> str:
        return self.cell.row


@dataclass(frozen=True)
class RowPage:
    arm: Arm
    facts: tuple[tuple[str, str], ...]
    table: Table
    differences: Table | None
    parts: tuple[Part, ...]
    rivals: tuple[Arm, ...]
    before: Arm | None
    after: Arm | None

    @property
    def browsed(self) -> bool:
        """Whether examples of the pool are shown."""
        return any(part.examples for part in self.parts)


def row_pages(board: Leaderboard, arms: Sequence[Arm], pools: Pools) -> tuple[RowPage, ...]:
    """A page an arm, in their order."""
    kept, rows = _kept_alike(arms), kept_rows(arms, pools)
    references = {d.name: d.references for d in board.domains}
    pages = []
    for at, arm in enumerate(arms):
        parts = tuple(
            _part(arm, d.name, references[d.name], kept, rows.get(d.name, {}), pools, board)
            for d in board.domains
            if d.name in arm.cells
        )
        asked = tuple(other for other in arms if other.name in (*rivals(), ORACLE) and other is not arm)
        pages.append(
            RowPage(
                arm,
                tuple(_arm_facts(arm)),
                of_domains(arm, board),
                of_differences(arm, board),
                parts,
                asked,
                arms[at - 1] if at else None,
                arms[at + 1] if at + 1 < len(arms) else None,
            )
        )
    return tuple(pages)


def kept_rows(arms: Sequence[Arm], pools: Pools) -> dict[str, dict[str, dict[int, BoolArray]]]:
    """Domain → arm → seed → which rows of the pool it keeps, of the arms of which that is known and that keep a part of it."""
    out: dict[str, dict[str, dict[int, BoolArray]]] = defaultdict(dict)
    for arm in arms:
        for domain, cell in arm.cells.items():
            known = {seed: kept for seed, kept in kept_of(cell, pools).items() if not kept.all()}
            if known:
                out[domain][arm.name] = known
    return out


def _kept_alike(arms: Sequence[Arm]) -> dict[tuple[str, int, str], list[str]]:
    """(domain, seed, digest of the kept rows) → the arms that have it."""
    alike: dict[tuple[str, int, str], list[str]] = {}
    for arm in arms:
        for domain, cell in arm.cells.items():
            for seed in cell.body.seeds:
                if digest := seed.digests.get("kept"):
                    alike.setdefault((domain, seed.seed, digest), []).append(arm.name)
    return alike


def _arm_facts(arm: Arm) -> Iterator[tuple[str, str]]:
    """What a cell says of its arm, whatever fields that has, and of the plugin that it came from."""
    for key, value in flat(arm.ref.model_dump(mode="json")):
        if key != "name" and value not in (NONE, arm.name):
            yield key.replace("_", " "), value
    for plugin in arm.row.plugins:
        yield "plugin", plugin


def _part(
    arm: Arm,
    domain: str,
    references: Mapping[str, Entry],
    kept: Mapping[tuple[str, int, str], list[str]],
    rows: Mapping[str, Mapping[int, BoolArray]],
    pools: Pools,
    board: Leaderboard,
) -> Part:
    cell, entry = arm.cells[domain], arm.row.entries[domain]
    seeds = cell.body.seeds
    rates = [name for name in dict.fromkeys(n for s in seeds for n in s.diagnostics) if is_rate_of(seeds, name)]
    pgr = dict(zip(entry.seeds, entry.pgr_by_seed, strict=False))
    trains = any(s.kept is not None for s in seeds)
    heads = ["accuracy", "PGR", *(["rows kept", "short of", "purity", "coverage"] if trains else [])]
    heads += [ENTRY[name].header if name in ENTRY else name.replace("_", " ") for name in rates]
    strata = [*_strata(entry, references)]
    others_rows = {name: theirs for name, theirs in rows.items() if name != arm.name}
    stored = pools.get(cell.row, {})
    first = min(stored, default=0)
    return Part(
        domain=domain,
        cell=cell,
        heads=tuple(heads),
        seeds=tuple((str(s.seed), tuple(_of_seed(s, pgr, trains, rates)), s.error or "") for s in seeds),
        strata=tuple(strata[:_MOST_PARTS]),
        strata_left_out=max(0, len(strata) - _MOST_PARTS),
        kept_by=tuple(
            (words, tuple((part, number(share, 3)) for part, share in [*entry.kept_by[name].items()][:_MOST_PARTS]))
            for name, words in KEPT_OF.items()
            if entry.kept_by.get(name)
        ),
        curves=tuple(curves(seeds)),
        others=tuple(others(seeds, rates)),
        digests=tuple(_digests(seeds)),
        facts=tuple(cell_facts(cell)),
        same_rows=tuple(_same_rows(arm, domain, seeds, kept)),
        shared=tuple(agreement(rows.get(arm.name, {}), others_rows)[:_MOST_SHARED]),
        charts=charts(seeds, stored),
        examples=examples(stored[first]) if first in stored else (),
        examples_seed=first,
        attested=board.attested.get(cell.row, ""),
        signed=board.signed.get(cell.row, ()),
    )


def _of_seed(seed: SeedResult, pgr: Mapping[int, float], trains: bool, rates: Sequence[str]) -> Iterator[str]:
    yield number(seed.accuracy, 3)
    yield number(pgr.get(seed.seed))
    if trains:
        yield str(seed.kept) if seed.kept is not None else NONE
        yield str(seed.shortfall)
        yield number(seed.purity, 3)
        yield number(seed.coverage, 3)
    for name in rates:
        yield number(seed.diagnostics.get(name), 3)


def _strata(entry: Entry, references: Mapping[str, Entry]) -> Iterator[Stratum]:
    def of(reference: str, name: str) -> float | None:
        return references[reference].by_stratum.get(name) if reference in references else None

    for name in sorted({*entry.by_stratum, *entry.kept_by_stratum}):
        own, weak, ceiling = entry.by_stratum.get(name), of(WEAK, name), of(CEILING, name)
        yield Stratum(name, number(own), number(weak), number(ceiling), number(entry.kept_by_stratum.get(name)))


def _digests(seeds: Sequence[SeedResult]) -> Iterator[tuple[str, str]]:
    for what in dict.fromkeys(name for seed in seeds for name in seed.digests):
        yield what, ", ".join(seed.digests.get(what, NONE)[:12] for seed in seeds)


def _same_rows(
    arm: Arm, domain: str, seeds: Sequence[SeedResult], kept: Mapping[tuple[str, int, str], list[str]]
) -> Iterator[str]:
    for seed in seeds:
        digest = seed.digests.get("kept")
        others = [name for name in kept.get((domain, seed.seed, digest), []) if name != arm.name] if digest else []
        if others:
            yield f"Seed {seed.seed}: exactly the rows of {', '.join(others)}."
