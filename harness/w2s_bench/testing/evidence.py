"""Evidence held in memory, and made-up weak labels with readings that hint at which are right; for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np

from w2s_bench.errors import EvidenceError
from w2s_bench.hookspecs import Reading
from w2s_bench.plugins.checks import check_declared, kinds_of
from w2s_bench.plugins.checks import guarded as plugin_guarded
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.base import BuiltInReading
from w2s_bench.protocol.evidence.readings.hidden_states import HiddenStates
from w2s_bench.protocol.evidence.registered import validated
from w2s_bench.protocol.evidence.view import as_layers, read_only
from w2s_bench.testing.shown import Shown
from w2s_bench.types import (
    OPTION_FORMS,
    BoolArray,
    FloatArray,
    IntArray,
    Kind,
    Need,
    Ragged,
    Reader,
    Synthetic,
    TrainingRow,
)

Values = Ragged | FloatArray


@dataclass
class MemoryEvidence:
    """`hookspecs.Evidence` from arrays in memory.

    `readings` has one entry a `Need`; hidden states may stand once, every layer (n, layers, d), under layer "all".
    `declared` are the needs that may be read (None: all of them); in `fitting` the verifier may not be; `answers` are
    the gold texts. `shown` is what the checks hand to a trust function: without what a run's evidence lacks, and read-only.
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
    def rows(self) -> tuple[TrainingRow, ...]:
        """The weak labels as a reading gets them."""
        n, ended = len(self), self.choices is None
        places = [None] * n if self.label_index is None else [int(at) for at in self.label_index]
        options = [None] * n if self.choices is None else self.choices
        columns = zip(self.ids, self.prompts, self.labels, options, places, strict=True)
        return tuple(TrainingRow(name, prompt, label, ended, shown, at) for name, prompt, label, shown, at in columns)

    @property
    def gold(self) -> tuple[str, ...]:
        """(n,) the right answers, for the privileged track alone."""
        if not self.privileged:
            raise EvidenceError("gold is seen by the privileged track alone: declare supervision = 'privileged'")
        return self.answers

    def read(self, need: Need) -> Ragged | FloatArray:
        """As in a run; what a reading says here is what its twin made up, or what `readings` holds."""
        kind: Kind = "generate" if self.choices is None else "choice"
        if self.declared is not None:
            check_declared(need, self.declared, kind)
        if self.fitting and need.of == "verifier":
            raise EvidenceError(f"read {need} in fit: the verifier was trained on these very rows; read it in score")
        own = built_in_reading(need.read, need.parameters)
        if own is not None and kind not in own.kinds:
            raise EvidenceError(f"read {need} in a {kind} domain: {own.instead}")
        values = self.readings.get(need)
        if values is None and isinstance(own, HiddenStates):
            every = self.readings.get(Need(need.of, need.read, "all"))
            values = None if every is None else own.of_all(cast(FloatArray, every))
        if values is None:
            raise EvidenceError(f"read {need}, which this evidence was not made with; add it to its `readings`")
        if isinstance(values, Ragged):
            return Ragged(read_only(values.values.copy()), read_only(values.offsets.copy()))
        return read_only(values.copy())

    def choice_probs(self, of: Reader = "teacher") -> Ragged:
        return cast(Ragged, self.read(Need(of, "choice_probs")))

    def label_logprobs(self, of: Reader = "teacher") -> Ragged:
        return cast(Ragged, self.read(Need(of, "label_logprobs")))

    def option_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> Ragged:
        return cast(Ragged, self.read(Need(of, "option_states", layers=as_layers(layers))))

    def prompt_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> FloatArray:
        return cast(FloatArray, self.read(Need(of, "prompt_states", layers=as_layers(layers))))

    def hidden_states(self, of: Reader = "teacher", layer: int | str = -1) -> FloatArray:
        return cast(FloatArray, self.read(Need(of, "hidden_states", layer)))  # type: ignore[arg-type]  # `read` checks the layer

    def declaring(self, needs: Sequence[Need], *, fitting: bool = False, privileged: bool = False) -> MemoryEvidence:
        """The same rows for a trust function that declared `needs`."""
        return replace(self, declared=tuple(needs), fitting=fitting, privileged=privileged)

    def shown(self) -> Shown:
        """These rows as a run shows them: the attributes of `hookspecs.Evidence` alone, none of which can be set."""
        return Shown(self, self.answers if self.privileged else None)

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
            label_index=None if self.label_index is None else read_only(self.label_index[rows]),
            readings=_Made(partial(self._taken, rows)),
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
        label_index = read_only(np.array(places, dtype=np.int64))
        return replace(
            self, ids=ids, choices=shown, label_index=label_index, readings=_Made(partial(self._permuted, orders))
        )

    def _taken(self, rows: Sequence[int], need: Need) -> Values:
        values = self.readings[need]
        return Ragged.from_rows([values[row] for row in rows]) if isinstance(values, Ragged) else values[list(rows)]

    def _permuted(self, orders: Sequence[IntArray], need: Need) -> Values:
        values = self.readings[need]
        if _reading(need).form not in OPTION_FORMS:
            return values
        rows = zip(cast(Ragged, values), orders, strict=True)
        return Ragged.from_rows([row[order] for row, order in rows])


class _Made(Mapping[Need, Values]):
    """Readings that are made when they are asked for, whatever their parameters, each once."""

    def __init__(self, make: Callable[[Need], Values]) -> None:
        self._make, self._known = make, dict[Need, Values]()

    def __getitem__(self, need: Need) -> Values:
        if need not in self._known:
            self._known[need] = self._make(need)
        return self._known[need]

    def __iter__(self) -> Iterator[Need]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


def _reading(need: Need) -> BuiltInReading | Reading:
    """The harness's own, or that of an installed plugin."""
    own = built_in_reading(need.read, need.parameters)
    if own is not None:
        return own
    from w2s_bench.plugins.registry import Registry

    return Registry.load().reading(need.read, **need.parameters)


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

    Every reading is made up by its twin when it is asked for, an installed plugin's too. It leans towards right labels by
    `signal` standard deviations, the student's and the verifier's twice as much as the teacher's; of the hidden layers only
    the middle one does (in `option_states` the label's beside the other options'), in a direction the same for every seed, so
    that a trust set and a pool can be two draws. `signal=0` says nothing.
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
    choices = tuple(texts) if kind == "choice" else None
    label_index = read_only(index.astype(np.int64)) if kind == "choice" else None
    evidence = MemoryEvidence(ids, prompts, labels, choices, label_index, {}, answers)
    rows = evidence.rows

    def made(need: Need) -> Values:
        lean = np.where(correct, 1.0, -1.0) * signal * (0.5 if need.of == "teacher" else 1.0)
        # Of its own for every reading, so that none changes with what else is read; its parameters draw the same.
        drawn = int.from_bytes(hashlib.sha256(f"{need.of} {need.read}".encode()).digest()[:8])
        made_up = Synthetic(rows, lean, need.of, layers, width)
        reading, own = _reading(need), np.random.default_rng([seed, drawn])
        who, kinds = f"reading {need.read!r}", kinds_of(reading)
        if kind not in kinds:
            raise EvidenceError(f"read {need} in a {kind} domain: {who} is for {' and '.join(kinds)} domains alone")
        values = plugin_guarded(who, "synthetic", lambda: reading.synthetic(made_up, rng=own))
        values = validated(need.read, reading.form, values, rows)
        return values.astype(np.float64) if isinstance(values, np.ndarray) else Ragged.from_rows(list(values))

    return replace(evidence, readings=_Made(made)), correct
