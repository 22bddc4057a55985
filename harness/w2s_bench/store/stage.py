"""What a stage is: one pure step of the protocol, named by everything its result depends on."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.record import digest_of
from w2s_bench.types import JSON

if TYPE_CHECKING:
    from w2s_bench.plugins.registry import Registry


@dataclass(frozen=True)
class StageContext:
    """What a stage function gets: its parameters, the folders of its inputs, an empty folder to write to, the plugins."""

    params: Mapping[str, JSON]
    inputs: Mapping[str, Path]
    out: Path
    registry: Registry


StageFunction = Callable[[StageContext], None]


@dataclass(frozen=True, eq=False)
class Stage:
    """One node of the protocol's graph.

    `function` is `module:name` of a `StageFunction`, so that any process can run it. Its result may depend on `params`,
    on the content of `inputs` and on `version` (raised by hand when the same parameters would give another result), and
    on the versions of `libraries` (distribution names). `label` is for people, `seconds` the time that it may take where
    the executor sets no other limit; neither is part of what it is.
    """

    name: str
    version: int
    function: str
    params: Mapping[str, JSON]
    inputs: Mapping[str, Stage] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    label: str = ""
    seconds: float | None = None

    @cached_property
    def node(self) -> str:
        """Digest of the stage's place in the graph: equal nodes are one piece of work, known before anything runs."""
        inputs = {name: stage.node for name, stage in self.inputs.items()}
        return digest_of({"name": self.name, "version": self.version, "params": self.params, "inputs": inputs})

    def resolve(self) -> StageFunction:
        module, _, name = self.function.partition(":")
        function: StageFunction = getattr(importlib.import_module(module), name)
        return function


def walk(targets: Sequence[Stage]) -> Iterator[Stage]:
    """Every stage that `targets` need, each once, inputs before what uses them."""
    seen: set[str] = set()
    stack: list[tuple[Stage, bool]] = [(stage, False) for stage in reversed(targets)]
    while stack:
        stage, ready = stack.pop()
        if ready:
            yield stage
        elif stage.node not in seen:
            seen.add(stage.node)
            stack.append((stage, True))
            stack.extend((s, False) for s in reversed(tuple(stage.inputs.values())))
