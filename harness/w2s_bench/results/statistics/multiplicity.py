"""Many tests at once: p-values corrected for their number, and the ranks that the tests leave open."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values such that, of all that are below α, one is wrong with chance α at most (Holm 1979, Scand. J. Stat. 6, 65)."""
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for smaller, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - smaller) * p_values[at]))
        adjusted[at] = least
    return adjusted


def rank_intervals(names: Sequence[str], better: Collection[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Name → best and worst rank it can have, where the first of each pair in `better` is known to be above the second.

    With pairs that Holm's correction leaves, all intervals hold together with the same chance (Al Mohamad, Goeman & van Zwet
    2022, Biometrics 78, 1073).
    """
    return {
        name: (
            1 + sum((other, name) in better for other in names),
            len(names) - sum((name, other) in better for other in names),
        )
        for name in names
    }


def cliques(names: Sequence[str], better: Collection[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Largest runs of neighbours, in the order of `names`, of which none is known to be above another; two names at least."""
    runs: list[tuple[int, int]] = []
    for start in range(len(names)):
        end = start + 1
        while end < len(names) and all((name, names[end]) not in better for name in names[start:end]):
            end += 1
        if end - start > 1 and not (runs and runs[-1][1] >= end):
            runs.append((start, end))
    return [tuple(names[start:end]) for start, end in runs]
