"""All entry points: which are looked at, in what order, and names that are given twice.

The built-in distribution is imported. Others are looked at in a process of their own, and imported here only where
something of theirs is built.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from importlib import metadata

from w2s_bench.errors import UnknownNameError
from w2s_bench.hookspecs import ENTRY_POINT_GROUP
from w2s_bench.names import BUILT_IN, normalized
from w2s_bench.plugins.entries import Plugin, Problem
from w2s_bench.plugins.entry_point import Loading
from w2s_bench.plugins.hooks import EntryKind, words
from w2s_bench.plugins.installation import called_so, in_the_way
from w2s_bench.plugins.looking import look_at
from w2s_bench.plugins.source import module_named
from w2s_bench.plugins.watching import Awaits, unheard

#: Environment variable with the distributions or entry points to load, comma-separated; unset: all of them.
RESTRICT_VARIABLE = "W2S_BENCH_PLUGINS"


def load_plugins(
    restrict: Collection[str] | None = None,
    entry_points: Iterable[metadata.EntryPoint] | None = None,
    only: str | None = None,
    watched_first: bool = False,
    awaits: Awaits = unheard,
) -> tuple[Plugin, ...]:
    """The entry points of group `w2s_bench`, the built-in distribution's first, the others by name.

    `only`: of this one distribution, as far as `restrict` lets it, imported here, in a process that is its own; nothing of
    the others is looked at or told. `watched_first`: one that ends or hangs a process of its own is not imported here.
    """
    entries = _installed() if entry_points is None else entry_points
    loadings = sorted(map(Loading.of, entries), key=lambda x: (x.distribution != BUILT_IN, x.distribution, x.name))
    _leave_out(loadings, restrict)
    _leave_out_twins(loadings)
    loadings = [loading for loading in loadings if only in (None, loading.distribution)]
    elsewhere = []
    for loading in loadings:
        if not loading.left_out and not loading.refuse():
            if loading.is_built_in:
                loading.load()
            elif only is not None and not (watched_first and _is_fatal(loading, awaits)):
                awaits(f"importing plugin {loading.distribution}")
                loading.load()
                awaits("")
            elif only is None:
                elsewhere.append(loading)
    for loading, told in zip(elsewhere, look_at([loading.look() for loading in elsewhere], awaits), strict=True):
        loading.take(told)
    _drop_duplicates(loadings)
    mute = [] if entry_points is not None or only is not None else [dist for dist in called_so()[1:] if not _ours(dist)]
    return (*(loading.plugin() for loading in loadings), *map(_in_vain, mute))


def _is_fatal(loading: Loading, awaits: Awaits) -> bool:
    """Whether it ends or hangs a watched process, asked anew; how is a fault of it."""
    (told,) = look_at([replace(loading.look(), lasting=False)], awaits)
    if told.ended is not None:
        loading.take(told)
    return told.ended is not None


def _ours(dist: metadata.Distribution) -> list[metadata.EntryPoint]:
    return list(dist.entry_points.select(group=ENTRY_POINT_GROUP))


def _in_vain(dist: metadata.Distribution) -> Plugin:
    """A second distribution of our name that has no entry point: it would hide the first one all the same."""
    problem = Problem("none", BUILT_IN, dist.version, in_the_way(dist))
    return Plugin("none", BUILT_IN, dist.version, "broken", problem=problem)


def _installed() -> list[metadata.EntryPoint]:
    """All entry points of the group. Python shows those of one distribution of a name; of ours each must be seen."""
    every = metadata.entry_points(group=ENTRY_POINT_GROUP)
    others = [entry for entry in every if entry.dist is None or normalized(entry.dist.name) != BUILT_IN]
    return [*(entry for dist in called_so() for entry in _ours(dist)), *others]


def _leave_out(loadings: list[Loading], restrict: Collection[str] | None) -> None:
    """Mark what `restrict` or the environment does not name; a name that stands for nothing is an error."""
    asked_by = "restrict"
    if restrict is None:
        text = os.environ.get(RESTRICT_VARIABLE)
        if text is None:
            return
        restrict, asked_by = [name.strip() for name in text.split(",") if name.strip()], RESTRICT_VARIABLE
    elif isinstance(restrict, str):
        restrict = [restrict]
    names = {x.distribution for x in loadings} | {x.name for x in loadings}
    wanted = {name if name in names else normalized(name) for name in restrict}
    for name in sorted(wanted - names - {BUILT_IN}):
        hint = f"{asked_by} names distributions or entry points; install it, or leave it out."
        raise UnknownNameError("plugin", name, names, hint)
    for loading in loadings:
        if loading.distribution != BUILT_IN and not {loading.distribution, loading.name} & wanted:
            loading.left_out = f"by {RESTRICT_VARIABLE}"


def _leave_out_twins(loadings: list[Loading]) -> None:
    """Another distribution of what the built-in one ships: its functions are there already, and would all be run twice."""
    shipped = {module_named(x.entry_point): x.name for x in loadings if x.is_built_in}
    for loading in loadings:
        module = module_named(loading.entry_point)
        if module in shipped and loading.distribution != BUILT_IN and not loading.left_out:
            loading.left_out = f"as {module} comes with {BUILT_IN} (write {BUILT_IN}/NAME)"


def _drop_duplicates(loadings: list[Loading]) -> None:
    """A full name that two hooks give stands for neither: which one came first is an accident."""
    owners: dict[tuple[EntryKind, str], list[Loading]] = {}
    for loading in loadings:
        for entry in loading.registered:
            owners.setdefault((entry.entry_kind, entry.name), []).append(loading)
    for (entry_kind, name), several in owners.items():
        if len(several) == 1:
            continue
        origins = " and ".join(f"{x.name!r} ({x.entry_point.value}) of {x.distribution} {x.version}" for x in several)
        for loading in {id(x): x for x in several}.values():
            fault = f"{words(entry_kind)} {name!r} is given more than once, by entry points {origins}"
            loading.faults.append(f"{fault}; rename one")
            loading.registered = [
                entry for entry in loading.registered if (entry.entry_kind, entry.name) != (entry_kind, name)
            ]
