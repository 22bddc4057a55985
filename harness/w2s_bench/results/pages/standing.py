"""A board in words: who is first in each track, or tied for it, and what the board can tell apart at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from w2s_bench.controls import BASE, NAIVE
from w2s_bench.results.attestations import TIERS
from w2s_bench.results.board import POWER, Gain, Leaderboard
from w2s_bench.results.folding import first_rows
from w2s_bench.results.gains import PARTS
from w2s_bench.results.pages.style import TRACKS, count, difference, number, signed
from w2s_bench.results.places import first_in_track
from w2s_bench.results.statistics import Estimate
from w2s_bench.text import one_line, shortened

#: Arms that are tied for first and named; of more it is said how many.
_MOST_NAMED = 6


#: Characters of what a suite says of itself: it is one line on a page that is about something else.
_MOST_SAID = 600


def description(board: Leaderboard) -> str:
    """What the suite says of itself, on one line and as text alone; empty where it says nothing."""
    return shortened(one_line(board.description), _MOST_SAID)


def standing(board: Leaderboard, name: Callable[[str], str]) -> list[str]:
    """Sentences; `name` writes an arm's name as the page needs it."""
    if not board.ranks:
        return untuned_in_words(board, name)
    said = []
    if not board.mean_domains:
        said.append(
            "No domain enters a mean, since in none can the gap between weak teacher and ceiling carry a ratio: no arm is ranked, and "
            "no difference in PGR can be told. Compare accuracies, in the tables of the domains."
        )
    for track, look in TRACKS.items():
        first = first_in_track(board.rows, track)
        if len(first) == 1:
            said.append(f"Track {look.word}: {name(first[0])} is first.")
        elif first:
            said.append(
                f"Track {look.word}: {_named(first, name)} are tied for first; no test tells them from the best."
            )
    said += untuned_in_words(board, name)
    if board.detectable is not None:
        said.append(
            f"This board can tell two arms {number(board.detectable)} PGR apart with {100 * POWER:g} % power "
            "(a mean over domains, one test at 5 %, by the noise of its arms together); smaller differences it will mostly miss."
        )
    if board.stability is not None:
        said.append(
            f"On two random halves of the test items the order of trust functions within a track agrees with Kendall's τ "
            f"{number(board.stability)} on average (1: the same order, 0: as if by lot)."
        )
    return said


def not_shown(board: Leaderboard) -> dict[str, str]:
    """Track → how many of its ranked arms the first table and its diagrams show, and how many of those tied for first they do not, in
    words; of tracks of which they leave out any."""
    shown = {row.arm for row in first_rows(board.rows)}
    told = {}
    for track in TRACKS:
        ranked = [row.arm for row in board.rows if row.track == track and row.places]
        here = [arm for arm in ranked if arm in shown]
        if 1 < len(here) < len(ranked):
            told[track] = f"{len(here)} of {len(ranked)} shown"
            first = first_in_track(board.rows, track)
            hidden = sum(arm not in shown for arm in first)
            if len(first) > 1:
                told[track] += f"; {len(first)} are tied for first" + (
                    f", {hidden} of them not shown" if hidden else ""
                )
    return told


def untuned_in_words(board: Leaderboard, name: Callable[[str], str]) -> list[str]:
    """Whether trust functions made the student better than it was, of a board where it is not surely below its teacher untuned."""
    untuned = board.untuned
    if untuned is None or not untuned.minus or not untuned.matters:
        return []
    better, worse, every = untuned.better, untuned.worse, len(untuned.minus)
    told = [
        f"{len(arms) or 'none'} {'make' if len(arms) > 1 else 'makes'} it {word}{f' ({_named(arms, name)})' if arms else ''}"
        for arms, word in ((better, "better"), (worse, "worse"))
    ]
    rest = f"; of the other {untold} no test tells" if (untold := every - len(better) - len(worse)) else ""
    return [
        f"Before any training the student (`{BASE}`) is at PGR {number(untuned.pgr.value)}: of {count(every, 'trust function')} "
        f"{told[0]} and {told[1]}, by paired tests corrected for all{rest}. In the plot it is the dotted line."
    ]


def _named(arms: Sequence[str], name: Callable[[str], str]) -> str:
    """Arms by name; of many, some and how many more."""
    listed = [name(arm) for arm in arms]
    if len(listed) > _MOST_NAMED + 1:
        listed = [*listed[:_MOST_NAMED], f"{len(listed) - _MOST_NAMED} more"]
    return " and ".join(part for part in (", ".join(listed[:-1]), listed[-1]) if part)


def attested_in_words(board: Leaderboard) -> str:
    """How many cells somebody has computed again, and how they came out; empty where nobody has."""
    if not board.attested:
        return ""
    counted = Counter(board.attested.values())
    told = ", ".join(f"{counted[tier]} {tier}" for tier in TIERS if counted[tier])
    return f"Computed again: {len(board.attested)} of {count(board.cells, 'cell')} ({told}), last on {board.attested_last[:10]}."


def signed_in_words(board: Leaderboard, name: Callable[[str], str]) -> str:
    """Who says to have signed how many cells; empty where nobody does."""
    if not board.signed:
        return ""
    counted = Counter(signer for signers in board.signed.values() for signer in signers)
    told = ", ".join(f"{many} by {name(signer)}" for signer, many in sorted(counted.items()))
    return f"Signed: {len(board.signed)} of {count(board.cells, 'cell')} ({told}); `w2s-bench check DIR --allowed-signers FILE` verifies."


def did_not_come_again(board: Leaderboard) -> tuple[str, ...]:
    """The rows that came out otherwise when somebody computed them again."""
    return tuple(row for row, tier in board.attested.items() if tier == "DIFFERS")


def gain_in_words(gain: Gain, name: Callable[[str], str]) -> str | None:
    """An arm's gain over naive with its interval, and what it is made of, without; None where means have no such figures."""
    value = {part: figure.value for part, figure in gain.mean.items() if isinstance(figure, Estimate)}
    whole, *parts = (part for part in PARTS if part.name in gain.mean)
    if any(part.name not in value for part in (whole, *parts)):
        return None
    sums = ", ".join(f"{part.header} {signed(value[part.name])}" for part in parts if part.adds_up)
    beside = ", ".join(f"{part.header} {signed(value[part.name])}" for part in parts if not part.adds_up)
    made_of = f" = {sums}" if sums else ""
    return f"{name(gain.arm)}: {difference(gain.mean[whole.name])} PGR over {NAIVE}{made_of}; {beside}"
