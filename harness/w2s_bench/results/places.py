"""Which differences of a board hold when all of a table are tested, and the ranks that this leaves open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from w2s_bench.results.board import TRACKS, Pair, Row
from w2s_bench.results.comparison import Comparison, mean_differences
from w2s_bench.results.statistics import Estimate, Ratio, holm, rank_intervals


def corrected(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows with p-values corrected within each table: mean differences to controls, and those of each domain."""
    rows = tuple(rows)
    means = holm_corrected({(r.arm, rival): ratio for r in rows for rival, ratio in r.mean_minus.items()})
    entries = {(row.arm, domain): entry.minus for row in rows for domain, entry in row.entries.items() if entry.minus}
    in_domains = {
        domain: holm_corrected(
            {
                (arm, rival): ratio
                for (arm, d), minus in entries.items()
                if d == domain
                for rival, ratio in minus.items()
            }
        )
        for domain in {domain for _, domain in entries}
    }
    return tuple(
        replace(
            row,
            mean_minus={rival: means[row.arm, rival] for rival in row.mean_minus},
            entries={
                domain: replace(entry, minus={rival: in_domains[domain][row.arm, rival] for rival in entry.minus})
                if entry.minus
                else entry
                for domain, entry in row.entries.items()
            },
        )
        for row in rows
    )


def paired(rows: Sequence[Row], domains: Mapping[str, Comparison]) -> tuple[Pair, ...]:
    """Every two ranked rows of a track, the better first, with their mean difference over the domains, corrected within the
    track."""
    pairs: list[Pair] = []
    for track in TRACKS:
        ranked = [row.arm for row in rows if row.track == track and row.rank is not None]
        corrected = holm_corrected(mean_differences(domains, combinations(ranked, 2)))
        pairs += [Pair(track, a, b, ratio) for (a, b), ratio in corrected.items()]
    return tuple(pairs)


def placed(rows: Iterable[Row], pairs: Iterable[Pair] | None) -> tuple[Row, ...]:
    """The rows with the ranks that the pairs leave open; None: with none, since no pair may be believed. One alone in its track has
    none either: it outranks nobody."""
    rows = tuple(rows)
    if pairs is None:
        return rows
    better = {pair.known for pair in pairs if pair.known}
    places: dict[str, tuple[int, int]] = {}
    for track in TRACKS:
        ranked = [row.arm for row in rows if row.track == track and row.rank is not None]
        if len(ranked) > 1:
            places |= rank_intervals(ranked, better)
    return tuple(replace(row, places=places.get(row.arm)) for row in rows)


def first_in_track(rows: Iterable[Row], track: str) -> tuple[str, ...]:
    """The arms of which no test says that they are not the first of their track; none where it ranks fewer than two."""
    return tuple(row.arm for row in rows if row.track == track and row.places and row.places[0] == 1)


def holm_corrected(ratios: Mapping[tuple[str, str], Ratio]) -> dict[tuple[str, str], Ratio]:
    """The figures of one table, each with its p-value corrected for all that are tested there."""
    tested = {key: r.p for key, r in ratios.items() if isinstance(r, Estimate) and r.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {
        key: replace(r, adjusted=adjusted[key]) if isinstance(r, Estimate) and key in adjusted else r
        for key, r in ratios.items()
    }
