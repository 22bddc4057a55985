"""A suite and the installed plugins → a plan of cells, each a set of stages. Nothing of the protocol runs here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from w2s_bench.controls import chosen_to_explain
from w2s_bench.domains.documents import Documents
from w2s_bench.errors import UnknownNameError, W2SBenchError
from w2s_bench.isolation.surroundings import surroundings_kept
from w2s_bench.names import normalized, row_name, short
from w2s_bench.plugins.planning import declarations
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.source import Moment
from w2s_bench.plugins.spec import parse_spec
from w2s_bench.protocol import arms, chain
from w2s_bench.protocol.arms import Arm, ArmStages
from w2s_bench.protocol.generation import Generation
from w2s_bench.protocol.needs import planned_needs
from w2s_bench.protocol.objectives import written
from w2s_bench.protocol.planned import PlannedTask
from w2s_bench.protocol.training import usable
from w2s_bench.protocol.trust import lacking
from w2s_bench.protocol.trust_arms import trust_arm
from w2s_bench.results.references import DomainRef, ModelRef, PluginRef
from w2s_bench.runs import kept_mix
from w2s_bench.runs.beyond_gold import graded_against_training_gold
from w2s_bench.runs.chosen import Chosen, chosen_trust_functions, passed_over, unordered, unread
from w2s_bench.runs.crossed import crossed, planned_objectives, refuse_unfit_objectives
from w2s_bench.runs.tasks import planned_task, source_of_trust, unknown_documents
from w2s_bench.runs.unmade import Unmade
from w2s_bench.store.stage import Stage, walk

if TYPE_CHECKING:
    from w2s_bench.suite import Suite


ROW_HINT = "A row is DOMAIN/ARM, as in the file results/DOMAIN/ARM.json."


@dataclass(frozen=True)
class PlannedCell:
    """One arm on one domain, or one generation of its chain there: for each seed its graph and the arm's own stages.

    `one_hop`: of a generation, the stages of the same arm without a chain.
    """

    task: PlannedTask
    arm: Arm
    graphs: tuple[Generation, ...]
    stages: tuple[ArmStages, ...]
    one_hop: tuple[ArmStages, ...] = ()

    @property
    def generation(self) -> int | None:
        """Its place in a chain, from 1; None where it is the one hop from the suite's teacher to its student."""
        graph = self.graphs[0]
        return None if graph.of is None else graph.index

    @property
    def row(self) -> str:
        return row_name(self.task.spec.name, self.arm.ref.name, self.generation)

    @property
    def domain(self) -> DomainRef:
        domain = self.task.domain
        documents = domain.read.get("documents")
        return DomainRef(name=domain.name, version=domain.version, fingerprint=domain.fingerprint, documents=documents)

    @property
    def teacher(self) -> ModelRef:
        model = self.graphs[0].teacher.model
        return ModelRef(name=model.name, fingerprint=model.fingerprint)

    @property
    def student(self) -> ModelRef:
        return ModelRef(name=self.task.student.name, fingerprint=self.task.student.fingerprint)

    @property
    def models(self) -> list[Stage]:
        """What shows whether its models can be used as the suite says."""
        task, graph = self.task, self.graphs[0]
        between = [(f"student of generation {number}", model) for number, model in enumerate(task.chain, 1)]
        teaches = [("teacher", task.teacher)] if task.spec.teacher.is_model else []
        roles = (*teaches, ("student", task.student), *between)
        asked = ["trust", "transfer", graph.suite.evaluate_on]
        return [
            usable(
                model,
                task.domain,
                items=graph.items,
                answers=graph.training_answers,
                splits=[each.splits for each in self.graphs],
                asked=["weak_train", *asked] if role == "teacher" and model.recipe != "none" else asked,
                label=f"{task.domain.short_name} · model of the {role}",
            )
            for role, model in roles
        ]

    def made_of(self, seed: int) -> list[Stage]:
        """Every stage without whose result a seed has no figures."""
        graph, own = self.graphs[seed], self.stages[seed]
        out = [own.student.grades, graph.subset(graph.suite.evaluate_on), graph.drawn_from(self.arm.ref.facts)]
        if self.arm.ref.facts.hangs_on_weak_labels:
            out.append(graph.label_grades(graph.pool))
        out += graded_against_training_gold(self.arm.ref.facts, graph)
        return [*out, own.certainty] if own.certainty else out

    def targets_of(self, seed: int) -> list[Stage]:
        """Every stage whose result a seed's part of the cell file is made of: what it is made of, and what is said of it besides."""
        return [*self.made_of(seed), *kept_mix.stages(self.arm.ref.facts, self.graphs[seed])]

    def targets(self) -> list[Stage]:
        """Every stage whose result the cell file is made of."""
        return [stage for seed in range(len(self.graphs)) for stage in self.targets_of(seed)]


@dataclass(frozen=True)
class Plan:
    """All cells of a run. `problems` are plugins that did not load whole and trust functions that could not be built;
    `passed_over` says which have no cell in which domain, and why; so of controls whose rows have an order."""

    suite: Suite
    cells: tuple[PlannedCell, ...]
    problems: tuple[str, ...]
    documents: Mapping[str, str | None] = field(default_factory=dict)  # as `Documents.known`, for a plan made again
    passed_over: tuple[str, ...] = ()
    unmade: Unmade = field(default_factory=lambda: Unmade({}))  # what is known of domains before their items are made

    def targets(self) -> list[Stage]:
        return [stage for cell in self.cells for stage in cell.targets()]

    def stages(self) -> list[Stage]:
        return list(walk(self.targets()))

    def splits(self) -> list[Stage]:
        """What shows whether the domains can fill the suite's sizes: quick, and before anything is trained."""
        graphs = [graph for cell in self.cells for graph in cell.graphs]
        graphs += [graph.learns_from for graph in graphs if graph.learns_from is not None]
        return list({graph.splits.node: graph.splits for graph in graphs}.values())


@surroundings_kept()
def plan(
    suite: Suite,
    registry: Registry,
    *,
    domains: Sequence[str] = (),
    trust: Sequence[str] | None = None,
    rows: Sequence[str] = (),
    documents: Documents | None = None,
    decompose: bool | Collection[str] = False,
) -> Plan:
    """The cells of `suite` with its default trust functions (None), or with those named (none: controls alone).

    `domains` restricts the domains; `trust` names trust functions as `name` or `name:key=value,…`, and `all` every installed
    one; the default is `chosen_trust_functions`. `rows` restricts to `DOMAIN/ARM` rows. Unknown names raise before anything
    runs. `decompose` adds the controls that explain others, those made of each trust function's arms among them: all, or those
    that it names (`controls.explaining`).
    The plan's suite has its domains' names in full.
    The documents of domains whose fingerprint does not tell all are read now, once; those in `documents` are known.
    """
    suite = full_names(suite, registry)
    specs = [suite.domain(name) for name in dict.fromkeys(domains)] if domains else list(suite.domains)
    asked = chosen_trust_functions(registry, suite, trust)
    chosen, problems = _trust_arms(registry, asked, suite)
    explain = chosen_to_explain(decompose)
    every_arm = [*arms.own_arms(suite.coverage, explain=explain), *(arm for arm, _ in chosen)]
    objectives, missing = planned_objectives(suite, registry, rows)
    every_arm += crossed(objectives, every_arm)
    # An arm that keeps every row, by weight, leaves no choice of rows to explain, and one that may keep none nothing at all.
    explained = [arm for arm, _ in chosen if arm.ref.selection != "weighted" and arm.ref.guarantee is None]
    every_arm += [made for arm in explained for made in arms.explanations(arm, explain)]
    documents = documents if documents is not None else Documents()
    sources = {spec.name: suite.trust_source(spec) for spec in specs if spec.trust_from is not None}
    unknown = unknown_documents([*specs, *(spec for spec in sources.values() if spec not in specs)], registry)
    documents.read(unknown, registry.awaits)
    tasks = [planned_task(spec, registry, documents) for spec in specs]
    learnt_from = {
        task.spec.name: source_of_trust(task, planned_task(sources[task.spec.name], registry, documents))
        for task in tasks
        if task.spec.name in sources
    }
    _refuse_idle([arm for arm, function in chosen if function.must_apply], tasks)
    refuse_unfit_objectives(suite, objectives, tasks)
    cells = []
    for task in tasks:
        source = learnt_from.get(task.spec.name)
        graphs = tuple(
            Generation(suite, task, seed, learns_from=Generation(suite, source, seed) if source else None)
            for seed in range(suite.seeds)
        )
        here = [
            PlannedCell(task, arm, graphs, tuple(arm.build(graph) for graph in graphs))
            for arm in every_arm
            if task.domain.kind in arm.kinds and arm.lacks_order(task) is None
        ]
        cells += here
        if task.chain:
            cells += [generation for cell in here if cell.arm.ref.facts.chains for generation in _generations(cell)]
    if rows:
        planned_rows = [cell.row for cell in cells]
        for row in rows:
            if row not in planned_rows:
                raise missing[0] if missing else UnknownNameError("row", row, planned_rows, ROW_HINT)
        cells = [cell for cell in cells if cell.row in rows]
    told = (*map(str, registry.problems), *problems)
    without = () if rows else _without_cells(cells, [arm for arm, _ in chosen], every_arm, tasks)
    return Plan(suite, tuple(cells), told, documents.known, without, Unmade(documents.counts))


def _without_cells(
    cells: Sequence[PlannedCell], functions: Sequence[Arm], every_arm: Sequence[Arm], tasks: Sequence[PlannedTask]
) -> tuple[str, ...]:
    """A sentence for whatever has no cell, or no scores, in a domain: trust functions of another kind, those with nothing to
    read there, and controls whose rows have an order."""
    without = passed_over(
        {arm.ref.name: arm.kinds for arm in functions if arm.ref.selection == "top"},
        {task.domain.short_name: task.domain.kind for task in tasks},
    )
    without += unread(
        {
            task.domain.short_name: {
                short(cell.arm.ref.name): why
                for cell in cells
                if cell.task is task and (why := lacking(cell.stages[0].scores)) and cell.arm.ref.selection == "top"
            }
            for task in tasks
        }
    )
    return without + unordered({task.domain.short_name: [arm.lacks_order(task) for arm in every_arm] for task in tasks})


def _generations(one_hop: PlannedCell) -> list[PlannedCell]:
    """The cells of an arm's chain, one a generation."""
    arm = one_hop.arm
    seeds = [tuple(chain.links(arm, graph)) for graph in one_hop.graphs]
    return [
        PlannedCell(
            one_hop.task.link(number),
            arm,
            tuple(link.graph for link in links),
            tuple(link.stages for link in links),
            one_hop.stages,
        )
        for number, links in enumerate(zip(*seeds, strict=True), 1)
    ]


def full_names(suite: Suite, registry: Registry) -> Suite:
    """The suite with its domains named in full, and its objectives in the one way that there is to write each.

    A full name may be of a domain, or of a plugin's objective, that is not installed here.
    """

    def full(name: str) -> str:
        distribution, slash, rest = name.partition("/")
        return f"{normalized(distribution)}/{rest}" if slash else registry.resolve("domain", name).name

    return suite.with_full_names(full).with_objectives(lambda objective: written(objective, registry))


def _trust_arms(
    registry: Registry, asked: Sequence[Chosen], suite: Suite
) -> tuple[list[tuple[Arm, Chosen]], list[str]]:
    """Their arms, one for every selection of the suite.

    A fault of one that somebody named raises, of another it is a problem of its own.
    """
    out: list[tuple[Arm, Chosen]] = []
    problems: list[str] = []
    now = Moment()  # many functions share a package, which is read once
    specs = [parse_spec(function.spec) for function in asked]
    for function, (name, parameters), declared in zip(asked, specs, declarations(registry, specs), strict=True):
        try:
            if isinstance(declared, W2SBenchError):
                raise declared
            registered = registry.resolve("trust_function", name)
            source = registry.source_digest(registered, now)
            needs = planned_needs(registry, declared.needs, str(registered), now)
        except W2SBenchError as error:
            if function.named:
                raise
            problems.append(str(error))
            continue
        plugin = PluginRef(distribution=registered.distribution, version=registered.version, source=source)
        libraries = registry.libraries(registered, now)
        for how in suite.selections:
            arm = trust_arm(registered.name, parameters, declared, needs, plugin, suite.coverage, libraries, how)
            out.append((arm, function))
    return out, problems


def _refuse_idle(named: Sequence[Arm], tasks: Sequence[PlannedTask]) -> None:
    """A trust function asked for by name must have a domain that it is meant for."""
    for arm in named:
        if arm.ref.selection == "top" and not any(task.domain.kind in arm.kinds for task in tasks):
            chosen = ", ".join(f"{task.domain.short_name} ({task.domain.kind})" for task in tasks)
            raise W2SBenchError(
                f"trust function {arm.ref.name!r} is for {' and '.join(arm.kinds)} domains alone, and none of those "
                f"chosen is one: {chosen}; leave it out, or choose another domain"
            )
