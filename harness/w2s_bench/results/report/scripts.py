"""What the page's script reads: correctness bits and paired differences, as JSON that no markup can be made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from markupsafe import Markup

from w2s_bench.controls import rivals
from w2s_bench.record import pack_bits
from w2s_bench.results import statistics
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.report.arms import Arm
from w2s_bench.results.statistics import Estimate, Ratio
from w2s_bench.text import one_line
from w2s_bench.types import JSON, BoolArray

Kept = Mapping[str, Mapping[str, Mapping[int, BoolArray]]]
#: Pairs of arms, over all domains, whose differences are written beforehand: about 60 bytes and 0.4 ms each.
MOST_PAIRS: Final = 6000
_ESCAPES: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def as_script(value: JSON) -> Markup:
    """JSON for a `<script type="application/json">`: nothing in it can end the element, open a comment or steer the text."""
    text = json.dumps(_inert(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup("".join(_ESCAPES.get(c, c) for c in text))  # every character that markup is made of is escaped


def _inert(value: JSON) -> JSON:
    """The value with all its text as `one_line` has it, keys too."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {one_line(str(key)): _inert(inner) for key, inner in value.items()}
    return [_inert(inner) for inner in value] if isinstance(value, list | tuple) else value


def board_data(
    key: str, board: Leaderboard, arms: Sequence[Arm], domains: Mapping[str, Comparison], kept: Kept
) -> JSON:
    """One board: its arms, and of each domain the cells' bits and every pair's differences. `kept`: domain → arm → seed → (pool,)
    which rows are kept, of the arms of which that is known."""
    pairs = [*combinations(range(len(arms)), 2)]
    complete = len(pairs) * (len(domains) + 1) <= MOST_PAIRS
    if not complete:  # what readers ask first: each arm against the harness's own
        pairs = [(i, j) for i, j in pairs if arms[j].group in ("control", "reference")]
    if len(pairs) * (len(domains) + 1) > MOST_PAIRS:
        pairs = []
    differences = {
        name: {(i, j): domain.difference(arms[i].name, arms[j].name) for i, j in pairs}
        for name, domain in domains.items()
    }
    return {
        "key": key,
        "name": board.suite.name,
        "arms": [{"key": arm.key, "name": arm.name, "group": arm.group, "badge": arm.badge} for arm in arms],
        "rival": rivals()[0],
        "complete": complete,
        "domains": [
            _domain_data(name, domain, arms, differences[name], kept.get(name, {})) for name, domain in domains.items()
        ],
        "means": _means(board, differences, pairs),
        "meanDomains": len(board.mean_domains),
    }


def _domain_data(
    name: str,
    domain: Comparison,
    arms: Sequence[Arm],
    differences: Mapping[tuple[int, int], Ratio],
    kept: Mapping[str, Mapping[int, BoolArray]],
) -> JSON:
    """Cells by the arm's number; of each pair the differences in accuracy, and in PGR units.

    A cell's `strata` are in the order of the domain's, null where it lacks one.
    """
    entries = [arm.row.entries[name] for arm in arms if name in arm.cells]
    strata = sorted({stratum for entry in entries for stratum in entry.by_stratum})
    cells: dict[str, dict[str, JSON]] = {}
    for at, arm in enumerate(arms):
        if (cell := arm.cells.get(name)) is None:
            continue
        entry = arm.row.entries[name]
        cells[str(at)] = {
            "row": cell.row,
            "bits": {str(s.seed): packed(s.correct) for s in cell.body.seeds if s.correct is not None},
            "strata": [_rounded(entry.by_stratum.get(stratum)) for stratum in strata],
        }
        if arm.name in kept:
            rows = kept[arm.name]
            cells[str(at)]["pool"] = len(next(iter(rows.values())))
            cells[str(at)]["kept"] = {str(seed): packed(pack_bits(bits)) for seed, bits in rows.items()}
    return {
        "name": name,
        "items": max((cell.body.items for cell in domain.cells.values()), default=0),
        "clusters": None if domain.clusters is None else domain.clusters.tolist(),
        "strata": strata,
        "cells": cells,
        "pairs": {
            f"{i},{j}": [_told(domain.accuracy_difference(arms[i].name, arms[j].name)), _told(ratio)]
            for (i, j), ratio in differences.items()
        },
    }


def packed(bits: str) -> str:
    """A cell's hexadecimal bits in base64: a page of many cells is mostly bits, and this is two thirds as long."""
    return base64.b64encode(bytes.fromhex(bits)).decode()


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 3)


def _means(
    board: Leaderboard, differences: Mapping[str, Mapping[tuple[int, int], Ratio]], pairs: Sequence[tuple[int, int]]
) -> JSON:
    """Mean differences in PGR units over the domains that enter means."""
    if len(board.mean_domains) < 2:
        return {}

    def mean(pair: tuple[int, int]) -> Ratio:
        return statistics.mean_over_domains({name: differences[name][pair] for name in board.mean_domains})

    return {f"{i},{j}": _told(mean((i, j))) for i, j in pairs}


def _told(ratio: Ratio | None) -> JSON:
    """`[value, low, high, p]`, or in words why there is none."""
    if isinstance(ratio, Estimate):
        p = None if ratio.p is None else round(ratio.p, 5)
        return [round(ratio.value, 4), round(ratio.low, 4), round(ratio.high, 4), p]
    return "no figure" if ratio is None else ratio.brief if ratio.brief != "–" else ratio.reason
