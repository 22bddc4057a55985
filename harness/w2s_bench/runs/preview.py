"""What a plan would find in a store and what it would have to run, and why; computes nothing and writes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Literal

from w2s_bench.names import MANIFEST
from w2s_bench.record import digest_of
from w2s_bench.store import Damage, Store
from w2s_bench.store.manifest import identity
from w2s_bench.store.stage import Stage
from w2s_bench.types import JSON

_MOST_COMPARED = 400  # results of one stage name, the newest, that a missing one is compared with
_MOST_TOLD = 3
_RECOGNISABLE = 3  # differences beyond which the nearest stored result is no earlier version of a stage


@dataclass(frozen=True)
class Preview:
    """Stages whose result is there, and those that would run (with all that wait for them: their keys are not known yet)."""

    stored: tuple[Stage, ...]
    to_run: tuple[Stage, ...]
    #: Node → folder, of those stored.
    paths: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Explained:
    """`why`: when it was made; what differs from the nearest stored result of its kind; the input it waits for.

    `path`: where the stored result is.
    """

    stage: Stage
    status: Literal["stored", "to run", "waits"]
    why: str
    path: Path | None = None


def preview(stages: Sequence[Stage], store: Store) -> Preview:
    """Look up `stages`, inputs before what uses them; what is seen to be damaged counts as to run, and is left as it is."""
    return preview_of(explain(stages, store, reasons=False, whole=False))


def preview_of(explained: Sequence[Explained]) -> Preview:
    """Stages that were looked up, by whether they are stored."""
    stored = tuple(look.stage for look in explained if look.status == "stored")
    paths = {look.stage.node: look.path for look in explained if look.path is not None}
    return Preview(stored, tuple(look.stage for look in explained if look.status != "stored"), paths)


def explain(stages: Sequence[Stage], store: Store, *, reasons: bool = True, whole: bool = True) -> list[Explained]:
    """Every stage with its status. `reasons`: look for what made a missing one stale. `whole`: every byte of a stored result is read,
    as whoever uses it wants; else manifests and sizes tell.
    """
    contents: dict[str, str] = {}
    out = []
    kept = cache(lambda name: _kept(store.root / name))
    for stage in stages:
        awaited = next((needed for needed in stage.inputs.values() if needed.node not in contents), None)
        if awaited is not None:
            out.append(Explained(stage, "waits", f"for {awaited.label or awaited.name}"))
            continue
        what = identity(stage, {name: contents[needed.node] for name, needed in stage.inputs.items()})
        result = store.look(stage, digest_of(what), whole=whole)
        if result is None:
            out.append(Explained(stage, "to run", _staleness(what, kept(stage.name)) if reasons else ""))
        elif isinstance(result, Damage):
            out.append(Explained(stage, "to run", f"its stored result is damaged: {result.reason}"))
        else:
            contents[stage.node] = result.content
            since = f"since {result.created[:16].replace('T', ' ')} UTC"
            out.append(Explained(stage, "stored", since, result.path))
    if any(look.status != "stored" for look in out):
        store.require()  # a run, too, asks this before it computes anything
    return out


def as_after(looked: Sequence[Explained], earlier: Collection[str]) -> list[Explained]:
    """What was looked up, as it will be when the stages of these nodes have run: one that is missing is stored then."""
    return [
        replace(look, status="stored", why="by a board before this one")
        if look.status != "stored" and look.stage.node in earlier
        else look
        for look in looked
    ]


def _kept(folder: Path) -> list[dict[str, str]]:
    """What the newest results of one stage name were made of, newest first; what cannot be read is passed over."""
    paths = sorted(folder.glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime, reverse=True)
    out = []
    for path in paths[:_MOST_COMPARED]:
        try:
            out.append(dict(_leaves(json.loads(path.read_text(encoding="utf-8"))["identity"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # the result is damaged: the stage that needs it will say so
    return out


def _leaves(value: JSON, name: str = "") -> Iterator[tuple[str, str]]:
    """A nested value as flat (dotted name, text) pairs."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, str(value)


def _staleness(what: Mapping[str, JSON], kept: Sequence[Mapping[str, str]]) -> str:
    """What differs from the nearest result that is stored."""
    if not kept:
        return "never computed in this store"
    wanted = dict(_leaves(what))

    def differing(stored: Mapping[str, str]) -> list[str]:
        return sorted(name for name in {**wanted, **stored} if wanted.get(name) != stored.get(name))

    nearest = min(kept, key=lambda stored: len(differing(stored)))
    names = differing(nearest)
    if len(names) > _RECOGNISABLE:
        return "never computed in this store"
    told = [_difference(name, nearest.get(name), wanted.get(name)) for name in names[:_MOST_TOLD]]
    return "other than the nearest stored: " + "; ".join(told)


def _difference(name: str, before: str | None, now: str | None) -> str:
    if name.startswith("inputs."):
        return f"input {name.removeprefix('inputs.')} has other content"
    if name.startswith("libraries."):
        name = f"library {name.removeprefix('libraries.')}"
    shown = [_brief(value) for value in (before, now)]
    return f"{name} was {shown[0]}, is {shown[1]}"


def _brief(value: str | None) -> str:
    if value is None:
        return "not there"
    return value if len(value) <= 24 else f"{value[:12]}…"
