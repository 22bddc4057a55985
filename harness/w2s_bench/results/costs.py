"""What a cell took, as its provenance says, which nobody checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from w2s_bench.results.cells import Cell
from w2s_bench.types import JSON

#: Beyond this many seconds, some 30,000 years, a figure is a mistake.
_MOST: Final = 1e12


def seconds_of(cell: Cell, clock: Literal["seconds", "cpu_seconds"]) -> float | None:
    """What all stages that the cell needs took when they ran, those that other arms share included, by the clock on the wall or
    in seconds of processors; None where the cell does not say."""
    cost: JSON = cell.provenance.get("cost")
    value: JSON = cost.get(clock) if isinstance(cost, Mapping) else None
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST
    return float(value) if usable else None


def processor_seconds(cell: Cell) -> float | None:
    """The same of a cell that processors alone have made: what another device did is in no processor's seconds."""
    return seconds_of(cell, "cpu_seconds") if cell.provenance.get("device") == "cpu" else None
