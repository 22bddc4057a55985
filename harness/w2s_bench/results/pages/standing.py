"""A board in words: who is first in each track, or tied for it, and what the board can tell apart at all."""

from __future__ import annotations

from collections.abc import Callable

from w2s_bench.controls import NAIVE
from w2s_bench.results.board import POWER, Gain, Leaderboard
from w2s_bench.results.gains import PARTS
from w2s_bench.results.pages.style import TRACKS, number, signed
from w2s_bench.results.statistics import Estimate


def standing(board: Leaderboard, name: Callable[[str], str]) -> list[str]:
    """Sentences; `name` writes an arm's name as the page needs it. One alone in its track is no winner."""
    said = []
    for track, look in TRACKS.items():
        ranked = [row for row in board.rows if row.track == track and row.places]
        if len(ranked) < 2:
            continue
        first = [name(row.arm) for row in ranked if row.places and row.places[0] == 1]
        if len(first) == 1:
            said.append(f"Track {look.word}: {first[0]} is first.")
        else:
            named = f"{', '.join(first[:-1])} and {first[-1]}"
            said.append(f"Track {look.word}: {named} are tied for first; no test tells them from the best.")
    if board.detectable is not None:
        said.append(
            f"This board can tell two arms {number(board.detectable)} PGR apart with {100 * POWER:g} % power "
            "(a mean over domains, one test at 5 %); smaller differences it will mostly miss."
        )
    if board.stability is not None:
        said.append(
            f"On two random halves of the test items the order of trust functions within a track agrees with Kendall's τ "
            f"{number(board.stability)} on average (1: the same order, 0: as if by lot)."
        )
    return said


def gain_in_words(gain: Gain, name: Callable[[str], str]) -> str | None:
    """What an arm's gain over naive is made of, without intervals; None where means have no such figures."""
    value = {part: figure.value for part, figure in gain.mean.items() if isinstance(figure, Estimate)}
    if len(value) < len(PARTS):
        return None
    parts = ", ".join(f"{part.header} {signed(value[part.name])}" for part in PARTS if part.adds_up)
    beside = ", ".join(f"{part.header} {signed(value[part.name])}" for part in PARTS[1:] if not part.adds_up)
    return f"{name(gain.arm)}: {signed(value[PARTS[0].name])} PGR over {NAIVE} = {parts}; {beside}"
