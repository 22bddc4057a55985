"""What a plan would find in a store and what it would have to run; computes nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from w2s_bench.manifest import Damage, check, key_of
from w2s_bench.stages import Stage
from w2s_bench.store import Store


@dataclass(frozen=True)
class Preview:
    """Stages whose result is there, and those that would run (with all that wait for them: their keys are not known yet)."""

    stored: tuple[Stage, ...]
    to_run: tuple[Stage, ...]


def preview(stages: Sequence[Stage], root: Path) -> Preview:
    """Look up `stages`, inputs before what uses them; what is damaged counts as to run, and is left as it is."""
    store = Store(root)
    contents: dict[str, str] = {}
    stored, to_run = [], []
    for stage in stages:
        known = all(one.node in contents for one in stage.inputs.values())
        result = None
        if known:
            inputs = {name: contents[one.node] for name, one in stage.inputs.items()}
            result = check(store.folder(stage, key_of(stage, inputs)))
        if result is None or isinstance(result, Damage):
            to_run.append(stage)
        else:
            contents[stage.node] = result.content
            stored.append(stage)
    return Preview(tuple(stored), tuple(to_run))
