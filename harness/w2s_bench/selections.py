"""How a selection is written: a word, or the word of a method with a guarantee and what it is to guarantee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

Method = Literal["ltt", "sgr", "hoeffding", "conformal"]

#: Those that keep as many rows as the suite's coverage says, or weigh all.
PLAIN: Final = ("top", "balanced", "stratified", "diverse", "weighted")
#: Those that keep what a purity can be guaranteed of, as many as that are, or none: see `protocol.guarantees`.
METHODS: Final[Mapping[Method, str]] = MappingProxyType(
    {
        "ltt": "Learn then Test",
        "sgr": "selection with guaranteed risk",
        "hoeffding": "Hoeffding's bound",
        "conformal": "conformal selection",
    }
)
#: The chance with which a guarantee holds, where a suite does not say.
CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class Guarantee:
    """What a selection guarantees: of the rows that it keeps a share `purity` is right, with `confidence`; both in (0, 1).

    Of `conformal` it is the expected share, so that `confidence` has no part in it.
    """

    method: Method
    purity: float
    confidence: float = CONFIDENCE

    @property
    def written(self) -> str:
        """In the one way that there is: `ltt:purity=0.9`, `sgr:confidence=0.9,purity=0.8`."""
        sure = "" if self.confidence == CONFIDENCE else f"confidence={self.confidence!r},"
        return f"{self.method}:{sure}purity={self.purity!r}"


def guarantee_of(selection: str | None) -> Guarantee | None:
    """What a selection guarantees; None where it guarantees nothing. Raises `ValueError` of a method that is written wrongly."""
    method, colon, text = (selection or "").partition(":")
    if method not in get_args(Method):
        return None
    levels: dict[str, float] = {}
    taken = ("purity",) if method == "conformal" else ("purity", "confidence")
    for part in text.split(",") if colon else ():
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in taken or name in levels:
            raise ValueError(
                f"selection {selection!r}: {part.strip()!r} is not expected; {method} takes {' and '.join(taken)}, each once, "
                f"as in {method}:purity=0.9"
            )
        try:
            levels[name] = float(value)
        except ValueError:
            levels[name] = float("nan")
        if not 0 < levels[name] < 1:
            raise ValueError(f"selection {selection!r}: {name} {value!r}, expected a number above 0 and below 1")
    if "purity" not in levels:
        raise ValueError(f"selection {selection!r} must say what it is to guarantee: {method}:purity=0.9")
    return Guarantee(cast(Method, method), **levels)


def written(selection: str) -> str:
    """A selection in the one way that there is to write it. Raises `ValueError` for what is none."""
    if selection in PLAIN:
        return selection
    guarantee = guarantee_of(selection)
    if guarantee is None:
        forms = [*PLAIN, *(f"{method}:purity=0.9" for method in METHODS)]
        raise ValueError(f"{selection!r} is no selection; expected one of {', '.join(forms)}")
    return guarantee.written
