"""A results folder as leaderboards and `verify` read it: cells that are believed only as far as the suite allows.

A digest says that a file was not altered by mistake; whoever alters it on purpose makes it anew. So every figure that sizes,
bits or another cell contradict is refused, naming the file and the figure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from w2s_bench.errors import CellError
from w2s_bench.names import BUILT_IN, bare
from w2s_bench.results.against_others import (
    ContradictionError,
    refuse_among,
    refuse_among_generations,
    refuse_other_tracks,
)
from w2s_bench.results.against_suite import against_suite
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import read_cells
from w2s_bench.suite import Suite
from w2s_bench.suite_files import read_results_suite


def read_results(results: Path) -> tuple[Suite, list[Cell]]:
    """The suite of a results folder, its domains named in full, and its cells, sorted by domain and arm."""
    cells = read_cells(results)
    suite = suite_of(results, cells)
    refuse_contradictions(cells, suite, results)
    return suite, cells


def suite_of(results: Path, cells: Sequence[Cell]) -> Suite:
    """The suite of a results folder, its domains named in full as its cells have them."""
    full_names = {bare(cell.body.domain.name): cell.body.domain.name for cell in cells}
    suite = read_results_suite(results)
    return suite.with_full_names(lambda name: name if "/" in name else full_names.get(name, f"{BUILT_IN}/{name}"))


def refuse_contradictions(cells: Sequence[Cell], suite: Suite, results: Path) -> None:
    """Refuse cells that are not of this suite, or whose figures its sizes, its other cells or a plugin contradict."""
    if any(cell.body.suite.digest != suite.digest for cell in cells):
        raise CellError(
            f"{results}/suite.yaml is not the suite its cells were made with; restore it, or run the suite again"
        )
    for contradiction in contradictions(cells, suite, results):
        raise contradiction


def contradictions(cells: Sequence[Cell], suite: Suite, results: Path) -> Iterator[ContradictionError]:
    """What the suite, the other cells or a plugin has against cells of this suite, one by one.

    A cell that the suite contradicts is compared with no other. Of cells that contradict each other the one at fault is left
    out, and the others are looked at again.
    """
    by_domain: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        faults = [ContradictionError(cell, results, fault) for fault in against_suite(cell, suite)]
        yield from faults
        if not faults:
            by_domain[cell.body.domain.name].append(cell)
    for domain, here in by_domain.items():
        spec = suite.as_met(suite.domain(domain))
        plain, later = [c for c in here if not c.body.chain], [c for c in here if c.body.chain]
        yield from _one_by_one(plain, partial(refuse_among, spec=spec, results=results))
        yield from _one_by_one(later, partial(refuse_among_generations, spec=spec, results=results))
    sound = [cell for here in by_domain.values() for cell in here]
    yield from _one_by_one(sound, partial(refuse_other_tracks, results=results))


def _one_by_one(cells: Sequence[Cell], refuse: Callable[[Sequence[Cell]], None]) -> Iterator[ContradictionError]:
    """What `refuse` raises, again and again without the cell that was at fault."""
    left = list(cells)
    while left:
        try:
            refuse(left)
            return
        except ContradictionError as contradiction:
            yield contradiction
            left = [cell for cell in left if cell is not contradiction.cell]
