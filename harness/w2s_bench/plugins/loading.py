"""Entry points, one by one under guard: what each registered, and one `Problem` for each that is broken.

The built-in distribution is imported. Others are looked at in a process of their own, and imported here only where
something of theirs is built.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import Any, Literal

import pluggy

from w2s_bench import hookspecs
from w2s_bench.errors import PluginError, UnknownNameError
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.descriptions import Elsewhere, summary_of
from w2s_bench.plugins.hooks import HOOKS, EntryKind, full_name, words
from w2s_bench.plugins.installation import called_so, is_running, place_of
from w2s_bench.plugins.looking import Look, Told, look_at
from w2s_bench.plugins.source import module_named
from w2s_bench.text import shortened

#: First parts of names that mean something else than a distribution.
RESERVED_PREFIXES = frozenset({"tiny", "hf", "gguf", "local", "lm-eval"})
#: Environment variable with the distributions or entry points to load, comma-separated; unset: all of them.
RESTRICT_VARIABLE = "W2S_BENCH_PLUGINS"
_HOOKS = tuple(hook.name for hook in HOOKS.values())


@dataclass(frozen=True)
class Registered:
    """One name that a plugin brought, and where it came from."""

    name: str  # full: distribution/name
    kind: EntryKind
    factory: Callable[..., Any]
    distribution: str
    version: str
    entry_point: str
    module: str  # that the entry point names

    @property
    def summary(self) -> str:
        """First line of the factory's docstring."""
        return summary_of(self.factory)

    def __str__(self) -> str:
        origin = f"entry point {self.entry_point!r} of {self.distribution} {self.version}"
        return f"{words(self.kind)} {self.name!r} ({origin})"


@dataclass(frozen=True)
class Problem:
    """Why an entry point, or a part of it, did not load; `error` is the first exception it raised, if it raised one."""

    entry_point: str
    distribution: str
    version: str
    cause: str
    error: BaseException | None = None

    def __str__(self) -> str:
        return f"entry point {self.entry_point!r} of {self.distribution} {self.version}: {self.cause}"


@dataclass(frozen=True)
class Plugin:
    """One entry point. A broken one still provides those of its names that are sound."""

    entry_point: str
    distribution: str
    version: str
    status: Literal["ok", "broken", "left out"]
    provides: tuple[Registered, ...] = ()
    problem: Problem | None = None


def normalized(distribution: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def load_plugins(
    restrict: Collection[str] | None = None,
    entry_points: Iterable[metadata.EntryPoint] | None = None,
    only: str | None = None,
) -> tuple[Plugin, ...]:
    """The entry points of group `w2s_bench`, the built-in distribution's first, the others by name.

    `only`: of this one distribution, as far as `restrict` lets it, imported here, in a process that is its own; nothing of
    the others is looked at or told.
    """
    found = _installed() if entry_points is None else entry_points
    loadings = sorted(map(_Loading.of, found), key=lambda x: (x.distribution != BUILT_IN, x.distribution, x.name))
    _leave_out(loadings, restrict)
    loadings = [loading for loading in loadings if only in (None, loading.distribution)]
    elsewhere = []
    for loading in loadings:
        if not loading.left_out and not loading.refuse():
            if loading.is_built_in or only is not None:
                loading.load()
            else:
                elsewhere.append(loading)
    for loading, told in zip(elsewhere, look_at([loading.look() for loading in elsewhere]), strict=True):
        loading.take(told)
    _drop_duplicates(loadings)
    mute = [] if entry_points is not None or only is not None else [dist for dist in called_so()[1:] if not _ours(dist)]
    return (*(loading.plugin() for loading in loadings), *map(_in_vain, mute))


def _ours(dist: metadata.Distribution) -> list[metadata.EntryPoint]:
    return list(dist.entry_points.select(group=hookspecs.ENTRY_POINT_GROUP))


def _in_vain(dist: metadata.Distribution) -> Plugin:
    """A second distribution of our name that has no entry point: it would hide the first one all the same."""
    problem = Problem("none", BUILT_IN, dist.version, _in_the_way(dist))
    return Plugin("none", BUILT_IN, dist.version, "broken", problem=problem)


def _installed() -> list[metadata.EntryPoint]:
    """All entry points of the group. Python shows those of one distribution of a name; of ours each must be seen."""
    every = metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    others = [one for one in every if one.dist is None or normalized(one.dist.name) != BUILT_IN]
    return [*(one for dist in called_so() for one in _ours(dist)), *others]


def _in_the_way(dist: metadata.Distribution | None) -> str:
    """What is wrong with a distribution that is called as the harness, and what to do."""
    where = f"in {place_of(dist)}; uninstall it, or delete its metadata there" if dist is not None else "made by hand"
    return f"another distribution has the name {BUILT_IN!r}, and is not the one that runs: nothing of it is loaded ({where})"


def load_here(entry_point: metadata.EntryPoint, distribution: str, version: str) -> Plugin:
    """Import one entry point in this process and call its hooks."""
    loading = _Loading(entry_point, distribution, version)
    loading.load()
    return loading.plugin()


@dataclass
class _Loading:
    """An entry point while it loads: what it registered, and what is wrong with it."""

    entry_point: metadata.EntryPoint
    distribution: str
    version: str
    left_out: bool = False
    registered: list[Registered] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    error: BaseException | None = None

    @classmethod
    def of(cls, entry_point: metadata.EntryPoint) -> _Loading:
        """An entry point made by hand belongs to no distribution; its own name stands in."""
        dist = entry_point.dist
        name, version = (dist.name, dist.version) if dist is not None else (entry_point.name, "0")
        return cls(entry_point, normalized(name), version)

    @property
    def name(self) -> str:
        return self.entry_point.name

    def plugin(self) -> Plugin:
        problem = None
        if self.faults:
            problem = Problem(self.name, self.distribution, self.version, "; ".join(self.faults), self.error)
        status: Literal["ok", "broken", "left out"] = "left out" if self.left_out else "broken" if problem else "ok"
        return Plugin(self.name, self.distribution, self.version, status, tuple(self.registered), problem)

    @property
    def is_built_in(self) -> bool:
        """Of the distribution that the running harness belongs to."""
        dist = self.entry_point.dist
        return self.distribution == BUILT_IN and dist is not None and is_running(dist)

    def refuse(self) -> bool:
        """Whether its name is not its to take."""
        if self.distribution in RESERVED_PREFIXES:
            self.faults.append(f"the name {self.distribution!r} is reserved; rename the distribution")
        elif self.distribution == BUILT_IN and not self.is_built_in:
            self.faults.append(_in_the_way(self.entry_point.dist))
        return bool(self.faults)

    def load(self) -> None:
        """Import the plugin, call its hooks, and keep what is sound. A plugin that ends the process is caught too."""
        manager = pluggy.PluginManager("w2s_bench")
        manager.add_hookspecs(hookspecs)
        try:
            plugin = self.entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # anything; it is kept and shown
            self._raised(f"importing {self.entry_point.value}", error)
            return
        try:
            manager.register(plugin, name=f"{self.distribution}:{self.name}")
        except (pluggy.PluginValidationError, ValueError) as error:
            self._raised("registering its hooks", error)
            return
        self._find_misspelt(plugin, manager)
        for kind, hook in HOOKS.items():
            for implementation in getattr(manager.hook, hook.name).get_hookimpls():
                self._call(hook.name, kind, implementation.function)

    def look(self) -> Look:
        """The question what it would register."""
        return Look(self.entry_point, self.distribution, self.version, {"do": "load"})

    def take(self, answer: Told) -> None:
        """Register what another process found."""
        if answer.told is None:
            self.faults.append(answer.fault or f"importing {self.entry_point.value} {answer.ended}")
            return
        self.faults += answer.told["faults"]
        for one in answer.told["provides"]:
            factory = Elsewhere(one, self.look(), partial(self._open, one["kind"], one["name"]))
            self._register(one["kind"], one["name"], factory)

    def _open(self, kind: EntryKind, name: str) -> Callable[..., Any]:
        """The factory itself: the plugin is imported here after all."""
        plugin = load_here(self.entry_point, self.distribution, self.version)
        for one in plugin.provides:
            if (one.kind, one.name) == (kind, name):
                return one.factory
        why = plugin.problem or f"entry point {self.name!r} of {self.distribution} {self.version} gives other names now"
        raise PluginError(f"{words(kind)} {name!r} is gone: {why}")

    def _register(self, kind: EntryKind, full: str, factory: Callable[..., Any]) -> None:
        module = module_named(self.entry_point)
        self.registered.append(Registered(full, kind, factory, self.distribution, self.version, self.name, module))

    def _raised(self, doing: str, error: BaseException) -> None:
        self.faults.append(f"{doing} raised {_worded(error)}")
        self.error = self.error or error

    def _find_misspelt(self, plugin: Any, manager: pluggy.PluginManager) -> None:
        """Hooks that nobody will call (what `PluginManager.check_pending` finds), and hooks without a decorator."""
        callers = manager.get_hookcallers(plugin) or []
        for caller in callers:
            if not caller.has_spec():
                near = difflib.get_close_matches(caller.name, _HOOKS, n=1, cutoff=0.5)
                meant = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(_HOOKS)}"
                self.faults.append(f"it implements hook {caller.name!r}, which does not exist; {meant}")
        names = {caller.name for caller in callers}
        bare = [hook for hook in _HOOKS if hook not in names and inspect.isfunction(vars(plugin).get(hook))]
        self.faults += [f"{hook} lacks its decorator @w2s_bench.hookspecs.hookimpl" for hook in bare]
        if not names and not bare:
            self.faults.append(f"{self.entry_point.value} implements none of {', '.join(_HOOKS)} with @hookimpl")

    def _call(self, hook: str, kind: EntryKind, function: Callable[[], Any]) -> None:
        try:
            returned = function()
            entries = list(returned.items()) if isinstance(returned, Mapping) else None
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # anything; it is kept and shown
            self._raised(hook, error)
            return
        if entries is None:
            self.faults.append(f"{hook} returned a {type(returned).__name__}; return a mapping from names to factories")
            return
        for name, factory in entries:
            fault = _fault(kind, name, factory)
            if fault:
                self.faults.append(f"{hook}: {fault}")
                continue
            self._register(kind, full_name(self.distribution, kind, name), factory)


def _worded(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # its text is the plugin's own code, too
        text = ""
    return f"{type(error).__name__}: {shortened(text)}" if text else type(error).__name__


def _fault(kind: EntryKind, name: Any, factory: Any) -> str | None:
    """What is wrong with one entry of a hook's mapping."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return f"{name!r} is no name; use letters, digits and . _ - only (the distribution's name is put before it)"
    if name in HOOKS[kind].reserved:
        return f"the name {name!r} is reserved for {HOOKS[kind].reserved_for}; choose another"
    if not callable(factory):
        return f"{name!r} maps to a {type(factory).__name__}, which cannot be called; give a class or function"
    return None


def _leave_out(loadings: list[_Loading], restrict: Collection[str] | None) -> None:
    """Mark what `restrict` or the environment does not name; a name that stands for nothing is an error."""
    source = "restrict"
    if restrict is None:
        text = os.environ.get(RESTRICT_VARIABLE)
        if text is None:
            return
        restrict, source = [name.strip() for name in text.split(",") if name.strip()], RESTRICT_VARIABLE
    elif isinstance(restrict, str):
        restrict = [restrict]
    known = {x.distribution for x in loadings} | {x.name for x in loadings}
    wanted = {name if name in known else normalized(name) for name in restrict}
    for name in sorted(wanted - known - {BUILT_IN}):
        hint = f"{source} names distributions or entry points; install it, or leave it out."
        raise UnknownNameError("plugin", name, known, hint)
    for loading in loadings:
        loading.left_out = loading.distribution != BUILT_IN and not {loading.distribution, loading.name} & wanted


def _drop_duplicates(loadings: list[_Loading]) -> None:
    """A full name that two hooks give stands for neither: which one came first is an accident."""
    owners: dict[tuple[EntryKind, str], list[_Loading]] = {}
    for loading in loadings:
        for one in loading.registered:
            owners.setdefault((one.kind, one.name), []).append(loading)
    for (kind, name), several in owners.items():
        if len(several) == 1:
            continue
        origins = " and ".join(f"{x.name!r} ({x.entry_point.value}) of {x.distribution} {x.version}" for x in several)
        for loading in {id(x): x for x in several}.values():
            fault = f"{words(kind)} {name!r} is given more than once, by entry points {origins}"
            loading.faults.append(f"{fault}; rename one")
            loading.registered = [one for one in loading.registered if (one.kind, one.name) != (kind, name)]
