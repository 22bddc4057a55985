"""Parameters of learned functions, as a suite or a command line gives them: what is refused, and in which words."""

from __future__ import annotations

from typing import Any

from w2s_bench import Reader


def check_reader(of: str) -> Reader:
    """`of`, if it is a model whose states are read in `fit` and in `score` alike; the verifier's are not."""
    if of == "teacher":
        return "teacher"
    if of == "student":
        return "student"
    raise ValueError(f"of must be 'teacher' or 'student', got {of!r}")


def check_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}; got {value!r}")


def check_flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{name} must be true or false, got {value!r}")
    return value


def check_whole(name: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} must be {least} or more, a whole number; got {value!r}")
    return value


def check_layer(layer: Any) -> int | None:
    if layer is not None and type(layer) is not int:
        raise ValueError(f"layer must be a whole number (0 the embedding, -1 the last) or left out, got {layer!r}")
    return layer


def check_positive(name: str, value: Any) -> float:
    if not _is_number(value) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be above 0, got {value!r}")
    return float(value)


def check_share(name: str, value: Any) -> float:
    """A share of which something is left."""
    if not _is_number(value) or not 0 <= value < 1:
        raise ValueError(f"{name} must be 0 or more and below 1, got {value!r}")
    return float(value)


def check_not_negative(name: str, value: Any) -> float:
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be 0 or more, got {value!r}")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
