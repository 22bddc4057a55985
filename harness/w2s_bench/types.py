"""Arrays and records that pass between the layers. Imports nothing heavier than numpy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: What JSON can hold; parameters, manifests and records are made of it.
JSON = Any

#: Metadata of a record's field that is written only where it is not its default: files from before it was there stay as they are.
UNWRITTEN_DEFAULT: Final = MappingProxyType({"written by default": False})

Kind = Literal["choice", "generate"]
KINDS: tuple[Kind, ...] = ("choice", "generate")
Supervision = Literal["none", "trust_set", "privileged"]
Scope = Literal["row", "pool"]
#: Which rows are kept by their trust scores, as `selections.written` has it: see `protocol.selection`.
Selection = str
#: How a model is tuned: see `protocol.recipes`.
RecipeName = Literal["full", "lora", "head", "none"]
#: What a model of float32 weights computes its products in; whatever is summed is float32. `tf32`: on CUDA alone.
Precision = Literal["float32", "tf32", "bfloat16"]
#: What a model's weights are kept in. Products of others than float32 are computed in the same.
Dtype = Literal["float32", "bfloat16", "float16"]
#: How attention is computed: as transformers chooses, or by the implementation that it calls so.
Attention = Literal["default", "eager", "sdpa", "flash_attention_2", "flex_attention"]
#: In how few bits frozen weights are kept (bitsandbytes): `nf4` as QLoRA has it, or `int8`.
Quantization = Literal["none", "nf4", "int8"]
#: Whether a model lies on one device, or is spread over all GPUs as transformers does it.
DeviceMap = Literal["none", "auto"]
#: `adamw8bit` keeps its moments in 8 bits (bitsandbytes).
OptimizerName = Literal["adamw", "adamw8bit"]
#: What becomes of a prompt that leaves no room in a model's positions for what follows it.
Overflow = Literal["refuse", "truncate_left"]
Split = Literal["dev", "test", "weak_train", "trust", "transfer"]
SPLITS: tuple[Split, ...] = ("dev", "test", "weak_train", "trust", "transfer")

#: Who read the weak labels: the teacher that made them, the untuned student, or the student tuned on the trust set's gold
#: (`verifier`). The others are students of a row's fold, which have seen neither that row's label nor its gold (see
#: `protocol.crossfit`): tuned on the trust set's gold, on the pool's weak labels, or on both; and teacher and untuned student
#: who have items of the trust set with their gold before the prompt (see `protocol.shots`).
Reader = Literal[
    "teacher", "student", "verifier", "verifier_cv", "student_cv", "student_gold_cv", "teacher_icl", "student_icl"
]
#: Those that learn from the trust set's gold, and so are no evidence for who learns from no gold.
GOLD_READERS: tuple[Reader, ...] = ("verifier", "verifier_cv", "student_gold_cv", "teacher_icl", "student_icl")
#: What a row of logits chooses among: the next token of a completion, or the options of an item.
Over = Literal["tokens", "options"]
#: Whose distribution over an item's options (over the next token, where an objective is on policy) an objective may ask for: the
#: teacher's, that of the untuned student (as a reader of weak labels is called, too), or that of the teacher before it was trained.
Whose = Literal["teacher", "student", "untuned_teacher"]
#: How the numbers of a reading lie: "array", a row of one shape a label; "tokens", a row of any length a label; "options", a
#: row a label with a number for each of its options; "option_array", the same with an array of one shape for each.
Form = Literal["array", "tokens", "options", "option_array"]
#: Those whose rows have an entry an option, in the options' order.
OPTION_FORMS: tuple[Form, ...] = ("options", "option_array")


@dataclass(frozen=True, order=True, init=False)
class Need:
    """A piece of evidence that a trust function declares; the harness computes it once for all who need it.

    `read` is a reading of the harness's own, or a plugin's as `distribution/name`. What that takes is given by name,
    `Need("teacher", "acme/samples", k=8)`, in values that JSON can hold. `layer` is an index into the reader's layers as
    transformers counts them (0 is the embedding, -1 the last), `"all"` for every layer stacked, or `"middle"` for those at a
    third, half and two thirds of the depth. `when` says that it is
    read in domains of one kind alone, so that no other kind computes it; it is no part of what is read, and equality leaves
    it out.
    """

    of: Reader
    read: str
    layer: int | Literal["all", "middle"] | None
    #: The other parameters as canonical JSON, so that needs can be hashed and sorted; empty where there are none.
    written: str
    when: Kind | None = field(compare=False)

    def __init__(
        self,
        of: Reader,
        read: str,
        layer: int | Literal["all", "middle"] | None = None,
        *,
        when: Kind | None = None,
        written: str = "",
        **parameters: JSON,
    ) -> None:
        if parameters:
            try:
                written = json.dumps(parameters, sort_keys=True, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"need {read!r} has parameters {parameters!r}, which JSON cannot hold; give text, finite numbers, True, "
                    "False, None, or lists and mappings of them"
                ) from error
        for name, value in (("of", of), ("read", read), ("layer", layer), ("written", written), ("when", when)):
            object.__setattr__(self, name, value)

    @property
    def parameters(self) -> dict[str, JSON]:
        """All that its reading is built with: a copy."""
        given: dict[str, JSON] = json.loads(self.written) if self.written else {}
        return given if self.layer is None else {"layer": self.layer, **given}

    def applies(self, kind: Kind) -> bool:
        """Whether it is read in domains of this kind."""
        return self.when is None or self.when == kind

    def __str__(self) -> str:
        given: dict[str, JSON] = json.loads(self.written) if self.written else {}
        taken = [] if self.layer is None else [str(self.layer)]
        taken += [f"{name}={json.dumps(value, sort_keys=True)}" for name, value in sorted(given.items())]
        return f"{self.of}.{self.read}" + (f"[{','.join(taken)}]" if taken else "")

    def __repr__(self) -> str:
        given: dict[str, JSON] = json.loads(self.written) if self.written else {}
        named = [("layer", self.layer), *sorted(given.items()), ("when", self.when)]
        taken = "".join(f", {name}={value!r}" for name, value in named if value is not None or name in given)
        return f"Need({self.of!r}, {self.read!r}{taken})"


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths: `values[offsets[i]:offsets[i + 1]]` is row i; `offsets` has n + 1 entries.

    `values` are numbers, or arrays of one shape: (all rows' lengths together, …).
    """

    values: FloatArray
    offsets: IntArray

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or len(self.offsets) == 0 or int(self.offsets[-1]) != len(self.values):
            raise ValueError(
                f"offsets must rise from 0 to {len(self.values)}, the number of values; got {self.offsets!r}"
            )

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[float] | FloatArray]) -> Ragged:
        lengths = [len(row) for row in rows]
        values = np.concatenate([np.asarray(row, dtype=np.float64) for row in rows]) if rows else np.zeros(0)
        return cls(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> FloatArray:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[FloatArray]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True)
class Item:
    """One question of a domain, without its answer. `choices` are the continuations lm-eval scores; None: generated.

    `cluster` names those that are right or wrong together, for intervals alone; empty: the items of its group.
    """

    id: str
    group: str
    key: str
    stratum: str
    prompt: str
    choices: tuple[str, ...] | None
    cluster: str = field(default="", metadata=UNWRITTEN_DEFAULT)


@dataclass(frozen=True)
class Answer:
    """The gold of one item: the document that lm-eval grades with, and the text a student is trained on.

    `index` is the gold option of a choice item, None where the answer is generated (and then ended by the end-of-sequence
    token). `item` is the digest of the item it answers.
    """

    id: str
    document: Mapping[str, JSON]
    completion: str
    index: int | None
    item: str


@dataclass(frozen=True)
class Prediction:
    """What a model answered to one item; a weak label is a prediction of the teacher.

    `answer` is the text that is graded, `completion` the text a student is trained on. A choice item has the chosen
    option's `index` and `choice_scores`, one an option (summed log-probability; a head's logit), none of them where the label is
    no model's. `ended` says that a
    generated answer stopped by itself; one that ran into the limit must not teach a student to stop there.
    """

    id: str
    answer: str
    completion: str
    ended: bool
    index: int | None = None
    choice_scores: tuple[float, ...] | None = None


@dataclass(frozen=True)
class TrainingRow:
    """One row a model trains on: gold or a weak label, the two look alike.

    `weight` is what a selection gave it, above 0 (1: kept); only the proportions of rows' weights matter. `turn`: its place in the
    order in which a model is to see the rows, from 0; None, as of all others then: they are shuffled.
    """

    id: str
    prompt: str
    completion: str
    ended: bool
    choices: tuple[str, ...] | None
    index: int | None
    weight: float = field(default=1.0, metadata=UNWRITTEN_DEFAULT)
    turn: int | None = field(default=None, metadata=UNWRITTEN_DEFAULT)


@dataclass(frozen=True)
class ModelSize:
    """What a model knows of its size before it is loaded; what is left out is not known.

    `parameters`: its weights, tied ones once. `config`: what its `config.json` holds, of which hidden_size, intermediate_size,
    num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim, vocab_size and max_position_embeddings (or GPT-2's
    names for them) tell with `parameters` its memory and time. `on_disk`: bytes of its files that are here; `download`: bytes
    that loading it would fetch, 0 where all is here.
    """

    parameters: int | None = None
    config: Mapping[str, JSON] | None = None
    on_disk: int | None = None
    download: int | None = None


@dataclass(frozen=True)
class ChatTemplate:
    """How a model wants chats written: Jinja text, and of the special tokens those that it names, as `bos_token`, that are set."""

    text: str
    tokens: Mapping[str, str]


@dataclass(frozen=True)
class Synthetic:
    """Made-up weak labels, of which a reading's twin makes up what it would say: for tests.

    `lean` (n,) says how right each label is to look to the reader `of`, in standard deviations; negative: wrong. A model has
    `layers` layers, the embedding included, of `width` numbers a state.
    """

    rows: tuple[TrainingRow, ...]
    lean: FloatArray
    of: Reader
    layers: int
    width: int


@dataclass(frozen=True)
class Step:
    """The step whose loss is asked for, the first is 0, `of` how many."""

    number: int
    of: int

    def warmed(self, share: float) -> float:
        """How far a warm-up over this share of all steps has come: rises by the same amount a step, from 0 to 1, and stays."""
        return min(1.0, self.number / (share * self.of)) if share > 0 else 1.0


@dataclass(frozen=True)
class Targets:
    """What n rows of logits over k classes are trained towards; tensors are torch's.

    `label` (n,) is the class that the label names. `probs` (n, k), for those that the objective `needs`, are distributions
    over the classes; all of it on the label, where a row comes without (gold). Classes that a row lacks have probability 0.

    Of an objective that is on policy, rows are the tokens of answers that the student wrote, and `label` what it wrote;
    `off_policy` (n,) says of which the label of the item was given instead. None: of none.
    """

    label: Any
    probs: Mapping[Whose, Any] = field(default_factory=dict)
    off_policy: Any | None = None
