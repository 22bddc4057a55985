"""What made a board's cells: versions and machines, and which cells differ in them from most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from w2s_bench.machine import imitated_in
from w2s_bench.results.cells import Cell


def made_elsewhere(cells: Iterable[Cell]) -> Mapping[str, tuple[str, ...]]:
    """Row → what it was made with that most cells of the board were not: versions of packages, machines, a device.

    Rows of which all is as in most are left out. What a cell does not say tells nothing. Of two that are equally common, the
    one that sorts first counts as usual.
    """
    facts = {cell.row: _facts(cell) for cell in cells}
    counted: dict[str, Counter[str]] = {}
    for told in facts.values():
        for name, value in told.items():
            counted.setdefault(name, Counter())[value] += 1
    usual = {name: min(values, key=lambda v: (-values[v], v)) for name, values in counted.items()}
    out = {}
    for row, told in facts.items():
        other = [_said(name, value, usual[name]) for name, value in told.items() if value != usual[name]]
        if other:
            out[row] = tuple(other)
    return out


def machine_of(cell: Cell) -> str | None:
    """The machine that a cell's results were made on, or all of them; None where it does not say."""
    machines = cell.provenance.get("machines")
    return " and ".join(map(str, machines)) if isinstance(machines, list) and machines else None


def imitated_by(cells: Iterable[Cell]) -> set[str]:
    """The kinds of number for which any of the cells' runs computed in float32."""
    return {numbers for cell in cells for numbers in imitated_in(cell.provenance)}


def _facts(cell: Cell) -> dict[str, str]:
    """Name → value of what a cell's bytes may hang on."""
    provenance = cell.provenance
    told = {str(name): str(version) for name, version in (provenance.get("packages") or {}).items()}
    if (machine := machine_of(cell)) is not None:
        told["machine"] = machine
    device = provenance.get("device")
    return told | ({"device": device} if isinstance(device, str) else {})


def _said(name: str, value: str, usual: str) -> str:
    return f"{name} {value}, most cells {usual}"
