"""The registry: names → factories of trust functions, domains and models; what a factory builds is checked.

Nothing is built, and nothing heavy imported, until asked for.
"""

from __future__ import annotations

import hashlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from types import MappingProxyType
from typing import TypeVar, cast

from w2s_bench.errors import PluginError, UnknownNameError, W2SBenchError, said
from w2s_bench.hookspecs import Domain, LanguageModel, Objective, Reading, TrustFunction
from w2s_bench.isolation.surroundings import surroundings_kept
from w2s_bench.names import BUILT_IN, normalized
from w2s_bench.plugins import checks as contract
from w2s_bench.plugins.descriptions import module_of, written_as
from w2s_bench.plugins.entries import Plugin, Problem, Registered
from w2s_bench.plugins.hooks import HOOKS, EntryKind, full_name, words
from w2s_bench.plugins.installation import from_a_checkout, running_version
from w2s_bench.plugins.libraries import imported_by, required_by
from w2s_bench.plugins.loading import load_plugins
from w2s_bench.plugins.reach import reached
from w2s_bench.plugins.source import Moment, Source, source_beside, sources_of
from w2s_bench.plugins.watching import Awaits, unheard
from w2s_bench.resolvers import Resolver, resolver_of, resolvers_for, with_prefix
from w2s_bench.types import JSON

T = TypeVar("T")


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins offer, by full name. Made anew by `load`; there is no global one."""

    plugins: tuple[Plugin, ...]
    #: Kind of entry → full name → what is registered.
    tables: Mapping[EntryKind, Mapping[str, Registered]]
    #: What planning asked of plugins that are not imported here (`plugins.planning`).
    seen: dict[str, JSON] = field(default_factory=dict, repr=False, compare=False)
    #: Told what planning waits for: a plugin that is asked, a domain's documents that are read.
    awaits: Awaits = field(default=unheard, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        restrict: Collection[str] | None = None,
        *,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        only: str | None = None,
        watched_first: bool = False,
        awaits: Awaits = unheard,
    ) -> Registry:
        """The installed plugins, or `entry_points`; what is broken lands in `problems`.

        Third-party code is looked at in a process of its own (once: what came of it is remembered), and imported in this
        one when something of it is built.

        `restrict` names the distributions or entry points to load (default: those that the environment variable
        `W2S_BENCH_PLUGINS` lists, or all); the built-in distribution is loaded always. `only` is for processes of one
        distribution: of those others nothing is imported; with `watched_first` it is looked at in another one before, and not
        imported where it ends or hangs that. `awaits` is told what is waited for, here and while a run is planned.
        """
        if only is None:
            with surroundings_kept():
                return replace(cls.of(load_plugins(restrict, entry_points, awaits=awaits)), awaits=awaits)
        # This process runs one distribution's code alone, so what its import sets may stay.
        return replace(cls.of(load_plugins(restrict, entry_points, only, watched_first, awaits)), awaits=awaits)

    @classmethod
    def of(cls, plugins: Iterable[Plugin]) -> Registry:
        """What these plugins provide."""
        plugins = tuple(plugins)
        provided = sorted((entry for plugin in plugins for entry in plugin.provides), key=lambda entry: entry.name)

        def table(entry_kind: EntryKind) -> Mapping[str, Registered]:
            return MappingProxyType({entry.name: entry for entry in provided if entry.entry_kind == entry_kind})

        return cls(plugins, MappingProxyType({entry_kind: table(entry_kind) for entry_kind in HOOKS}))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One for every entry point that did not load whole."""
        return tuple(plugin.problem for plugin in self.plugins if plugin.problem)

    def table(self, entry_kind: EntryKind) -> Mapping[str, Registered]:
        """Full name → what is registered of one kind."""
        return self.tables[entry_kind]

    @property
    def trust_functions(self) -> Mapping[str, Registered]:
        return self.table("trust_function")

    @property
    def domains(self) -> Mapping[str, Registered]:
        return self.table("domain")

    @property
    def models(self) -> Mapping[str, Registered]:
        return self.table("model")

    def resolve(self, entry_kind: EntryKind, name: str) -> Registered:
        """What a full or bare name stands for; bare, the built-in one wins, else it must be the only one so called.

        It may also be what a resolver takes (`resolvers`): for a model a commit of a hub, a folder, or its path alone.
        """
        table = self.table(entry_kind)
        prefix, slash, rest = name.partition("/")
        full = f"{normalized(prefix)}/{rest}" if slash else full_name(BUILT_IN, entry_kind, name)
        if full in table:
            return table[full]
        candidates = [] if slash else [other for other in table if other.partition("/")[2] == name]
        if len(candidates) == 1:
            return table[candidates[0]]
        if candidates:
            raise UnknownNameError(
                words(entry_kind), name, candidates, "Several plugins have this name; write one in full."
            )
        resolver = resolver_of(entry_kind, name)
        if resolver is None:
            hints = [self._hint(prefix if slash else None), _ways_to_write(entry_kind, table)]
            raise UnknownNameError(words(entry_kind), name, table, " ".join(hint for hint in hints if hint))
        return _resolved(resolver, entry_kind, name)

    def _hint(self, distribution: str | None) -> str:
        """A plugin that did not load, or is not installed, might have had the name that nobody knows."""
        mine = [p for p in self.plugins if distribution is None or p.distribution == normalized(distribution)]
        if distribution and not mine and (install := from_a_checkout(distribution)):
            return f"Distribution {normalized(distribution)!r} is not installed; {install}."
        hints = [f"Did not load whole: {p.problem}." for p in mine if p.problem]
        left_out: dict[str, set[str]] = {}
        for p in mine:
            if p.status == "left out":
                left_out.setdefault(p.why, set()).add(p.distribution)
        return " ".join([*hints, *(f"Left out {why}: {', '.join(sorted(them))}." for why, them in left_out.items())])

    def trust_function(self, name: str, /, **parameters: JSON) -> TrustFunction:
        """Build the trust function that `name` stands for and check it."""
        return cast(TrustFunction, self.build("trust_function", name, **parameters))

    def domain(self, name: str, /, **parameters: JSON) -> Domain:
        """Build the domain that `name` stands for and check it."""
        return cast(Domain, self.build("domain", name, **parameters))

    def model(self, name: str) -> LanguageModel:
        """Build the language model that `name` stands for and check it; its weights are not loaded."""
        return cast(LanguageModel, self.build("model", name))

    def reading(self, name: str, /, **parameters: JSON) -> Reading:
        """Build the reading of a plugin that `name` stands for and check it."""
        return cast(Reading, self.build("reading", name, **parameters))

    def objective(self, name: str, /, **parameters: JSON) -> Objective:
        """Build the objective of a plugin that `name` stands for and check it."""
        return cast(Objective, self.build("objective", name, **parameters))

    def build(self, entry_kind: EntryKind, name: str, /, **parameters: JSON) -> object:
        """Build what `name` stands for and check that it is what its kind must be."""
        registered = self.resolve(entry_kind, name)
        contract.check_parameters(str(registered), registered.name, registered.factory, parameters)
        try:
            built: object = registered.factory(**parameters)
        except (W2SBenchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            fault = f"could not be built with parameters {dict(parameters)!r}: {type(error).__name__}: {said(error)}"
            raise PluginError(f"{registered} {fault}") from error
        contract.guarded(
            str(registered), "checking what it gave", lambda: HOOKS[entry_kind].check(str(registered), built)
        )
        return built

    def guarded(self, entry_kind: EntryKind, name: str, what: str, call: Callable[[], T]) -> T:
        """Run code of what `name` stands for, such as its `fingerprint`; what it raises names entry point and distribution."""
        return contract.guarded(str(self.resolve(entry_kind, name)), what, call)

    def source_digest(self, registered: Registered, now: Moment | None = None) -> str:
        """SHA-256 over the Python files that an entry's code comes from; nothing is imported. Changed code is another arm.

        Of a trust function, reading or objective they are the module that its factory is written in, with all of the distribution that
        this imports (`plugins.reach`), so that a sibling beside it changes nothing. Of a domain or model, of a factory that
        is not what its module calls by its name (a partial, a closure), and where imports cannot be followed, they are the
        factory's and the entry point's whole top-level packages; of a namespace package, what is the distribution's own.
        What the plugin imports from elsewhere is told by versions alone. `now` is for who asks about many things at one
        moment: what has been read is kept there.
        """
        now, digest = now or Moment(), hashlib.sha256()
        if self._is_narrow(registered):
            digest.update(f"{module_of(registered.factory)}\0{written_as(registered.factory)}\0".encode())
        for source in self.sources(registered, now):
            digest.update(f"{source.root}\0{now.digest(source)}\0".encode())
        return digest.hexdigest()

    def sources(self, registered: Registered, now: Moment | None = None) -> tuple[Source, ...]:
        """The files of `source_digest`. Raises PluginError where a package has none."""
        # Otherwise it is read anew each time, so that a plugin that changes on disk during a run is noticed.
        now = now or Moment()
        module = module_of(registered.factory)
        sources = sources_of((registered.module, module), registered.distribution, now)
        for source in sources:
            if not source.files:
                fault = f"the source of module {source.root!r} cannot be found; install it as Python files"
                raise PluginError(f"{registered}: {fault}")
        if not self._is_narrow(registered):
            return sources
        beside = partial(source_beside, distribution=registered.distribution, sources=sources, now=now)
        return reached(module, registered.module, sources, beside, now)

    @staticmethod
    def _is_narrow(registered: Registered) -> bool:
        return written_as(registered.factory) is not None and HOOKS[registered.entry_kind].is_code_alone

    def libraries(self, registered: Registered, now: Moment | None = None) -> tuple[str, ...]:
        """The installed distributions that what a plugin computes depends on: a new version of one makes new results.

        They are numpy and scipy, the distribution's own requirements (not those of an extra, nor what these require in turn), and
        what the files of `source_digest` import. Of the harness's own entries its requirements are left out: it has many.
        """
        sources = self.sources(registered, now)
        files = [path for source in sources for _, path in source.files]
        own = {"w2s_bench", *(source.root.partition(".")[0] for source in sources)}
        libraries = {"numpy", "scipy"} | imported_by(files, now or Moment(), own=own)
        if registered.distribution != BUILT_IN:
            libraries |= required_by(registered.distribution)
        return tuple(sorted(libraries - {BUILT_IN}))


def _resolved(resolver: Resolver, entry_kind: EntryKind, name: str) -> Registered:
    """What a resolver makes of a name, registered as if a plugin had brought it."""
    full = with_prefix(resolver, name)
    factory = partial(pkgutil.resolve_name(resolver.factory), full)
    module = resolver.factory.partition(":")[0]
    return Registered(full, entry_kind, factory, BUILT_IN, running_version(), "resolvers", module)


def _ways_to_write(entry_kind: EntryKind, table: Mapping[str, Registered]) -> str:
    """How names of a kind may begin, for somebody who got one wrong."""
    others = resolvers_for(entry_kind)
    if not others and not HOOKS[entry_kind].hint:
        return ""  # the error lists their full names, which say all
    prefixes = ", ".join(dict.fromkeys(f"{name.partition('/')[0]}/" for name in table)) or "none here"
    ways = [f"a plugin's ({prefixes})", *(f"{resolver.written} ({resolver.place})" for resolver in others)]
    ways += [f"a {resolver.path_of}'s path" for resolver in others if resolver.takes_bare_paths]
    listed = " or ".join([", ".join(ways[:-1]), ways[-1]] if len(ways) > 1 else ways)
    return f"A {words(entry_kind)} is {listed}{f'; {HOOKS[entry_kind].hint}' if HOOKS[entry_kind].hint else ''}."
