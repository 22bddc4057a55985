"""What planning must know of trust functions, domains and models. Those of third parties are built in another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from w2s_bench.errors import PluginError, W2SBenchError
from w2s_bench.hookspecs import Domain, LanguageModel
from w2s_bench.plugins.checks import Declared, check_parameters, check_trust_function
from w2s_bench.plugins.descriptions import (
    DescribedDomain,
    DescribedModel,
    DescribedObjective,
    DescribedReading,
    Elsewhere,
    declared_from_json,
)
from w2s_bench.plugins.hooks import HOOKS, EntryKind
from w2s_bench.plugins.looking import Look, Told, look_at
from w2s_bench.plugins.registry import Registry
from w2s_bench.record import canonical_json
from w2s_bench.types import JSON, ModelSize

Spec = tuple[str, Mapping[str, JSON]]


def declarations(registry: Registry, wanted: Sequence[Spec]) -> list[Declared | W2SBenchError]:
    """What each trust function, built with its parameters, says of itself, or why it cannot be built.

    All that need another process share one.
    """
    out: dict[int, Declared | W2SBenchError] = {}
    looks: dict[int, Look] = {}
    for i, spec in enumerate(wanted):
        try:
            look = _look(registry, "trust_function", *spec)
            if look is None:
                out[i] = _declared_here(registry, *spec)
            else:
                looks[i] = look
        except W2SBenchError as error:
            out[i] = error
    for i, told in zip(looks, look_at([*looks.values()], registry.awaits), strict=True):
        try:
            out[i] = declared_from_json(_told(registry, "trust_function", *wanted[i], told))
        except PluginError as error:
            out[i] = error
    return [out[i] for i in range(len(wanted))]


def described_domain(registry: Registry, name: str, parameters: Mapping[str, JSON]) -> Domain:
    """The domain as far as planning asks: kind, version, fingerprint."""
    told = _described(registry, "domain", name, parameters)
    return registry.domain(name, **parameters) if told is None else DescribedDomain(**told)


def described_model(registry: Registry, name: str) -> LanguageModel:
    """The model as far as planning asks: its fingerprint. Its size is asked for where somebody wants to know it."""
    look, told = _look(registry, "model", name, {}), _described(registry, "model", name, {})
    if look is None or told is None:
        return registry.model(name)
    return DescribedModel(**told, ask_size=partial(_size, registry, name, look))


def _size(registry: Registry, name: str, look: Look) -> ModelSize | None:
    """What the model says of its size, asked anew: files may have come since. `PluginError` where it cannot say."""
    (answer,) = look_at([replace(look, asked={**look.asked, "do": "measure"})], registry.awaits)
    if answer.ended:
        raise PluginError(f"{registry.resolve('model', name)}: asked for its size, it {answer.ended}")
    if answer.fault:
        raise PluginError(answer.fault)
    return None if answer.told is None else ModelSize(**answer.told)


def described_reading(registry: Registry, name: str, parameters: Mapping[str, JSON]) -> DescribedReading:
    """A plugin's reading as far as planning asks."""
    told = _described(registry, "reading", name, parameters)
    if told is not None:
        return DescribedReading.from_json(told)
    return DescribedReading.of(registry.reading(name, **parameters))


def described_objective(registry: Registry, name: str, parameters: Mapping[str, JSON]) -> DescribedObjective:
    """A plugin's objective as far as planning asks."""
    told = _described(registry, "objective", name, parameters)
    if told is not None:
        return DescribedObjective.from_json(told)
    return DescribedObjective.of(registry.objective(name, **parameters))


def _declared_here(registry: Registry, name: str, parameters: Mapping[str, JSON]) -> Declared:
    built = registry.trust_function(name, **parameters)
    return check_trust_function(str(registry.resolve("trust_function", name)), built)


def _described(registry: Registry, entry_kind: EntryKind, name: str, parameters: Mapping[str, JSON]) -> JSON | None:
    """None where it is built in this process. Asked once a registry: a fingerprint may be long to make."""
    look = _look(registry, entry_kind, name, parameters)
    if look is None:
        return None
    asked = canonical_json(look.question)
    if asked not in registry.seen:
        registry.seen[asked] = _told(registry, entry_kind, name, parameters, look_at([look], registry.awaits)[0])
    return registry.seen[asked]


def _look(registry: Registry, entry_kind: EntryKind, name: str, parameters: Mapping[str, JSON]) -> Look | None:
    """The question what a factory builds; None where it is built in this process."""
    registered = registry.resolve(entry_kind, name)
    if not isinstance(registered.factory, Elsewhere):
        return None
    check_parameters(str(registered), registered.name, registered.factory, parameters)
    asked = {"do": "build", "kind": entry_kind, "name": registered.name, "parameters": dict(parameters)}
    return replace(registered.factory.look, asked=asked, lasting=not HOOKS[entry_kind].reads_data)


def _told(registry: Registry, entry_kind: EntryKind, name: str, parameters: Mapping[str, JSON], answer: Told) -> JSON:
    if answer.ended:
        who, fault = registry.resolve(entry_kind, name), f"could not be built with parameters {dict(parameters)!r}"
        raise PluginError(f"{who} {fault}: it {answer.ended}")
    if answer.fault:
        raise PluginError(answer.fault)
    return answer.told
