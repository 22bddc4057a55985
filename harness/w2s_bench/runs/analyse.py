"""A finished run, looked at: why its arms came out as they did. Gold may be read, for nothing is trained or chosen by it.

Labels, scores and kept rows come out of the store of the run, and must be those that its cells tell of. Two kinds of stages
are new, and go through the same store: students that tell how hard an item is, and gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2s_bench.controls import EASY, EASY_GOLD, GOLD_RANDOM, RANDOM
from w2s_bench.errors import CellError
from w2s_bench.names import short
from w2s_bench.protocol.gradients import Gradients
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.recipes import RECIPES
from w2s_bench.protocol.scores import Scores
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.consent import placements, refuse_unasked
from w2s_bench.results.leaderboard import build
from w2s_bench.results.mechanisms import curriculum
from w2s_bench.results.mechanisms.attribution import attribution
from w2s_bench.results.mechanisms.directions import Sample, of_domain
from w2s_bench.results.mechanisms.facts import (
    SECTIONS,
    Analysis,
    ArmCurriculum,
    BySeed,
    Curriculum,
    DomainAnalysis,
)
from w2s_bench.results.mechanisms.orders import orders
from w2s_bench.runs.finished import FinishedRun, alive, decomposed
from w2s_bench.runs.labelled import fit_of, solutions_of
from w2s_bench.runs.looked import Taken

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.protocol.generation import Generation
    from w2s_bench.runs.plan import PlannedCell

#: Rows of the pool, and of the held-out items, whose gradients are taken.
SAMPLE: Final = 256
#: The sections that cells alone tell.
_OF_CELLS: Final = ("order", "attribution")
#: Controls whose PGR tells what easy rows are worth, each beside the one that it is to be compared with.
_OF_EASY: Final = (EASY, RANDOM, EASY_GOLD, GOLD_RANDOM)


def analyse(
    results: Path,
    *,
    store: str | Path,
    executor: Executor,
    events: Callable[[Event], None] = lambda event: None,
    domains: Sequence[str] = (),
    sections: Sequence[str] = SECTIONS,
    sample: int = SAMPLE,
    trust_folder: bool = False,
) -> Analysis:
    """The mechanisms of a results folder's run, over all its seeds; `domains` and `sections` restrict it.

    `sample` rows of the pool have their gradients taken. Raises StoreError, with the command that makes it again, where the
    store lacks what the run made; `trust_folder` as for `verify`.
    """
    from w2s_bench.store import open_store

    suite, every = read_results(results)
    own = [cell for cell in every if not (cell.body.chain or cell.body.arm.is_other_objective)]
    chosen = {suite.domain(name).name for name in domains}
    cells = [cell for cell in own if not chosen or cell.body.domain.name in chosen]
    if not cells:
        raise CellError(f"{results} has no cells of {', '.join(map(short, sorted(chosen)))}; run the suite there, too")
    if not trust_folder:
        refuse_unasked(suite, cells, results, placements(suite, cells, {}))
    run = FinishedRun(results, suite, cells, open_store(store))
    problems: tuple[str, ...] = ()
    if {*sections} - {*_OF_CELLS}:
        run.look(executor, events, sections, sample)
        problems = run.problems
    board = build(own, results)
    no_order = {short(d.name): RECIPES[d.student.recipe].no_order(d.student) for d in suite.domains}
    compared = {short(d.name): _comparison(own, d.name) for d in suite.domains if short(d.name) in run.names}
    attributed = attribution(board, compared) if "attribution" in sections else ()
    told = {name: _domain(run, name, compared[name], sections) for name in compared}
    if "order" in sections:
        told = {
            name: replace(domain, orders=orders(compared[name]), no_order=no_order[name] or "")
            for name, domain in told.items()
        }
    return Analysis(
        suite=suite.name,
        seeds=tuple(range(suite.seeds)),
        sections=tuple(name for name in SECTIONS if name in sections),
        domains=tuple(told.values()),
        attribution=attributed,
        decompose="" if decomposed(own) else run.command(["--decompose"]),
        problems=problems,
    )


def _comparison(cells: Sequence[Cell], domain: str) -> Comparison:
    return Comparison({short(c.body.arm.name): c for c in cells if short(c.body.domain.name) == short(domain)})


def _domain(run: FinishedRun, name: str, compared: Comparison, sections: Sequence[str]) -> DomainAnalysis:
    """What there is of one domain; a seed whose stages failed is left out of it."""
    if not run.planned:
        return DomainAnalysis(name)
    pairs = run.planned[name]
    seeds = [graph.seed for graph in pairs[0][0].graphs if (name, graph.seed) not in run.failed]
    analysis = DomainAnalysis(name)
    if not seeds:
        return analysis
    if "curriculum" in sections:
        easy = {arm: compared.pgr(arm) for arm in _OF_EASY if arm in compared.cells}
        analysis = replace(analysis, curriculum=_curriculum(run, name, pairs, seeds), easy=easy)
    if "gradients" in sections:
        tracks = {short(told.body.arm.name): _track(told) for _, told in pairs}
        looked = {seed: run.looked[name, seed] for seed in seeds}
        untuned = [_sample(run, pairs, seed, at.untuned) for seed, at in looked.items()]
        analysis = replace(analysis, gradients=of_domain(untuned, tracks))
        if all(at.warmed is not None for at in looked.values()):
            warmed = [_sample(run, pairs, seed, at.warmed) for seed, at in looked.items()]
            steps = max(at.steps for at in looked.values())
            analysis = replace(analysis, warmed=of_domain(warmed, tracks, steps=steps))
    graphs = [pairs[0][0].graphs[seed] for seed in seeds]
    if "fit" in sections:
        analysis = replace(analysis, fit=fit_of(run.results, graphs))
    if "faithfulness" in sections and graphs[0].task.domain.kind == "generate":
        arms = [
            (short(told.body.arm.name), _track(told), [cell.stages[seed].kept for seed in seeds])
            for cell, told in pairs
            if _keeps_weak_labels_alone(told) and alive(told, seeds) == seeds
        ]
        analysis = replace(analysis, solutions=solutions_of(run.results, graphs, arms))
    return analysis


def _curriculum(
    run: FinishedRun, name: str, pairs: Sequence[tuple[PlannedCell, Cell]], seeds: Sequence[int]
) -> Curriculum:
    difficulty = {seed: _difficulty(run, name, seed) for seed in seeds}
    right = {seed: _right(run, pairs[0][0].graphs[seed]) for seed in seeds}
    arms = []
    for cell, told in pairs:
        if not _keeps_some(told):
            continue
        by_seed = []
        for seed in alive(told, seeds):
            own = cell.stages[seed]
            assert own.kept is not None
            scores = dict(Scores.read(run.results.folder(own.scores)).items()) if own.scores else None
            kept = Kept.read(run.results.folder(own.kept)).weights
            by_seed.append(curriculum.of_seed(difficulty[seed], right[seed], kept, scores))
        if by_seed:
            covered = [of_seed.by_coverage for of_seed in by_seed if of_seed.by_coverage]
            arms.append(
                ArmCurriculum(
                    short(told.body.arm.name),
                    _track(told),
                    spearman=BySeed(tuple(of_seed.spearman for of_seed in by_seed)),
                    among_right=BySeed(tuple(of_seed.among_right for of_seed in by_seed)),
                    kept_place=BySeed(tuple(of_seed.kept_place for of_seed in by_seed)),
                    kept_loss=BySeed(tuple(of_seed.kept_loss for of_seed in by_seed)),
                    by_coverage=tuple(sum(at) / len(covered) for at in zip(*covered, strict=True)),
                )
            )
    return Curriculum(
        BySeed(tuple(sum(of.values()) / len(of) for of in difficulty.values())),
        BySeed(tuple(curriculum.of_right(difficulty[seed], right[seed]) for seed in seeds)),
        tuple(arms),
    )


def _difficulty(run: FinishedRun, name: str, seed: int) -> Mapping[str, float]:
    stage = run.looked[name, seed].difficulty
    assert stage is not None
    return dict(Scores.read(run.results.folder(stage)).items())


def _right(run: FinishedRun, graph: Generation) -> Mapping[str, bool]:
    return run.results.grades(graph.label_grades(graph.pool))


def _sample(run: FinishedRun, pairs: Sequence[tuple[PlannedCell, Cell]], seed: int, taken: Taken | None) -> Sample:
    """One seed's gradients at one student, with the rows of each arm that trains on one set of labels of the pool."""
    assert taken is not None
    weak, gold = (Gradients.read(run.results.folder(stage)) for stage in (taken.weak, taken.gold))
    held_out = Gradients.read(run.results.folder(taken.held_out)).values if taken.held_out else None
    rows: dict[str, tuple[str, list[str]]] = {}
    for cell, told in pairs:
        arm = told.body.arm
        if len(arm.facts.rows) != 1 or arm.facts.of_pool is None or arm.made_of or seed not in alive(told, [seed]):
            continue
        own = cell.stages[seed].kept
        kept = weak.places.keys() if own is None else Kept.read(run.results.folder(own)).weights.keys()
        rows[short(arm.name)] = (arm.facts.of_pool.labels, [row for row in weak.places if row in kept])
    return Sample(weak.values, gold.values, dict(weak.places), rows, held_out)


def _keeps_some(told: Cell) -> bool:
    """Whether it keeps some rows of the pool and drops others."""
    arm = told.body.arm
    of_pool = arm.facts.of_pool
    return of_pool is not None and of_pool.share != "all" and not arm.made_of


def _keeps_weak_labels_alone(told: Cell) -> bool:
    arm = told.body.arm
    return arm.facts.keeps_weak_labels and len(arm.facts.rows) == 1 and not arm.made_of


def _track(told: Cell) -> str:
    return told.body.arm.supervision if told.body.arm.role == "trust_function" else "control"
