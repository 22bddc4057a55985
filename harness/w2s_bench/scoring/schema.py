"""The columns of a file of weak labels: what each is called and holds, and how a user's own names are mapped to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Final, cast, get_args

from w2s_bench.errors import LabelsError, UnknownNameError
from w2s_bench.protocol.evidence.readings import built_in_readings
from w2s_bench.types import Form, Reader

ID, PROMPT, LABEL, OPTIONS, CORRECT, GOLD = "id", "prompt", "label", "options", "correct", "gold"
VOTES, SAMPLES = "votes", "samples"
#: What every file may have beside signals, and what it is: rows of the documentation.
PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        ID: "text or whole number, unique; without the column, rows are called by their number, from 1",
        PROMPT: "text: what was asked. Required",
        LABEL: "text: the weak label; where there are `options` one of them, or its place from 0. Required",
        OPTIONS: "list of texts: what could have been answered. In every row, or in none (then answers were generated)",
        CORRECT: "true or false, in some rows: whether the label is right. These rows are the trust set",
        GOLD: "text (or an option's place), in some rows: the right answer; the label is right if it is the same but for white space",
    }
)


@dataclass(frozen=True)
class Signal:
    """A column of numbers: what `of` says of a label, `read` as the reading is called whose form it has.

    `exact`: the whole text of a need, parameters and all, where the column is named by one.
    """

    of: Reader
    read: str
    form: Form
    says: str = ""
    exact: str = ""

    @property
    def key(self) -> str:
        return self.exact or f"{self.of}.{self.read}"


#: Short names of columns. With `student_` before it a column is what another model says of the label.
_SHORT: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "probs": ("choice_probs", "a probability for each option, sum 1"),
        "logprobs": ("choice_scores", "the log-probability of each option, summed over its tokens"),
        "token_logprobs": ("label_logprobs", "the natural log-probability of each token of the label, at most 0"),
        "token_entropies": ("label_entropies", "the entropy, in nats, before each token of the label"),
        "embedding": (
            "hidden_states",
            "the state of a model at the end of prompt + label, or an embedding of both: (d,), which serves every layer, or "
            "(layers, d), the embedding layer first",
        ),
        "prompt_embedding": ("prompt_states", "the same at the end of the prompt"),
        "option_embeddings": (
            "option_states",
            "the same at the end of prompt + option: (options, d) or (options, layers, d)",
        ),
    }
)
_VOTES_SAY: Final = (
    "list of texts, or mapping from annotator to text: what several annotators answered, each one of `options`. "
    "Where there are no `probs`, their shares (with one vote parted among all options) are taken for them"
)
_SAMPLES_SAY: Final = (
    "list of texts, as many in every row: answers that the teacher drew to the prompt. Where there are `options` they are votes; "
    "else they are told by their final answers (what follows `####`, of words and one number the number; "
    "or the last number, or the whole text)"
)
_NEED = re.compile(r"(\w+)\.([\w./-]+)(\[.*\])?")


@cache
def short_signals() -> Mapping[str, Signal]:
    """Name of a column → its signal, of those that have a short name."""
    signals: dict[str, Signal] = {}
    forms = {name: reading.form for name, reading in built_in_readings().items()}
    for prefix, of in (("", "teacher"), ("student_", "student")):
        for name, (read, says) in _SHORT.items():
            signals[f"{prefix}{name}"] = Signal(cast(Reader, of), read, forms[read], says)
    return MappingProxyType(signals)


@lru_cache(maxsize=256)
def signal_of(column: str) -> Signal | None:
    """The signal that a column is by its name: a short one, or that of a need, as in `teacher.label_logprobs`."""
    short = short_signals().get(column)
    if short is not None:
        return short
    match = _NEED.fullmatch(column)
    if match is None or match[1] not in get_args(Reader):
        return None
    of, read, parameters = cast(Reader, match[1]), match[2], match[3]
    if (own := built_in_readings().get(read)) is not None:
        return Signal(of, read, own.form, exact=column if parameters else "")
    return Signal(of, read, "array", exact=column) if "/" in read else None


@dataclass(frozen=True)
class Columns:
    """Where in a user's rows each column stands: its own name, a dotted path into nested ones, or nowhere ("")."""

    where: Mapping[str, str]

    @classmethod
    def parse(cls, written: Sequence[str]) -> Columns:
        """Of `NAME=THEIRS` each; an empty THEIRS leaves the column out."""
        where: dict[str, str] = {}
        for text in written:
            name, equals, theirs = text.partition("=")
            if not equals:
                raise LabelsError(f"--column {text!r} has no '='; write --column prompt=question: our name, then yours")
            if name in where:
                raise LabelsError(f"--column gives {name!r} twice; say it once")
            where[name] = theirs
        return cls.of(where)

    @classmethod
    def of(cls, where: Mapping[str, str]) -> Columns:
        for name in where:
            if name not in (*PLAIN, VOTES, SAMPLES) and signal_of(name) is None:
                raise UnknownNameError(
                    "column", name, [*PLAIN, VOTES, SAMPLES, *short_signals()], "Write --column OURS=YOURS."
                )
        return cls(dict(where))

    def take(self, row: Mapping[str, Any], name: str) -> Any:
        """What a row has in a column; None where it has none."""
        theirs = self.where.get(name, name)
        if theirs in row:
            return row[theirs]
        inner: Any = row
        for part in theirs.split(".") if theirs else [""]:
            if not isinstance(inner, Mapping) or part not in inner:
                return None
            inner = inner[part]
        return inner

    def signals(self, row: Mapping[str, Any]) -> dict[str, Signal]:
        """Column → signal of those that a row has a value in."""
        names = [*short_signals(), *(name for name in self.where if name not in PLAIN), *row]
        signals = {name: signal_of(name) for name in dict.fromkeys(names) if self.take(row, name) is not None}
        return {name: signal for name, signal in signals.items() if signal is not None}

    def unused(self, row: Mapping[str, Any]) -> list[str]:
        """Columns of the user's that are nothing here: shown, since a misspelt name would be one of them."""
        theirs = {self.where.get(name, name).partition(".")[0] for name in (*PLAIN, VOTES, SAMPLES, *short_signals())}
        theirs |= {self.where.get(name, name).partition(".")[0] for name in self.where}
        whole = set(self.where.values())
        return [name for name in row if name not in theirs | whole and signal_of(name) is None]


def documentation() -> str:
    """The table of columns, as `docs/score.md` has it."""
    rows: Iterable[tuple[str, str]] = [
        *PLAIN.items(),
        *((name, says) for name, (_, says) in _SHORT.items()),
        (VOTES, _VOTES_SAY),
        (SAMPLES, _SAMPLES_SAY),
    ]
    return "\n".join(["| column | what it holds |", "|---|---|", *(f"| `{name}` | {says} |" for name, says in rows)])
