"""The boards of a folder → its curves → their page and plots: a function of the cell files alone, as a board's page is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from w2s_bench.errors import CellError
from w2s_bench.names import CURVES, README
from w2s_bench.record import write_atomically
from w2s_bench.results.belief import read_results
from w2s_bench.results.curves import About, Curve, Point, curve
from w2s_bench.results.leaderboard import build
from w2s_bench.suite import Suite

#: The file of each curve's plot, and that of purity and accuracy by coverage.
PLOTS: Final[Mapping[About, str]] = MappingProxyType({"gold_budget": "gold.svg", "coverage": "coverage.svg"})
KEPT: Final = "purity.svg"
#: All that this writes beside the boards.
CURVE_PAGES: Final = (README, *PLOTS.values(), KEPT)


def write_curves(results: Path) -> Path | None:
    """Write `curves/README.md` and the plots of a results folder; its path, or None where the folder has no curves."""
    made = curve_pages(results)
    if not made:
        return None
    for name, text in made.items():
        write_atomically(results / CURVES / name, text)
    for name in {*CURVE_PAGES} - {*made}:
        (results / CURVES / name).unlink(missing_ok=True)
    return results / CURVES / README


def curve_pages(results: Path) -> dict[str, str]:
    """File name → text of what stands beside the boards of a results folder's curves; empty where there are none.

    Raises CellError as `read_curves` does.
    """
    from w2s_bench.results.pages.coverage_plot import draw_coverage
    from w2s_bench.results.pages.curve_page import curve_page
    from w2s_bench.results.pages.curve_plot import draw_curve

    curves = read_curves(results)
    if not curves:
        return {}
    made = {PLOTS[curve.about]: draw_curve(curve) for curve in curves}
    by_coverage = next((each for each in curves if each.about == "coverage"), None)
    if by_coverage is not None:
        made[KEPT] = draw_coverage(by_coverage)
    return {**made, README: curve_page(curves[0].own.suite.name, curves, PLOTS, KEPT)}


def points_of(results: Path) -> list[Path]:
    """The folders of a results folder's curves, each with the board of one point; links are none."""
    if (results / CURVES).is_symlink():
        return []
    return sorted(path for path in (results / CURVES).glob("*") if path.is_dir() and not path.is_symlink())


def read_curves(results: Path) -> tuple[Curve, ...]:
    """The curves of a results folder: its own board and those under `curves/`. Empty where there are none.

    Raises CellError where a board there is of another suite, or differs in something else.
    """
    folders = points_of(results)
    if not folders:
        return ()
    suite, cells = read_results(results)
    own = build(cells, results)
    read = [(folder, *read_results(folder)) for folder in folders]
    boards = [(folder.name, there, build(those, folder)) for folder, there, those in read]
    for name, there, _ in boards:
        _refuse_another(suite, there, results / CURVES / name)
    found = []
    about: About
    for about in ("gold_budget", "coverage"):
        points = [
            Point(at, board, f"{name}/")
            for name, there, board in boards
            if (at := getattr(there, about)) is not None and at != getattr(suite, about)
        ]
        if points:
            found.append(curve(about, suite, own, points))
    return tuple(found)


def _refuse_another(suite: Suite, there: Suite, folder: Path) -> None:
    """A point differs from the suite in its name, and in a coverage or in a gold budget."""
    numbers = {"coverage": there.coverage, "gold_budget": there.gold_budget}
    changed = {name: value for name, value in numbers.items() if value != getattr(suite, name)}
    if len(changed) != 1 or suite.model_copy(update={**changed, "name": there.name}).digest != there.digest:
        raise CellError(
            f"{folder} is no point of a curve of suite {suite.name!r}: it must differ in its coverage or its gold budget and in "
            "nothing else; move it away"
        )
