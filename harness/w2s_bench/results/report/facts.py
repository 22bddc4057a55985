"""What a cell says of itself beside its figures, whatever fields it has: models, items, provenance, as keys and texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from w2s_bench.results.cells import Cell
from w2s_bench.results.pages.arm_words import arm_in_words, generation_in_words
from w2s_bench.results.pages.style import NONE, number
from w2s_bench.text import shortened
from w2s_bench.types import JSON

#: Key → text, as the page lists them.
Fact = tuple[str, str]
#: Characters of a value that is shown as it stands in the cell.
_MOST: Final = 400


def cell_facts(cell: Cell) -> Iterator[Fact]:
    """Models, items, and all of the provenance."""
    body = cell.body
    yield "domain", f"{body.domain.name} {body.domain.version} ({body.domain.fingerprint[:12]})"
    yield "teacher", f"{body.teacher.name} ({body.teacher.fingerprint[:12]})"
    yield "student", f"{body.student.name} ({body.student.fingerprint[:12]})"
    yield "items", f"{body.items} (digest {body.items_digest[:12]})"
    if body.clusters:
        yield "clusters of items", str(body.clusters.count)
    if body.chain:
        yield "generation", f"{body.generation} of {body.chain.generations}"
    yield "digest of the cell", cell.digest
    packages = cell.provenance.get("packages", {})
    if packages:
        yield "packages", ", ".join(f"{name} {version}" for name, version in packages.items())
    for key, value in flat({k: v for k, v in cell.provenance.items() if k != "packages"}):
        yield key.replace("_", " "), value


def flat(value: Mapping[str, JSON], above: str = "") -> Iterator[Fact]:
    """Key → text of every value, those within others as `outer inner`; whatever keys there are."""
    for key, inner in value.items():
        name = f"{above} {key}".strip()
        if isinstance(inner, Mapping) and inner:
            yield from flat(inner, name)
        else:
            yield name, written(inner)


def written(value: JSON) -> str:
    if value is None or value in ({}, [], ()):
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return shortened(", ".join(value), _MOST)
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), _MOST)


def alike(cells: Sequence[tuple[Fact, ...]]) -> tuple[Fact, ...]:
    """What several cells say alike: it need stand on the page but once. Of a single one nothing."""
    if len(cells) < 2:
        return ()
    same = set.intersection(*map(set, cells))
    return tuple(fact for fact in cells[0] if fact in same)


@dataclass(frozen=True)
class OtherCell:
    """A cell that no arm's page shows: its row, what it is, accuracies seed by seed, and what else it says of itself."""

    row: str
    says: str
    seeds: tuple[str, ...]
    facts: tuple[Fact, ...]


def other_cells(cells: Sequence[Cell]) -> tuple[OtherCell, ...]:
    """Cells of whatever kind, with what every cell has."""
    return tuple(
        OtherCell(
            cell.row,
            generation_in_words(cell.body) if cell.body.chain else arm_in_words(cell.body.arm),
            tuple(number(s.accuracy, 3) if s.error is None else f"failed: {s.error}" for s in cell.body.seeds),
            (*flat(cell.body.arm.model_dump(mode="json")), *cell_facts(cell)),
        )
        for cell in cells
    )
