"""What a trust function's scores are worth on one domain and seed, before any student is trained.

Only the stages that the scores need are run. Gold of the pool is read afterwards, for the same diagnostics as a cell has; the
items of `test` are labelled by nobody here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import W2SBenchError
from w2s_bench.executors import Failed
from w2s_bench.names import short
from w2s_bench.protocol.scores import Scores
from w2s_bench.runs.diagnostics import told_of_scores
from w2s_bench.runs.outcomes import Results
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON, BoolArray, FloatArray

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.runs.plan import Plan, PlannedCell
    from w2s_bench.store import Store

#: Shares of the pool at which purity is told.
GRID: Final = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Example:
    """One weak label of the pool; `score` as the function gave it, higher = more trusted."""

    score: float
    right: bool
    prompt: str
    label: str
    stratum: str


@dataclass(frozen=True)
class Trial:
    """One trust function on one domain and seed. `fault`: why there are no scores; then nothing else is told.

    `purity`: coverage of `GRID` → share of right labels among the rows kept at it, in [0, 1], equal scores by expectation.
    `diagnostics` are those of a cell: AUROCs in [0, 1], and what share of each class is kept at the suite's coverage.
    """

    function: str
    track: str
    fault: str = ""
    diagnostics: Mapping[str, JSON] | None = None
    purity: Mapping[float, float] | None = None
    most: tuple[Example, ...] = ()
    least: tuple[Example, ...] = ()

    def as_json(self) -> dict[str, Any]:
        told = asdict(self)
        return told | {"purity": None if self.purity is None else [[at, share] for at, share in self.purity.items()]}


@dataclass(frozen=True)
class Tried:
    """What was tried: the pool of one domain and seed, of `rows` weak labels, a share `accuracy` of which is right."""

    suite: str
    domain: str
    seed: int
    seeds: int
    coverage: float
    rows: int
    accuracy: float
    trials: tuple[Trial, ...]


def try_functions(
    planned: Plan, seed: int, *, store: Store, executor: Executor, events: Callable[[Event], None], examples: int = 3
) -> Tried:
    """The trust functions of a plan of one domain, on one seed; each with so many `examples` at both ends.

    Raises `W2SBenchError` where the weak labels themselves cannot be made. A function that fails is a `Trial` with its fault.
    """
    cells = [
        cell
        for cell in planned.cells
        if cell.arm.ref.role == "trust_function" and cell.arm.ref.selection == "top" and cell.generation is None
    ]
    if not cells:
        raise W2SBenchError("there is no trust function to try: name one (see `w2s-bench list trust`)")
    graph = cells[0].graphs[seed]
    labels = graph.label_grades(graph.pool)
    common = [graph.subset(graph.pool), graph.weak_labels(graph.pool), labels]
    results = Results(
        executor.run([*common, *(s for cell in cells for s in _scored(cell, seed))], store, events), store
    )
    if failed := next((f for stage in common if (f := results.failure(stage))), None):
        raise W2SBenchError(str(failed))
    right = results.grades(labels)
    return Tried(
        suite=planned.suite.name,
        domain=short(graph.name),
        seed=seed,
        seeds=planned.suite.seeds,
        coverage=planned.suite.coverage,
        rows=len(right),
        accuracy=float(np.mean(list(right.values()))),
        trials=tuple(_trial(cell, seed, results, examples) for cell in cells),
    )


def purity_at(scores: FloatArray, correct: BoolArray, count: int) -> float:
    """Expected share of right rows among the `count` of highest score, equal scores in random order; both (n,), in [0, 1]."""
    lowest = np.partition(scores, -count)[-count]
    above, tied = scores > lowest, scores == lowest
    return float((correct[above].sum() + (count - above.sum()) * correct[tied].mean()) / count)


def _scored(cell: PlannedCell, seed: int) -> list[Stage]:
    """The stages of a cell that end in its scores, and in what is kept by them; no student is among what they need."""
    own = cell.stages[seed]
    return [stage for stage in (own.scores, own.kept) if stage is not None]


def _trial(cell: PlannedCell, seed: int, results: Results, examples: int) -> Trial:
    graph, own, ref = cell.graphs[seed], cell.stages[seed], cell.arm.ref
    failed = next((f for stage in _scored(cell, seed) if (f := results.failure(stage))), None)
    if isinstance(failed, Failed):
        return Trial(short(ref.name), ref.supervision, fault=str(failed))
    assert own.scores is not None and own.kept is not None
    right = results.grades(graph.label_grades(graph.pool))
    pool, labels = results.items(graph.subset(graph.pool)), results.labels(graph.weak_labels(graph.pool))
    scores = dict(Scores.read(results.folder(own.scores)).items())
    values = np.array([scores[item.id] for item in pool])
    correct = np.array([right[item.id] for item in pool], dtype=np.bool_)
    told = {label.id: label.answer for label in labels}
    ranked = [pool[row] for row in np.argsort(-values, kind="stable")]

    def shown(row: Any) -> Example:
        return Example(scores[row.id], right[row.id], row.prompt, told[row.id], row.stratum)

    return Trial(
        function=short(ref.name),
        track=ref.supervision,
        diagnostics=told_of_scores(graph, own, results),
        purity={at: purity_at(values, correct, k) for at in GRID if (k := count_to_keep(at, len(pool)))},
        most=tuple(map(shown, ranked[:examples])),
        least=tuple(map(shown, ranked[::-1][:examples])),
    )
