"""A finished run, looked at: why its arms came out as they did. Gold may be read, for nothing is trained or chosen by it.

Labels, scores and kept rows come out of the store of the run, and must be those that its cells tell of. Two kinds of stages
are new, and go through the same store: students that tell how hard an item is, and gradients.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2s_bench.controls import EASY, EASY_GOLD, GOLD_RANDOM, RANDOM, made_of
from w2s_bench.errors import CellError, StoreError, W2SBenchError
from w2s_bench.executors import Failed, preparing
from w2s_bench.names import BUILT_IN, short
from w2s_bench.protocol.gradients import Gradients
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.recipes import RECIPES
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import digest_of
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
from w2s_bench.runs.labelled import fit_of, solutions_of
from w2s_bench.runs.looked import Looked, Taken, new_stages
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.preview import explain
from w2s_bench.store.stage import Stage, walk

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.protocol.generation import Generation
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.store import Store
    from w2s_bench.suite import Suite

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
    run = _Run(results, suite, cells, open_store(store))
    problems: tuple[str, ...] = ()
    if {*sections} - {*_OF_CELLS}:
        run.look(executor, events, sections, sample)
        problems = run.problems
    board = build(own, results)
    no_order = {short(d.name): RECIPES[d.student.recipe].no_order(d.student) for d in suite.domains}
    compared = {short(d.name): _comparison(own, d.name) for d in suite.domains if short(d.name) in run.names}
    attributed = attribution(board, compared) if "attribution" in sections else ()
    told = {name: run.domain(name, compared[name], sections) for name in compared}
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
        decompose="" if _decomposed(own) else run.command(["--decompose"]),
        problems=problems,
    )


def _explaining(cells: Sequence[Cell]) -> set[str]:
    """The controls that a run was asked for to explain others: words of those made of an arm, names of others."""
    made = {name: made_of(name) for name in (short(cell.body.arm.name) for cell in cells if cell.body.arm.explains)}
    return {name if known is None else known[0].word for name, known in made.items()}


def _decomposed(cells: Sequence[Cell]) -> bool:
    """Whether that was all of them; a run that was asked for some hardly has the one that this analysis begins with."""
    return EASY in _explaining(cells)


def _controls(cells: Sequence[Cell]) -> list[str]:
    """The options that ask for those again."""
    return [f"--control {name}" for name in sorted(_explaining(cells))]


def _comparison(cells: Sequence[Cell], domain: str) -> Comparison:
    return Comparison({short(c.body.arm.name): c for c in cells if short(c.body.domain.name) == short(domain)})


class _Run:
    """A run as its folder and store have it."""

    def __init__(self, results: Path, suite: Suite, cells: Sequence[Cell], store: Store) -> None:
        self.folder, self.suite, self.cells, self.store = results, suite, cells, store
        self.names = list(dict.fromkeys(short(cell.body.domain.name) for cell in cells))
        self.problems: tuple[str, ...] = ()
        self._looked: dict[tuple[str, int], Looked] = {}
        self._failed: set[tuple[str, int]] = set()
        self._planned: dict[str, list[tuple[PlannedCell, Cell]]] = {}

    def command(self, explaining: Sequence[str]) -> str:
        """The run that makes what this folder was made of, with the options that ask for controls which explain others."""
        trusts = sorted({cell.body.arm.trusts for cell in self.cells if cell.body.arm.trusts})
        named = [f"--trust {shlex.quote(short(name) if name.startswith(f'{BUILT_IN}/') else name)}" for name in trusts]
        given = [shlex.quote(str(self.folder / "suite.yaml")), *named]
        given += explaining
        where = f"--out {shlex.quote(str(self.folder.parent))} --store {shlex.quote(str(self.store.location))}"
        return f"w2s-bench run {' '.join(given)} {where}"

    def look(self, executor: Executor, events: Callable[[Event], None], sections: Sequence[str], sample: int) -> None:
        """Run what is new, of what the store holds."""
        self._plan(events)
        made = [stage for pairs in self._planned.values() for cell, told in pairs for stage in _made(cell, told)]
        explained = explain(list(walk(made)), self.store, reasons=False)
        there = {look.stage.node for look in explained if look.path is not None}
        missing = [stage for stage in made if stage.node not in there]
        if missing:
            explaining = ["--decompose"] if _decomposed(self.cells) else _controls(self.cells)
            raise StoreError(
                f"{self.folder}: labels, scores and kept rows lie in the store of the run, and {self.store.location} lacks "
                f"{len(missing)} of {len(made)} of these stages (such as {missing[0].label or missing[0].name}). Give --store "
                f"PLACE, or make them again (what is stored is not computed again): {self.command(explaining)}"
            )
        for name, pairs in self._planned.items():
            for graph in pairs[0][0].graphs:
                self._looked[name, graph.seed] = new_stages(graph, sections, sample)
        new = [stage for looked in self._looked.values() for stage in looked.stages()]
        self._results = Results(executor.run([*made, *new], self.store, events), self.store)
        for key, looked in self._looked.items():
            for stage in looked.stages():
                if (failed := self._results.failure(stage)) is not None:
                    self._fail(key, failed)
        self._refuse_another()

    def _plan(self, events: Callable[[Event], None]) -> None:
        from w2s_bench.plugins.registry import Registry
        from w2s_bench.runs.plan import plan

        trust = sorted({cell.body.arm.trusts for cell in self.cells if cell.body.arm.trusts})
        explained = any(cell.body.arm.explains for cell in self.cells)
        names = list(dict.fromkeys(cell.body.domain.name for cell in self.cells))
        registry = Registry.load(awaits=preparing(events))
        planned = plan(self.suite, registry, domains=names, trust=trust, decompose=explained)
        by_row = {cell.row: cell for cell in planned.cells}
        for told in self.cells:
            if told.row not in by_row:
                raise W2SBenchError(f"{self.folder}: row {told.row} is none that a run of its suite here would have")
            self._planned.setdefault(short(told.body.domain.name), []).append((by_row[told.row], told))

    def _fail(self, key: tuple[str, int], failed: Failed) -> None:
        self._failed.add(key)
        said = f"{key[0]}, seed {key[1]}: {failed.stage} failed: {failed.reason}"
        self.problems = tuple(dict.fromkeys([*self.problems, said]))

    def _refuse_another(self) -> None:
        """Refuse a store whose kept rows are not those that the cells tell of."""
        for pairs in self._planned.values():
            for cell, told in pairs:
                for seed in told.body.seeds:
                    own = cell.stages[seed.seed]
                    if seed.error is not None or own.kept is None or told.body.arm.facts.with_trust_set:
                        continue
                    weights = Kept.read(self._results.folder(own.kept)).weights
                    rows = list(weights)
                    kept = digest_of(dict(weights)) if len(set(weights.values())) > 1 else digest_of(rows)
                    if kept != seed.digests.get("kept"):
                        raise StoreError(
                            f"{told.row}, seed {seed.seed}: the rows that this store keeps are not those of the cell, which another "
                            "machine or other versions made; give the store of its run, or run it again with this one"
                        )

    def domain(self, name: str, compared: Comparison, sections: Sequence[str]) -> DomainAnalysis:
        """What there is of one domain; a seed whose stages failed is left out of it."""
        if not self._planned:
            return DomainAnalysis(name)
        pairs = self._planned[name]
        seeds = [graph.seed for graph in pairs[0][0].graphs if (name, graph.seed) not in self._failed]
        analysis = DomainAnalysis(name)
        if not seeds:
            return analysis
        if "curriculum" in sections:
            easy = {arm: compared.pgr(arm) for arm in _OF_EASY if arm in compared.cells}
            analysis = replace(analysis, curriculum=self._curriculum(name, pairs, seeds), easy=easy)
        if "gradients" in sections:
            tracks = {short(told.body.arm.name): _track(told) for _, told in pairs}
            looked = {seed: self._looked[name, seed] for seed in seeds}
            untuned = [self._sample(pairs, seed, at.untuned) for seed, at in looked.items()]
            warmed = [self._sample(pairs, seed, at.warmed) for seed, at in looked.items()]
            steps = max(at.steps for at in looked.values())
            analysis = replace(
                analysis, gradients=of_domain(untuned, tracks), warmed=of_domain(warmed, tracks, steps=steps)
            )
        graphs = [pairs[0][0].graphs[seed] for seed in seeds]
        if "fit" in sections:
            analysis = replace(analysis, fit=fit_of(self._results, graphs))
        if "faithfulness" in sections and graphs[0].task.domain.kind == "generate":
            arms = [
                (short(told.body.arm.name), _track(told), [cell.stages[seed].kept for seed in seeds])
                for cell, told in pairs
                if _keeps_weak_labels_alone(told) and _alive(told, seeds) == seeds
            ]
            analysis = replace(analysis, solutions=solutions_of(self._results, graphs, arms))
        return analysis

    def _curriculum(self, name: str, pairs: Sequence[tuple[PlannedCell, Cell]], seeds: Sequence[int]) -> Curriculum:
        difficulty = {seed: self._difficulty(name, seed) for seed in seeds}
        right = {seed: self._right(pairs[0][0].graphs[seed]) for seed in seeds}
        arms = []
        for cell, told in pairs:
            if not _keeps_some(told):
                continue
            by_seed = []
            for seed in _alive(told, seeds):
                own = cell.stages[seed]
                assert own.kept is not None
                scores = dict(Scores.read(self._results.folder(own.scores)).items()) if own.scores else None
                kept = Kept.read(self._results.folder(own.kept)).weights
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

    def _difficulty(self, name: str, seed: int) -> Mapping[str, float]:
        stage = self._looked[name, seed].difficulty
        assert stage is not None
        return dict(Scores.read(self._results.folder(stage)).items())

    def _right(self, graph: Generation) -> Mapping[str, bool]:
        return self._results.grades(graph.label_grades(graph.pool))

    def _sample(self, pairs: Sequence[tuple[PlannedCell, Cell]], seed: int, taken: Taken | None) -> Sample:
        """One seed's gradients at one student, with the rows of each arm that trains on one set of labels of the pool."""
        assert taken is not None
        weak, gold = (Gradients.read(self._results.folder(stage)) for stage in (taken.weak, taken.gold))
        held_out = Gradients.read(self._results.folder(taken.held_out)).values if taken.held_out else None
        rows: dict[str, tuple[str, list[str]]] = {}
        for cell, told in pairs:
            arm = told.body.arm
            if len(arm.facts.rows) != 1 or arm.facts.of_pool is None or arm.made_of or seed not in _alive(told, [seed]):
                continue
            own = cell.stages[seed].kept
            kept = weak.places.keys() if own is None else Kept.read(self._results.folder(own)).weights.keys()
            rows[short(arm.name)] = (arm.facts.of_pool.labels, [row for row in weak.places if row in kept])
        return Sample(weak.values, gold.values, dict(weak.places), rows, held_out)


def _made(cell: PlannedCell, told: Cell) -> list[Stage]:
    """What the run made of a cell that is read here, of the seeds that did not fail."""
    if told.body.arm.facts.of_pool is None:
        return []
    out: list[Stage] = []
    for seed in _alive(told, range(len(cell.graphs))):
        graph, own = cell.graphs[seed], cell.stages[seed]
        out += [graph.subset(graph.pool), graph.weak_labels(graph.pool), graph.label_grades(graph.pool)]
        out += [stage for stage in (own.scores, own.kept) if stage is not None]
    return out


def _alive(told: Cell, seeds: Sequence[int]) -> list[int]:
    alive = {seed.seed for seed in told.body.seeds if seed.error is None}
    return [seed for seed in seeds if seed in alive]


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
