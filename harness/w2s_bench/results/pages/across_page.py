"""The page over several boards as markdown that GitHub renders. Text that suites, plugins or folders supplied is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import quote

from w2s_bench.controls import BASE, NAIVE
from w2s_bench.names import README, short
from w2s_bench.results.across import AGAINST, YARDSTICKS, Across, BoardLine, FunctionLine, OnBoard
from w2s_bench.results.board import TRACKS as RANKED
from w2s_bench.results.pages.across_plot import in_words
from w2s_bench.results.pages.blocks import escape, table, unfolding
from w2s_bench.results.pages.style import NONE, TRACKS, count, number, signed
from w2s_bench.results.statistics import Estimate
from w2s_bench.text import one_line, shortened

#: What stands in every page that this writes, and in its plot: a file without it is somebody else's.
MADE: Final = "Made by `w2s-bench leaderboard` from the cell files of these boards"
#: Names that a cell of the table has room for, pairs of models and domains that a line has.
_MOST_FIRST, _MOST_MODELS, _MOST_DOMAINS = 2, 2, 4
_NO_BREAK: Final = "\u00a0"
#: Characters of a suite's description, and of a name.
_MOST_SAID, _MOST_NAME = 600, 60

_READING: Final = (
    "**Boards are not independent.** Several ask the same bundled domains of the same models, and some are a part of another, so that "
    "these counts are no test, and no more are the medians. Boards with the same domains, models, sizes, training and seeds are one "
    "*setting*: a function has the same students on all of them, up to what another processor changes. It counts once there, by the "
    "board with the most trust functions among those that have it, whose correction is the strictest.\n\n"
    "Settings: those on which the function has a mean, of all that have it; on the others no gap is resolved, or a domain lacks what it "
    "reads, and they enter no other figure. Median and range are over settings, of the difference to "
    f"`{NAIVE}` in PGR units, whether it holds or not. Above / below: settings on which the paired difference to the control holds after "
    "that board's own correction for all its comparisons (p < .05); on the others no test tells. A name stands for one trust function, "
    "whose version may differ from board to board."
)


def across_page(across: Across, plot: str) -> str:
    """The whole README; `plot` is the file of the picture."""
    blocks = [
        "# Leaderboards",
        f"{count(len(across.boards), 'board')}, each of one suite: domains, models, sizes and seeds that are frozen, on which every trust "
        "function chooses what a student of its own trains on. **PGR** is the share of the gap between the weak teacher (0) and the "
        "same student trained on ground truth (1) that this closes. Figures of different boards are of other models, tasks and gold "
        "sets: compare them within a board. Across boards, compare how often a function holds up. Every row can be computed again "
        "(`w2s-bench verify`).",
        f"![{in_words(across)}]({plot})",
        f"*How far each trust function lies from `{NAIVE}`, which trains on all weak labels: those with figures on at least {across.least} "
        "[settings](#trust-functions-on-several-boards), a mark each. Filled marks hold after their board's correction, hollow ones do "
        "not.*",
        *_held(across.shown),
        *_boards(across),
        *_functions(across),
        *_again(across),
    ]
    return "\n\n".join(blocks) + "\n"


def _held(functions: Sequence[FunctionLine]) -> list[str]:
    """Which functions lie above each control on more than half of the settings where they are compared with it."""
    if not functions:
        return []
    told = []
    for rival in AGAINST:
        above = [(f, f.above(rival), len(f.minus(rival))) for f in functions]
        names = [f"{escape(_cut(f.arm))} ({held} of {there})" for f, held, there in above if 2 * held > there]
        told.append(f"`{rival}`: {', '.join(names) or 'none'}.")
    asked = (
        f"Which of these {len(functions)} lie above a control on more than half of their settings, after correction?"
    )
    return [f"{asked} {' '.join(told)}"]


def _boards(across: Across) -> list[str]:
    tracks = [track for track in RANKED if any(track in board.first for board in across.boards)]
    header = ["board", *map(_words, YARDSTICKS), BASE]
    header += [f"first, track {TRACKS[track].word}" for track in tracks]
    return [
        "## Boards",
        f"Mean PGR of the controls, and of `{BASE}`, the student before any training. First: the trust functions of a track that are "
        f"first, or tied for it since no test tells them from the best; {NONE} where there are fewer than two, since one alone in its "
        "track is no winner.",
        table(header, [_figures(board, tracks) for board in across.boards]),
        "What each is: its suite's own words; domains, teacher → student, seeds:",
        "\n".join(map(_told, across.boards)),
    ]


def _told(board: BoardLine) -> str:
    """What a board is, as an item of a list."""
    said = one_line(board.description) or f"Suite {board.suite}"
    pairs = [f"{escape(_model(teacher))} → {escape(_model(student))}" for teacher, student in board.models]
    facts = [_listed([escape(_model(domain)) for domain in board.domains], _MOST_DOMAINS), _listed(pairs, _MOST_MODELS)]
    facts += [count(board.seeds, "seed"), count(board.functions, "trust function")]
    if board.setting != board.folder:
        facts.append(f"setting of {_link(board.setting)}")
    if board.evaluate_on != "test":
        facts.append("**on dev items: not a result, and in no figure below**")
    if board.left_out:
        facts.append(_left_out(board))
    return f"- **{_link(board.folder)}**: {escape(shortened(said, _MOST_SAID))} *{'; '.join(facts)}.*"


def _left_out(board: BoardLine) -> str:
    """Why domains enter no mean: in a few words, the same reason once."""
    reasons: dict[str, list[str]] = {}
    for domain, why in board.left_out.items():
        reasons.setdefault(re.split("[,;]", why)[0], []).append(escape(_model(domain)))
    told = "; ".join(f"{escape(why)} ({', '.join(domains)})" for why, domains in reasons.items())
    if not board.mean_domains:
        return f"no mean PGR: {told}"
    return f"means over {', '.join(escape(_model(d)) for d in board.mean_domains)} alone: {told}"


def _figures(board: BoardLine, tracks: Sequence[str]) -> list[str]:
    shown = [board.yardsticks.get(arm) for arm in YARDSTICKS]
    values = [r.value if isinstance(r, Estimate) else None for r in shown]
    first = [
        _listed([escape(_cut(arm)) for arm in board.first.get(track, ())], _MOST_FIRST) or NONE for track in tracks
    ]
    return [_link(board.folder), *map(number, (*values, board.base)), *first]


def _functions(across: Across) -> list[str]:
    several, two = across.shown, across.on(2, across.least - 1)
    one, none = across.on(1, 1), across.on(0, 0)
    blocks = ["## Trust functions on several boards", _READING]
    if several:
        blocks.append(_function_table(several))
        blocks += unfolding(
            f"Which board each figure is of: − {NAIVE}, bold where it holds", ["\n".join(map(_results, several))]
        )
    else:
        blocks.append(f"No trust function has figures on {across.least} settings or more.")
    if two:
        settings = "two" if across.least == 3 else f"2 to {across.least - 1}"
        blocks += unfolding(f"{count(len(two), 'trust function')} on {settings} settings", [_function_table(two)])
    told = [f"{count(len(one), 'trust function')} on one setting alone"] if one else []
    told += [f"{count(len(none), 'trust function')} without a mean anywhere"] if none else []
    if told:
        blocks.append(f"Not shown: {' and '.join(told)}; their boards have them.")
    return blocks


def _function_table(functions: Iterable[FunctionLine]) -> str:
    header = ["trust function", "track", "settings", f"median − {NAIVE}", "range"]
    header += [f"above / below {_words(arm)}" for arm in AGAINST]
    rows = [[*_spread(f), *(_counts(f, rival) for rival in AGAINST)] for f in functions]
    return table(header, rows)


def _spread(function: FunctionLine) -> list[str]:
    low, high = function.range
    held = len(function.results)
    figures = (f"{held} of {held + function.without}", signed(function.median), f"{signed(low)} to {signed(high)}")
    # A figure is read on one line.
    return [
        escape(_cut(function.arm)),
        *(part.replace(" ", _NO_BREAK) for part in (TRACKS[function.track].word, *figures)),
    ]


def _counts(function: FunctionLine, rival: str) -> str:
    """How many settings lie surely above and below; of how many, where some have no such difference."""
    there = len(function.minus(rival))
    told = f"{function.above(rival)} / {function.below(rival)}"
    return told if there == len(function.results) else f"{told} of {there}" if there else NONE


def _results(function: FunctionLine) -> str:
    def told(result: OnBoard) -> str:
        minus = result.minus[NAIVE]
        figure = f"**{signed(minus.value)}**" if minus.holds else signed(minus.value)
        return f"{figure} {escape(result.board)}"

    return f"- {escape(_cut(function.arm))}: {', '.join(map(told, function.results))}"


def _again(across: Across) -> list[str]:
    safe = r"[0-9A-Za-z][0-9A-Za-z._/@=,+-]*"
    board, row = next(
        ((b.folder, b.row) for b in across.boards if re.fullmatch(safe, b.folder) and re.fullmatch(safe, b.row)),
        ("BOARD", "DOMAIN/ARM"),
    )
    return [
        "## Run it again",
        "In the folder of this file; each board's own page says how its suite is run:",
        "```sh\n"
        "# this page and its plot from the cell files (the same bytes); a board's own page; what is wrong with a board; a row anew\n"
        "w2s-bench leaderboard .\n"
        f"w2s-bench leaderboard {board}\n"
        f"w2s-bench check {board}\n"
        f"w2s-bench verify {board} --row {row}\n"
        "```",
        f"{MADE} alone; do not edit it by hand.",
    ]


def _link(folder: str) -> str:
    return f"[{escape(folder)}]({quote(folder, errors='surrogateescape')}/{README})"


def _listed(parts: Sequence[str], most: int) -> str:
    """All of them, or the first `most` and how many more."""
    if len(parts) <= most:
        return ", ".join(parts)
    return f"{', '.join(parts[:most])} and {len(parts) - most} more"


def _words(arm: str) -> str:
    """One of the harness's own arms as the head of a narrow column, which breaks at spaces."""
    return arm.replace("_", " ")


def _model(name: str) -> str:
    """A model or a domain without its distribution or folders."""
    plain = short(name).rstrip("/")
    return _cut(plain.rpartition("/")[2] or plain)


def _cut(name: str) -> str:
    return shortened(one_line(name), _MOST_NAME)
