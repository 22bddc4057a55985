"""A figure of cells against their PGR as a plot of its own: SVG that is text, light and dark, each mark with its name and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

from w2s_bench.controls import CEILING, NAIVE, ORACLE, WEAK
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.pages.labels import Box, Segment, around, of_text, placed, width_of
from w2s_bench.results.pages.plots import panel_title
from w2s_bench.results.pages.scatter import (
    HIGHEST,
    LOWEST,
    Against,
    Frame,
    Spot,
    framed,
    frontier,
    level_of,
    named,
    panels,
    tip,
)
from w2s_bench.results.pages.style import TRACKS

_COLUMNS: Final = 2  # panels side by side
_WIDTH, _ALONE, _HEIGHT = 450, 560, 330  # pixels of a panel, of one without another, and how high each is
_LINE, _GAP = 20, 34  # of the legend: from line to line, and what a mark takes beside its words
#: A panel of so few arms names them all, with lines to those that have no room beside their marks, and shows intervals.
_FEW: Final = 20
#: One of so many names those that fit beside their marks.
_SOME: Final = 32
#: PGR from one step of a frontier to the next that is named.
_STEP: Final = 0.08
_ZEROS: Final[Mapping[str, str]] = MappingProxyType({"0": WEAK, "1": CEILING})
#: Marker → its outline about the origin.
_SHAPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "o": '<circle id="{id}" r="4"/>',
        "s": '<rect id="{id}" x="-3.6" y="-3.6" width="7.2" height="7.2"/>',
        "^": '<path id="{id}" d="M0-4.6 4.4 3.5H-4.4Z"/>',
        "D": '<path id="{id}" d="M0-4.8 4.8 0 0 4.8-4.8 0Z"/>',
    }
)
#: Paper, ink, faint ink and the lines behind, light and dark: those that the other plots have.
_LIGHT, _DARK = ("#fff", "#222", "#555", "#E6E6E6"), ("#121212", "#E8E8E8", "#B4B4B4", "#333")


def draw_against(board: Leaderboard, against: Against) -> str:
    """The plot as SVG text; empty where no two arms have the figure."""
    shown = panels(board, against)
    if not shown:
        return ""
    across = min(_COLUMNS, len(shown))
    width = _WIDTH if across > 1 else _ALONE
    foot = -(-len(shown) // across) * _HEIGHT
    tracks = {
        track: look for track, look in TRACKS.items() if any(s.row.track == track for h in shown.values() for s in h)
    }
    legend = _in_lines(_legend(tracks, shown, against), across * width)
    height = foot + _LINE * len(legend) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across * width} {height}" width="{across * width}" '
        f'height="{height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(f"{board.suite.name}: {against.title}")}</title>',
        f'<desc id="desc">{escape(_said(shown))}</desc>',
        f"<style>{_style()}</style>",
        "<defs>",
        *(_SHAPES[look.marker].format(id=f"m-{track}") for track, look in tracks.items()),
        "</defs>",
        '<rect class="paper" width="100%" height="100%"/>',
    ]
    for number, (title, here) in enumerate(shown.items()):
        line, column = divmod(number, across)
        parts.append(f'<g transform="translate({column * width} {line * _HEIGHT})">')
        parts += _panel(panel_title(title, shown), here, against, width)
        parts.append("</g>")
    for number, entries in enumerate(legend):
        parts += _legend_line(entries, across * width, foot + _LINE * number + 14)
    if board.suite.evaluate_on == "dev":
        parts.append(f'<text class="faint end" x="{across * width - 8}" y="12">dev: not a result</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend(tracks: Iterable[str], shown: Mapping[str, Sequence[Spot]], against: Against) -> list[tuple[str, str, str]]:
    """(element's name, its attributes, words) of all that is drawn: marks of tracks and what each kind of line is."""
    entries = [("use", f'class="{track}" href="#m-{track}"', TRACKS[track].legend) for track in tracks]
    if any(len(here) <= _FEW for here in shown.values()):
        entries.append(("path", 'class="control line" d="M0-7V7"', "95 % interval"))
    if any(level_of(against, here) is not None for here in shown.values()):
        entries.append(("path", 'class="zero" d="M0-8V8"', f"dashed, upright: {against.level_words}"))
    if against.logarithmic and any(len(frontier(here)) > 1 for here in shown.values()):
        entries.append(("path", 'class="frontier" d="M-8 4H0V-4H8"', "no cheaper trust function is better"))
    return entries


def _in_lines(entries: Iterable[tuple[str, str, str]], width: float) -> list[list[tuple[str, str, str]]]:
    """Entries of a legend in lines that fit."""
    lines: list[list[tuple[str, str, str]]] = [[]]
    for entry in entries:
        if lines[-1] and _wide([*lines[-1], entry]) > width - 2 * _GAP:
            lines.append([])
        lines[-1].append(entry)
    return lines


def _wide(entries: Iterable[tuple[str, str, str]]) -> float:
    return sum(width_of(words) + _GAP for _, _, words in entries)


def _legend_line(entries: Sequence[tuple[str, str, str]], width: float, y: float) -> list[str]:
    parts, x = [], (width - _wide(entries) + 12) / 2
    for name, attributes, words in entries:
        parts.append(f'<{name} {attributes} transform="translate({x + 6:.1f} {y - 4:g})"/>')
        parts.append(f'<text x="{x + 17:.1f}" y="{y:g}">{escape(words)}</text>')
        x += _wide([(name, attributes, words)])
    return parts


def _said(shown: Mapping[str, Sequence[Spot]]) -> str:
    """What is drawn, for whoever sees none of it."""
    many = ", ".join(f"{title}: {len(here)} arms" for title, here in shown.items())
    return (
        f"A mark an arm in each panel, the figure across, PGR up. {many}. The tables of the page have the same figures."
    )


def _panel(title: str, here: Sequence[Spot], against: Against, width: int) -> list[str]:
    edges = (46.0, width - 18.0, 34.0, _HEIGHT - 58.0)
    frame = framed(here, against, edges)
    middle = (edges[0] + edges[1]) / 2
    parts = [f'<text class="head" x="{middle:g}" y="20">{escape(title)}</text>']
    for tick in frame.levels:
        zero = "zero" if tick.text in _ZEROS else "grid"
        parts.append(f'<path class="{zero}" d="M{frame.left:g} {tick.at:g}H{frame.right:g}"/>')
        parts.append(f'<text class="end" x="{frame.left - 6:g}" y="{tick.at + 4:g}">{tick.text}</text>')
    for tick in frame.ticks:
        parts.append(f'<path class="grid" d="M{tick.at:g} {frame.top:g}V{frame.bottom:g}"/>')
        parts.append(f'<text class="mid" x="{tick.at:g}" y="{frame.bottom + 15:g}">{tick.text}</text>')
    parts.append(f'<text class="mid" x="{middle:g}" y="{frame.bottom + 32:g}">{escape(against.across)}</text>')
    parts.append(
        f'<text class="mid" transform="translate(14 {(frame.top + frame.bottom) / 2:g}) rotate(-90)">PGR</text>'
    )
    if frame.line is not None:
        parts.append(f'<path class="zero" d="M{frame.line:g} {frame.top:g}V{frame.bottom:g}"/>')
    words = _words(frame, against)
    parts += [f'<text class="faint" x="{x:g}" y="{y:g}">{text}</text>' for text, x, y in words]
    best = frontier(here) if against.logarithmic else []
    steps = [frame.places[here.index(spot)] for spot in best] if len(best) > 1 else []
    if steps:
        path = "".join(f"H{x:g}V{y:g}" for x, y in steps[1:])
        parts.append(f'<path class="frontier" d="M{steps[0][0]:g} {steps[0][1]:g}{path}H{frame.right:g}"/>')
    for spot, (x, y) in reversed(
        [*zip(here, frame.places, strict=True)]
    ):  # the best above the others, and these above controls
        track = spot.row.track
        ends = _whisker(spot, frame)
        line = f'<path class="line" d="M{x:g} {ends[0]:g}V{ends[1]:g}"/>' if len(here) <= _FEW else ""
        parts.append(
            f'<g class="{track}"><title>{escape(f"{named(spot)}: {tip(spot, against)}")}</title>{line}{_mark(spot, x, y)}</g>'
        )
    lines = _lines(here, frame, steps)
    return [*parts, *_names(here, frame, best, [of_text(*each) for each in words], lines)]


def _whisker(spot: Spot, frame: Frame) -> tuple[float, float]:
    return frame.height(spot.pgr.low), frame.height(spot.pgr.high)


def _lines(here: Sequence[Spot], frame: Frame, steps: Sequence[tuple[float, float]]) -> list[Segment]:
    """All straight lines that a name had better not lie on: levels, intervals, and the steps of a frontier."""
    lines = [(frame.left, tick.at, frame.right, tick.at) for tick in frame.levels if tick.text in _ZEROS]
    if frame.line is not None:
        lines.append((frame.line, frame.top, frame.line, frame.bottom))
    if len(here) <= _FEW:
        ends = (_whisker(spot, frame) for spot in here)
        lines += [(x, low, x, high) for (x, _), (low, high) in zip(frame.places, ends, strict=True)]
    for (x, y), (to_x, to_y) in pairwise([*steps, *((frame.right, y) for _, y in steps[-1:])]):
        lines += [(x, y, to_x, y), (to_x, y, to_x, to_y)]
    return lines


def _words(frame: Frame, against: Against) -> list[tuple[str, float, float]]:
    """(text, x, y) of what the dashed lines are: at whichever end of its line no mark is in the way."""
    marks = [around(place) for place in frame.places]
    if frame.line is not None:
        marks.append(Box(frame.line - 1, frame.top, frame.line + 1, frame.bottom))

    def free(text: str, ends: Sequence[tuple[float, float]]) -> tuple[str, float, float]:
        covered = [sum(of_text(text, x, y).meets(mark) for mark in marks) for x, y in ends]
        x, y = ends[covered.index(min(covered))]
        return text, x, y

    out = []
    for tick in frame.levels:
        if word := _ZEROS.get(tick.text):
            right = frame.right - width_of(word)
            ends = [(x, y) for x in (frame.left + 2, right) for y in (tick.at - 4, tick.at + 11)]
            out.append(free(word, ends))
    if frame.line is not None and against.level is not None:  # where it is that of an arm, the arm's mark has a name
        sides = (frame.line + 3, frame.line - 3 - width_of(against.level_words))
        ends = [(x, y) for y in (frame.bottom - 4, frame.top + 22) for x in sides if x > frame.left]
        out.append(free(against.level_words, ends))
    return out


def _mark(spot: Spot, x: float, y: float) -> str:
    """The track's mark; an arrow where the PGR lies further out."""
    beyond = (spot.pgr.value > HIGHEST) - (spot.pgr.value < LOWEST)
    if beyond:
        return f'<path d="M{x:g} {y - 5 * beyond:g}l5 {8 * beyond}h-10Z"/>'
    return f'<use href="#m-{spot.row.track}" x="{x:g}" y="{y:g}"/>'


def _names(
    here: Sequence[Spot], frame: Frame, best: Sequence[Spot], words: Sequence[Box], lines: Sequence[Segment]
) -> list[str]:
    """All names of few arms; of many those worth one: the best and the worst, the ends, the frontier, the plainest controls."""
    functions = [spot for spot in here if not spot.row.is_control]
    by_pgr = sorted(functions, key=lambda spot: -spot.pgr.value)
    by_value = sorted(functions, key=lambda spot: spot.value)
    controls = [spot for spot in here if spot.row.arm in (NAIVE, ORACLE)]
    worth = [*by_pgr[:1], *controls[:1], *by_pgr[1:3], *_clear_steps(best), *by_value[-1:], *by_pgr[-1:], *by_value[:1]]
    worth += controls[1:]
    needed = [here.index(spot) for spot in worth]
    rest = [at for at in range(len(here)) if at not in needed] if len(here) <= _SOME else []
    order = [*dict.fromkeys([*needed, *rest])]
    edges = (frame.left + 2, frame.right + 14, frame.top - 2, frame.bottom - 2)
    parts = []
    for label in placed(
        [named(spot) for spot in here],
        frame.places,
        edges,
        order,
        len({*needed}) + (len(rest) if len(here) <= _FEW else 0),
        words,
        lines,
    ):
        track, (x, y) = here[label.of].row.track, frame.places[label.of]
        if label.far:
            parts.append(f'<path class="lead" d="M{x:g} {y:g}L{label.to_x:g} {label.to_y:g}"/>')
        parts.append(f'<text class="{track} name" x="{label.x:g}" y="{label.y:g}">{escape(label.text)}</text>')
    return parts


def _clear_steps(best: Sequence[Spot]) -> list[Spot]:
    """Of a frontier those that are clearly above the one before."""
    out: list[Spot] = []
    for spot in best:
        if not out or spot.pgr.value - out[-1].pgr.value >= _STEP:
            out.append(spot)
    return out


def _style() -> str:
    def of(paper: str, ink: str, faint: str, grid: str, colours: Mapping[str, str]) -> str:
        return (
            f".paper{{fill:{paper}}}text{{fill:{ink}}}.faint{{fill:{faint}}}.grid{{stroke:{grid}}}"
            f".zero,.lead{{stroke:{faint}}}.frontier{{stroke:{faint}}}.name,use{{stroke:{paper}}}"
            + "".join(f".{track}{{fill:{colour};color:{colour}}}" for track, colour in colours.items())
        )

    light = of(*_LIGHT, {track: look.colour for track, look in TRACKS.items()})
    dark = of(*_DARK, {track: look.dark for track, look in TRACKS.items()})
    return (
        'text{font:11px "DejaVu Sans",Verdana,sans-serif}.head{font-size:13px;font-weight:bold}'
        ".head,.mid{text-anchor:middle}.end{text-anchor:end}.grid,.zero,.lead,.frontier{fill:none}"
        ".zero{stroke-dasharray:4 3}.lead{stroke-width:.6}.frontier{stroke-width:1.2;opacity:.7}"
        ".line{stroke:currentColor;opacity:.35}.name{paint-order:stroke;stroke-width:2.5px}use{stroke-width:.8}"
        f"{light}@media (prefers-color-scheme:dark){{{dark}}}"
    )
