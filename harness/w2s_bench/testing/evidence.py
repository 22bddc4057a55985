"""Evidence held in memory, and made-up weak labels with readings that hint at which are right; for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from w2s_bench.errors import EvidenceError
from w2s_bench.plugins.checks import check_reading
from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind, Need, Ragged, Reader

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass
class MemoryEvidence:
    """`hookspecs.Evidence` from arrays in memory.

    `readings` has one entry a `Need`; hidden states stand once, every layer (n, layers, d), under layer "all".
    `declared` are the needs that may be read (None: all of them); in `fitting` the verifier may not be; `answers` are
    the gold texts.
    """

    ids: tuple[str, ...]
    prompts: tuple[str, ...]
    labels: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...] | None
    label_index: IntArray | None
    readings: Mapping[Need, Ragged | FloatArray]
    answers: tuple[str, ...]
    declared: tuple[Need, ...] | None = None
    fitting: bool = False
    privileged: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def gold(self) -> tuple[str, ...]:
        """(n,) the right answers, for the privileged track alone."""
        if not self.privileged:
            raise EvidenceError("gold is seen by the privileged track alone: declare supervision = 'privileged'")
        return self.answers

    def choice_probs(self, of: Reader = "teacher") -> Ragged:
        if self.choices is None:
            raise EvidenceError("answers are generated here, `choices` is None; read label_logprobs")
        return self._ragged(Need(of, "choice_probs"))

    def label_logprobs(self, of: Reader = "teacher") -> Ragged:
        return self._ragged(Need(of, "label_logprobs"))

    def hidden_states(self, of: Reader = "teacher", layer: int | str = -1) -> FloatArray:
        if isinstance(layer, str) and layer != "all":
            raise EvidenceError(f"layer must be an integer or 'all', got {layer!r}")
        self._check(Need(of, "hidden_states", layer))  # type: ignore[arg-type]  # it was just checked
        states = self.readings[Need(of, "hidden_states", "all")]
        if isinstance(states, Ragged):
            raise TypeError("hidden states are an array (n, layers, d)")
        if isinstance(layer, str):
            return _locked(states.copy())
        if not -states.shape[1] <= layer < states.shape[1]:
            raise EvidenceError(f"layer {layer} of {states.shape[1]}; 0 is the embedding, -1 the last")
        return _locked(states[:, layer].copy())

    def declaring(self, needs: Sequence[Need], *, fitting: bool = False, privileged: bool = False) -> MemoryEvidence:
        """The same rows for a trust function that declared `needs`."""
        return replace(self, declared=tuple(needs), fitting=fitting, privileged=privileged)

    def take(self, rows: Sequence[int] | IntArray) -> MemoryEvidence:
        """Some rows, in the order given."""
        rows = [int(row) for row in rows]

        def take(values: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(values[row] for row in rows)

        return replace(
            self,
            ids=take(self.ids),
            prompts=take(self.prompts),
            labels=take(self.labels),
            answers=take(self.answers),
            choices=None if self.choices is None else tuple(self.choices[row] for row in rows),
            label_index=None if self.label_index is None else _locked(self.label_index[rows]),
            readings={
                need: Ragged.from_rows([values[row] for row in rows]) if isinstance(values, Ragged) else values[rows]
                for need, values in self.readings.items()
            },
        )

    def disguised(self, seed: int) -> MemoryEvidence:
        """The same rows in the same order under other ids, each with its options in another order."""
        rng = np.random.default_rng(seed)
        ids = tuple(f"{i:06d}-{rng.integers(1 << 40):010x}" for i in range(len(self)))
        if self.choices is None or self.label_index is None:
            return replace(self, ids=ids)
        orders = [rng.permutation(len(options)) for options in self.choices]
        shown = tuple(tuple(c[i] for i in order) for c, order in zip(self.choices, orders, strict=True))
        places = [int(np.flatnonzero(order == at)[0]) for order, at in zip(orders, self.label_index, strict=True)]
        label_index = _locked(np.array(places, dtype=np.int64))
        readings = {
            need: Ragged.from_rows([row[order] for row, order in zip(values, orders, strict=True)])
            if isinstance(values, Ragged) and need.read == "choice_probs"
            else values
            for need, values in self.readings.items()
        }
        return replace(self, ids=ids, choices=shown, label_index=label_index, readings=readings)

    def _ragged(self, need: Need) -> Ragged:
        self._check(need)
        values = self.readings[need]
        if not isinstance(values, Ragged):
            raise TypeError(f"{need} is ragged")
        return Ragged(_locked(values.values.copy()), _locked(values.offsets.copy()))

    def _check(self, need: Need) -> None:
        if self.declared is not None:
            check_reading(need, self.declared, "generate" if self.choices is None else "choice")
        if self.fitting and need.of == "verifier":
            raise EvidenceError(f"read {need} in fit: the verifier was trained on these very rows; read it in score")


def synthetic_evidence(
    kind: Kind,
    n: int,
    seed: int,
    *,
    accuracy: float = 0.6,
    signal: float = 2.0,
    layers: int = 3,
    width: int = 6,
    options: int = 4,
) -> tuple[MemoryEvidence, BoolArray]:
    """n weak labels and which of them are right (n,); a share of about `accuracy` is.

    Every reading leans towards right labels by `signal` standard deviations, the student's and the verifier's twice as
    much as the teacher's; of the hidden layers only the middle one does, in a direction the same for every seed,
    so that a trust set and a pool can be two draws. `signal=0` says nothing.
    """
    rng = np.random.default_rng(seed)
    correct = rng.random(n) < accuracy
    ids = tuple(sorted(hashlib.sha256(f"{seed} {i}".encode()).hexdigest()[:20] for i in range(n)))
    prompts = tuple(f"Question {i}: how much is {a} and {b}?" for i, (a, b) in enumerate(rng.integers(1, 99, (n, 2))))
    words = np.array(["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath"])
    drawn = [rng.choice(words, options, replace=False) for _ in range(n)]
    texts = [tuple(f" {word} {rng.integers(99)}" for word in row) for row in drawn]
    index = rng.integers(0, options, n)
    labels = tuple(row[i] for row, i in zip(texts, index, strict=True))
    answers = tuple(row[i] if c else row[i - 1] for row, i, c in zip(texts, index, correct, strict=True))
    readings: dict[Need, Ragged | FloatArray] = {}
    for of in get_args(Reader):
        lean = np.where(correct, 1.0, -1.0) * signal * (0.5 if of == "teacher" else 1.0)
        readings[Need(of, "hidden_states", "all")] = _states(rng, lean, layers, width)
        logprobs = [-np.exp(rng.normal(-1 - x / 2, 0.5, rng.integers(2, 9))) for x in lean]
        readings[Need(of, "label_logprobs")] = Ragged.from_rows(logprobs)
        if kind == "choice":
            readings[Need(of, "choice_probs")] = Ragged.from_rows(_option_probs(rng, lean, index, options, of))
    choices = tuple(texts) if kind == "choice" else None
    label_index = _locked(index.astype(np.int64)) if kind == "choice" else None
    return MemoryEvidence(ids, prompts, labels, choices, label_index, readings, answers), correct


def _states(rng: Generator, lean: FloatArray, layers: int, width: int) -> FloatArray:
    states = rng.normal(size=(len(lean), layers, width))
    direction = np.random.default_rng(width).normal(size=width)
    states[:, layers // 2] += np.outer(lean, direction / np.linalg.norm(direction))
    return states


def _option_probs(rng: Generator, lean: FloatArray, index: IntArray, options: int, of: Reader) -> list[FloatArray]:
    """(n, options), rows sum to 1. The teacher's label is its own most likely option; others may prefer another."""
    logits = rng.normal(size=(len(lean), options))
    rows = np.arange(len(lean))
    if of == "teacher":
        logits[rows, index] = logits.max(axis=1) + np.logaddexp(0, lean + rng.normal(size=len(lean)))
    else:
        logits[rows, index] += lean
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    return list(probs / probs.sum(axis=1, keepdims=True))


def _locked(array: NDArray[Scalar]) -> NDArray[Scalar]:
    array.flags.writeable = False
    return array
