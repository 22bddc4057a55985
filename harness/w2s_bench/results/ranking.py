"""The order of a board's rows: ranked within each track, the controls below."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from w2s_bench.controls import OWN_ARMS
from w2s_bench.results.board import TRACKS, Row
from w2s_bench.results.statistics import Estimate


def ranked(rows: Iterable[Row]) -> tuple[Row, ...]:
    """By mean PGR within a track, best first, arms without one last and without a rank; then the controls in their order."""
    rows = tuple(rows)
    ordered: list[Row] = []
    for track in TRACKS:
        here = sorted((row for row in rows if row.track == track), key=_best_first)
        ordered += [replace(r, rank=i + 1 if isinstance(r.mean_pgr, Estimate) else None) for i, r in enumerate(here)]
    rank = {name: i for i, name in enumerate(OWN_ARMS)}
    controls = (row for row in rows if row.is_control)
    return (*ordered, *sorted(controls, key=lambda row: rank[row.arm]))


def _best_first(row: Row) -> tuple[float, str]:
    return (-row.mean_pgr.value if isinstance(row.mean_pgr, Estimate) else math.inf, row.arm)
