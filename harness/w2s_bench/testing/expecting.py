"""How a check fails: an `AssertionError` that says what was expected and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from w2s_bench.errors import W2SBenchError
from w2s_bench.hookspecs import Domain, LanguageModel


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)


def guarded(what: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except W2SBenchError as error:
        raise AssertionError(f"{what} failed: {error}") from error
    except Exception as error:
        hint = "; evidence and `correct` are read-only, work on copies" if "read-only" in str(error) else ""
        raise AssertionError(f"{what} raised {type(error).__name__}: {error}{hint}") from error


def keeps_contract(check: Callable[[str, Any], None], built: object) -> None:
    try:
        check(type(built).__name__, built)
    except W2SBenchError as error:
        raise AssertionError(str(error)) from error


def expect_lasting_fingerprint(built: Domain | LanguageModel) -> None:
    first, second = (guarded("fingerprint", built.fingerprint) for _ in range(2))
    expect(bool(first) and first == second, "fingerprint() must be the same text each time")
