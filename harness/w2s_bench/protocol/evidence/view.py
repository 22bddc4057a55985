"""`EvidenceView`, what a trust function sees of weak labels: whatever was read of them, in one order, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import EvidenceError
from w2s_bench.plugins import checks as contract
from w2s_bench.protocol.evidence.readings import built_in_reading
from w2s_bench.protocol.evidence.readings.base import Arrays, BuiltInReading, arranged, array_of, ragged_of
from w2s_bench.randomness import hash_rank
from w2s_bench.types import JSON, FloatArray, Form, IntArray, Item, Kind, Need, Prediction, Ragged, Reader


@dataclass(frozen=True)
class ShownAs:
    """How a plugin's reading is shown where no code of the plugin runs. `lacks`: why there is none of it, where there is none."""

    form: Form
    lacks: str | None = None


def shown_as_of(need: Need, plugins: Mapping[str, ShownAs]) -> ShownAs | BuiltInReading:
    """What reading a need asks for; `plugins` has those of plugins, by the need as text."""
    reading = plugins.get(str(need)) or built_in_reading(need.read, need.parameters)
    if reading is None:
        raise EvidenceError(
            f"read {need}, which is no evidence; declare what `w2s-bench list readings` or the documentation names"
        )
    return reading


class ReadOnly:
    """Evidence whose attributes are those that it has once `_complete` is set: none is set, deleted or made up afterwards."""

    def __setattr__(self, name: str, value: object) -> None:
        if "_complete" in vars(self):
            raise EvidenceError(
                f"set {name!r} of the evidence, which is read-only; keep what you need in the function itself"
            )
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        raise EvidenceError(f"deleted {name!r} of the evidence, which is read-only; work on copies")

    def __getattr__(self, name: str) -> Any:
        if name == "gold":
            raise EvidenceError("gold is seen by the privileged track alone: declare supervision = 'privileged'")
        raise AttributeError(f"evidence has no {name!r}")


class EvidenceView(ReadOnly):
    """n weak labels as a trust function may see them: `hookspecs.Evidence`.

    Rows are sorted by opaque ids, options are permuted a row by a hash of its id, arrays cannot be written to, and gold
    was never given to it. Nor does it hold what could be joined to gold: no id of an item, and neither the order of the
    labels' file nor that of the documents' options. The harness makes that join anew from the files (`files.item_ids`).
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
        shown_as: Mapping[str, ShownAs] = MappingProxyType({}),
    ) -> None:
        by_id = {item.id: item for item in items}
        # Readings have one row a label, in the order of the labels; what is shown is sorted by opaque id.
        opaque = [opaque_id(salt, label.id) for label in labels]
        order = sorted(range(len(labels)), key=lambda row: opaque[row])
        self._needs, self._fitting, self._shown_as = tuple(declared), fitting, shown_as
        shown = [labels[row] for row in order]
        self.ids = tuple(opaque[row] for row in order)
        self.prompts = tuple(by_id[label.id].prompt for label in shown)
        self.labels = tuple(label.completion for label in shown)
        self.choices: tuple[tuple[str, ...], ...] | None = None
        self.label_index: IntArray | None = None
        if gold is not None:
            self.gold = tuple(gold[label.id] for label in shown)
        permutations: list[list[int]] | None = None
        if shown and shown[0].choice_scores is not None:
            options = [by_id[label.id].choices or () for label in shown]
            permutations = [_permutation(name, texts) for name, texts in zip(self.ids, options, strict=True)]
            self.choices = tuple(tuple(texts[i] for i in to) for texts, to in zip(options, permutations, strict=True))
            places = [to.index(cast(int, label.index)) for label, to in zip(shown, permutations, strict=True)]
            self.label_index = read_only(np.array(places, dtype=np.int64))
        self._labels = [
            _disguised(label, name, permutations[row] if permutations else None)
            for row, (label, name) in enumerate(zip(shown, self.ids, strict=True))
        ]
        self._arrays = {
            need: arranged(shown_as_of(need, shown_as).form, stored, order, permutations)
            for need, stored in arrays.items()
        }
        self._complete = True

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, need: Need) -> Ragged | FloatArray:
        """What was read of each label, in the order of `ids`; of options, in the order of `choices`.

        Form "array": (n, …); others `Ragged`. Raises `EvidenceError` for what was not declared, for the verifier in `fit`,
        and where there is none.
        """
        kind: Kind = "generate" if self.choices is None else "choice"
        contract.check_declared(need, self._needs, kind)
        reading = shown_as_of(need, self._shown_as)
        if self._fitting and need.of == "verifier":
            raise EvidenceError(
                f"read {need} in fit: the verifier was trained on the trust set, its reading of these rows is in-sample; read it in score"
            )
        if isinstance(reading, BuiltInReading):
            if kind not in reading.kinds:
                raise EvidenceError(f"read {need} in a {kind} domain: {reading.instead}")
            if reading.comes_with_labels(need.of):
                if any(not label.choice_scores for label in self._labels):
                    raise EvidenceError(
                        f"read {need}, of which there is none: no model gave these labels, and no scores with them"
                    )
                return _frozen(Ragged.from_rows([reading.shown(reading.from_label(label)) for label in self._labels]))
        if need not in self._arrays:
            raise EvidenceError(f"read {need}, of which there is none: {_why_none(reading)}")
        if reading.form == "array":
            return read_only(array_of(self._arrays[need]).astype(np.float64))
        stored = ragged_of(self._arrays[need])
        if isinstance(reading, BuiltInReading) and len(stored):
            stored = Ragged.from_rows([reading.shown(row) for row in stored])
        return _frozen(stored)

    def choice_probs(self, of: Reader = "teacher") -> Ragged:
        """Probabilities over each row's options in the order of `choices`: the softmax of their summed log-probabilities."""
        return cast(Ragged, self.read(Need(of, "choice_probs")))

    def label_logprobs(self, of: Reader = "teacher") -> Ragged:
        """Natural log-probability of each token of the label, and of its end where it was generated."""
        return cast(Ragged, self.read(Need(of, "label_logprobs")))

    def option_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> Ragged:
        """States of the last token of prompt + option, (options, layers, d) a row, in the order of `choices`."""
        return cast(Ragged, self.read(Need(of, "option_states", layers=as_layers(layers))))

    def prompt_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> FloatArray:
        """State of the last token of the prompt: (n, layers, d)."""
        return cast(FloatArray, self.read(Need(of, "prompt_states", layers=as_layers(layers))))

    def hidden_states(self, of: Reader = "teacher", layer: int | str = -1) -> FloatArray:
        """State of the last token of prompt + label: (n, d), or (n, layers, d) for `"all"` (embedding first) and `"middle"`."""
        # Any other string is no declared need.
        return cast(FloatArray, self.read(Need(of, "hidden_states", layer)))  # type: ignore[arg-type]


def as_layers(layers: int | Sequence[int] | str) -> JSON:
    """As a need has them."""
    return layers if isinstance(layers, int | str) else [int(layer) for layer in layers]


def _why_none(reading: ShownAs | BuiltInReading) -> str:
    if isinstance(reading, BuiltInReading):
        if reading.trains_asked:
            return "the teacher is used as it is, or is a student of the generation before; there are no others of other seeds"
        return f"a model tuned by recipe 'head' does not give it: {reading.instead}"
    return reading.lacks or "this domain and its models do not give it"


def opaque_id(salt: str, item: str) -> str:
    """Under what id a view that was made with `salt` shows the label of an item."""
    return hash_rank("row", salt, item)[:20]


def _permutation(opaque: str, options: Sequence[str]) -> list[int]:
    """Of each shown option, its place in the document."""
    return sorted(range(len(options)), key=lambda i: hash_rank("option", opaque, options[i]))


def _disguised(label: Prediction, opaque: str, permutation: Sequence[int] | None) -> Prediction:
    """The label as its row shows it: what readings that come with labels are made from."""
    if permutation is None or label.choice_scores is None or label.index is None:
        return replace(label, id=opaque)
    scores = tuple(label.choice_scores[i] for i in permutation) if label.choice_scores else ()  # of no model
    return replace(label, id=opaque, index=permutation.index(label.index), choice_scores=scores)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be made writeable again, as the array that owns the numbers could."""
    array.flags.writeable = False
    return array.view()


def _frozen(ragged: Ragged) -> Ragged:
    return Ragged(read_only(ragged.values), read_only(ragged.offsets))
