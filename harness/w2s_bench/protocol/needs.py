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
from w2s_bench.plugins.source import Source
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings import built_in_reading, built_in_readings
from w2s_bench.protocol.evidence.readings.base import BuiltInReading
from w2s_bench.protocol.evidence.registered import registered_reading
from w2s_bench.protocol.evidence.view import ShownAs
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.protocol.recipes import recipe_of
from w2s_bench.store.stage import Stage
from w2s_bench.suite_domain import Training
from w2s_bench.types import JSON, Kind, Need, Reader


@dataclass(frozen=True)
class PlannedNeed:
    """A need and its reading. A plugin's has a full `name`, its `plugin` (distribution, version, source) and `libraries`."""

    need: Need
    reading: BuiltInReading | DescribedReading
    name: str = ""
    plugin: Mapping[str, JSON] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Readers:
    """The three models that may read weak labels, each with its parameters and, where tuned, the stage of its weights.

    `training`: how the suite trains each of them, for readings that train more of the kind.
    """

    teacher: tuple[PlannedModel, Stage | None]
    student: tuple[PlannedModel, Stage | None]
    verifier: tuple[PlannedModel, Stage | None]
    training: Mapping[Reader, Training] = field(default_factory=dict)

    def of(self, need: Need) -> tuple[PlannedModel, Stage | None]:
        """The model that a need asks, and the stage of its weights."""
        pair: tuple[PlannedModel, Stage | None] = getattr(self, need.of)
        return pair


@dataclass(frozen=True)
class Readings:
    """What is read of one split: the stages, and how plugins' readings are shown, by the need as text."""

    stages: Mapping[Need, Stage]
    shown_as: Mapping[str, ShownAs]


def own_need(need: Need) -> PlannedNeed:
    """A need of the harness itself, of one of its own readings."""
    reading = built_in_reading(need.read, need.parameters)
    assert reading is not None, need
    return PlannedNeed(need, reading)


def planned_needs(
    registry: Registry, needs: Iterable[Need], who: str, sources: dict[Source, str] | None = None
) -> tuple[PlannedNeed, ...]:
    """Each need with its reading, which must exist and take the need's parameters; `who` declared them."""
    return tuple(_planned(registry, need, who, sources) for need in needs)


def _planned(registry: Registry, need: Need, who: str, sources: dict[Source, str] | None) -> PlannedNeed:
    try:
        own = built_in_reading(need.read, need.parameters)
        planned = PlannedNeed(need, own) if own is not None else _of_plugin(registry, need, sources)
    except W2SBenchError as error:
        raise PluginError(f"{who}: need {need}: {error}") from error
    if need.when is not None and need.when not in planned.reading.kinds:
        kinds = " and ".join(planned.reading.kinds)
        raise PluginError(
            f"{who}: need {need} has when={need.when!r}, but {need.read} is read in {kinds} domains alone; "
            f"write when={planned.reading.kinds[0]!r}"
        )
    return planned


def _of_plugin(registry: Registry, need: Need, sources: dict[Source, str] | None) -> PlannedNeed:
    if "/" not in need.read:
        known = [*built_in_readings(), *registry.table("reading")]
        raise UnknownNameError("reading", need.read, known, "A plugin's is written in full.")
    found = registry.resolve("reading", need.read)
    described = described_reading(registry, need.read, need.parameters)
    source = registry.source_digest(found, sources)
    plugin = {"distribution": found.distribution, "version": found.version, "source": source}
    return PlannedNeed(need, described, found.name, plugin, registry.libraries(found))


def needs_stage(planned: PlannedNeed, kind: Kind) -> bool:
    """Whether a need takes work of its own in a domain of this kind: some readings come with the teacher's labels."""
    need, reading = planned.need, planned.reading
    if not need.applies(kind) or kind not in reading.kinds:
        return False
    return not (isinstance(reading, BuiltInReading) and reading.comes_with_labels(need.of))


def lacks(planned: PlannedNeed, readers: Readers, kind: Kind) -> str | None:
    """Why there is no such reading in a domain of this kind, by these models; None where there is."""
    need, reading, (model, _) = planned.need, planned.reading, readers.of(planned.need)
    if kind not in reading.kinds:
        return f"reading {need.read!r} is for {' and '.join(reading.kinds)} domains alone, and this is a {kind} domain"
    if isinstance(reading, DescribedReading) and not reading.asks_model:
        return None
    if not recipe_of(model).gives(reading):
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
    for planned in sorted(needs, key=lambda one: str(one.need)):
        need = planned.need
        lack = lacks(planned, readers, kind)
        if isinstance(planned.reading, DescribedReading):
            shown_as[str(need)] = ShownAs(planned.reading.form, lack)
        if not needs_stage(planned, kind) or lack is not None or (fitting and need.of == "verifier"):
            continue
        model, weights = readers.of(need)
        named = f"{label} · {need}"
        if isinstance(planned.reading, BuiltInReading):
            how = readers.training.get(need.of)
            ask = Ask(need, recipe_of(model), model, weights, labels, subset, seed(need), named, how)
            stages[need] = planned.reading.stage(ask)
            continue
        asked = recipe_of(model).as_engine(model, weights) if planned.reading.asks_model else None
        stages[need] = registered_reading(
            {"name": planned.name, "parameters": need.parameters, "plugin": dict(planned.plugin)},
            asked,
            labels,
            subset,
            seed=seed(need),
            libraries=planned.libraries,
            label=named,
        )
    return Readings(stages, shown_as)
