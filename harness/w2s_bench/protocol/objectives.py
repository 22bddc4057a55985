"""Objectives by name, the harness's own and plugins', and whether one exists where a suite asks for it.

Gold is no input of any: a row's label may be gold. Of a plugin's the labels are weak always: a suite names it beside its
students' own, and the arms that it is crossed with train on weak labels.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from w2s_bench.errors import ObjectiveError, SuiteError, UnknownNameError
from w2s_bench.models import losses
from w2s_bench.models.objectives import ClosedForm, CrossEntropy, Objective, OnPolicy, Over, Paired, Stopping, Whose
from w2s_bench.names import BUILT_IN, bare, normalized
from w2s_bench.plugins.checks import check_parameters, raised_at
from w2s_bench.plugins.hooks import distribution_of
from w2s_bench.plugins.planning import described_objective
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.store.stage import Code
from w2s_bench.types import JSON, KINDS, Kind

if TYPE_CHECKING:
    from w2s_bench.plugins.entries import Registered
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.store.stage import StageContext
    from w2s_bench.suite_training import Training

#: What training by a plugin's objective may take, where a run sets no other limit: one that hangs must not hold everything up.
MOST_SECONDS: Final = 24 * 3600.0

#: Name → what makes one from the parameters that a suite gives: `name`, or `name:key=value,…`.
#: Stages are known by that text: whoever changes a default or a formula raises the versions of `train` and `train_head`, of one that
#: is on policy that of `train_on_policy` too.
OBJECTIVES: Final[Mapping[str, Callable[..., Objective]]] = MappingProxyType(
    {
        "xent": CrossEntropy,
        "soft": losses.Soft,
        "logconf": losses.logconf,
        "product": losses.product,
        "bootstrap": losses.Bootstrap,
        "gce": losses.Generalised,
        "sce": losses.Symmetric,
        "early": losses.Early,
        "co_teaching": losses.CoTeaching,
        "opd": losses.ReverseKL,
        "trb": losses.Blended,
        "tropd": losses.Accepted,
        "w2s_opd": losses.Contrast,
    }
)


@dataclass(frozen=True)
class PlannedObjective:
    """An objective as a plan knows it. `written` is the one text of all that mean the same name and parameters.

    One that is `on_policy` has no labels to learn from but those of the teacher that it asks; one `of_two` trains a second
    student beside the one that is kept.
    A plugin's has its `plugin` (distribution, version, source), and the `libraries` that it computes with.
    """

    written: str
    over: tuple[Over, ...]
    needs: tuple[Whose, ...]
    in_closed_form: bool = False
    stops_early: bool = False
    on_policy: bool = False
    of_two: bool = False
    plugin: Mapping[str, JSON] | None = None
    libraries: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of domain where there is such an objective: over options alone, it needs some; on policy over tokens alone,
        there must be answers to write."""
        if self.on_policy and "options" not in self.over:
            return ("generate",)
        return KINDS if "tokens" in self.over else ("choice",)

    @property
    def params(self) -> dict[str, JSON]:
        """What a stage that trains by it holds beside the text, which stands with the schedule; of the harness's own nothing."""
        return {} if self.plugin is None else {"plugin": dict(self.plugin)}

    def stage_fields(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a `Stage` that trains by it, of those that it has `usual`ly: a plugin's runs in processes of its own."""
        if self.plugin is None:
            return dict(usual)
        name, _ = parse_spec(self.written)
        libraries = tuple(sorted({*usual["libraries"], *self.libraries, "torch"}))
        return {**usual, "libraries": libraries, "code": Code("objective", name), "seconds": MOST_SECONDS}


def objective_of(spec: str) -> Objective:
    """The objective that a suite writes so."""
    name, parameters = parse_spec(spec)
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    check_parameters(f"objective {name!r}", name, OBJECTIVES[name], parameters)
    try:
        return OBJECTIVES[name](**parameters)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"objective {spec!r} cannot be made: {error}; change its parameters") from error


def is_own(spec: str) -> bool:
    """Whether the harness has an objective of this name, which then wins over a plugin's bare one."""
    return parse_spec(spec)[0] in OBJECTIVES


def planned_objective(spec: str, registry: Registry | None = None) -> PlannedObjective:
    """The objective that a suite writes so; without a registry, of the harness's own. Raises for no objective."""
    name, parameters = parse_spec(spec)
    if registry is None or is_own(spec):
        own = objective_of(spec)
        closed, stops = isinstance(own, ClosedForm), isinstance(own, Stopping)
        rolls, two = isinstance(own, OnPolicy), isinstance(own, Paired)
        return PlannedObjective(write_spec(name, parameters), own.over, own.needs, closed, stops, rolls, two)
    registered = _registered(registry, name)
    described = described_objective(registry, registered.name, parameters)
    plugin = {"distribution": registered.distribution, "version": registered.version}
    return PlannedObjective(
        write_spec(registered.name, parameters),
        described.over,
        described.needs,
        plugin={**plugin, "source": registry.source_digest(registered)},
        libraries=registry.libraries(registered),
    )


def written(spec: str, registry: Registry | None = None) -> str:
    """The one text of all that mean the same name and parameters, as arms and cells have it. Raises for no objective.

    A full name may be of a plugin that is not installed here: its own rows alone cannot be had then.
    """
    name, parameters = parse_spec(spec)
    if registry is None or is_own(spec):
        objective_of(spec)
        return write_spec(name, parameters)
    distribution, slash, rest = name.partition("/")
    if slash:
        return write_spec(f"{normalized(distribution)}/{rest}", parameters)
    return write_spec(_registered(registry, name).name, parameters)


def loaded_objective(context: StageContext) -> Objective:
    """The objective of a stage that trains; a plugin's under guard, and refused where its source is not what was planned."""
    spec, plugin = context.params.get("objective", "xent"), context.params.get("plugin")
    if plugin is None:
        return objective_of(spec)
    refuse_changed(context)
    from w2s_bench.models.guarded import guarded  # torch

    name, parameters = parse_spec(spec)
    return guarded(name, context.registry.objective(name, **parameters), raised_at)


def refuse_changed(context: StageContext) -> None:
    """A plugin's source on disk is what the stage is named by, so that nothing is stored as trained by other code."""
    if (plugin := context.params.get("plugin")) is None:
        return
    name, _ = parse_spec(context.params["objective"])
    registered = context.registry.resolve("objective", name)
    if context.registry.source_digest(registered) != plugin["source"]:
        raise ObjectiveError(f"{registered} changed on disk since the run began; run again")


def _registered(registry: Registry, name: str) -> Registered:
    table = registry.table("objective")
    if "/" not in name and name not in set(map(bare, table)):
        raise UnknownNameError("objective", name, [*OBJECTIVES, *table])
    return registry.resolve("objective", name)


def refuse_unfit(
    training: Training,
    over: Collection[Over],
    domain: str,
    kind: Kind,
    *,
    teaches: bool,
    objective: PlannedObjective | None = None,
) -> None:
    """Raises where there is no such objective: on the domain, for the recipe, or for a teacher, whose rows are gold.

    `over`: what the recipe's models can be trained over. `teaches`: the model is the teacher. `objective`: what it is trained
    by, where it is not what `training` says.
    """
    planned = objective or _of_training(training, domain)
    spec = planned.written
    if planned.plugin is not None and (owner := distribution_of(training.model)) not in (
        BUILT_IN,
        planned.plugin["distribution"],
    ):
        raise SuiteError(
            f"objective {spec!r} and model {training.model!r} of {owner} are code of two plugins, which share no process; give "
            f"domain {domain!r} a student in a folder (local/FOLDER), or take another objective"
        )
    if kind == "generate" and "tokens" not in planned.over:
        raise SuiteError(
            f"objective {spec!r} is over the options of an item; domain {domain!r} generates its answers: take another"
        )
    if not set(planned.over) & set(over):
        raise SuiteError(
            f"objective {spec!r} is over {' and '.join(planned.over)}, recipe {training.recipe!r} trains over "
            f"{' and '.join(over)}; take another of the two"
        )
    if planned.stops_early and "tokens" not in over:
        raise SuiteError(
            f"objective {spec!r} keeps a student of before the last step; recipe {training.recipe!r} has none: take recipe 'full' or "
            "'lora', or another objective"
        )
    if planned.of_two and "tokens" not in over:
        raise SuiteError(
            f"objective {spec!r} trains two language models side by side; recipe {training.recipe!r} trains none: take recipe 'full' or "
            "'lora', or another objective"
        )
    if teaches and planned.needs:
        raise SuiteError(
            f"objective {spec!r} needs distributions of {' and '.join(planned.needs)}, and a teacher is trained on gold "
            "alone; give it to the student, or take another"
        )


def _of_training(training: Training, domain: str) -> PlannedObjective:
    """What a teacher or student is trained by: the harness's own alone, since it trains references and controls on gold, too."""
    if "/" in parse_spec(training.objective)[0]:
        raise SuiteError(
            f"objective {training.objective!r} of a model of domain {domain!r} is a plugin's; those stand under the suite's key "
            "`objectives` alone, and are compared with the models' own"
        )
    planned = planned_objective(training.objective)
    if planned.on_policy:
        raise SuiteError(
            f"objective {training.objective!r} of a model of domain {domain!r} learns from its teacher's distributions alone, and "
            "references and controls learn from gold; it stands under the suite's key `objectives`, beside the models' own"
        )
    return planned
