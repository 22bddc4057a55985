"""Does what a plugin's factory takes and builds keep the contract of `hookspecs`? Each fault is a `PluginError`."""

from __future__ import annotations

import inspect
import json
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast, get_args

from w2s_bench.errors import EvidenceError, PluginError, UnknownNameError, W2SBenchError, said
from w2s_bench.hookspecs import Domain
from w2s_bench.types import (
    GOLD_READERS,
    JSON,
    KINDS,
    Form,
    Kind,
    ModelSize,
    Need,
    Over,
    Reader,
    Scope,
    Supervision,
    Whose,
)

T = TypeVar("T")
_LARGEST_SIZE = 2**63
#: What a parameter of one of these annotations must be, and how it is said.
_ANNOTATED: Final[Mapping[str, tuple[type, str]]] = MappingProxyType(
    {"int": (int, "a whole number"), "bool": (bool, "true or false")}
)


@dataclass(frozen=True)
class Declared:
    """What a trust function says of itself, read once and checked."""

    supervision: Supervision
    needs: tuple[Need, ...]
    scope: Scope
    kinds: tuple[Kind, ...]


def guarded(who: str, what: str, call: Callable[[], T]) -> T:
    """Run a plugin's own code while a run is planned; whatever it raises becomes a `PluginError` that names it and the line.

    An error that the harness or the plugin raised on purpose stays what it is; an interruption passes.
    """
    try:
        return call()
    except (KeyboardInterrupt, W2SBenchError):
        raise
    except BaseException as error:  # a plugin may raise anything, SystemExit too
        raise PluginError(f"{who}: {what} raised {type(error).__name__}: {said(error)} ({raised_at(error)})") from error


def raised_at(error: BaseException) -> str:
    """The innermost line that an error came from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def check_domain_unchanged(domain: Domain, params: Mapping[str, JSON], source: str | None = None) -> None:
    """Refuse a domain that is no longer the one a stage was planned with (`params` is `PlannedDomain.params`).

    `source` is the digest of its package now, where `params` have one. Documents are compared as they are read.
    """
    name = params["name"]
    fingerprint = guarded(f"domain {name!r}", "fingerprint()", domain.fingerprint)
    if fingerprint != params["fingerprint"] or source != params.get("source"):
        raise PluginError(f"domain {name!r} changed on disk since the run began; run again")


def check_declared(need: Need, needs: Sequence[Need], kind: Kind) -> None:
    """Refuse the reading of evidence that a trust function's `needs` do not name for domains of this kind."""
    declarations = [declared_need for declared_need in needs if declared_need == need]
    if any(declared_need.applies(kind) for declared_need in declarations):
        return
    if declarations:
        when = declarations[0].when
        raise EvidenceError(
            f"read {need} in a {kind} domain, but declared it for {when} domains alone (when={when!r}); "
            "ask `evidence.choices is None` first, or leave `when` out"
        )
    declared = (
        ", ".join(sorted({str(declared_need) for declared_need in needs if declared_need.applies(kind)})) or "nothing"
    )
    raise EvidenceError(f"read {need}, which it did not declare (declared: {declared}); add it to `needs`")


def check_parameters(who: str, name: str, factory: Callable[..., Any], parameters: Mapping[str, JSON]) -> None:
    """Refuse parameters that `factory` does not take, values that it says are none, and the lack of those that it must have.

    A parameter annotated `int` or `bool`, or either with `| None`, takes nothing else: what a function counts by would fail in the
    middle of a run otherwise, and a text is always true.
    """
    try:
        signature = inspect.signature(factory)
    except ValueError:  # built-in callables have none; then calling it is the check
        return
    takes = {k: p for k, p in signature.parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    unknown = [k for k in parameters if k not in takes]
    if unknown and not open_ended:
        raise UnknownNameError(f"parameter of {who}", unknown[0], takes)
    missing = [k for k, p in takes.items() if p.default is p.empty and k not in parameters]
    if missing:
        example = ",".join(f"{k}=…" for k in missing)
        raise PluginError(f"{who} needs a value for {', '.join(missing)}; write {name}:{example}")
    for key, value in parameters.items():
        if key in takes and (wanted := _other_than(takes[key].annotation, value)) is not None:
            raise PluginError(f"{who}: {key} must be {wanted}, got {value!r}")


def written(annotation: Any) -> str:
    """An annotation as it is written, a type or its text: `int | None`."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _other_than(annotation: Any, value: JSON) -> str | None:
    """What a value must be by its annotation, and is not; None where nothing is wrong or known."""
    text = re.sub(r"\s", "", written(annotation))
    name = text.removesuffix("|None")
    if name not in _ANNOTATED or (value is None and name != text):
        return None
    kind, said_as = _ANNOTATED[name]
    return None if type(value) is kind else said_as + (" or null" if name != text else "")


def check_trust_function(who: str, built: Any) -> Declared:
    """`built` has a supervision, needs, a scope and kinds of the right types, and methods that take what they will get."""
    supervision = _one_of(who, built, "supervision", get_args(Supervision))
    scope = _one_of(who, built, "scope", get_args(Scope))
    kinds = kinds_of(built, who)
    needs = _attribute(who, built, "needs")
    if not isinstance(needs, tuple) or not all(isinstance(need, Need) for need in needs):
        raise PluginError(
            f"{who}: needs must be a tuple of w2s_bench.Need, got {needs!r}; "
            "write for example needs = (Need('teacher', 'choice_probs'),), with the comma"
        )
    for need in needs:
        if need.of not in get_args(Reader) or not isinstance(need.read, str):
            raise PluginError(
                f"{who}: need {need!r} names no evidence; its `of` is one of {', '.join(get_args(Reader))}, its `read` the "
                "name of a reading"
            )
        if need.layer is not None and need.layer not in ("all", "middle") and type(need.layer) is not int:
            raise PluginError(f"{who}: the layer of need {need!r} must be an integer, 'middle' or 'all'")
        if need.when is not None and need.when not in KINDS:
            raise PluginError(f"{who}: `when` of need {need!r} must be one of {_listed(KINDS)}, or left out")
        if supervision == "none" and need.of in GOLD_READERS:
            learns = "is shown" if need.of.endswith("_icl") else "is trained on"
            raise PluginError(
                f"{who}: it declares supervision 'none' and needs {need}, but the {need.of} {learns} the trust set's gold; "
                "declare supervision = 'trust_set'"
            )
    if supervision != "none":
        _callable_as(who, built, "fit", 2, "fit(evidence, correct, *, rng)")
    _callable_as(who, built, "score", 1, "score(evidence, *, rng)")
    return Declared(cast(Supervision, supervision), needs, cast(Scope, scope), kinds)


def kinds_of(built: Any, who: str = "the trust function") -> tuple[Kind, ...]:
    """The kinds of domain that a trust function or reading is meant for: both, unless it has `kinds`."""
    kinds = guarded(who, "kinds", lambda: getattr(built, "kinds", KINDS))
    if not isinstance(kinds, tuple) or not kinds or not all(isinstance(kind, str) and kind in KINDS for kind in kinds):
        raise PluginError(
            f"{who}: kinds must be a tuple of {_listed(KINDS)}, got {kinds!r}; write for example kinds = ('choice',), "
            "with the comma, or leave it out for both"
        )
    return kinds


def check_reading(who: str, built: Any) -> None:
    """`built` has the attributes and methods of a reading."""
    _one_of(who, built, "form", get_args(Form))
    kinds_of(built, who)
    if guarded(who, "of_head", lambda: getattr(built, "of_head", None)) not in (None, "untuned"):
        raise PluginError(f"{who}: of_head must be 'untuned' or None, got {built.of_head!r}; leave it out for None")
    if not isinstance(guarded(who, "asks_model", lambda: getattr(built, "asks_model", True)), bool):
        raise PluginError(f"{who}: asks_model must be True or False, got {built.asks_model!r}; leave it out for True")
    _callable_as(who, built, "read", 2, "read(model, rows, *, rng)")
    _callable_as(who, built, "synthetic", 1, "synthetic(made_up, *, rng)")


def check_objective(who: str, built: Any) -> None:
    """`built` has the attributes and methods of an objective."""
    over = _some_of(who, built, "over", get_args(Over), least=1)
    needs = _some_of(who, built, "needs", get_args(Whose), least=0)
    on_policy = guarded(who, "rollouts", lambda: hasattr(built, "rollouts"))  # whose needs are over tokens too
    if needs and "tokens" in over and not on_policy:
        raise PluginError(
            f"{who}: it needs {' and '.join(needs)}, whose distributions are over an item's options, and its over is {over!r}; "
            "write over = ('options',), or leave needs empty: needs = ()"
        )
    _takes(who, built, "loss", 4, "loss(logits, targets, weights, step)")
    if guarded(who, "settled", lambda: hasattr(built, "settled")):
        _takes(who, built, "settled", 3, "settled(logits, targets, step)")


def check_domain(who: str, built: Any) -> None:
    """`built` has the attributes and methods of a domain, of the right types."""
    _text(who, built, "name")
    _text(who, built, "version")
    kind = _one_of(who, built, "kind", get_args(Kind))
    longest = _attribute(who, built, "max_new_tokens")
    if (kind == "generate" or longest is not None) and (type(longest) is not int or longest < 1):
        raise PluginError(f"{who}: max_new_tokens of a {kind} domain must be a positive integer, got {longest!r}")
    _methods(who, built, "task", "fields", "fingerprint")
    taught = guarded(who, "training_document", lambda: getattr(built, "training_document", None))
    if taught is not None and not callable(taught):
        raise PluginError(
            f"{who}: training_document must be a function of a document that gives the document with the answer to learn from, or "
            f"None; got {taught!r}"
        )


def check_model(who: str, built: Any) -> None:
    """`built` has the attributes and methods of a language model."""
    _text(who, built, "name")
    _methods(who, built, "fingerprint", "load")


def tells_size(built: Any) -> bool:
    """Whether a model has the method; nothing of it runs."""
    return inspect.getattr_static(built, "size", None) is not None


def told_size(who: str, built: Any) -> ModelSize | None:
    """What a model's own `size()` says, checked; None where it has no such method, or nothing to say."""
    if not tells_size(built):
        return None
    _methods(who, built, "size")
    return guarded(who, "size()", lambda: _sound_size(who, built.size()))


def _sound_size(who: str, told: Any) -> ModelSize | None:
    if told is None:
        return None
    if not isinstance(told, ModelSize):
        raise PluginError(
            f"{who}: size() gave a {type(told).__name__}; give a w2s_bench.ModelSize, or None where nothing is known"
        )
    for name in ("parameters", "on_disk", "download"):
        value = getattr(told, name)
        if value is not None and (type(value) is not int or not 0 <= value < _LARGEST_SIZE):
            raise PluginError(
                f"{who}: size() gave {name}={value!r:.100}; give a whole number from 0 to below 2**63, or leave it out"
            )
    if told.config is None:
        return told
    if not isinstance(told.config, Mapping):
        raise PluginError(f"{who}: size() gave a {type(told.config).__name__} as config; give what config.json holds")
    try:
        return replace(told, config=json.loads(json.dumps(dict(told.config), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise PluginError(
            f"{who}: size() gave a config that no JSON can hold: {error}; give what config.json holds"
        ) from error


def _attribute(who: str, built: Any, name: str) -> Any:
    if not guarded(who, name, lambda: hasattr(built, name)):
        raise PluginError(f"{who}: its factory returned a {type(built).__name__} without attribute {name!r}; add it")
    return guarded(who, name, lambda: getattr(built, name))


def _one_of(who: str, built: Any, name: str, allowed: tuple[str, ...]) -> str:
    value = _attribute(who, built, name)
    if not isinstance(value, str) or value not in allowed:
        raise PluginError(f"{who}: {name} must be one of {_listed(allowed)}, got {value!r}")
    return value


def _some_of(who: str, built: Any, name: str, allowed: tuple[str, ...], *, least: int) -> tuple[str, ...]:
    values = _attribute(who, built, name)
    allowed_each = isinstance(values, tuple) and all(isinstance(value, str) and value in allowed for value in values)
    if not allowed_each or len(set(values)) < len(values) or len(values) < least:
        example = f"{name} = ({allowed[-1]!r},), with the comma" + ("" if least else f", or {name} = ()")
        raise PluginError(
            f"{who}: {name} must be a tuple of {_listed(allowed)}, each once, got {values!r}; write for example {example}"
        )
    return cast("tuple[str, ...]", values)


def _listed(allowed: Sequence[str]) -> str:
    return ", ".join(map(repr, allowed))


def _text(who: str, built: Any, name: str) -> None:
    value = _attribute(who, built, name)
    if not isinstance(value, str) or not value:
        raise PluginError(f"{who}: {name} must be a non-empty string, got {value!r}")


def _methods(who: str, built: Any, *names: str) -> None:
    for name in names:
        if not callable(_attribute(who, built, name)):
            raise PluginError(f"{who}: {name} must be a method, got {_attribute(who, built, name)!r}")


def _callable_as(who: str, built: Any, name: str, positional: int, wanted: str) -> None:
    """`built.name` takes `positional` arguments and the keyword `rng`, as in `wanted`."""
    _takes(who, built, name, positional, wanted, rng=None)


def _takes(who: str, built: Any, name: str, positional: int, wanted: str, **named: None) -> None:
    """`built.name` takes `positional` arguments and those `named`, as in `wanted`."""
    _methods(who, built, name)
    signature = inspect.signature(getattr(built, name))
    try:
        signature.bind(*[None] * positional, **named)
    except TypeError as error:
        fault = f"{name}{signature} cannot be called as {wanted}: {error}"
        raise PluginError(f"{who}: {fault}; change its signature") from error
