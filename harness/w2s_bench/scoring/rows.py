"""A row of a user's file → a checked one. Each fault names the row and the column, what was expected, and the next step."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import LabelsError
from w2s_bench.protocol.evidence.readings.samples import classes
from w2s_bench.scoring.schema import CORRECT, GOLD, ID, LABEL, OPTIONS, PROMPT, SAMPLES, VOTES, Columns, Signal
from w2s_bench.scoring.values import MOST_SHOWN, checked_numbers, described, whole
from w2s_bench.text import shortened
from w2s_bench.types import OPTION_FORMS, Kind


@dataclass(frozen=True, slots=True)
class Row:
    """One weak label. `signals` by `Signal.key`; `right`: whether the label is, where the trust set says so."""

    id: str
    prompt: str
    label: str
    options: tuple[str, ...] | None
    index: int | None
    signals: Mapping[str, NDArray[Any]]
    right: bool | None

    @property
    def kind(self) -> Kind:
        return "generate" if self.options is None else "choice"


@dataclass
class RowParser:
    """Rows as they come, all of the kind and with the signals of the first."""

    columns: Columns
    #: The file that rows are of, for messages.
    name: str
    #: Whether cells are text alone, so that lists are JSON within them.
    is_text: bool = False
    signals: dict[str, Signal] | None = None
    kind: Kind | None = None
    unused: tuple[str, ...] = ()
    #: Which of the columns that are lists of answers there are.
    _answers: tuple[str, ...] = field(default=(), repr=False)
    _shapes: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False)

    def parse(self, raw: Mapping[str, Any], number: int) -> Row:
        """Row `number`, from 1."""
        where = f"{self.name}, row {number}"
        if not isinstance(raw, Mapping):
            raise LabelsError(f"{where} is {described(raw)}; expected an object of columns, one a row")
        if self.is_text:
            raw = {key: None if value == "" else value for key, value in raw.items()}
        if self.signals is None:
            self.signals = self.columns.signals(raw)
            self.unused = tuple(self.columns.unused(raw))
            self._answers = tuple(name for name in (VOTES, SAMPLES) if self.columns.take(raw, name) is not None)
        prompt = self._text(raw, PROMPT, where)
        options = self._options(raw, where)
        label, index = self._label(raw, options, where)
        kind: Kind = "generate" if options is None else "choice"
        if self.kind is None:
            self.kind = kind
        elif self.kind != kind:
            has, had = ("no options", "options") if options is None else ("options", "none")
            raise LabelsError(f"{where} has {has}, and row 1 has {had}; give options in every row or in none")
        signals = {
            signal.key: self._signal(raw, column, signal, options, where) for column, signal in self.signals.items()
        }
        self._refuse_others(raw, where)
        for column in self._answers:
            answers = self._listed_answers(raw, column, where)
            if column == VOTES or options is not None:
                signals.setdefault(
                    "teacher.choice_probs", self._shares(answers, options, f"{where}, column {column!r}")
                )
            else:
                signals["teacher.samples"] = self._shaped(
                    "teacher.samples", classes(label, [str(answer) for answer in answers]), where
                )
        return Row(
            self._id(raw, number, where),
            prompt,
            label,
            options,
            index,
            signals,
            self._right(raw, options, label, where),
        )

    def right_of(self, raw: Mapping[str, Any], row: Row, number: int) -> bool | None:
        """Whether a row's label is right by the gold in `raw`, row `number` of a file of gold."""
        return self._right(raw, row.options, row.label, f"{self.name}, row {number}")

    def same_label(self, raw: Mapping[str, Any], row: Row, number: int) -> bool:
        """Whether the label in `raw`, row `number` of a file of gold, is that of a row, whether it is written as text or as a place."""
        label, where = self.columns.take(raw, LABEL), f"{self.name}, row {number}"
        if row.options is None:
            return str(label).split() == row.label.split()
        return self._place(label, row.options, f"{where}, column 'label'") == row.index

    def has_id(self, raw: Mapping[str, Any]) -> bool:
        """Whether a row has an id of its own, and is not called by its number."""
        return self.columns.take(raw, ID) is not None

    def _value(self, raw: Mapping[str, Any], column: str, where: str) -> Any:
        """What a column holds; a cell that is text alone may hold a list as JSON."""
        value = self.columns.take(raw, column)
        if isinstance(value, str) and column not in (ID, PROMPT, LABEL, GOLD, CORRECT):
            try:
                return json.loads(value)
            except ValueError:
                raise LabelsError(
                    f'{where}, column {column!r}: {described(value)} is no JSON; write a list as [0.2, 0.8] or ["yes", "no"]'
                ) from None
        return value

    def _text(self, raw: Mapping[str, Any], column: str, where: str) -> str:
        value = self.columns.take(raw, column)
        theirs = self.columns.where.get(column, column)
        if value is None:
            columns = ", ".join(map(repr, list(raw)[:12]))
            near = difflib.get_close_matches(theirs, [str(key) for key in raw], n=1)
            hint = f"write --column {column}={near[0]}" if near else f"name yours: --column {column}=YOURS"
            raise LabelsError(f"{where} has no {column!r} (column {theirs!r}); it has {columns}; {hint}")
        if isinstance(value, Mapping):
            named = ", ".join(map(repr, list(value)[:6]))
            raise LabelsError(
                f"{where}, column {theirs!r} is an object with {named}; name what is within: --column {column}={theirs}.NAME"
            )
        if not isinstance(value, str):
            raise LabelsError(f"{where}, column {theirs!r}: {described(value)}, expected text; write it in quotes")
        if not value.strip():
            raise LabelsError(f"{where}, column {theirs!r} is empty; take the row out, or fill it")
        return whole(value, f"{where}, column {theirs!r}")

    def _id(self, raw: Mapping[str, Any], number: int, where: str) -> str:
        value = self.columns.take(raw, ID)
        if value is None:
            return str(number)
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer) or value == "":
            raise LabelsError(f"{where}, column 'id': {described(value)}, expected text or a whole number")
        return whole(str(value), f"{where}, column 'id'")

    def _options(self, raw: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
        value = self._value(raw, OPTIONS, where)
        if value is None:
            return None
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if (
            not isinstance(value, list | tuple)
            or len(value) < 2
            or not all(isinstance(o, str) and o.strip() for o in value)
        ):
            raise LabelsError(f"{where}, column 'options': {described(value)}, expected a list of two or more texts")
        twice = [text for text, times in Counter(value).items() if times > 1]
        if twice:
            raise LabelsError(f"{where}, column 'options' has {twice[0]!r} twice; options must differ")
        return tuple(whole(option, f"{where}, column 'options'") for option in value)

    def _label(self, raw: Mapping[str, Any], options: tuple[str, ...] | None, where: str) -> tuple[str, int | None]:
        if options is None:
            return self._text(raw, LABEL, where), None
        index = self._place(self.columns.take(raw, LABEL), options, f"{where}, column 'label'")
        if index is None:
            index = options.index(self._text(raw, LABEL, where))  # says what is missing
        return options[index], index

    def _place(self, value: Any, options: tuple[str, ...], where: str) -> int | None:
        """The place of an option that is given by its text or its place; None where there is none."""
        if value is None or value == "":
            return None
        if isinstance(value, str) and value in options:
            return options.index(value)
        stripped = [option.strip() for option in options]
        if isinstance(value, str) and stripped.count(value.strip()) == 1:
            return stripped.index(value.strip())
        if self.is_text and isinstance(value, str) and value.strip().isdecimal():
            value = int(value)
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < len(options):
            if str(value) in stripped and stripped.index(str(value)) != value:
                raise LabelsError(
                    f"{where}: {described(value)} may be the option {str(value)!r} or the one at that place from 0, {options[value]!r}; "
                    "write the option's text, in quotes"
                )
            return int(value)
        shown = ", ".join(repr(shortened(option, MOST_SHOWN)) for option in options[:6])
        raise LabelsError(
            f"{where}: {described(value)} is none of the row's options ({shown}); give one, or its place from 0"
        )

    def _right(self, raw: Mapping[str, Any], options: tuple[str, ...] | None, label: str, where: str) -> bool | None:
        correct, gold = self.columns.take(raw, CORRECT), self.columns.take(raw, GOLD)
        correct, gold = (None if isinstance(cell, float) and np.isnan(cell) else cell for cell in (correct, gold))
        told: bool | None = None
        if correct is not None:
            truth = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
            if (told := truth.get(str(correct).strip().lower())) is None:
                raise LabelsError(
                    f"{where}, column 'correct': {described(correct)}, expected true or false, or nothing"
                )
        by_gold = self._right_by(gold, options, label, where)
        if told is not None and by_gold is not None and told != by_gold:
            raise LabelsError(
                f"{where}: 'correct' is {str(told).lower()}, and the label {shortened(label, MOST_SHOWN)!r} is {'' if by_gold else 'not '}"
                f"the 'gold' {shortened(str(gold), MOST_SHOWN)!r}; mend one, or leave its column out: --column {GOLD}="
            )
        return by_gold if told is None else told

    def _right_by(self, gold: Any, options: tuple[str, ...] | None, label: str, where: str) -> bool | None:
        """Whether the label is what the gold says; None where there is none."""
        if gold is None:
            return None
        if options is not None:
            index = self._place(gold, options, f"{where}, column 'gold'")
            return None if index is None else options[index] == label
        if not isinstance(gold, str):
            raise LabelsError(
                f"{where}, column 'gold': {described(gold)}, expected text as labels are; or give 'correct'"
            )
        return gold.split() == label.split() if gold.strip() else None

    def _signal(
        self, raw: Mapping[str, Any], column: str, signal: Signal, options: tuple[str, ...] | None, where: str
    ) -> NDArray[Any]:
        value = self._value(raw, column, where)
        where = f"{where}, column {column!r}"
        if value is None:
            raise LabelsError(
                f"{where} is empty, and row 1 has a value; fill it, or leave the column out: --column {column}="
            )
        try:
            numbers = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise LabelsError(
                f"{where}: {described(value)}, expected a list of numbers, as many in every inner list"
            ) from None
        if not np.isfinite(numbers).all():
            raise LabelsError(f"{where} has a number that is not finite; give finite ones")
        if signal.form in ("tokens", "options") and numbers.ndim != 1:
            raise LabelsError(f"{where}: numbers of shape {numbers.shape}, expected a plain list")
        if signal.form in OPTION_FORMS and len(numbers) != len(options or ()):
            least = f"{len(options)} options" if options else "no column 'options'"
            raise LabelsError(f"{where} has {len(numbers)} entries, and the row has {least}; one an option is expected")
        if signal.form in ("array", "option_array"):
            self._shaped(signal.key, numbers, where, inner=signal.form == "option_array")
        return checked_numbers(signal, numbers, where)

    def _refuse_others(self, raw: Mapping[str, Any], where: str) -> None:
        """A signal, or answers, that the first row lacks would be read for some rows alone."""
        more = [
            name for name in (VOTES, SAMPLES) if name not in self._answers and self.columns.take(raw, name) is not None
        ]
        if more:
            raise LabelsError(
                f"{where} has {more[0]!r}, and row 1 has none; fill it in every row, or leave the column out: --column {more[0]}="
            )
        if not self.signals or len(raw) > len(self.signals):
            more = [name for name in self.columns.signals(raw) if name not in (self.signals or {})]
            if more:
                raise LabelsError(
                    f"{where} has {more[0]!r}, and row 1 has none; fill it in every row, or leave the column out: "
                    f"--column {more[0]}="
                )

    def _listed_answers(self, raw: Mapping[str, Any], column: str, where: str) -> list[Any]:
        answers = self._value(raw, column, where)
        answers = list(answers.values()) if isinstance(answers, Mapping) else answers
        answers = answers.tolist() if isinstance(answers, np.ndarray) else answers
        if not isinstance(answers, list | tuple) or not all(isinstance(answer, str | int) for answer in answers):
            raise LabelsError(f"{where}, column {column!r}: {described(answers)}, expected a list of texts")
        return [
            answer if isinstance(answer, int) else whole(answer, f"{where}, column {column!r}") for answer in answers
        ]

    def _shares(self, votes: Sequence[Any], options: tuple[str, ...] | None, where: str) -> NDArray[Any]:
        """Logarithms of the shares of options among votes, with one vote parted among all of them."""
        if options is None:
            raise LabelsError(f"{where}: there are no 'options'; name what could be voted for: --column options=YOURS")
        places = [self._place(vote, options, where) for vote in votes]
        counts = np.bincount([index for index in places if index is not None], minlength=len(options))
        return np.asarray(np.log((counts + 1 / len(options)) / (counts.sum() + 1)))

    def _shaped(self, key: str, numbers: NDArray[Any], where: str, *, inner: bool = False) -> NDArray[Any]:
        """Numbers of the shape that those of row 1 have; `inner`: but for how many options there are."""
        shape = numbers.shape[inner:]
        first = self._shapes.setdefault(key, shape)
        if not shape or shape != first:
            raise LabelsError(f"{where} has the shape {shape}, and row 1 has {first}; one shape for all is expected")
        return numbers


def shapes_of(rows: Sequence[Row]) -> dict[str, tuple[int, ...]]:
    """Shape of each signal of the first row, the options left out."""
    return {key: cast("tuple[int, ...]", value.shape) for key, value in rows[0].signals.items()} if rows else {}
