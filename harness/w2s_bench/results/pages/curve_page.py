"""A suite's curves as a page: PGR by gold budget and by coverage, and what trust adds at each to the gold that taught it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from w2s_bench.controls import BASE, GOLD_TRUST_SET, KEPT_PLUS_GOLD, NAIVE, NAIVE_PLUS_GOLD
from w2s_bench.results.board import Row
from w2s_bench.results.curves import About, Curve, Point
from w2s_bench.results.gains import PARTS, Part
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.style import NONE, TRACKS, count, difference, figure, number
from w2s_bench.text import one_line

_TITLES: Final[Mapping[About, str]] = MappingProxyType({"gold_budget": "Gold budget", "coverage": "Coverage"})
_WORDS: Final[Mapping[About, str]] = MappingProxyType(
    {
        "gold_budget": "How many items of the trust set have gold that anybody sees: trust functions of the track “trust set” learn from "
        "these alone, and the controls with gold of the trust set train on these alone. Those of a smaller budget are among those of a "
        "larger one. Pool, weak labels, teacher and ceiling are the same throughout, so that all PGRs are on one scale.",
        "coverage": "The share of the pool's weak labels that trust functions and controls keep. Scores are the same at all of "
        "them: only the cut moves. Pool, teacher and ceiling are the same throughout, so that all PGRs are on one scale.",
    }
)


#: What each point is compared with: control → what that is there.
_RIVALS: Final[Mapping[About, Mapping[str, str]]] = MappingProxyType(
    {
        "gold_budget": {
            GOLD_TRUST_SET: "the gold that taught it, alone, of the same budget",
            NAIVE_PLUS_GOLD: "all weak labels and that gold, of the same budget, and no trust",
        },
        "coverage": {NAIVE: "all weak labels"},
    }
)


def curve_page(suite: str, curves: tuple[Curve, ...], plots: Mapping[About, str], kept: str) -> str:
    """The page's markdown; `plots`: the file of each curve's plot, `kept`: that of purity and accuracy by coverage."""
    blocks = [
        f"# {escape(suite)}: curves",
        "The same suite at other numbers. Each point is a whole board with cells of its own, which `w2s-bench check` and `verify` "
        "take as they take any; [the suite's own](../README.md) is one of them. Figures are means over the domains that enter means "
        "at that point, with 95 % intervals over seeds and test items; points share seeds and test items, so that neighbours err "
        "together.",
    ]
    for curve in curves:
        blocks += _blocks(curve, plots[curve.about], kept)
    return "\n\n".join(blocks) + "\n"


def _blocks(curve: Curve, plot: str, kept: str) -> list[str]:
    heads = [f"[{_head(curve, point)}]({point.folder}README.md)" for point in curve.points]
    blocks = [
        f"## {_TITLES[curve.about]}",
        _WORDS[curve.about],
        f"![Mean PGR by {_TITLES[curve.about].lower()}]({plot})",
        f"Mean PGR over {_domains(curve)}:",
        _table(curve, heads, lambda row: figure(row.mean_pgr)),
    ]
    level = [f"{escape(arm)} {figure(curve.row_of(arm).mean_pgr)}" for arm in curve.flat]
    level += [f"`{BASE}`, the untuned student, {number(curve.base)}"] if curve.base is not None else []
    if level:
        blocks.append(f"The same at every point: {', '.join(level)}.")
    for rival, words in _RIVALS[curve.about].items():
        if minus := _table(curve, heads, lambda row, to=rival: difference(row.mean_minus.get(to)), without=rival):  # type: ignore[misc]
            said = f"Paired difference to `{rival}` ({words}), in PGR units; not corrected for how many there are:"
            blocks += [said, minus]
        for part in PARTS:
            if (part.plus, part.minus) == (KEPT_PLUS_GOLD, rival) and (minus := _table_of_gains(curve, heads, part)):
                said = (
                    f"Paired difference of `{KEPT_PLUS_GOLD}`, the student of an arm's rows and the gold of the budget together, to "
                    f"`{rival}` ({words}), in PGR units; not corrected for how many there are:"
                )
                blocks += [said, minus]
    if curve.about == "coverage":
        blocks.append(f"![Purity of what is kept and accuracy of the student, by coverage]({kept})")
        blocks.append("Purity, the share of kept labels that are right, mean over domains:")
        blocks.append(_table(curve, heads, lambda row: number(row.purity)))
    return blocks


def _table(curve: Curve, heads: list[str], told: Callable[[Row], str], without: str = "") -> str:
    rows = []
    for arm in curve.arms:
        here = [point.row(arm) for point in curve.points]
        texts = [NONE if row is None else told(row) for row in here]
        if arm != without and _is_curve(texts):
            rows.append([escape(arm), TRACKS[curve.row_of(arm).track].word, *texts])
    return table(["arm", "track", *heads], rows) if rows else ""


def _is_curve(texts: list[str]) -> bool:
    """Whether there is a figure at two points or more."""
    return sum(text != NONE for text in texts) > 1


def _table_of_gains(curve: Curve, heads: list[str], part: Part) -> str:
    """A part of the gain of every arm that other arms are made of, at each point; nothing where no two points have it."""
    rows = []
    for own in curve.own.gains:
        gains = [next((gain for gain in point.board.gains if gain.arm == own.arm), None) for point in curve.points]
        texts = [NONE if gain is None else difference(gain.mean.get(part.name)) for gain in gains]
        if _is_curve(texts):
            rows.append([escape(own.arm), TRACKS[curve.row_of(own.arm).track].word, *texts])
    return table(["arm", "track", *heads], rows) if rows else ""


def _head(curve: Curve, point: Point) -> str:
    if curve.about == "coverage":
        return f"coverage {point.words}"
    return point.words if point.told else count(int(point.at), "gold label")


def _domains(curve: Curve) -> str:
    """Which domains a curve's means are over, where that is the same at all points."""
    sets = {point.board.mean_domains for point in curve.points}
    if len(sets) == 1 and (names := next(iter(sets))):
        return ", ".join(escape(one_line(name)) for name in names)
    return "the domains that enter means there"
