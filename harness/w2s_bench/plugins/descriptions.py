"""What planning must know of a plugin, as plain data, so that a run can be planned without importing it.

Each thing is written to JSON in the process that looks at the plugin, and read back where the run is planned.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal

from w2s_bench.errors import PluginError
from w2s_bench.hookspecs import Domain, Objective, Reading
from w2s_bench.plugins.checks import Declared, kinds_of, written
from w2s_bench.plugins.looking import Look
from w2s_bench.types import JSON, Form, Kind, ModelSize, Need, Over, Whose


def unwrap(factory: Callable[..., Any]) -> Callable[..., Any]:
    """The function or class inside any number of `functools.partial`s."""
    while isinstance(factory, partial):
        factory = factory.func
    return factory


def summary_of(factory: Callable[..., Any]) -> str:
    """First line of a factory's docstring."""
    return (inspect.getdoc(unwrap(factory)) or "").partition("\n")[0]


def module_of(factory: Callable[..., Any]) -> str:
    """The module that a factory was written in."""
    inner = unwrap(factory)
    return str(getattr(inner, "__module__", None) or type(inner).__module__)


def written_as(factory: Callable[..., Any]) -> str | None:
    """The name of a factory in its module; None where it is none (a partial, a closure, an object), or not under that name."""
    if isinstance(factory, Elsewhere):
        return factory.written_as
    name = getattr(factory, "__qualname__", None)
    reached: Any = sys.modules.get(str(getattr(factory, "__module__", None)))
    for part in name.split(".") if isinstance(name, str) else ():
        reached = getattr(reached, part, None)
    return str(name) if name is not None and reached is factory else None


class Elsewhere:
    """The factory of a plugin that is not imported here. It looks like the factory; calling it imports the plugin.

    `look`: the question that its plugin was described by.
    """

    def __init__(self, described: JSON, look: Look, opened: Callable[[], Callable[..., Any]]) -> None:
        self.__doc__, self.__module__ = described["summary"], described["module"]
        self.look, self._opened = look, opened
        self.written_as: str | None = described["written_as"]
        if (parameters := described["parameters"]) is not None:
            self.__signature__ = inspect.Signature(
                [
                    inspect.Parameter(
                        name,
                        _PARAMETERS[passed],
                        default=None if optional else inspect.Parameter.empty,
                        annotation=inspect.Parameter.empty if annotation is None else annotation,
                    )
                    for name, passed, optional, annotation in parameters
                ]
            )

    def __call__(self, **parameters: JSON) -> Any:
        return self._opened()(**parameters)


_PARAMETERS: Mapping[str, Any] = {
    kind.name: kind
    for kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    )
}


def factory_to_json(factory: Callable[..., Any]) -> JSON:
    """Summary, module, name there and parameters, as `Elsewhere` takes them."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # built-in callables have none
        signature = None
    else:
        signature = [[one.name, one.kind.name, _is_optional(one), _annotation(one)] for one in parameters]
    told = {"summary": summary_of(factory), "module": module_of(factory), "written_as": written_as(factory)}
    return {**told, "parameters": signature}


def _is_optional(parameter: inspect.Parameter) -> bool:
    return (
        parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.default is not parameter.empty
    )


def _annotation(parameter: inspect.Parameter) -> str | None:
    return None if parameter.annotation is parameter.empty else written(parameter.annotation)


def declared_to_json(declared: Declared) -> JSON:
    return asdict(declared)


def declared_from_json(told: JSON) -> Declared:
    needs = tuple(Need(**need) for need in told["needs"])
    return Declared(told["supervision"], needs, told["scope"], tuple(told["kinds"]))


def has_own_training_gold(domain: Domain) -> bool:
    """Whether what is learned from may be another answer than the one that grades."""
    if isinstance(domain, DescribedDomain):
        return domain.own_training_gold
    return getattr(domain, "training_document", None) is not None


@dataclass(frozen=True)
class DescribedDomain:
    """A domain as far as planning asks; its items are read in other processes."""

    name: str
    version: str
    kind: Kind
    max_new_tokens: int | None
    digest: str
    self_contained: bool
    own_training_gold: bool = False

    @classmethod
    def of(cls, domain: Domain, fingerprint: str) -> DescribedDomain:
        whole = bool(getattr(domain, "self_contained", False))
        own = has_own_training_gold(domain)
        return cls(domain.name, domain.version, domain.kind, domain.max_new_tokens, fingerprint, whole, own)

    def fingerprint(self) -> str:
        return self.digest

    def task(self) -> Any:
        raise PluginError(f"domain {self.name!r} is described, not loaded; build it with Registry.domain")

    def fields(self, document: Mapping[str, Any]) -> dict[str, str]:
        raise PluginError(f"domain {self.name!r} is described, not loaded; build it with Registry.domain")


@dataclass(frozen=True)
class DescribedModel:
    """A model as far as planning asks; its weights are loaded in other processes."""

    name: str
    digest: str
    tells_size: bool
    #: Asks the model itself, in another process.
    ask_size: Callable[[], ModelSize | None] = field(compare=False, repr=False)

    def fingerprint(self) -> str:
        return self.digest

    def size(self) -> ModelSize | None:
        """As `hookspecs.LanguageModel` has it; `PluginError` where the model's own raises, or gives something else."""
        return self.ask_size() if self.tells_size else None

    def load(self) -> tuple[Any, Any]:
        raise PluginError(f"model {self.name!r} is described, not loaded; build it with Registry.model")


@dataclass(frozen=True)
class DescribedReading:
    """A reading as far as planning asks, and whoever shows it: see `hookspecs.Reading`."""

    form: Form
    kinds: tuple[Kind, ...]
    asks_model: bool
    of_head: Literal["untuned"] | None

    @classmethod
    def of(cls, reading: Reading) -> DescribedReading:
        asks_model, of_head = getattr(reading, "asks_model", True), getattr(reading, "of_head", None)
        return cls(reading.form, kinds_of(reading), asks_model, of_head)

    @classmethod
    def from_json(cls, told: JSON) -> DescribedReading:
        return cls(told["form"], tuple(told["kinds"]), told["asks_model"], told["of_head"])


@dataclass(frozen=True)
class DescribedObjective:
    """An objective as far as planning asks, and whoever shows it: see `hookspecs.Objective`."""

    over: tuple[Over, ...]
    needs: tuple[Whose, ...]

    @classmethod
    def of(cls, objective: Objective) -> DescribedObjective:
        return cls(objective.over, objective.needs)

    @classmethod
    def from_json(cls, told: JSON) -> DescribedObjective:
        return cls(tuple(told["over"]), tuple(told["needs"]))
