"""A folder of boards → the page over all of them and its plot: a function of the cell files alone, as a board's page is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from w2s_bench.errors import CellError, W2SBenchError
from w2s_bench.names import ACROSS, README
from w2s_bench.record import write_atomically
from w2s_bench.results.across import Across, build_across
from w2s_bench.results.belief import read_results
from w2s_bench.results.files import boards_below
from w2s_bench.results.leaderboard import build
from w2s_bench.untrusted import UnreadableError, read_text

#: Bytes of a page that could be one of ours.
_LARGEST: Final = 16 << 20


def write_across(folder: Path) -> Across:
    """Write README.md and the plot over the boards of a folder, and return what they show.

    Raises CellError where a board cannot be believed (naming it), or where a file in their place is somebody else's; nothing is
    written then.
    """
    from w2s_bench.results.pages.across_page import MADE, across_page
    from w2s_bench.results.pages.across_plot import draw_across

    across = read_across(folder)
    for name in (README, ACROSS):
        _refuse_foreign(folder / name, MADE)
    made = {ACROSS: draw_across(across, f"{MADE}."), README: across_page(across, ACROSS)}
    for name, text in made.items():
        write_atomically(folder / name, text)
    return across


def read_across(folder: Path) -> Across:
    """All boards of a folder. Raises CellError where it has none, and, naming the board, where one cannot be believed."""
    if not folder.is_dir():
        what = "is a file" if os.path.lexists(folder) else "is not there"
        raise CellError(f"{folder} {what}; give a suite's results folder, or a folder of such folders")
    boards = {}
    for path in boards_below(folder):
        try:
            suite, cells = read_results(path)
            boards[path.name] = (suite, build(cells, path, suite.description))
        except W2SBenchError as error:
            raise CellError(
                f"board {path.name!r}: {error}; a page over all boards is of all or of none, so nothing is written. "
                f"`w2s-bench check {path}` tells all that is wrong; mend it, or move the folder away",
                getattr(error, "path", None),
            ) from error
    if not boards:
        raise CellError(
            f"no cell files in {folder / 'results'}, and no suite.yaml in any folder right below {folder}; give a suite's results "
            "folder, which holds suite.yaml and results/, or a folder of such folders"
        )
    return build_across(boards)


def _refuse_foreign(path: Path, mark: str) -> None:
    """Refuse to write over what this has not written: a user may name any folder."""
    if not path.exists() and not path.is_symlink():
        return
    try:
        ours = mark in read_text(path, _LARGEST, follow=False)
    except UnreadableError:
        ours = False
    if not ours:
        raise CellError(
            f"{path} is not what `w2s-bench leaderboard` writes over several boards (it lacks the words {mark!r}) and would be written "
            "over; move it away, or name another folder",
            path,
        )
