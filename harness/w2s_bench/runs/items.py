"""Rows of a board item by item, out of the store of their run. Nothing is computed.

A cell holds digests and one bit a test item. Labels, scores and answers lie in the store, and are shown only of a row whose
cell is there: every seed of it has been evaluated, so nobody learns test items' grades one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from w2s_bench.errors import StoreError, UnknownNameError, W2SBenchError
from w2s_bench.machine import multiplying_all_but
from w2s_bench.names import short
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ANSWERS, ITEMS, PREDICTIONS
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import pack_bits, read_records
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.consent import placements, refuse_unasked
from w2s_bench.results.report.pool import Pool
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.results.surroundings import imitated_by
from w2s_bench.store.stage import Stage, walk
from w2s_bench.types import JSON, Answer, Item, Prediction, Split

if TYPE_CHECKING:
    from w2s_bench.protocol.arms import ArmStages
    from w2s_bench.protocol.generation import Generation
    from w2s_bench.runs.plan import PlannedCell
    from w2s_bench.suite import Suite

#: What is shown where it is asked for alone.
_ASKED: Final = ("prompt", "gold")


@dataclass(frozen=True)
class ItemLine:
    """One item of one seed of a row; None where there is no such thing.

    `split`: `transfer`, where the teacher labels and the arm keeps rows, or the one that students are evaluated on.
    `weak_right`: whether the teacher's label (its answer, in the evaluated split) is right. `score`: the trust score, higher =
    more trusted. `kept`, `weight`: whether the student trained on the row, and how much it counted. `answer`, `answer_right`:
    the student's, in the evaluated split.
    """

    domain: str
    arm: str
    seed: int
    split: str
    id: str
    stratum: str
    weak_label: str | None = None
    weak_right: bool | None = None
    score: float | None = None
    kept: bool | None = None
    weight: float | None = None
    answer: str | None = None
    answer_right: bool | None = None
    prompt: str | None = None
    gold: str | None = None


def item_lines(
    results: Path,
    rows: Sequence[str],
    store: str | Path,
    *,
    gold: bool = False,
    prompts: bool = False,
    trust_folder: bool = False,
    awaits: Awaits = unheard,
) -> list[dict[str, JSON]]:
    """The lines of `rows` (`DOMAIN/ARM`), row by row, seed by seed, split by split, items sorted by id.

    `gold` and `prompts` add columns. The store must hold what the cells were made of; a row with another one's digests is
    refused, as are rows that would open a stranger's folders (`trust_folder`, as for `verify`). Seeds that failed are left out.
    `awaits` is told what is waited for: plugins that import slowly, documents that are read.
    """
    from w2s_bench.runs.plan import ROW_HINT

    suite, cells = read_results(results)
    committed = {cell.row: cell for cell in cells}
    if not rows:
        raise W2SBenchError(f"name the rows to show with --row, such as --row {next(iter(committed))}. {ROW_HINT}")
    for row in rows:
        if row not in committed:
            raise UnknownNameError("row", row, committed, ROW_HINT)
    chosen = [committed[row] for row in dict.fromkeys(rows)]
    if not trust_folder:
        refuse_unasked(suite, chosen, results, placements(suite, cells, {}))
    left_out = [name for name, shown in zip(_ASKED, (prompts, gold), strict=True) if not shown]
    reader = _Reader(suite, str(store), gold=gold, awaits=awaits)
    lines: list[dict[str, JSON]] = []
    for cell in chosen:
        for line in reader.lines(cell):
            told = asdict(line)
            lines.append({name: value for name, value in told.items() if name not in left_out})
    return lines


def pools(
    results: Path,
    cells: Sequence[Cell],
    store: str | Path,
    *,
    trust_folder: bool = False,
    awaits: Awaits = unheard,
) -> tuple[dict[str, dict[int, Pool]], dict[str, str]]:
    """Row → seed → its pool item by item, of the rows that keep a part of it and whose run's store this is; and row → why not.

    Questions are among the lines, gold is not. Raises as `item_lines` where rows would open a stranger's folders;
    `awaits` is told as there.
    """
    suite, all_cells = read_results(results)
    if not trust_folder:
        refuse_unasked(suite, cells, results, placements(suite, all_cells, {}))
    reader = _Reader(suite, str(store), gold=False, awaits=awaits)
    told: dict[str, dict[int, Pool]] = {}
    refused: dict[str, str] = {}
    for cell in cells:
        if cell.body.arm.facts.of_pool is None or cell.body.arm.coverage is None:
            continue
        try:
            lines = [asdict(line) for line in reader.lines(cell) if line.kept is not None]
        except W2SBenchError as error:
            refused[cell.row] = str(error)
            continue
        seeds = dict.fromkeys(line["seed"] for line in lines)
        told[cell.row] = {seed: Pool.of([line for line in lines if line["seed"] == seed]) for seed in seeds}
    return told, refused


class _Reader:
    """Reads rows of one suite out of a store. Plugins are looked for once, and domains' documents read once."""

    def __init__(self, suite: Suite, store: str, *, gold: bool, awaits: Awaits) -> None:
        from w2s_bench.domains.documents import Documents
        from w2s_bench.plugins.registry import Registry

        self._suite, self._store, self._gold = suite, store, gold
        self._registry, self._documents = Registry.load(awaits=awaits), Documents()

    def lines(self, cell: Cell) -> Iterator[ItemLine]:
        """Seed by seed, split by split, items sorted by id. Raises StoreError where the store is not that of its run."""
        from w2s_bench.runs.plan import plan

        arm = cell.body.arm
        with multiplying_all_but(imitated_by([cell])):
            planned = plan(
                self._suite,
                self._registry,
                domains=[cell.body.domain.name],
                trust=[arm.trusts] if arm.trusts else [],
                rows=[cell.row],
                documents=self._documents,
            ).cells[0]
        return _of_row(planned, cell, _Stored(planned, cell, self._store, gold=self._gold), gold=self._gold)


def columns_of(lines: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The lines column by column."""
    names = list(lines[0]) if lines else [f.name for f in fields(ItemLine) if f.name not in _ASKED]
    return {name: [line[name] for line in lines] for name in names}


class _Stored:
    """The results of one row's stages in a store, which must be those that its cell was made of."""

    def __init__(self, planned: PlannedCell, cell: Cell, location: str, *, gold: bool) -> None:
        from w2s_bench.runs.preview import explain
        from w2s_bench.store import open_store

        store = open_store(location)
        alive = {seed.seed for seed in cell.body.seeds if seed.error is None}
        wanted = [stage for seed in sorted(alive) for stage in _stages(planned, seed, gold=gold)]
        looked = explain(list(walk(wanted)), store, reasons=False)
        self._paths = {look.stage.node: look.path for look in looked if look.path is not None}
        missing = [look.stage for look in looked if look.path is None]
        needed = [stage for stage in missing if stage.node in {stage_wanted.node for stage_wanted in wanted}]
        if needed:
            raise StoreError(
                f"{cell.row}: labels, scores and answers lie in the store of its run, and {store.location} lacks {len(missing)} of "
                f"{len(looked)} stages of it (such as {missing[0].label or missing[0].name}). Give --store PLACE, or run "
                f"`w2s-bench run` on the folder's suite.yaml with this row: what is stored is not computed again"
            )

    def path(self, stage: Stage) -> Path:
        path = self._paths[stage.node]
        assert path is not None
        return path


def _stages(planned: PlannedCell, seed: int, *, gold: bool) -> list[Stage]:
    """All that a seed's lines are read from."""
    graph, own = planned.graphs[seed], planned.stages[seed]
    out = [own.student.predictions, own.student.grades, *(stage for stage in (own.scores, own.kept) if stage)]
    for split in _splits(graph, own):
        out += [graph.subset(split), graph.weak_labels(split), graph.label_grades(split)]
        out += [graph.gold(split)] if gold else []
    return out


def _splits(graph: Generation, own: ArmStages) -> tuple[Split, ...]:
    """Those that an arm has lines of: the pool, where it keeps rows of it, and the one that students are evaluated on."""
    return (graph.pool, graph.suite.evaluate_on) if own.rows is not None else (graph.suite.evaluate_on,)


def _of_row(planned: PlannedCell, cell: Cell, stored: _Stored, *, gold: bool) -> Iterator[ItemLine]:
    for result in cell.body.seeds:
        if result.error is None:
            yield from _of_seed(planned, cell, result, stored, gold=gold)


def _of_seed(
    planned: PlannedCell, cell: Cell, result: SeedResult, stored: _Stored, *, gold: bool
) -> Iterator[ItemLine]:
    graph, own = planned.graphs[result.seed], planned.stages[result.seed]
    evaluated = graph.suite.evaluate_on
    answers = _predictions(stored.path(own.student.predictions))
    right = read_grades(stored.path(own.student.grades))
    _refuse_another(cell, result, right)
    scores = dict(Scores.read(stored.path(own.scores)).items()) if own.scores else {}
    weights = _weights(planned, own, stored)
    for split in _splits(graph, own):
        labels, grades = (
            _predictions(stored.path(graph.weak_labels(split))),
            read_grades(stored.path(graph.label_grades(split))),
        )
        golds = {a.id: a.completion.strip() for a in _gold(graph, split, stored)} if gold else {}
        for item in sorted(read_records(stored.path(graph.subset(split)) / ITEMS, Item), key=lambda item: item.id):
            is_pool, weight = split == graph.pool, None if weights is None else weights(item.id)
            yield ItemLine(
                domain=short(cell.body.domain.name),
                arm=short(cell.body.arm.name),
                seed=result.seed,
                split=split,
                id=item.id,
                stratum=item.stratum,
                weak_label=labels[item.id].answer,
                weak_right=grades[item.id],
                score=scores.get(item.id) if is_pool else None,
                kept=None if not is_pool or weight is None else weight > 0,
                weight=weight if is_pool else None,
                answer=answers[item.id].answer if split == evaluated else None,
                answer_right=right[item.id] if split == evaluated else None,
                prompt=item.prompt,
                gold=golds.get(item.id),
            )


def _refuse_another(cell: Cell, result: SeedResult, right: Mapping[str, bool]) -> None:
    """Refuse a store that holds the same stages with another outcome than the cell tells of."""
    bits = pack_bits(np.array([right[item] for item in sorted(right)], dtype=np.bool_))
    if bits != result.correct:
        raise StoreError(
            f"{cell.row}, seed {result.seed}: the answers in this store are not those of the cell, which another machine or other "
            "versions made; give the store of its run, or run the row again with this one"
        )


def _weights(planned: PlannedCell, own: ArmStages, stored: _Stored) -> Callable[[str], float] | None:
    """Id → weight of a row of the pool, 0 where it is dropped; None where the arm trains on no row of it."""
    if planned.arm.ref.facts.of_pool is None:
        return None
    if own.kept is None:
        return lambda row: 1.0
    kept = Kept.read(stored.path(own.kept)).weights
    return lambda row: kept.get(row, 0.0)


def _predictions(path: Path) -> dict[str, Prediction]:
    return {prediction.id: prediction for prediction in read_records(path / PREDICTIONS, Prediction)}


def _gold(graph: Generation, split: Split, stored: _Stored) -> Iterable[Answer]:
    return read_records(stored.path(graph.gold(split)) / ANSWERS, Answer)
