"""The plugin contract, whole: its hooks, and what the things they return can do.

A plugin is a module named by an entry point in the group `w2s_bench`. Its hooks RETURN mappings from a short name to a
factory; the full name becomes `distribution/name`. Nothing is registered by importing, and nothing is built until used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pluggy
from numpy.random import Generator
from numpy.typing import NDArray

from w2s_bench.types import (
    BoolArray,
    FloatArray,
    Form,
    IntArray,
    Kind,
    Need,
    Over,
    Ragged,
    Reader,
    Scope,
    Step,
    Supervision,
    Synthetic,
    Targets,
    TrainingRow,
    Whose,
)

ENTRY_POINT_GROUP = "w2s_bench"
hookspec = pluggy.HookspecMarker("w2s_bench")
hookimpl = pluggy.HookimplMarker("w2s_bench")


class Evidence(Protocol):
    """What a trust function may see of n weak labels: a read-only view, gold absent by construction.

    Rows are in the order of `ids`, which say nothing. Options are permuted a row, so position means nothing. Reading
    what `needs` does not name raises `EvidenceError`.
    """

    ids: tuple[str, ...]  # (n,) unique
    prompts: tuple[str, ...]  # (n,)
    labels: tuple[str, ...]  # (n,) the weak label as text
    choices: tuple[tuple[str, ...], ...] | None  # (n,) of the item's options; None where answers are generated
    label_index: IntArray | None  # (n,) place of the weak label among `choices`

    def __len__(self) -> int: ...
    def read(self, need: Need) -> Ragged | FloatArray: ...  # whatever was declared; an array where its form is "array"

    # Five of the harness's own readings by name; `read` gives the same.
    def choice_probs(self, of: Reader = "teacher") -> Ragged: ...  # probabilities over a row's options, sum 1
    def label_logprobs(self, of: Reader = "teacher") -> Ragged: ...  # natural log, one a token of the label
    def hidden_states(
        self, of: Reader = "teacher", layer: int | str = -1
    ) -> FloatArray: ...  # (n, d), or (n, layers, d)
    # States of every option, (options, layers, d) a row: `w2s_bench.contrast` sets the label's against the others'.
    def option_states(self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle") -> Ragged: ...
    def prompt_states(
        self, of: Reader = "teacher", layers: int | Sequence[int] | str = "middle"
    ) -> FloatArray: ...  # (n, layers, d), the label unread


@runtime_checkable
class TrustFunction(Protocol):
    """Scores weak labels; built by its factory from parameters. Only its scores are stored, never a fitted one.

    It may have one attribute more, `kinds: tuple[Kind, ...]`: the kinds of domain it is meant for, where not both.
    """

    supervision: Supervision  # what it learns from; ranking is within a track
    needs: tuple[Need, ...]  # the evidence it reads; may depend on its parameters
    scope: Scope  # "row": a row's score depends on that row alone

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Learn from the trust set: `correct` (n,) says which weak labels are right. Never called for "none"."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        """Trust scores (n,), finite, higher = more trusted."""


@runtime_checkable
class Domain(Protocol):
    """An lm-eval task with a group, a canonical key and a stratum an item."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def max_new_tokens(self) -> int | None: ...  # for "generate"
    def task(self) -> Any: ...  # an lm_eval.api.task.Task
    def fields(self, document: Mapping[str, Any]) -> dict[str, str]: ...  # id, group, key, stratum; may have cluster
    def fingerprint(self) -> str: ...  # changes whenever an item could

    # May have `in_test(document)`: whether the task itself has the document in `test`, which is then dealt from such documents
    # alone, and the other splits from the others; None where the task does not say.
    # May have `training_document(document)`: the document with the answer that is learned from, of a domain whose training gold is
    # worse than what it is graded by; None in its place where the two are one.
    # May have `self_contained`, a bool: whether the fingerprint tells all that documents come from. Otherwise they are
    # read at the start of every run, and their digest is part of what its items are. A task that puts documents, answered,
    # before every question lists them as `examples`: the digest takes them in.


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model: where its weights are, how to load them, and a digest that changes when they do."""

    @property
    def name(self) -> str: ...
    def fingerprint(self) -> str: ...
    def load(self) -> tuple[Any, Any]: ...  # (transformers PreTrainedModel in float32, its tokenizer)

    # May have `load_as(setup, device)`, of the same kind, for whoever can load it in a dtype of fewer bits, or quantized.
    # May have `size()`: a `ModelSize`, or None where nothing is known, told without loading the model or fetching anything of it.
    # Dry runs alone ask; a model without it is known by its fingerprint, where that is the SHA-256 of a GGUF file that was unpacked
    # here or is one of `w2s_bench.models.known_files`.


class ReadingModel(Protocol):
    """A loaded model, tuned or not, as a reading may ask it. `rows` are any rows, of the reading's own making too."""

    model: Any  # a transformers PreTrainedModel, in eval mode
    tokenizer: Any  # its tokenizer

    # (options,) a row: the summed log-probability of each option's tokens.
    def choice_scores(self, rows: Sequence[TrainingRow], /) -> list[FloatArray]: ...
    # One natural log-probability a token of each row's completion, and of its end where it `ended`.
    def label_logprobs(self, rows: Sequence[TrainingRow], /) -> list[FloatArray]: ...
    # The entropy, in nats, of what was expected in the place of each of these tokens.
    def label_entropies(self, rows: Sequence[TrainingRow], /) -> list[FloatArray]: ...
    # (options of all rows, layers, d): states of the last token of each prompt + option, options in the rows' order.
    def option_states(self, rows: Sequence[TrainingRow], layers: Sequence[int], /) -> NDArray[np.float32]: ...
    # k answers to each row's prompt, every token drawn at `temperature`, ended by the model, a text of `until`, or the limit.
    def samples(
        self,
        rows: Sequence[TrainingRow],
        k: int,
        temperature: float,
        /,
        *,
        max_new_tokens: int,
        until: Sequence[str] = (),
        rng: Generator,
    ) -> list[list[str]]: ...
    # State of the last token of prompt + completion: (n, d), or (n, layers, d) of layers and of "all".
    def hidden_states(
        self, rows: Sequence[TrainingRow], layer: int | Literal["all"] | Sequence[int], /
    ) -> NDArray[np.float32]: ...


@runtime_checkable
class Reading(Protocol):
    """A kind of evidence: what a model, or code alone, says of weak labels. Built from a need's parameters; gold is absent.

    It may have three attributes more. `kinds: tuple[Kind, ...]`: the kinds of domain where it makes sense, where not both.
    `asks_model = False`: it needs no model, none is loaded, and `read` gets None for one. `of_head = "untuned"`: of a model
    tuned by recipe `head`, which leaves the model itself as it is, it may be read from the untuned model; otherwise there
    is none of such a model.
    """

    # "array": (n, …); "tokens": n rows of any length; "options": n rows, a number an option of the row; "option_array":
    # n rows (options, …), an array of one shape an option.
    form: Form

    def read(self, model: Any, rows: Sequence[TrainingRow], *, rng: Generator) -> Any:
        """The numbers, finite: an array, or n arrays (k,), of form "option_array" (k, …). `model` is a `ReadingModel`.

        Ids and the order of rows and options say nothing.
        """

    def synthetic(self, made_up: Synthetic, *, rng: Generator) -> Any:
        """As `read`, of made-up labels and without a model, so that trust functions can be tested."""


class Objective(Protocol):
    """What a step of training minimises. It draws nothing, keeps nothing between steps, and sees no gold but where gold is
    what is trained on. Tensors are torch's.

    It may have one method more, `settled(logits, targets, step)`, where a figure of the whole batch is in its loss, such as a
    quantile: called without gradient before every step, with all of the batch, it gives the objective whose loss is a mean
    over rows alone, since a batch may pass through a model in parts.
    """

    @property
    def over(self) -> tuple[Over, ...]:
        """What it is defined over, the one that language models are tuned over first; heads are trained over options.

        Over options alone, it does not exist where answers are generated; over options first, it is over tokens there.
        """

    @property
    def needs(self) -> tuple[Whose, ...]:
        """Whose distributions over an item's options it needs beside the label; over options alone."""

    def loss(self, logits: Any, targets: Targets, weights: Any, step: Step) -> Any:
        """The mean over n of weight × loss, to be differentiated by the logits (n, k), which are in float32 or double.

        `weights` (n,) are those of the training rows, of mean 1 over all rows (not over a batch); None: all are 1.
        """


@hookspec
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:  # type: ignore[empty-body]
    """Name → factory of a trust function; keyword arguments are its parameters, JSON values with defaults."""


@hookspec
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:  # type: ignore[empty-body]
    """Name → factory of a domain."""


@hookspec
def w2s_models() -> Mapping[str, Callable[..., LanguageModel]]:  # type: ignore[empty-body]
    """Name → factory of a language model."""


@hookspec
def w2s_readings() -> Mapping[str, Callable[..., Reading]]:  # type: ignore[empty-body]
    """Name → factory of a reading; keyword arguments are what a `Need` gives: JSON values."""


@hookspec
def w2s_objectives() -> Mapping[str, Callable[..., Objective]]:  # type: ignore[empty-body]
    """Name → factory of an objective; keyword arguments are its parameters, JSON values with defaults."""
