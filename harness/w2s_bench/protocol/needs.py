"""Needs → the stages that read for them: each need with its reading, of the harness or of a plugin, on one split's labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from w2s_bench.errors import PluginError, UnknownNameError, W2SBenchError
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.descriptions import DescribedReading
from w2s_bench.plugins.hooks import distribution_of
from w2s_bench.plugins.planning import described_reading
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.source import Moment
from w2s_bench.protocol import crossfit
from w2s_bench.protocol.ask import Ask, More
from w2s_bench.protocol.crossfit import CrossFitted
from w2s_bench.protocol.evidence.readings import built_in_reading, built_in_readings
from w2s_bench.protocol.evidence.readings.base import BuiltInReading
from w2s_bench.protocol.evidence.registered import registered_reading
from w2s_bench.protocol.evidence.view import ShownAs
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.protocol.recipes import RECIPES, recipe_of
from w2s_bench.store.stage import Stage
from w2s_bench.suite_training import Training
from w2s_bench.types import JSON, Kind, Need, Reader


@dataclass(frozen=True)
class PlannedNeed:
    """A need and its reading. A plugin's has a full `name`, its `plugin` (distribution, version, source) and `libraries`."""

    need: Need
    reading: BuiltInReading | DescribedReading
    name: str = ""
    plugin: Mapping[str, JSON] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()

    @property
    def trains_asked(self) -> bool:
        """Whether whom it asks is trained again for it."""
        return isinstance(self.reading, BuiltInReading) and self.reading.trains_asked

    @property
    def trains_apart(self) -> bool:
        """Whether it compares models that differ in how they were trained alone."""
        return isinstance(self.reading, BuiltInReading) and self.reading.trains_apart


@dataclass(frozen=True)
class Readers:
    """The models that may read weak labels, three with their parameters and, where tuned, the stage of their weights.

    `training`: how the suite trains each of them, for readings that train more of the kind, as `more`. `crossfitted`: those
    that are a student a fold.
    """

    teacher: tuple[PlannedModel, Stage | None]
    student: tuple[PlannedModel, Stage | None]
    verifier: tuple[PlannedModel, Stage | None]
    training: Mapping[Reader, Training] = field(default_factory=dict)
    crossfitted: Mapping[Reader, CrossFitted] = field(default_factory=dict)
    more: More | None = None
    #: How items are shown to those who have examples before the prompt, of whom `examples` gives the model and its weights.
    shown: Callable[[Stage], Stage] | None = None
    examples: Mapping[Reader, tuple[PlannedModel, Stage | None]] = field(default_factory=dict)
    #: The label source, where that is no model; `teacher` is then of no use.
    label_source: str = ""

    def model(self, need: Need) -> PlannedModel:
        """The model that a need asks, whatever its weights."""
        if need.of in self.crossfitted:
            return self.crossfitted[need.of].model
        if need.of in self.examples:
            return self.examples[need.of][0]
        model: PlannedModel = getattr(self, need.of)[0]
        return model

    def tuned(self, need: Need) -> bool:
        """Whether the model that a need asks has weights of its own."""
        if need.of in self.crossfitted:
            return True
        return (self.examples[need.of] if need.of in self.examples else getattr(self, need.of))[1] is not None

    def items(self, need: Need, subset: Stage) -> Stage:
        """The items of a split as a need's reader sees them."""
        return subset if need.of not in self.examples or self.shown is None else self.shown(subset)

    def parts(self, need: Need, labels: Stage, subset: Stage, *, fitting: bool) -> list[tuple[Stage, Stage | None]]:
        """Which weak labels of a split are read with which weights: (labels, weights) pairs, one but for cross-fitted readers."""
        if need.of in self.crossfitted:
            return [*self.crossfitted[need.of].parts(labels, subset, fitting=fitting)]
        if need.of in self.examples:
            return [(labels, self.examples[need.of][1])]
        return [(labels, getattr(self, need.of)[1])]


@dataclass(frozen=True)
class Readings:
    """What is read of one split: the stages, and how plugins' readings are shown, by the need as text."""

    stages: Mapping[Need, Stage]
    shown_as: Mapping[str, ShownAs]


def own_need(need: Need) -> PlannedNeed:
    """A need of the harness itself, of one of its own readings."""
    return PlannedNeed(need, own_reading(need))


def own_reading(need: Need) -> BuiltInReading:
    """The harness's own reading of a need."""
    reading = built_in_reading(need.read, need.parameters)
    assert reading is not None, need
    return reading


def planned_needs(
    registry: Registry, needs: Iterable[Need], who: str, now: Moment | None = None
) -> tuple[PlannedNeed, ...]:
    """Each need with its reading, which must exist and take the need's parameters; `who` declared them."""
    return tuple(_planned(registry, need, who, now) for need in needs)


def _planned(registry: Registry, need: Need, who: str, now: Moment | None) -> PlannedNeed:
    try:
        own = built_in_reading(need.read, need.parameters)
        planned = PlannedNeed(need, own) if own is not None else _of_plugin(registry, need, now)
    except W2SBenchError as error:
        raise PluginError(f"{who}: need {need}: {error}") from error
    may = planned.reading.readers if isinstance(planned.reading, BuiltInReading) else None
    if may is not None and need.of not in may:
        raise PluginError(
            f"{who}: need {need}: {need.read} is read of the {' or the '.join(may)} alone; write {may[0]!r}"
        )
    if need.when is not None and need.when not in planned.reading.kinds:
        kinds = " and ".join(planned.reading.kinds)
        raise PluginError(
            f"{who}: need {need} has when={need.when!r}, but {need.read} is read in {kinds} domains alone; "
            f"write when={planned.reading.kinds[0]!r}"
        )
    return planned


def _of_plugin(registry: Registry, need: Need, now: Moment | None) -> PlannedNeed:
    if "/" not in need.read:
        readings = [*built_in_readings(), *registry.table("reading")]
        raise UnknownNameError("reading", need.read, readings, "A plugin's is written in full.")
    registered = registry.resolve("reading", need.read)
    described = described_reading(registry, need.read, need.parameters)
    source = registry.source_digest(registered, now)
    plugin = {"distribution": registered.distribution, "version": registered.version, "source": source}
    return PlannedNeed(need, described, registered.name, plugin, registry.libraries(registered))


def needs_stage(planned: PlannedNeed, kind: Kind) -> bool:
    """Whether a need takes work of its own in a domain of this kind: some readings come with the teacher's labels."""
    need, reading = planned.need, planned.reading
    if not need.applies(kind) or kind not in reading.kinds:
        return False
    return not (isinstance(reading, BuiltInReading) and reading.comes_with_labels(need.of))


def lacks(planned: PlannedNeed, readers: Readers, kind: Kind) -> str | None:
    """Why there is no such reading in a domain of this kind, by these models; None where there is."""
    need, reading = planned.need, planned.reading
    asks_model = isinstance(reading, BuiltInReading) or reading.asks_model
    if readers.label_source and need.of in ("teacher", "teacher_icl") and asks_model:
        return f"there is no {need.read} of the teacher, since labels come from label source {readers.label_source!r}, which is no model"
    model = readers.model(need)
    if kind not in reading.kinds:
        return f"reading {need.read!r} is for {' and '.join(reading.kinds)} domains alone, and this is a {kind} domain"
    if isinstance(reading, DescribedReading) and not reading.asks_model:
        return None
    if planned.trains_asked and (readers.more is None or not readers.more.taught):
        return f"reading {need.read!r} is of teachers that are trained again, and this one is used as it is, or is a student of before"
    how = readers.training.get(need.of)
    if planned.trains_apart and how is not None and (same := RECIPES[how.recipe].no_order(how)):
        return f"reading {need.read!r} is of models that steps and seeds tell apart, and {same}"
    if not recipe_of(model).gives(reading, tuned=readers.tuned(need)):
        return f"reading {need.read!r} cannot be had of the {need.of}, model {model.name!r} tuned by recipe {model.recipe!r}"
    owner = distribution_of(model.name)
    if planned.plugin and owner not in (BUILT_IN, planned.plugin["distribution"]):
        return (
            f"reading {need.read!r} and model {model.name!r}, the {need.of}, are code of two plugins, which share no process; "
            "take a folder's model (local/FOLDER)"
        )
    return None


def readings(
    needs: Iterable[PlannedNeed],
    readers: Readers,
    *,
    kind: Kind,
    labels: Stage,
    subset: Stage,
    fitting: bool,
    label: str,
    seed: Callable[[Need], int],
) -> Readings:
    """The stages behind `needs` on one split. While fitting the verifier is left out: those rows are what it was trained on.

    `seed` gives that of a reading which draws.
    """
    stages: dict[Need, Stage] = {}
    shown_as: dict[str, ShownAs] = {}
    for planned in sorted(needs, key=lambda planned: str(planned.need)):
        need = planned.need
        lack = lacks(planned, readers, kind)
        if isinstance(planned.reading, DescribedReading):
            shown_as[str(need)] = ShownAs(planned.reading.form, lack)
        if not needs_stage(planned, kind) or lack is not None or (fitting and need.of == "verifier"):
            continue
        named, parts = f"{label} · {need}", readers.parts(need, labels, subset, fitting=fitting)
        items = readers.items(need, subset)
        read = [
            (part, _reading(planned, readers, part, weights, items, seed(need), _of_part(named, fold, len(parts))))
            for fold, (part, weights) in enumerate(parts)
        ]
        stages[need] = crossfit.joined_reading(planned.reading.form, labels, read, named)
    return Readings(stages, shown_as)


def _of_part(label: str, fold: int, count: int) -> str:
    return label if count == 1 else f"{label} · fold {fold + 1}"


def _reading(
    planned: PlannedNeed,
    readers: Readers,
    labels: Stage,
    weights: Stage | None,
    subset: Stage,
    seed: int,
    label: str,
) -> Stage:
    """The stage that reads for one need, with the weights of one model."""
    need, model = planned.need, readers.model(planned.need)
    if isinstance(planned.reading, BuiltInReading):
        how = readers.training.get(need.of)
        ask = Ask(need, recipe_of(model), model, weights, labels, subset, seed, label, how, readers.more)
        return planned.reading.stage(ask)
    asked = recipe_of(model).as_engine(model, weights) if planned.reading.asks_model else None
    return registered_reading(
        {"name": planned.name, "parameters": need.parameters, "plugin": dict(planned.plugin)},
        asked,
        labels,
        subset,
        seed=seed,
        libraries=planned.libraries,
        label=label,
    )
