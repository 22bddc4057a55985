"""A results folder as leaderboards and `verify` read it: cells that are believed only as far as the suite allows.

A digest says that a file was not altered by mistake; whoever alters it on purpose makes it anew. So every figure that sizes,
bits or another cell contradict is refused, naming the file and the figure.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from w2s_bench.controls import OWN_ARMS, made_of
from w2s_bench.errors import CellError
from w2s_bench.names import BUILT_IN, bare, of_arm, selected, short
from w2s_bench.results.cells import LABEL_PROBABILITY_AUROC, ArmRef, Cell, SeedResult
from w2s_bench.results.figures import denominator, is_whole
from w2s_bench.results.files import read_cells
from w2s_bench.suite import Suite, read_results_suite
from w2s_bench.suite_domain import DomainSpec


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


class ContradictionError(CellError):
    """A cell that cannot be, and the `fault` that shows it."""

    def __init__(self, cell: Cell, results: Path, fault: str) -> None:
        self.cell, self.fault = cell, fault
        super().__init__(f"{cell.path(results)} cannot be: {fault}; restore it, or run the row again")


def contradictions(cells: Sequence[Cell], suite: Suite, results: Path) -> Iterator[ContradictionError]:
    """What the suite, the other cells or a plugin has against cells of this suite, one by one.

    A cell that the suite contradicts is compared with no other. Of cells that contradict each other the one at fault is left
    out, and the others are looked at again.
    """
    by_domain: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        faults = [ContradictionError(cell, results, fault) for fault in _against_suite(cell, suite)]
        yield from faults
        if not faults:
            by_domain[cell.body.domain.name].append(cell)
    for domain, here in by_domain.items():
        spec = suite.domain(domain)
        plain, later = [c for c in here if not c.body.chain], [c for c in here if c.body.chain]
        yield from _one_by_one(plain, partial(_refuse_among, spec=spec, results=results))
        yield from _one_by_one(later, partial(_refuse_among_generations, spec=spec, results=results))
    sound = [cell for here in by_domain.values() for cell in here]
    yield from _one_by_one(sound, partial(_refuse_other_tracks, results=results))


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


def _error(cell: Cell, results: Path, fault: str) -> ContradictionError:
    return ContradictionError(cell, results, fault)


def _against_suite(cell: Cell, suite: Suite) -> Iterator[str]:
    """What in a cell the suite contradicts."""
    body, arm = cell.body, cell.body.arm
    ref = body.suite
    stated = {"name": ref.name, "version": ref.version, "evaluate_on": ref.evaluate_on, "protocol": body.protocol}
    for what, value in stated.items():
        if value != (true := getattr(suite, what)):
            yield f"it has {what} {value!r}, the suite {true!r}"
    spec = next((domain for domain in suite.domains if domain.name == body.domain.name), None)
    if spec is None:
        yield f"the suite has no domain {body.domain.name!r}"
        return
    if body.chain is not None and (faults := list(_against_chain(cell, spec))):
        yield from faults
        return
    teaches, learns = spec.link(body.generation) if body.chain else (spec.teacher, spec.student)
    stated = {"version": body.domain.version, "teacher": body.teacher.name, "student": body.student.name}
    for what, value in stated.items():
        true = {"version": spec.version, "teacher": teaches.model, "student": learns.model}[what]
        if value != true:
            yield f"it has {what} {value!r}, the suite's domain {true!r}"
    if len(body.seeds) != suite.seeds:
        yield f"it has {len(body.seeds)} seeds, the suite {suite.seeds}"
    if body.correctness() and body.items != (size := spec.sizes.of(suite.evaluate_on)):
        yield f"it has {body.items} items, the suite {size}"
    if arm.trusts is not None:
        yield from _against_plugin(cell, suite)
    elif body.plugin is not None:
        yield f"arm {arm.name!r} is the harness's own, and is said to come from {body.plugin.distribution!r}"
    elif arm.trust_function is not None or arm.parameters or arm.selection is not None:
        yield f"arm {arm.name!r} is the harness's own, and has a trust function, its parameters or its selection"
    yield from _against_objectives(arm, suite)
    if arm.coverage != (asked := arm.facts.coverage(suite.coverage)):
        whose = "the suite" if asked == suite.coverage else f"arm {arm.name!r}"
        yield f"it has coverage {arm.coverage}, {whose} {asked}"
        return
    for seed in body.seeds:
        if seed.error is None:
            yield from (f"seed {seed.seed}: {fault}" for fault in _against_sizes(cell, seed, suite, spec))


def _against_objectives(arm: ArmRef, suite: Suite) -> Iterator[str]:
    if arm.objective is None:
        return
    if arm.objective not in suite.objectives:
        named = ", ".join(map(repr, suite.objectives)) or "none beside its students' own"
        yield f"it has objective {arm.objective!r}, the suite's are {named}"
    if arm.selection not in (None, "top") or not (arm.selection or arm.facts.keeps_all_weak_labels):
        yield f"it has objective {arm.objective!r}, which arms of all weak labels and those by `top` alone can have"


def _against_chain(cell: Cell, spec: DomainSpec) -> Iterator[str]:
    """What a generation's cell says of its chain, against that of the suite's domain."""
    chain, arm = cell.body.chain, cell.body.arm
    assert chain is not None
    if not spec.chain:
        yield f"it is a generation of a chain, and the suite has none in {spec.name!r}"
        return
    if (chain.generations, chain.pool) != (spec.generations, spec.pool):
        yield (
            f"its chain has {chain.generations} generations with pool {chain.pool!r}, the suite's domain {spec.generations} with "
            f"pool {spec.pool!r}"
        )
    if not arm.facts.chains:
        yield f"arm {arm.name!r} has no chain"
    sizes = spec.sizes
    _, learns = spec.link(min(cell.body.generation, spec.generations))
    for what, spent, least in (
        ("its chain", chain.spent, learns.steps),
        ("one hop", chain.one_hop, spec.student.steps),
    ):
        if spent.steps < least:
            yield f"{what} took {spent.steps} steps, its last student alone takes {least}"
        if spent.gold_labels > (most := sizes.weak_train + sizes.trust + sizes.transfer):
            yield f"{what} had {spent.gold_labels} gold labels, of {most} items"


def _against_plugin(cell: Cell, suite: Suite) -> Iterator[str]:
    arm, plugin = cell.body.arm, cell.body.plugin
    said = selected(arm.selection or "top", arm.trusts or "")
    if (made := made_of(short(arm.name))) is not None:
        said = of_arm(made[0].word, said)
    if (said := arm.under(said)) != arm.name:
        yield f"arm {arm.name!r} is said to be {said!r}"
    if plugin is None or plugin.distribution != (arm.trusts or "").partition("/")[0]:
        origin = "nowhere" if plugin is None else repr(plugin.distribution)
        yield f"trust function {arm.name!r} is said to come from {origin}"
    if arm.selection not in suite.selections:
        yield f"it has selection {arm.selection!r}, the suite's are {', '.join(map(repr, suite.selections))}"


def _against_sizes(cell: Cell, seed: SeedResult, suite: Suite, spec: DomainSpec) -> Iterator[str]:
    """What one seed says of the rows kept, against the sizes of the suite's splits."""
    chained = cell.body.chain is not None
    facts, pool = cell.body.arm.facts, spec.pool_rows(chained=chained)
    if not facts.rows:
        if seed.kept is not None or seed.shortfall:
            name = short(cell.body.arm.name)
            yield f"{name} keeps no rows; it has kept {seed.kept}, shortfall {seed.shortfall}"
        return
    if seed.kept is None or seed.purity is None:
        yield f"it lacks {'kept' if seed.kept is None else 'purity'}"
        return
    wanted = beside = _beside(cell, spec)
    if facts.of_pool is None:
        if seed.coverage is not None:
            yield f"coverage {seed.coverage}, of gold that is not of the pool"
    else:
        wanted += pool if facts.of_pool.share == "all" else suite.kept_rows(spec, chained=chained)
        if seed.coverage is None or abs(seed.coverage * pool - (seed.kept - beside)) > 1e-6 * pool:
            yield f"coverage {seed.coverage}, with {seed.kept - beside} of {pool} rows kept"
    if seed.kept + seed.shortfall != wanted:
        yield f"kept {seed.kept} and shortfall {seed.shortfall}, where {wanted} rows were asked for"
    if seed.shortfall and not facts.may_fall_short:
        able = ", ".join(name for name, own in OWN_ARMS.items() if own.may_fall_short)
        yield f"shortfall {seed.shortfall}, which only {able} can have"
    if facts.all_right and seed.purity != 1.0:
        yield f"purity {seed.purity}, where every row is right"
    if facts.all_wrong and seed.purity != 0.0:
        yield f"purity {seed.purity}, where every row is wrong"


def _beside(cell: Cell, spec: DomainSpec) -> int:
    """How many rows an arm trains on beside those of the pool: gold of the trust set, all of it or none."""
    return spec.sizes.trust if cell.body.arm.facts.with_trust_set else 0


def _refuse_among_generations(cells: Sequence[Cell], spec: DomainSpec, results: Path) -> None:
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


def _refuse_among(cells: Sequence[Cell], spec: DomainSpec, results: Path) -> None:
    """Refuse cells of one domain that contradict each other: labels that are right, sizes of strata."""
    right = _right_labels(cells, spec.sizes.transfer, results)
    for cell in cells:
        for seed in cell.body.seeds:
            if cell.body.arm.facts.hangs_on_weak_labels and seed.seed in right:
                for fault in _against_labels(cell, seed, right[seed.seed], spec):
                    raise _error(cell, results, f"seed {seed.seed}: {fault}")
    _refuse_unlike(cells, results)
    _refuse_strata(cells, spec.sizes.transfer, spec, results)


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
        kept = [
            (cell, seed.diagnostics["kept_by_stratum"], float((seed.kept or 0) - _beside(cell, spec)))
            for cell in cells
            for seed in cell.body.seeds
            if seed.seed == number and seed.diagnostics.get("kept_by_stratum")
        ]
        _refuse_misfit(kept, pool, f"seed {number}: kept_by_stratum", results)


def _refuse_unlike(cells: Sequence[Cell], results: Path) -> None:
    """Refuse controls made of another arm that did not keep what their words say of it: its rows, or as many of each kind."""
    arms = {short(cell.body.arm.name): cell for cell in cells}
    for cell in cells:
        made = made_of(short(cell.body.arm.name))
        if made is None or (arm := arms.get(made[1])) is None:
            continue
        for here, there in zip(cell.body.seeds, arm.body.seeds, strict=False):
            if here.error is not None or there.error is not None:
                continue
            shared = [what for what in ("kept_by_stratum", "kept_by_label") if what in here.diagnostics]
            figures = {what: (here.diagnostics[what], there.diagnostics.get(what)) for what in shared}
            figures["kept"] = (here.kept, there.kept)
            if any(rows.drawn == "same" for rows in made[0].rows):
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
    beside = _beside(cell, spec)
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


def _refuse_other_tracks(cells: Sequence[Cell], results: Path) -> None:
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
        own = arm.trusts is not None and (made is None or made[0].supervision is None)
        registered = built_in.get(arm.trust_function or "") if own else None
        track = getattr(unwrap(registered.factory), "supervision", None) if registered else None
        if isinstance(track, str) and track != arm.supervision:
            raise _error(cell, results, f"supervision {arm.supervision!r}, where that of {arm.name!r} is {track!r}")
