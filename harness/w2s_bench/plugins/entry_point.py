"""One entry point under guard: imported here, or described by another process, and its hooks called one by one."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from typing import Any, Literal

import pluggy

from w2s_bench import hookspecs
from w2s_bench.errors import PluginError
from w2s_bench.names import BUILT_IN, normalized
from w2s_bench.plugins.descriptions import Elsewhere
from w2s_bench.plugins.entries import Plugin, Problem, Registered
from w2s_bench.plugins.hooks import HOOKS, RESERVED_PREFIXES, EntryKind, full_name, words
from w2s_bench.plugins.installation import in_the_way, is_running
from w2s_bench.plugins.looking import Look, Told
from w2s_bench.plugins.source import module_named
from w2s_bench.text import shortened

_HOOKS = tuple(hook.name for hook in HOOKS.values())


def load_here(entry_point: metadata.EntryPoint, distribution: str, version: str) -> Plugin:
    """Import one entry point in this process and call its hooks."""
    loading = Loading(entry_point, distribution, version)
    loading.load()
    return loading.plugin()


@dataclass
class Loading:
    """An entry point while it loads: what it registered, and what is wrong with it."""

    entry_point: metadata.EntryPoint
    distribution: str
    version: str
    left_out: str = ""  # why; empty where it is not
    registered: list[Registered] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    error: BaseException | None = None

    @classmethod
    def of(cls, entry_point: metadata.EntryPoint) -> Loading:
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
        return Plugin(
            self.name, self.distribution, self.version, status, tuple(self.registered), problem, self.left_out
        )

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
            self.faults.append(in_the_way(self.entry_point.dist))
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
        for entry_kind, hook in HOOKS.items():
            for implementation in getattr(manager.hook, hook.name).get_hookimpls():
                self._call(hook.name, entry_kind, implementation.function)

    def look(self) -> Look:
        """The question what it would register."""
        return Look(self.entry_point, self.distribution, self.version, {"do": "load"})

    def take(self, answer: Told) -> None:
        """Register what another process found."""
        if answer.told is None:
            self.faults.append(answer.fault or f"importing {self.entry_point.value} {answer.ended}")
            return
        self.faults += answer.told["faults"]
        for entry in answer.told["provides"]:
            factory = Elsewhere(entry, self.look(), partial(self._open, entry["kind"], entry["name"]))
            self._register(entry["kind"], entry["name"], factory)

    def _open(self, entry_kind: EntryKind, name: str) -> Callable[..., Any]:
        """The factory itself: the plugin is imported here after all."""
        plugin = load_here(self.entry_point, self.distribution, self.version)
        for entry in plugin.provides:
            if (entry.entry_kind, entry.name) == (entry_kind, name):
                return entry.factory
        why = plugin.problem or f"entry point {self.name!r} of {self.distribution} {self.version} gives other names now"
        raise PluginError(f"{words(entry_kind)} {name!r} is gone: {why}")

    def _register(self, entry_kind: EntryKind, full: str, factory: Callable[..., Any]) -> None:
        module = module_named(self.entry_point)
        self.registered.append(
            Registered(full, entry_kind, factory, self.distribution, self.version, self.name, module)
        )

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
        self.faults += [f"{hook} lacks its decorator @w2s_bench.hookimpl" for hook in bare]
        if not names and not bare:
            self.faults.append(f"{self.entry_point.value} implements none of {', '.join(_HOOKS)} with @hookimpl")

    def _call(self, hook: str, entry_kind: EntryKind, function: Callable[[], Any]) -> None:
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
            fault = _fault(entry_kind, name, factory)
            if fault:
                self.faults.append(f"{hook}: {fault}")
                continue
            self._register(entry_kind, full_name(self.distribution, entry_kind, name), factory)


def _worded(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # its text is the plugin's own code, too
        text = ""
    return f"{type(error).__name__}: {shortened(text)}" if text else type(error).__name__


def _fault(entry_kind: EntryKind, name: Any, factory: Any) -> str | None:
    """What is wrong with one entry of a hook's mapping."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        return f"{name!r} is no name; use letters, digits and . _ - only (the distribution's name is put before it)"
    if name in HOOKS[entry_kind].reserved:
        return f"the name {name!r} is reserved for {HOOKS[entry_kind].reserved_for}; choose another"
    if not callable(factory):
        return f"{name!r} maps to a {type(factory).__name__}, which cannot be called; give a class or function"
    return None
