"""What in one cell the other cells of its folder contradict: labels that are right, sizes of strata, rows that are shared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np

from w2s_bench.controls import made_of
from w2s_bench.errors import CellError
from w2s_bench.names import BUILT_IN, short
from w2s_bench.results.against_suite import rows_beside
from w2s_bench.results.cells import Cell
from w2s_bench.results.figures import denominator, is_whole
from w2s_bench.results.seed_results import (
    KEPT_BY_DIFFICULTY,
    KEPT_BY_LABEL,
    KEPT_BY_LENGTH,
    KEPT_BY_STRATUM,
    LABEL_PROBABILITY_AUROC,
    SeedResult,
)
from w2s_bench.suite_domain import DomainSpec
from w2s_bench.types import Supervision


class ContradictionError(CellError):
    """A cell that cannot be, and the `fault` that shows it."""

    def __init__(self, cell: Cell, results: Path, fault: str) -> None:
        self.cell, self.fault = cell, fault
        super().__init__(f"{cell.path(results)} cannot be: {fault}; restore it, or run the row again")


def refuse_among_generations(cells: Sequence[Cell], spec: DomainSpec, results: Path) -> None:
    """Refuse generations of chains whose figures contradict each other, or what they say of their own labels.

    Each has labels of its own. The strata of test are the same in all of them, those of the pool in each generation.
    """
    pool = spec.pool_rows(chained=True)
    for cell in cells:
        for seed in cell.body.seeds:
            if (share := seed.diagnostics.get("label_accuracy")) is None:
                continue
            if not is_whole(share * pool):
                said = f"seed {seed.seed}: label_accuracy {share} of {pool} labels would be {share * pool:.3f} labels"
                raise _error(cell, results, said)
            for fault in _against_labels(cell, seed, round(share * pool), spec):
                raise _error(cell, results, f"seed {seed.seed}: {fault}")
    for number in sorted({cell.body.generation for cell in cells}):
        here = [cell for cell in cells if cell.body.generation == number]
        _refuse_strata(here, pool, spec, results)


def refuse_among(cells: Sequence[Cell], spec: DomainSpec, results: Path) -> None:
    """Refuse cells of one domain that contradict each other: labels that are right, sizes of strata."""
    labelled = spec.pool_rows(chained=False)
    right = _right_labels(cells, labelled, results)
    for cell in cells:
        for seed in cell.body.seeds:
            if cell.body.arm.facts.hangs_on_weak_labels and seed.seed in right:
                for fault in _against_labels(cell, seed, right[seed.seed], spec):
                    raise _error(cell, results, f"seed {seed.seed}: {fault}")
    _refuse_unlike(cells, spec, results)
    # What trains on all gold of the pool keeps items that have no weak label, too (label source `scarce`).
    whole = [cell for cell in cells if _of_whole_pool(cell)]
    _refuse_strata([cell for cell in cells if not _of_whole_pool(cell)], labelled, spec, results)
    _refuse_strata(whole, spec.sizes.transfer, spec, results)


def _of_whole_pool(cell: Cell) -> bool:
    rows = cell.body.arm.facts.of_pool
    return rows is not None and rows.whole_pool


def _refuse_strata(cells: Sequence[Cell], pool: int, spec: DomainSpec, results: Path) -> None:
    """Refuse cells of one domain that no sizes of the strata of test, and of a `pool` of so many items, fit."""
    tested = [
        (cell, seed.by_stratum, float(seed.accuracy or 0.0) * cell.body.items)
        for cell in cells
        for seed in cell.body.seeds
        if seed.by_stratum
    ]
    _refuse_misfit(tested, max((cell.body.items for cell in cells), default=0), "by_stratum", results)
    for number in {seed.seed for cell in cells for seed in cell.body.seeds}:
        for name in (KEPT_BY_STRATUM, KEPT_BY_LENGTH, KEPT_BY_DIFFICULTY):
            kept = [
                (cell, seed.diagnostics[name], float((seed.kept or 0) - rows_beside(cell, spec)))
                for cell in cells
                for seed in cell.body.seeds
                if seed.seed == number and seed.diagnostics.get(name)
            ]
            _refuse_misfit(kept, pool, f"seed {number}: {name}", results)


def _refuse_unlike(cells: Sequence[Cell], spec: DomainSpec, results: Path) -> None:
    """Refuse controls made of another arm that did not keep what their words say of it: its rows, or as many of each kind."""
    arms = {short(cell.body.arm.name): cell for cell in cells}
    for cell in cells:
        made = made_of(short(cell.body.arm.name))
        if made is None or (arm := arms.get(made[1])) is None:
            continue
        for here, there in zip(cell.body.seeds, arm.body.seeds, strict=False):
            if here.error is not None or there.error is not None:
                continue
            shared = [KEPT_BY_STRATUM] if KEPT_BY_STRATUM in here.diagnostics else []
            if all(KEPT_BY_LABEL in s.diagnostics for s in (here, there)):  # one of them may be of before `LATER`
                shared.append(KEPT_BY_LABEL)
            figures = {what: (here.diagnostics[what], there.diagnostics.get(what)) for what in shared}
            beside = rows_beside(cell, spec)
            figures["kept"] = (None if here.kept is None else here.kept - beside, there.kept)
            if not beside and any(rows.drawn == "same" for rows in made[0].rows):  # the digest is of all rows
                figures["digest of kept rows"] = (here.digests.get("kept"), there.digests.get("kept"))
            for what, (own, others) in figures.items():
                if own != others:
                    fault = f"seed {here.seed}: {what} is not that of {made[1]}, which it is made of ({own} against {others})"
                    raise _error(cell, results, fault)


def _right_labels(cells: Sequence[Cell], pool: int, results: Path) -> dict[int, int]:
    """Seed → how many labels of the pool are right, as the teacher's cell says, or else one of an arm that keeps them all."""
    right: dict[int, int] = {}
    for cell in cells:
        if cell.body.arm.facts.keeps_all_weak_labels:
            right |= {seed.seed: round(seed.purity * pool) for seed in cell.body.seeds if seed.purity is not None}
    for cell in cells:
        for seed in cell.body.seeds if cell.body.arm.facts.answers == "teacher" else ():
            if (share := seed.diagnostics.get("label_accuracy")) is None:
                continue
            if not is_whole(share * pool):
                said = f"seed {seed.seed}: label_accuracy {share} of {pool} labels would be {share * pool:.3f} labels"
                raise _error(cell, results, said)
            right[seed.seed] = round(share * pool)
    return right


def _against_labels(cell: Cell, seed: SeedResult, right: int, spec: DomainSpec) -> Iterator[str]:
    """What one seed says of its rows and scores, where so many labels of the pool are right."""
    pool = spec.pool_rows(chained=cell.body.chain is not None)
    wrong = pool - right
    labels, pairs = f"where {right} of {pool} labels are right", right * wrong

    def possible(auroc: float) -> bool:
        return bool(pairs) and is_whole(2 * auroc * pairs)  # a pair counts one, a half where the two tie, or zero

    surer = seed.diagnostics.get(LABEL_PROBABILITY_AUROC)
    if surer is not None and not possible(surer):
        yield f"{LABEL_PROBABILITY_AUROC} {surer}, {labels}"
    if seed.kept is None or seed.purity is None:
        return
    beside = rows_beside(cell, spec)
    if beside and cell.body.own_training_gold:
        return  # how many of the rows beside are right, nobody has said
    kept, kept_right = seed.kept - beside, round(seed.purity * seed.kept) - beside
    kept_wrong = kept - kept_right
    if not 0 <= kept_right <= right or kept_wrong > wrong:
        yield f"purity {seed.purity} of {seed.kept} rows, {labels}"
        return
    asked, drawn = kept + seed.shortfall, cell.body.arm.facts.of_pool
    if drawn is not None and drawn.by_gold:
        fewest, most = drawn.candidates(right, wrong)
        if not max(0, asked - most) <= seed.shortfall <= max(0, asked - fewest):
            yield f"shortfall {seed.shortfall} of {asked} rows, {labels}"
    if (auroc := seed.diagnostics.get("auroc")) is None:
        return
    if not possible(auroc):
        yield f"auroc {auroc}, {labels}"
    if cell.body.arm.is_other_selection or cell.body.arm.made_of:
        return
    # A kept row has no lower score than one that was not kept.
    low, high = kept_right * (wrong - kept_wrong) / 2, pairs - kept_wrong * (right - kept_right) / 2
    if not low - 1e-6 <= auroc * pairs <= high + 1e-6:
        yield f"auroc {auroc}, with {kept_right} of the {kept} rows of highest score right, {labels}"


def _refuse_misfit(
    rows: Sequence[tuple[Cell, Mapping[str, float], float]], total: int, what: str, results: Path
) -> None:
    """Refuse shares by stratum for which no sizes of the strata, the same in every cell and `total` in all, give the counts."""
    if not rows:
        return
    names = sorted(rows[0][1])
    for cell, shares, _ in rows:
        if sorted(shares) != names:
            other = rows[0][0].path(results)
            raise _error(cell, results, f"{what} has other strata than {other}")
    parts = {id(shares): [denominator(shares[name], total) for name in names] for _, shares, _ in rows}

    def fits(chosen: Sequence[tuple[Cell, Mapping[str, float], float]]) -> bool:
        # The size of a stratum is a multiple of every denominator; where two times it would be too many, it is settled.
        least = [math.lcm(*column) for column in zip(*(parts[id(shares)] for _, shares, _ in chosen), strict=True)]
        spare = total - sum(least)
        if spare < 0:
            return False
        settled = np.array([size > spare for size in least])
        matrix = np.array([[1.0] * len(names), *([shares[name] for name in names] for _, shares, _ in chosen)])
        counts = np.array([float(total), *(count for _, _, count in chosen)])
        counts -= matrix[:, settled] @ np.array(least, dtype=float)[settled]
        sizes = np.linalg.lstsq(matrix[:, ~settled], counts, rcond=None)[0]
        return bool(np.abs(matrix[:, ~settled] @ sizes - counts).max() <= 1e-6 * total)

    if fits(rows):
        return
    cells = {id(cell): cell for cell, _, _ in rows}
    # The cell without which all the others fit is at fault. Where there is none, any of them may be.
    alone = [c for c in cells.values() if len(cells) > 2 and fits([row for row in rows if row[0] is not c])]
    if len(alone) == 1:
        raise _error(alone[0], results, f"{what} fits no sizes of the strata that the other cells of its domain have")
    first = next(iter(cells.values()))
    raise _error(first, results, f"{what}, of it or of other cells of its domain, fits no sizes of the strata")


def refuse_other_tracks(cells: Sequence[Cell], results: Path) -> None:
    """Refuse a built-in trust function in a track that is not its own. Others' code is not loaded to look at a file."""
    named = {c.body.arm.trust_function or c.body.arm.name for c in cells if c.body.arm.trusts is not None}
    if not any(name.startswith(f"{BUILT_IN}/") for name in named):
        return
    from w2s_bench.plugins.descriptions import unwrap
    from w2s_bench.plugins.registry import Registry

    built_in = Registry.load(restrict=()).trust_functions
    for cell in cells:
        arm = cell.body.arm
        made = made_of(short(arm.name))
        registered = built_in.get(arm.trust_function or "") if arm.trusts is not None else None
        track = getattr(unwrap(registered.factory), "supervision", None) if registered else None
        if track == "none" and arm.guarantee is not None:
            track = "trust_set"  # its threshold is set by the trust set's gold
        if made is not None and track in get_args(Supervision):
            track = made[0].track(cast(Supervision, track))
        if isinstance(track, str) and track != arm.supervision:
            raise _error(cell, results, f"supervision {arm.supervision!r}, where that of {arm.name!r} is {track!r}")


def _error(cell: Cell, results: Path, fault: str) -> ContradictionError:
    return ContradictionError(cell, results, fault)
