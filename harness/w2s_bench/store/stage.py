"""What a stage is: one pure step of the protocol, named by everything its result depends on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from w2s_bench.record import digest_of
from w2s_bench.types import JSON

#: The device of a stage whose model is spread over every GPU that is visible.
ALL_GPUS: Final = "cuda:all"

if TYPE_CHECKING:
    from w2s_bench.models.reuse import LoadedModels
    from w2s_bench.plugins.registry import Registry

#: Whose code a stage runs: a trust function's, a domain's, a reading's (mostly with a model), an objective's (mostly with a model,
#: which it trains), or the engine with a model's weights.
Role = Literal["engine", "domain", "trust", "reading", "objective"]


@dataclass(frozen=True)
class StageContext:
    """What a stage function gets: its parameters, the folders of its inputs, an empty folder to write to, the plugins.

    `models`: those that stages before it left in its process, which it may use again; None: it loads its own.
    """

    params: Mapping[str, JSON]
    inputs: Mapping[str, Path]
    out: Path
    registry: Registry
    models: LoadedModels | None = None


Run = Callable[[StageContext], None]


@dataclass(frozen=True)
class StageFunction:
    """A function that stages run, with their name and its version; any process finds it again by `path` (`module:name`).

    The version is raised by hand when the same parameters and inputs would give another result.
    """

    name: str
    version: int
    path: str
    run: Run | None = field(default=None, compare=False, repr=False)  # None: read from a file, and not imported yet

    def __call__(self, context: StageContext) -> None:
        self.resolve()(context)

    def resolve(self) -> Run:
        """The Python function; its module is imported here, where it was not yet."""
        if self.run is not None:
            return self.run
        module, _, name = self.path.partition(":")
        named: StageFunction | Run = getattr(importlib.import_module(module), name)
        return named.resolve() if isinstance(named, StageFunction) else named


def stage(name: str, *, version: int) -> Callable[[Run], StageFunction]:
    """Decorate a function so that stages can run it: `Stage(function, params, inputs)`."""

    def made(run: Run) -> StageFunction:
        return StageFunction(name, version, f"{run.__module__}:{run.__qualname__}", run)

    return made


class Code(NamedTuple):
    """The plugin whose code a stage runs, by what it is and its full name; of a trust function its track, by which it may see gold."""

    role: Role
    name: str
    track: str = ""


@dataclass(frozen=True, eq=False)
class Stage:
    """One node of the protocol's graph.

    Its result may depend on `function`'s version, on `params`, on the content of `inputs`, and on the versions of
    `libraries` (distribution names). All else is no part of what it is. It tells people (`label`) and executors what they
    may know of a stage: `seconds` that it may take where the executor sets no other limit; the `device` that its model runs
    on, as torch names it, or `ALL_GPUS`; the `code` that it runs beside the harness's own; what its time hangs on, which is `timed_as`
    (default: the code's name), the `domain` whose items it goes through and the `amount` of them. A stage without a domain or an
    amount has those of the stages that it needs.
    """

    function: StageFunction
    params: Mapping[str, JSON]
    inputs: Mapping[str, Stage] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    label: str = ""
    seconds: float | None = None
    device: str = "cpu"
    code: Code | None = None
    timed_as: str = ""
    domain: str = ""
    amount: int = 0

    @property
    def name(self) -> str:
        return self.function.name

    @property
    def version(self) -> int:
        return self.function.version

    @cached_property
    def node(self) -> str:
        """Digest of the stage's place in the graph: equal nodes are one piece of work, known before anything runs."""
        inputs = {name: needed.node for name, needed in self.inputs.items()}
        return digest_of({"name": self.name, "version": self.version, "params": self.params, "inputs": inputs})

    def to_json(self) -> dict[str, JSON]:
        """All but `inputs`; `from_json` makes it a stage again in any process."""
        function = self.function
        plain = ("params", "label", "seconds", "device", "timed_as", "domain", "amount")
        return {
            "function": [function.name, function.version, function.path],
            "libraries": list(self.libraries),
            "code": self.code and list(self.code),
            **{name: getattr(self, name) for name in plain},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON], inputs: Mapping[str, Stage] | None = None) -> Stage:
        read = {
            "function": StageFunction(*value["function"]),
            "libraries": tuple(value["libraries"]),
            "code": value["code"] and Code(*value["code"]),
        }
        return cls(**{**value, **read}, inputs=inputs or {})


def walk(targets: Sequence[Stage]) -> Iterator[Stage]:
    """Every stage that `targets` need, each once, inputs before what uses them."""
    seen: set[str] = set()
    stack: list[tuple[Stage, bool]] = [(target, False) for target in reversed(targets)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node.node not in seen:
            seen.add(node.node)
            stack.append((node, True))
            stack.extend((needed, False) for needed in reversed(tuple(node.inputs.values())))
