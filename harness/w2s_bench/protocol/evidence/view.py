"""Needs → the stages that produce them, and `EvidenceView`, what a trust function sees of weak labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import EvidenceError
from w2s_bench.plugins import checks as contract
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.protocol.recipes import recipe_of
from w2s_bench.randomness import hash_rank
from w2s_bench.store.stage import Stage
from w2s_bench.types import FloatArray, IntArray, Item, Kind, Need, Prediction, Ragged, Reader

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Readers:
    """The three models that may read weak labels, each with its parameters and, where tuned, the stage of its weights."""

    teacher: tuple[PlannedModel, Stage | None]
    student: tuple[PlannedModel, Stage | None]
    verifier: tuple[PlannedModel, Stage | None]

    def stage(self, need: Need, labels: Stage, subset: Stage, label: str = "") -> Stage:
        """The stage that produces one need for the labels of one split."""
        model, weights = self.of(need)
        return recipe_of(model).read(model, need, labels, subset, weights=weights, label=f"{label} · {need}")

    def of(self, need: Need) -> tuple[PlannedModel, Stage | None]:
        """The model that a need asks, and the stage of its weights."""
        pair: tuple[PlannedModel, Stage | None] = getattr(self, need.of)
        return pair


def needs_stage(need: Need, kind: Kind) -> bool:
    """Whether a need takes work of its own in a domain of this kind: the teacher's option probabilities come with its labels."""
    if not need.applies(kind):
        return False
    if need.read == "choice_probs":
        return kind == "choice" and need.of != "teacher"
    return True


def readings(
    needs: Iterable[Need], readers: Readers, *, kind: Kind, labels: Stage, subset: Stage, fitting: bool, label: str
) -> dict[Need, Stage]:
    """The stages behind `needs` on one split. While fitting the verifier is left out: those rows are what it was trained on."""
    wanted = [
        need
        for need in sorted(needs, key=str)
        if needs_stage(need, kind)
        and recipe_of(readers.of(need)[0]).gives(need)
        and not (fitting and need.of == "verifier")
    ]
    return {need: readers.stage(need, labels, subset, label) for need in wanted}


class EvidenceView:
    """n weak labels as a trust function may see them: `hookspecs.Evidence`.

    Rows are sorted by opaque ids, options are permuted a row by a hash of its id, arrays cannot be written to, and gold
    was never given to it.
    """

    def __init__(
        self,
        items: Sequence[Item],
        labels: Sequence[Prediction],
        *,
        salt: str,
        declared: Sequence[Need],
        arrays: Mapping[Need, Arrays],
        fitting: bool,
        gold: Mapping[str, str] | None = None,
    ) -> None:
        by_id = {item.id: item for item in items}
        # Readings have one row a label, in the order of the labels; what is shown is sorted by opaque id.
        opaque = [hash_rank("row", salt, label.id)[:20] for label in labels]
        self._order = np.array(sorted(range(len(labels)), key=lambda row: opaque[row]), dtype=np.int64)
        self._needs, self._arrays, self._fitting = tuple(declared), arrays, fitting
        shown = [labels[row] for row in self._order]
        self._item_ids = tuple(label.id for label in shown)
        self.ids = tuple(opaque[row] for row in self._order)
        self.prompts = tuple(by_id[label.id].prompt for label in shown)
        self.labels = tuple(label.completion for label in shown)
        self._permutations: list[list[int]] | None = None
        self.choices: tuple[tuple[str, ...], ...] | None = None
        self.label_index: IntArray | None = None
        self._scores: list[tuple[float, ...]] = []
        if shown and shown[0].choice_scores is not None:
            self._show_choices(by_id, shown)
        if gold is not None:
            self.gold = tuple(gold[label.id] for label in shown)
        self._complete = True

    def _show_choices(self, by_id: Mapping[str, Item], shown: Sequence[Prediction]) -> None:
        self._permutations, choices, indices = [], [], []
        for label, opaque in zip(shown, self.ids, strict=True):
            options = by_id[label.id].choices or ()
            permutation = sorted(range(len(options)), key=lambda i: hash_rank("option", opaque, options[i]))
            self._permutations.append(permutation)
            choices.append(tuple(options[i] for i in permutation))
            indices.append(permutation.index(cast(int, label.index)))
            self._scores.append(cast(tuple[float, ...], label.choice_scores))
        self.choices = tuple(choices)
        self.label_index = read_only(np.array(indices, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def __setattr__(self, name: str, value: object) -> None:
        if "_complete" in vars(self):
            raise EvidenceError(
                f"set {name!r} of the evidence, which is read-only; keep what you need in the function itself"
            )
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name == "gold":
            raise EvidenceError("gold is seen by the privileged track alone: declare supervision = 'privileged'")
        raise AttributeError(name)

    def choice_probs(self, of: Reader = "teacher") -> Ragged:
        """Probabilities over each row's options in the order of `choices`: the softmax of their summed log-probabilities."""
        need = Need(of, "choice_probs")
        self._check(need)
        if self._permutations is None:
            raise EvidenceError(
                f"{need}: this domain's answers are generated, there are no options (`choices` is None); read label_logprobs"
            )
        rows: Sequence[Sequence[float] | FloatArray] = self._scores if of == "teacher" else self._ragged_rows(need)
        probs = [
            _softmax(np.asarray(row, dtype=np.float64))[order]
            for row, order in zip(rows, self._permutations, strict=True)
        ]
        return _frozen(Ragged.from_rows(probs))

    def label_logprobs(self, of: Reader = "teacher") -> Ragged:
        """Natural log-probability of each token of the label, and of its end where it was generated."""
        need = Need(of, "label_logprobs")
        self._check(need)
        return _frozen(Ragged.from_rows(self._ragged_rows(need)))

    def hidden_states(self, of: Reader = "teacher", layer: int | str = -1) -> FloatArray:
        """State of the last token of prompt + label: (n, d), or (n, layers + 1, d) for layer `"all"`."""
        need = Need(of, "hidden_states", layer)  # type: ignore[arg-type]  # any other string is no declared need
        self._check(need)
        return read_only(self._arrays[need]["states"][self._order].astype(np.float64))

    def _ragged_rows(self, need: Need) -> list[FloatArray]:
        if need not in self._arrays:
            raise EvidenceError(
                f"read {need}, which a model tuned by recipe 'head' does not have: it scores options, not tokens; read choice_probs"
            )
        arrays = self._arrays[need]
        ragged = Ragged(arrays["values"].astype(np.float64), arrays["offsets"].astype(np.int64))
        return [ragged[row] for row in self._order]

    def _check(self, need: Need) -> None:
        contract.check_reading(need, self._needs, "generate" if self.choices is None else "choice")
        if self._fitting and need.of == "verifier":
            raise EvidenceError(
                f"read {need} in fit: the verifier was trained on the trust set, its reading of these rows is in-sample; read it in score"
            )


def item_ids(view: EvidenceView) -> tuple[str, ...]:
    """The items behind the opaque ids, row by row; for the harness, which joins scores and grades by them."""
    return view._item_ids


def _softmax(scores: FloatArray) -> FloatArray:
    weights = np.exp(scores - scores.max())
    return cast(FloatArray, weights / weights.sum())


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be made writeable again, as the array that owns the numbers could."""
    array.flags.writeable = False
    return array.view()


def _frozen(ragged: Ragged) -> Ragged:
    return Ragged(read_only(ragged.values), read_only(ragged.offsets))
