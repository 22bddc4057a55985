"""A suite begun, and looked at before hours are spent on it: sizes that fit, splits that fill, models that load, a gap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import CellError, SuiteError, W2SBenchError
from w2s_bench.executors import Ended, Failed, preparing
from w2s_bench.names import short
from w2s_bench.plugins.planning import described_domain
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.spec import parse_spec
from w2s_bench.protocol.files import ITEMS
from w2s_bench.record import iter_rows
from w2s_bench.results import planning
from w2s_bench.results.belief import read_results
from w2s_bench.results.budgets import Budget
from w2s_bench.runs.execute import check_first
from w2s_bench.runs.on_dev import FEWEST_DEV, Gap, budgets, gaps, refuse_unfit
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.suite import Suite
from w2s_bench.types import RecipeName
from w2s_bench.validation import explain

if TYPE_CHECKING:
    from w2s_bench.executors import Event, Executor
    from w2s_bench.results.budget_files import BudgetFile
    from w2s_bench.results.cells import Cell
    from w2s_bench.store import Store

#: Share of a domain's items in each split of a new suite, and the most items there: more cost time and tell little more.
SHARES: Final[Mapping[str, tuple[float, int]]] = {
    "dev": (0.1, 500),
    "test": (0.29, 2000),
    "weak_train": (0.19, 2000),
    "trust": (0.1, 500),
    "transfer": (0.29, 4000),  # together .97: a group that would straddle two splits is cut
}
_ALL: Final = sum(share for share, _ in SHARES.values())
_LARGEST_DEV: Final = 0.2
#: What a model is trained with where nobody says; a beginning, to be chosen on `dev`.
TRAINED: Final[Mapping[RecipeName, Mapping[str, Any]]] = {
    "full": {"steps": 100, "batch_size": 16, "learning_rate": 1e-3},
    "lora": {"steps": 200, "batch_size": 16, "learning_rate": 2e-4},
    "head": {"steps": 200, "learning_rate": 1e-3},
    "none": {},
}
#: Until the items are counted.
_PROVISIONAL: Final = {"dev": 2, "test": 2, "weak_train": 2, "trust": 2, "transfer": 1000}
_FEWEST: Final = 20  # items of a domain: below, no split says anything
_SHRINK, _TRIES = 0.85, 12  # groups that cannot be parted may leave a split short, and smaller sizes fit then


@dataclass(frozen=True)
class DomainLook:
    """What is known of one domain of a suite: its items, those that the splits take, what is wrong; its gap and budget if asked."""

    domain: str
    items: int | None
    asked: int
    fault: str = ""
    gap: Gap | None = None
    budget: tuple[Budget, ...] = ()


@dataclass(frozen=True)
class SuiteLook:
    """`detectable`: the least difference of two arms' mean PGRs that is found with 80 % power, from stated assumptions; None of one seed.

    `kept`: the file that a results folder keeps the domains' budgets in, where that was asked for and no domain is missing.
    """

    suite: str
    seeds: int
    detectable: float | None
    domains: tuple[DomainLook, ...]
    remarks: tuple[str, ...]
    kept: str = ""

    @property
    def ok(self) -> bool:
        return not any(domain.fault for domain in self.domains)


def sizes_for(items: int, *, trained_teacher: bool) -> dict[str, int]:
    """Sizes of splits for so many items; a teacher that is not trained needs no `weak_train`, and the pool gets its share.

    `dev` is large enough for `suite check --gap` where that leaves four fifths of the items to the other splits, which then share what
    they have by the same proportions.
    """
    shares = dict(SHARES)
    if not trained_teacher:
        share, most = shares.pop("weak_train")
        shares["transfer"] = (shares["transfer"][0] + share, shares["transfer"][1] + most)
    if count_to_keep(shares["dev"][0], items) < FEWEST_DEV <= _LARGEST_DEV * items:
        rest = (_ALL - FEWEST_DEV / items) / (_ALL - shares["dev"][0])
        shares = {split: (share * rest, most) for split, (share, most) in shares.items()}
        shares["dev"] = (FEWEST_DEV / items, FEWEST_DEV)
    return {split: min(count_to_keep(share, items), most) for split, (share, most) in shares.items()}


def draft(
    name: str,
    domains: Sequence[str],
    teacher: Mapping[str, Any],
    student: Mapping[str, Any],
    *,
    seeds: int,
    coverage: float,
    store: Store,
    executor: Executor,
    events: Callable[[Event], None],
) -> Suite:
    """A suite of these domains, each with as many items as it has; `teacher` and `student` have a `model` and a `recipe`.

    A domain is written with its parameters, if it has any: `name:key=value,key2=value2`.

    The domains' items are made and their splits cut; nothing is trained. Raises `SuiteError` where a domain has too few.
    """
    registry = Registry.load(awaits=preparing(events))
    called = {domain: parse_spec(domain) for domain in domains}
    versions = {
        domain: described_domain(registry, name, parameters).version for domain, (name, parameters) in called.items()
    }

    def suite_of(sizes: Mapping[str, Mapping[str, int]]) -> Suite:
        entries = [
            {
                "name": called[domain][0],
                "version": versions[domain],
                "parameters": called[domain][1],
                "sizes": sizes[domain],
                "teacher": teacher,
                "student": student,
            }
            for domain in domains
        ]
        content = {"name": name, "version": "1", "seeds": seeds, "coverage": coverage, "domains": entries}
        try:
            return Suite.model_validate(content)
        except ValidationError as error:
            raise SuiteError(f"suite {name!r}:\n{explain(error, Suite, {})}") from error

    first = plan(suite_of(dict.fromkeys(domains, _PROVISIONAL)), registry, trust=[])
    counts = _items(first, store=store, executor=executor, events=events)
    names = {domain: spec.name for domain, spec in zip(domains, first.suite.domains, strict=True)}
    has = {domain: counts[full] for domain, full in names.items()}
    for domain, count in has.items():
        if count < _FEWEST:
            raise SuiteError(
                f"domain {called[domain][0]!r} has {count} items; at least {_FEWEST} are needed to cut five splits of them"
            )
    trained = teacher["recipe"] != "none"
    for _ in range(_TRIES):
        suite = suite_of({domain: sizes_for(count, trained_teacher=trained) for domain, count in has.items()})
        short_of = _unfilled(plan(suite, registry, trust=[]), store=store, executor=executor, events=events)
        if not short_of:
            return suite
        has = {d: int(count * _SHRINK) if names[d] in short_of else count for d, count in has.items()}
    raise SuiteError(
        f"no sizes were found that fit: {'; '.join(short_of.values())}. Write the sizes yourself (docs/suites.md)"
    )


def look_at_suite(
    suite: Suite,
    *,
    gap: bool,
    budget: bool = False,
    keep: Path | None = None,
    store: Store,
    executor: Executor,
    events: Callable[[Event], None],
) -> SuiteLook:
    """Items, splits and models of every domain, and what the suite can tell apart.

    With `gap` the teacher, the base and the ceiling are trained on two seeds and asked on `dev`; with `budget` the ceiling and
    naive, at half, once and twice the steps, and `keep` is the results folder of a run of this suite whose board is to show
    that. No item of `test` is asked. Before anything is computed it raises SuiteError where `dev` or the steps do not fit what is
    asked for, and CellError where `keep` is no board of this suite.
    """
    registry = Registry.load(awaits=preparing(events))
    planned = plan(suite, registry, trust=[])
    refuse_unfit(planned.suite, gap=gap, budget=budget)
    board = _board_of(keep, planned.suite) if keep else []
    counts = _items(planned, store=store, executor=executor, events=events, tolerant=True)
    faults = _unfilled(planned, store=store, executor=executor, events=events)
    remarks: tuple[str, ...] = ()
    sound = replace(planned, cells=tuple(cell for cell in planned.cells if cell.domain.name not in faults))
    if sound.cells:
        first = check_first(sound, store=store, executor=executor, events=events)
        faults |= {domain: str(failed) for domain, failed in first.unusable.items()}
        remarks = first.remarks
    usable = [spec.name for spec in planned.suite.domains if spec.name not in faults]
    where: Mapping[str, Any] = {"store": store, "executor": executor, "events": events}
    of_gaps = gaps(planned.suite, registry, usable, **where) if gap and usable else {}
    steps = budgets(planned.suite, registry, usable, **where) if budget and usable else None
    of_budgets = {record.domain.name: record.shown().budgets for record in steps.domains} if steps else {}
    kept = _kept(steps, keep, planned.suite, board) if steps and keep and not faults else ""
    noise = planning.assumed(suite)
    return SuiteLook(
        suite=suite.name,
        seeds=suite.seeds,
        detectable=planning.plan(suite, noise, 1.0, 0.8, measured=False).now,
        domains=tuple(
            DomainLook(
                short(spec.name),
                counts.get(spec.name),
                spec.sizes.total,
                faults.get(spec.name, ""),
                of_gaps.get(spec.name),
                of_budgets.get(spec.name, ()),
            )
            for spec in planned.suite.domains
        ),
        remarks=remarks,
        kept=kept,
    )


def _board_of(results: Path, suite: Suite) -> list[Cell]:
    """The cells of a results folder, which must be those of a run of this suite."""
    there, cells = read_results(results)
    if there.digest != suite.digest:
        raise CellError(
            f"{results} is the board of suite {there.name!r} (digest {there.digest[:12]}), not of {suite.name!r} "
            f"({suite.digest[:12]}); check {results / 'suite.yaml'}, or give the folder of a run of this suite"
        )
    return cells


def _kept(steps: BudgetFile, results: Path, suite: Suite, board: Sequence[Cell]) -> str:
    """Write the budgets beside a board, unless its cells were made with other models or documents than these students."""
    for fault in steps.faults(suite, board):
        raise CellError(f"the budgets are not kept in {results}: {fault}; run the suite there again first")
    return str(steps.write(results))


def _items(
    planned: Plan, *, store: Store, executor: Executor, events: Callable[[Event], None], tolerant: bool = False
) -> dict[str, int]:
    """Domain → number of its items. One whose items cannot be made raises, or with `tolerant` is left out."""
    stages = {cell.domain.name: cell.graphs[0].items for cell in planned.cells}
    results = Results(executor.run([*stages.values()], store, events), store)
    counts: dict[str, int] = {}
    for domain, stage in stages.items():
        if (failed := results.failure(stage)) is None:
            counts[domain] = sum(1 for _ in iter_rows(results.folder(stage) / ITEMS))
        elif not tolerant:
            raise W2SBenchError(str(failed))
    return counts


def _unfilled(planned: Plan, *, store: Store, executor: Executor, events: Callable[[Event], None]) -> dict[str, str]:
    """Domain → why its splits cannot be cut, of those where this is so."""
    stages = planned.splits()

    def untroubled(event: Event) -> None:
        if not (isinstance(event, Ended) and isinstance(event.outcome, Failed)):  # who asked hears of it as an answer
            events(event)

    outcomes = executor.run(stages, store, untroubled)
    failed: dict[str, str] = {}
    for stage in stages:
        if isinstance(outcome := outcomes[stage.node], Failed):
            failed.setdefault(stage.domain, outcome.reason)
    return failed
