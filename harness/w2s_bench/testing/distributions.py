"""Every check on everything that a distribution registers, as `w2s-bench check-plugin` has it."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

from w2s_bench.errors import UnknownNameError, said
from w2s_bench.isolation.watch import put_back
from w2s_bench.names import bare, normalized
from w2s_bench.plugins import checks as contract
from w2s_bench.plugins.entries import Registered
from w2s_bench.plugins.hooks import EntryKind, words
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.testing.calls import Factory, fitted_once, noting, one_thread
from w2s_bench.testing.cost import tell_cost
from w2s_bench.testing.domains import check_domain
from w2s_bench.testing.models import check_model
from w2s_bench.testing.objectives import check_objective
from w2s_bench.testing.readings import check_reading
from w2s_bench.testing.trust_functions import Check, trust_function_checks
from w2s_bench.types import JSON

Rule = tuple[str, Callable[[], object]]
Tell = Callable[[str], None]
Parameters = Mapping[str, JSON]


@dataclass(frozen=True)
class Verdict:
    """What came of one rule for one entry: `fault` is empty where it is kept. `remarks` are for its author to know."""

    name: str
    entry_kind: str
    rule: str
    fault: str = ""
    remarks: tuple[str, ...] = field(default=())
    seconds: float = 0.0


def distribution_verdicts(
    distribution: str,
    *,
    names: Sequence[str] = (),
    registry: Registry | None = None,
    tell: Tell = lambda what: None,
    awaits: Awaits = unheard,
) -> Iterator[Verdict]:
    """Each rule on each entry, in turn. All of them are tried, also after one that fails.

    `names`, in full or not, restrict the entries; one may have parameters, `name:key=value`, and is then built with them. `tell` is
    called with what is checked next, `awaits` with the plugin that is waited for. The distribution's code is imported in a watched
    process first, and in this one where it came to an end there. Raises `UnknownNameError` where it is not installed, is no plugin,
    or has no such entry.
    """
    wanted = normalized(distribution)
    registry = registry or Registry.load(only=wanted, watched_first=True, awaits=awaits)
    plugins = [plugin for plugin in registry.plugins if plugin.distribution == wanted]
    if not plugins:
        installed = {plugin.distribution for plugin in Registry.load(awaits=awaits).plugins}
        hint = "A plugin is a distribution with an entry point in the group w2s_bench; install it first."
        raise UnknownNameError("plugin", distribution, installed, hint)
    entries = {entry.name for plugin in plugins for entry in plugin.provides}
    if not entries and any(plugin.problem for plugin in plugins):
        names = ()  # none of them is there to be asked for, and why is told below
    specs: list[tuple[str, Parameters]] = [parse_spec(name) for name in names] or [
        (name, {}) for name in sorted(entries)
    ]
    chosen: dict[str, list[Parameters]] = {}
    for name, parameters in specs:
        chosen.setdefault(name if name in entries else _full(wanted, name, entries), []).append(parameters)
    for plugin in plugins:
        fault = plugin.problem.cause if plugin.problem else f"left out {plugin.why}" if plugin.why else ""
        yield Verdict(plugin.entry_point, "entry point", "loads", fault)
        for entry in plugin.provides:
            for parameters in chosen.get(entry.name, ()):
                asked = _Asked(registry, entry, parameters, tell)
                for rule, check in _RULES.get(entry.entry_kind, _of_another)(asked):
                    asked.say(rule)
                    yield _verdict(asked, rule, check)


def _full(distribution: str, name: str, entries: Collection[str]) -> str:
    """The entry that a bare name stands for."""
    entries_so = [entry for entry in entries if bare(entry) == name]
    if not entries_so:
        raise UnknownNameError(f"entry of {distribution}", name, entries)
    return entries_so[0]


@dataclass(frozen=True)
class _Asked:
    """An entry with the parameters that it is built with, and who is told what is checked."""

    registry: Registry
    entry: Registered
    parameters: Parameters
    tell: Tell

    @property
    def name(self) -> str:
        return write_spec(self.entry.name, self.parameters)

    def say(self, what: str) -> None:
        self.tell(f"{words(self.entry.entry_kind)} {self.name}: {what}")


def _verdict(asked: _Asked, rule: str, check: Callable[[], object]) -> Verdict:
    began, fault = time.perf_counter(), ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        try:
            with put_back(), _exits_told():
                check()
        except AssertionError as error:
            fault = said(error) or "an assertion without a message failed"
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, SystemExit too
            fault = f"raised {type(error).__name__}: {said(error)}"
    told = tuple(str(warning.message) for warning in caught if issubclass(warning.category, UserWarning))
    return Verdict(asked.name, words(asked.entry.entry_kind), rule, fault, told, time.perf_counter() - began)


@contextmanager
def _exits_told() -> Iterator[None]:
    """Meanwhile `os._exit` raises: a plugin that calls it would end the checks, and with code 0 they would seem to be kept."""
    own, leave = os.getpid(), os._exit

    def told(status: int) -> NoReturn:
        if os.getpid() != own:  # of a process that was forked, as `multiprocessing` does
            leave(status)
        raise AssertionError(
            f"it called os._exit({status}), which ends the process of whoever runs it; return, or raise"
        )

    os._exit = told
    try:
        yield
    finally:
        os._exit = leave


def _of_trust_function(asked: _Asked) -> Iterator[Rule]:
    factory = partial(asked.entry.factory, **asked.parameters) if asked.parameters else asked.entry.factory
    checks = trust_function_checks()
    for check in checks:
        if not check.is_last:
            yield str(check), partial(check, factory)
    yield "cost", partial(_cost, checks[-1], factory)
    for check in checks:
        if check.is_last:
            yield str(check), partial(check, factory)


def _cost(check: Check, factory: Factory) -> None:
    """`cost`, with what it meets noted for the rule that tells what was left behind."""
    kinds = contract.kinds_of(factory())
    with noting(check.fitted.left(factory, kinds[0])), one_thread():
        tell_cost(factory, partial(fitted_once, factory))


def _of_domain(asked: _Asked) -> Iterator[Rule]:
    yield "domain", lambda: check_domain(asked.registry.domain(asked.entry.name, **asked.parameters), tell=asked.say)


def _of_model(asked: _Asked) -> Iterator[Rule]:
    yield "model", lambda: check_model(asked.registry.model(asked.entry.name))


def _of_reading(asked: _Asked) -> Iterator[Rule]:
    yield "reading", lambda: check_reading(asked.registry.reading(asked.entry.name, **asked.parameters))


def _of_objective(asked: _Asked) -> Iterator[Rule]:
    yield "objective", lambda: check_objective(asked.registry.objective(asked.entry.name, **asked.parameters))


def _of_another(asked: _Asked) -> Iterator[Rule]:
    """A kind that the kit has no checks for: it is built, which checks that it is what its kind must be."""
    yield "contract", lambda: asked.registry.build(asked.entry.entry_kind, asked.entry.name, **asked.parameters)


_RULES: Final[Mapping[EntryKind, Callable[[_Asked], Iterator[Rule]]]] = {
    "trust_function": _of_trust_function,
    "domain": _of_domain,
    "model": _of_model,
    "reading": _of_reading,
    "objective": _of_objective,
}
