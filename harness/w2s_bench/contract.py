"""Does what a plugin's factory takes and builds keep the contract of `hookspecs`? Each fault is a `PluginError`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from w2s_bench.errors import PluginError, UnknownNameError
from w2s_bench.types import JSON, Kind, Need, Reader, Reading, Scope, Supervision


def check_parameters(who: str, name: str, factory: Callable[..., Any], parameters: Mapping[str, JSON]) -> None:
    """Refuse parameters that `factory` does not take, and the lack of those that it must have."""
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


def check_trust_function(who: str, built: Any) -> None:
    """`built` has a supervision, needs and a scope of the right types, and methods that take what they will get."""
    supervision = _one_of(who, built, "supervision", get_args(Supervision))
    _one_of(who, built, "scope", get_args(Scope))
    needs = _attribute(who, built, "needs")
    if not isinstance(needs, tuple) or not all(isinstance(need, Need) for need in needs):
        raise PluginError(
            f"{who}: needs must be a tuple of w2s_bench.types.Need, got {needs!r}; "
            "write for example needs = (Need('teacher', 'choice_probs'),), with the comma"
        )
    for need in needs:
        if need.of not in get_args(Reader) or need.read not in get_args(Reading):
            raise PluginError(
                f"{who}: need {need!r} names no evidence; its `of` is one of {', '.join(get_args(Reader))}, "
                f"its `read` one of {', '.join(get_args(Reading))}"
            )
        if need.layer is not None and need.layer != "all" and type(need.layer) is not int:
            raise PluginError(f"{who}: the layer of need {need!r} must be an integer or 'all'")
        if supervision == "none" and need.of == "verifier":
            raise PluginError(
                f"{who}: it declares supervision 'none' and needs {need}, but the verifier is trained on the trust "
                "set's gold; declare supervision = 'trust_set'"
            )
    if supervision != "none":
        _callable_as(who, built, "fit", 2)
    _callable_as(who, built, "score", 1)


def check_domain(who: str, built: Any) -> None:
    """`built` has the attributes and methods of a domain, of the right types."""
    _text(who, built, "name")
    _text(who, built, "version")
    kind = _one_of(who, built, "kind", get_args(Kind))
    longest = _attribute(who, built, "max_new_tokens")
    if (kind == "generate" or longest is not None) and (type(longest) is not int or longest < 1):
        raise PluginError(f"{who}: max_new_tokens of a {kind} domain must be a positive integer, got {longest!r}")
    _methods(who, built, "task", "fields", "fingerprint")


def check_model(who: str, built: Any) -> None:
    """`built` has the attributes and methods of a language model."""
    _text(who, built, "name")
    _methods(who, built, "fingerprint", "load")


def _attribute(who: str, built: Any, name: str) -> Any:
    if not hasattr(built, name):
        raise PluginError(f"{who}: its factory returned a {type(built).__name__} without attribute {name!r}; add it")
    return getattr(built, name)


def _one_of(who: str, built: Any, name: str, allowed: tuple[str, ...]) -> str:
    value = _attribute(who, built, name)
    if not isinstance(value, str) or value not in allowed:
        raise PluginError(f"{who}: {name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def _text(who: str, built: Any, name: str) -> None:
    value = _attribute(who, built, name)
    if not isinstance(value, str) or not value:
        raise PluginError(f"{who}: {name} must be a non-empty string, got {value!r}")


def _methods(who: str, built: Any, *names: str) -> None:
    for name in names:
        if not callable(_attribute(who, built, name)):
            raise PluginError(f"{who}: {name} must be a method, got {getattr(built, name)!r}")


def _callable_as(who: str, built: Any, name: str, positional: int) -> None:
    """`built.name` takes `positional` arguments and the keyword `rng`."""
    _methods(who, built, name)
    wanted = "fit(evidence, correct, *, rng)" if name == "fit" else "score(evidence, *, rng)"
    signature = inspect.signature(getattr(built, name))
    try:
        signature.bind(*[None] * positional, rng=None)
    except TypeError as error:
        fault = f"{name}{signature} cannot be called as {wanted}: {error}"
        raise PluginError(f"{who}: {fault}; change its signature") from error
