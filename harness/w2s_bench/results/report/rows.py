"""The page of one arm: where it comes from and all that its cells say, seed by seed and stratum by stratum."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.controls import CEILING, ORACLE, WEAK, rivals
from w2s_bench.results.board import Entry, Leaderboard
from w2s_bench.results.cells import KEPT_BY, Cell, SeedResult
from w2s_bench.results.figures import is_rate
from w2s_bench.results.pages.columns import ENTRY
from w2s_bench.results.pages.style import NONE, number
from w2s_bench.results.report.arms import Arm
from w2s_bench.results.report.tables import Table, of_differences, of_domains
from w2s_bench.text import shortened
from w2s_bench.types import JSON

#: Characters of a value that is shown as it stands in the cell.
_MOST: Final = 400
#: Strata and labels that a page lists; a board of classes by the thousand says how many there are.
_MOST_PARTS: Final = 200
_MOST_POINTS: Final = 300
_STRIP = 150.0  # width of the strip that accuracies of a stratum are drawn on


@dataclass(frozen=True)
class Stratum:
    """A stratum of test items: accuracies of this arm, the teacher and the ceiling as text and as places on a strip."""

    name: str
    accuracy: str
    weak: str
    ceiling: str
    at: float | None
    weak_at: float | None
    ceiling_at: float | None
    kept: str


@dataclass(frozen=True)
class Curve:
    """A list of numbers that a cell carries, one line a seed, as points of a polyline; `low` and `high` are its bounds."""

    name: str
    low: str
    high: str
    length: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One arm on one domain: its cell. `same_rows`: the arms that kept exactly the same rows, by seed."""

    domain: str
    cell: Cell
    heads: tuple[str, ...]
    seeds: tuple[tuple[str, tuple[str, ...], str], ...]
    strata: tuple[Stratum, ...]
    strata_left_out: int
    labels: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    others: tuple[tuple[str, str], ...]
    digests: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    same_rows: tuple[str, ...]

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


def row_pages(board: Leaderboard, arms: Sequence[Arm]) -> tuple[RowPage, ...]:
    """A page an arm, in their order."""
    kept = _kept_alike(arms)
    references = {d.name: d.references for d in board.domains}
    pages = []
    for at, arm in enumerate(arms):
        parts = tuple(_part(arm, d.name, references[d.name], kept) for d in board.domains if d.name in arm.cells)
        others = tuple(other for other in arms if other.name in (*rivals(), ORACLE) and other is not arm)
        pages.append(
            RowPage(
                arm,
                tuple(_arm_facts(arm)),
                of_domains(arm, board),
                of_differences(arm, board),
                parts,
                others,
                arms[at - 1] if at else None,
                arms[at + 1] if at + 1 < len(arms) else None,
            )
        )
    return tuple(pages)


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
    arm: Arm, domain: str, references: Mapping[str, Entry], kept: Mapping[tuple[str, int, str], list[str]]
) -> Part:
    cell, entry = arm.cells[domain], arm.row.entries[domain]
    seeds = cell.body.seeds
    rates = [name for name in dict.fromkeys(n for s in seeds for n in s.diagnostics) if _is_rate_of(seeds, name)]
    pgr = dict(zip(entry.seeds, entry.pgr_by_seed, strict=False))
    trains = any(s.kept is not None for s in seeds)
    heads = ["accuracy", "PGR", *(["rows kept", "short of", "purity", "coverage"] if trains else [])]
    heads += [ENTRY[name].header if name in ENTRY else name.replace("_", " ") for name in rates]
    strata = [*_strata(entry, references)]
    return Part(
        domain=domain,
        cell=cell,
        heads=tuple(heads),
        seeds=tuple((str(s.seed), tuple(_of_seed(s, pgr, trains, rates)), s.error or "") for s in seeds),
        strata=tuple(strata[:_MOST_PARTS]),
        strata_left_out=max(0, len(strata) - _MOST_PARTS),
        labels=tuple((label, number(share, 3)) for label, share in [*entry.kept_by_label.items()][:_MOST_PARTS]),
        curves=tuple(_curves(seeds)),
        others=tuple(_others(seeds, rates)),
        digests=tuple(_digests(seeds)),
        facts=tuple(_cell_facts(cell)),
        same_rows=tuple(_same_rows(arm, domain, seeds, kept)),
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


def _is_rate_of(seeds: Sequence[SeedResult], name: str) -> bool:
    """Whether a diagnostic is a number from 0 to 1 in all seeds that have it."""
    values = [s.diagnostics[name] for s in seeds if s.diagnostics.get(name) is not None]
    return bool(values) and all(is_rate(value) for value in values)


def _strata(entry: Entry, references: Mapping[str, Entry]) -> Iterator[Stratum]:
    def of(reference: str, name: str) -> float | None:
        return references[reference].by_stratum.get(name) if reference in references else None

    def at(share: float | None) -> float | None:
        return None if share is None else round(6 + share * (_STRIP - 12), 1)

    for name in sorted({*entry.by_stratum, *entry.kept_by_stratum}):
        own, weak, ceiling = entry.by_stratum.get(name), of(WEAK, name), of(CEILING, name)
        kept = number(entry.kept_by_stratum.get(name))
        places = (at(own), at(weak), at(ceiling))
        yield Stratum(name, number(own), number(weak), number(ceiling), *places, kept)


def _is_curve(value: JSON) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) > 1
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
        and math.isfinite(float(max(value)) - float(min(value)))
    )


def _curves(seeds: Sequence[SeedResult]) -> Iterator[Curve]:
    """Every diagnostic that is a list of numbers, in all seeds that have it."""
    for name in dict.fromkeys(n for s in seeds for n in s.diagnostics):
        values = [s.diagnostics[name] for s in seeds if s.diagnostics.get(name) is not None]
        if not values or not all(_is_curve(value) for value in values):
            continue
        low, high = min(min(v) for v in values), max(max(v) for v in values)
        spread = (high - low) or 1.0
        # As many points as can be told apart.
        drawn = [value[:: -(-len(value) // _MOST_POINTS)] for value in values]
        lines = (
            " ".join(
                f"{4 + 292 * i / max(len(value) - 1, 1):.1f},{76 - 72 * (v - low) / spread:.1f}"
                for i, v in enumerate(value)
            )
            for value in drawn
        )
        yield Curve(name.replace("_", " "), f"{low:.4g}", f"{high:.4g}", max(map(len, values)), tuple(lines))


def _others(seeds: Sequence[SeedResult], rates: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Diagnostics that no table or curve shows, as the cell has them."""
    for seed in seeds:
        for name, value in seed.diagnostics.items():
            if name in rates or name in KEPT_BY or value is None or _is_curve(value):
                continue
            yield f"{name.replace('_', ' ')}, seed {seed.seed}", _written(value)


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


def shared_facts(pages: Sequence[RowPage]) -> tuple[tuple[str, str], ...]:
    """What every cell says alike: it need stand on the page but once."""
    parts = [part for page in pages for part in page.parts]
    if len(parts) < 2:
        return ()
    alike = set.intersection(*(set(part.facts) for part in parts))
    return tuple(fact for fact in parts[0].facts if fact in alike)


@dataclass(frozen=True)
class OtherCell:
    """A cell that no arm's page shows: its row, accuracies seed by seed, and what else it says of itself."""

    row: str
    arm: str
    seeds: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def other_cells(cells: Sequence[Cell]) -> tuple[OtherCell, ...]:
    """Cells of whatever kind, with what every cell has."""
    return tuple(
        OtherCell(
            cell.row,
            cell.body.arm.name,
            tuple(number(s.accuracy, 3) if s.error is None else f"failed: {s.error}" for s in cell.body.seeds),
            (*flat(cell.body.arm.model_dump(mode="json")), *_cell_facts(cell)),
        )
        for cell in cells
    )


def _cell_facts(cell: Cell) -> Iterator[tuple[str, str]]:
    """Models, items, and all of the provenance."""
    body = cell.body
    yield "domain", f"{body.domain.name} {body.domain.version} ({body.domain.fingerprint[:12]})"
    yield "teacher", f"{body.teacher.name} ({body.teacher.fingerprint[:12]})"
    yield "student", f"{body.student.name} ({body.student.fingerprint[:12]})"
    yield "items", f"{body.items} (digest {body.items_digest[:12]})"
    if body.clusters:
        yield "clusters of items", str(body.clusters.count)
    if body.generation != 1:
        yield "generation", str(body.generation)
    yield "digest of the cell", cell.digest
    packages = cell.provenance.get("packages", {})
    if packages:
        yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())
    for key, value in flat({k: v for k, v in cell.provenance.items() if k != "packages"}):
        yield key.replace("_", " "), value


def flat(value: Mapping[str, JSON], above: str = "") -> Iterator[tuple[str, str]]:
    """Key → text of every value, those within others as `outer inner`; whatever keys there are."""
    for key, inner in value.items():
        name = f"{above} {key}".strip()
        if isinstance(inner, Mapping) and inner:
            yield from flat(inner, name)
        else:
            yield name, _written(inner)


def _written(value: JSON) -> str:
    if value is None or value in ({}, [], ()):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return shortened(", ".join(value), _MOST)
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _MOST)
