"""The registry: names → factories of trust functions, domains and models; what a factory builds is checked.

Nothing is built, and nothing heavy imported, until asked for.
"""

from __future__ import annotations

import hashlib
import json
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

import yaml

from w2s_bench.errors import ModelError, PluginError, UnknownNameError, W2SBenchError, said
from w2s_bench.hookspecs import Domain, LanguageModel, TrustFunction
from w2s_bench.isolation.surroundings import surroundings_kept
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins import checks as contract
from w2s_bench.plugins.descriptions import module_of
from w2s_bench.plugins.hooks import HOOKS, EntryKind, full_name, words
from w2s_bench.plugins.installation import running_version
from w2s_bench.plugins.loading import RESTRICT_VARIABLE, Plugin, Problem, Registered, load_plugins, normalized
from w2s_bench.plugins.source import Source, sources_of
from w2s_bench.types import JSON

__all__ = ["Plugin", "Problem", "Registered", "Registry", "parse_spec", "write_spec"]

T = TypeVar("T")


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins offer, by full name. Made anew by `load`; there is no global one."""

    plugins: tuple[Plugin, ...]
    #: Kind of entry → full name → what is registered.
    tables: Mapping[EntryKind, Mapping[str, Registered]]
    #: What planning asked of plugins that are not imported here (`plugins.planning`).
    seen: dict[str, JSON] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def load(
        cls,
        restrict: Collection[str] | None = None,
        *,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
        only: str | None = None,
    ) -> Registry:
        """The installed plugins, or `entry_points`; what is broken lands in `problems`.

        Third-party code is looked at in a process of its own (once: what came of it is remembered), and imported in this
        one when something of it is built.

        `restrict` names the distributions or entry points to load (default: those that the environment variable
        `W2S_BENCH_PLUGINS` lists, or all); the built-in distribution is loaded always. `only` is for processes of one
        distribution: of those others nothing is imported.
        """
        if only is None:
            with surroundings_kept():
                return cls.of(load_plugins(restrict, entry_points))
        return cls.of(load_plugins(restrict, entry_points, only))  # what importing it sets is for its own code alone

    @classmethod
    def of(cls, plugins: Iterable[Plugin]) -> Registry:
        """What these plugins provide."""
        plugins = tuple(plugins)
        provided = sorted((one for plugin in plugins for one in plugin.provides), key=lambda one: one.name)

        def table(kind: EntryKind) -> Mapping[str, Registered]:
            return MappingProxyType({one.name: one for one in provided if one.kind == kind})

        return cls(plugins, MappingProxyType({kind: table(kind) for kind in HOOKS}))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """One for every entry point that did not load whole."""
        return tuple(plugin.problem for plugin in self.plugins if plugin.problem)

    def table(self, kind: EntryKind) -> Mapping[str, Registered]:
        """Full name → what is registered of one kind."""
        return self.tables[kind]

    @property
    def trust_functions(self) -> Mapping[str, Registered]:
        return self.table("trust_function")

    @property
    def domains(self) -> Mapping[str, Registered]:
        return self.table("domain")

    @property
    def models(self) -> Mapping[str, Registered]:
        return self.table("model")

    def resolve(self, kind: EntryKind, name: str) -> Registered:
        """What a full or bare name stands for; bare, the built-in one wins, else it must be the only one so called.

        A model may also be `hf/<repository>@<revision>`, `local/<folder>`, or a folder's path that begins with `/`, `./`,
        `../` or `~`.
        """
        table = self.table(kind)
        prefix, slash, rest = name.partition("/")
        full = f"{normalized(prefix)}/{rest}" if slash else full_name(BUILT_IN, kind, name)
        if full in table:
            return table[full]
        candidates = [] if slash else [known for known in table if known.partition("/")[2] == name]
        if len(candidates) == 1:
            return table[candidates[0]]
        if candidates:
            raise UnknownNameError(words(kind), name, candidates, "Several plugins have this name; write one in full.")
        elsewhere = _model_elsewhere(name) if kind == "model" else None
        if elsewhere is None:
            hints = [self._hint(prefix if slash else None), _prefixes(kind, table)]
            raise UnknownNameError(words(kind), name, table, " ".join(hint for hint in hints if hint))
        return elsewhere

    def _hint(self, distribution: str | None) -> str:
        """A plugin that did not load might have had the name that nobody knows."""
        mine = [p for p in self.plugins if distribution is None or p.distribution == normalized(distribution)]
        hints = [f"Did not load whole: {p.problem}." for p in mine if p.problem]
        left_out = sorted({p.distribution for p in mine if p.status == "left out"})
        return " ".join([*hints, *([f"Left out by {RESTRICT_VARIABLE}: {', '.join(left_out)}."] if left_out else [])])

    def trust_function(self, name: str, /, **parameters: JSON) -> TrustFunction:
        """Build the trust function that `name` stands for and check it."""
        return cast(TrustFunction, self.build("trust_function", name, **parameters))

    def domain(self, name: str, /, **parameters: JSON) -> Domain:
        """Build the domain that `name` stands for and check it."""
        return cast(Domain, self.build("domain", name, **parameters))

    def model(self, name: str) -> LanguageModel:
        """Build the language model that `name` stands for and check it; its weights are not loaded."""
        return cast(LanguageModel, self.build("model", name))

    def build(self, kind: EntryKind, name: str, /, **parameters: JSON) -> object:
        """Build what `name` stands for and check that it is what its kind must be."""
        registered = self.resolve(kind, name)
        contract.check_parameters(str(registered), registered.name, registered.factory, parameters)
        try:
            built: object = registered.factory(**parameters)
        except (W2SBenchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit too
            fault = f"could not be built with parameters {dict(parameters)!r}: {type(error).__name__}: {said(error)}"
            raise PluginError(f"{registered} {fault}") from error
        contract.guarded(str(registered), "checking what it gave", lambda: HOOKS[kind].check(str(registered), built))
        return built

    def guarded(self, kind: EntryKind, name: str, what: str, call: Callable[[], T]) -> T:
        """Run code of what `name` stands for, such as its `fingerprint`; what it raises names entry point and distribution."""
        return contract.guarded(str(self.resolve(kind, name)), what, call)

    def source_digest(self, registered: Registered, known: dict[Source, str] | None = None) -> str:
        """SHA-256 over the Python files of the factory's and the entry point's top-level packages; nothing is imported.

        Of a namespace package they are the distribution's own. Changed plugin code makes another arm.
        What the plugin imports from elsewhere is told by versions alone. `known` is for who asks about many things at one
        moment: what has been read is kept there.
        """
        # Otherwise read anew each time: a plugin that changed on disk during a run must be seen to have.
        known = {} if known is None else known
        digest = hashlib.sha256()
        for source in sources_of((registered.module, module_of(registered.factory)), registered.distribution):
            if not source.files:
                fault = f"the source of module {source.root!r} cannot be found; install it as Python files"
                raise PluginError(f"{registered}: {fault}")
            if source not in known:
                known[source] = source.digest()
            digest.update(f"{source.root}\0{known[source]}\0".encode())
        return digest.hexdigest()

    def libraries(self, registered: Registered) -> tuple[str, ...]:
        """The installed distributions that a plugin's scores depend on: its own requirements, numpy and scipy.

        Requirements of an extra are left out, and so is what these require in turn.
        """
        found = {"numpy", "scipy"}
        if registered.distribution != BUILT_IN:
            found |= set(_requirements(registered.distribution)) - {BUILT_IN}
        return tuple(sorted(found))


def parse_spec(text: str) -> tuple[str, dict[str, JSON]]:
    """`name:key=value,key2=value2` → name and parameters; values are YAML, and `1e-3` is a number.

    A comma parts two parameters only where `key=` follows it, so that a value may hold commas: `layers=[1,2],folds=3`.
    """
    name, colon, rest = text.partition(":")
    if not name.strip():
        raise W2SBenchError(f"{text!r} has no name; write name, or name:key=value,key2=value2")
    parameters: dict[str, JSON] = {}
    for part in re.split(r",(?=\s*[A-Za-z_]\w*\s*=)", rest) if colon else []:
        match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=(.*)", part, re.DOTALL)
        if match is None or match[1] in parameters:
            fault = f"gives {match[1]!r} twice" if match else f"has {part!r} where key=value belongs"
            raise W2SBenchError(f"{text!r} {fault}; write name:key=value,key2=value2")
        parameters[match[1]] = _value(text, match[1], match[2])
    return name.strip(), parameters


def write_spec(name: str, parameters: Mapping[str, JSON]) -> str:
    """The text that `parse_spec` reads back as `name` and `parameters`, sorted; other parameters, other text."""
    written = ",".join(f"{key}={_written_value(value)}" for key, value in sorted(parameters.items()))
    return f"{name}:{written}" if written else name


def _written_value(value: JSON) -> str:
    # Text stands bare where it reads back as itself; whatever else it could be taken for is told apart by JSON's quotes.
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z][\w.-]*", value)
        and parse_spec(f"x:y={value}")[1]["y"] == value
    ):
        return value
    # Within quotes `,key=` would part two parameters: the comma is written as JSON's escape.
    return re.sub(r",(?=\s*[A-Za-z_]\w*\s*=)", r"\\u002c", json.dumps(value, sort_keys=True))


class _Yaml(yaml.SafeLoader):
    """YAML in which `1e-3` is a number, wherever it stands; YAML 1.1 takes it for a text."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _value(text: str, key: str, value: str) -> JSON:
    """A parameter's value: JSON as `write_spec` writes it, else YAML that JSON can hold; arms are named and stored by it."""
    unreadable = f"{text!r}: {value!r} for parameter {key!r} is no YAML value; put it in quotes"
    try:
        parsed: JSON = json.loads(value)
    except (ValueError, RecursionError):
        try:
            parsed = _Yaml(value).get_single_data()
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that no calendar has
            raise W2SBenchError(unreadable) from error
    try:
        written = json.dumps(parsed, allow_nan=False, ensure_ascii=False)
        # As text, since 1, 1.0 and True are equal without being the same; `encode` refuses half a character.
        kept = repr(json.loads(written.encode())) == repr(parsed)
    except (TypeError, ValueError):
        kept = False
    if not kept:
        raise W2SBenchError(
            f"{text!r}: {value!r} for parameter {key!r} would be a {type(parsed).__name__} that JSON cannot hold; give "
            "text, finite numbers, true, false, null, or lists and mappings of them with text as keys; a date goes in quotes"
        )
    return parsed


def _prefixes(kind: EntryKind, table: Mapping[str, Registered]) -> str:
    """How names of a kind may begin, for somebody who got one wrong."""
    known = ", ".join(dict.fromkeys(f"{name.partition('/')[0]}/" for name in table)) or "none here"
    if kind == "model":
        return f"A model is a plugin's ({known}), hf/OWNER/NAME@COMMIT of a hub, local/FOLDER on this disk, or a folder's path."
    hint = HOOKS[kind].hint
    return f"A {words(kind)} is a plugin's ({known}); {hint}." if hint else ""


def _model_elsewhere(name: str) -> Registered | None:
    """A model that no plugin registers: from the Hugging Face hub, or in a folder."""
    prefix, _, rest = name.partition("/")
    if prefix == "hf":
        repository, _, revision = rest.partition("@")
        if not repository or not revision:
            raise ModelError(f"model {name!r} needs a repository and a revision; write hf/<owner>/<name>@<commit>")
        return _model(name, "HubModel", repo=repository, revision=revision)
    # A folder is written as one: `models/x` could be a plugin's model, or the folder of a stranger's suite.
    if prefix not in {"local", "", ".", "..", "~"} and not name.startswith("~"):
        return None
    folder = Path(rest if prefix == "local" else name)
    try:
        folder = folder.expanduser()
    except RuntimeError as error:
        raise ModelError(
            f"model {name!r}: {folder.parts[0]} is the home of no user here; give the folder's path"
        ) from error
    if not folder.is_dir():
        raise ModelError(f"model {name!r}: there is no folder {str(folder)!r}; give one with config.json and weights")
    full = name if prefix == "local" else f"local/{name}"
    return _model(full, "LocalModel", name=full, path=folder)


def _model(full: str, kind: str, **arguments: Any) -> Registered:
    module = "w2s_bench.models.sources"
    # By name: the models' layer lies above this one, and importing it may be slow.
    factory = partial(_call_by_name, f"{module}:{kind}", **arguments)
    return Registered(full, "model", factory, BUILT_IN, running_version(), "registry", module)


def _call_by_name(target: str, /, **arguments: Any) -> object:
    """A model that lies outside every plugin."""
    built: object = pkgutil.resolve_name(target)(**arguments)
    return built


def _requirements(distribution: str) -> tuple[str, ...]:
    """What a distribution requires in every case, without versions and markers, as far as it is installed."""
    try:
        required = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:  # an entry point made by hand belongs to none
        return ()
    always = [one for one in required if not re.search(r";.*\bextra\s*==", one)]
    names = {normalized(re.split(r"[^\w.-]", one.strip(), maxsplit=1)[0]) for one in always}
    return tuple(sorted(name for name in names if _is_installed(name)))


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
