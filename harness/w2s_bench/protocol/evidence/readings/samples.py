"""Answers that a model draws to the prompt, told by which of them end in the label's own final answer, and which in another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from numpy.random import Generator

from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings.base import BuiltInReading, Values, to_arrays
from w2s_bench.protocol.files import FORMAT, ITEMS, PREDICTIONS
from w2s_bench.protocol.files import READING as FILE
from w2s_bench.protocol.planned import load_planned
from w2s_bench.protocol.prediction import label_rows
from w2s_bench.record import read_json, read_records, write_arrays
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import FloatArray, Form, Item, Kind, Prediction, Synthetic, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.models.engine import Engine


_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}\b)")
#: What may stand around a number without making another answer of it: words, and no letters of a formula.
_SAYS_NOTHING: Final = re.compile(r"(?:\s|[$€£*_`.]|\b[^\W\d_]{2,}\b)*")


class Samples(BuiltInReading):
    """Form "array": (n, k), whole numbers: 0 where a sample's final answer is the label's, others in the order they come."""

    form: ClassVar[Form] = "array"
    kinds: ClassVar[tuple[Kind, ...]] = ("generate",)
    of_texts: ClassVar[bool] = True
    draws: ClassVar[bool] = True
    call = "read(Need(of, 'samples', k=8, temperature=1.0))"
    says = (
        "(n, k): of k answers drawn at a temperature, which have the same final answer: 0 is the label's, 1, 2, … others in the order "
        "in which they come. A final answer is what follows the last `####` (of words and one number, the number), else the last number, "
        "else the whole text. Domains that generate only"
    )
    instead = "answers of a choice domain are not drawn, their probabilities are known; read choice_probs"

    def __init__(self, k: int = 8, temperature: float = 1.0) -> None:
        if type(k) is not int or not 1 <= k <= 1000:
            raise ValueError(f"k must be a whole number from 1 to 1000, got {k!r}")
        if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < 100:
            raise ValueError(f"temperature must be above 0 and below 100, got {temperature!r}")
        self.k, self.temperature = k, float(temperature)

    def stage(self, ask: Ask) -> Stage:
        assert ask.more is not None and ask.more.max_new_tokens is not None, "a suite says how long answers are"
        drawn = {"k": self.k, "temperature": self.temperature, "seed": ask.seed}
        more = {**drawn, "max_new_tokens": ask.more.max_new_tokens}
        inputs = {"subset": ask.subset, "labels": ask.labels} | ({"weights": ask.weights} if ask.weights else {})
        model = ask.model.params_to_ask(texts=self.of_texts)
        return Stage(
            draw, {"model": model, **more}, inputs, label=ask.label, **ask.model.fields_to_ask(texts=self.of_texts)
        )

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Values:
        """The more right the label looks, the more samples agree with it."""
        share = 1 / (1 + np.exp(-made_up.lean))
        agree = rng.random((len(share), self.k)) < share[:, None]
        return np.where(agree, 0, rng.integers(1, 4, agree.shape))


@stage("samples", version=2)
def draw(context: StageContext) -> None:
    rows, drawn = answers_drawn(context, load_planned(context))
    told = [classes(row.completion, texts) for row, texts in zip(rows, drawn, strict=True)]
    shape = len(rows), context.params["k"]
    write_arrays(context.out / FILE, to_arrays("array", np.array(told, dtype=np.float64).reshape(shape)))


def answers_drawn(context: StageContext, engine: Engine) -> tuple[list[TrainingRow], list[list[str]]]:
    """The rows of the labels that a stage has as input, and for each the k answers that the model draws to its prompt."""
    p = context.params
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    until, rng = read_json(context.inputs["subset"] / FORMAT)["until"], np.random.default_rng(p["seed"])
    limit = p["max_new_tokens"]
    return rows, engine.samples(rows, p["k"], p["temperature"], max_new_tokens=limit, until=until, rng=rng)


def classes(label: str, samples: Sequence[str]) -> FloatArray:
    """(k,) 0 for samples of the label's final answer, the others numbered as they come."""
    numbers = {final_answer(label): 0}
    return np.array([numbers.setdefault(final_answer(text), len(numbers)) for text in samples], dtype=np.float64)


def final_answer(text: str) -> str:
    """What an answer comes to: what follows its last `####`, else its last number, else all of it.

    Case, spaces and commas between thousands say nothing; nor do words, signs of currency and emphasis around the one number that
    follows `####`, which tasks ignore, too (`#### $1,000.`, `#### 1000 dollars`).
    """
    _, mark, after = text.rpartition("####")
    said = _THOUSANDS.sub("", after if mark else text)
    numbers = _NUMBER.findall(said)
    if mark:
        alone = len(numbers) == 1 and _SAYS_NOTHING.fullmatch(_NUMBER.sub(" ", said, count=1))
        said = numbers[0] if alone else said
    elif numbers:
        said = numbers[-1]
    return " ".join(said.split()).casefold().rstrip(".")


READING = Samples
