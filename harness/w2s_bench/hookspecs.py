"""The plugin contract, whole: three hooks, and what the things they return can do.

A plugin is a module named by an entry point in the group `w2s_bench`. Its hooks RETURN mappings from a short name to a
factory; the full name becomes `distribution/name`. Nothing is registered by importing, and nothing is built until used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import pluggy
from numpy.random import Generator

from w2s_bench.types import BoolArray, FloatArray, IntArray, Kind, Need, Ragged, Reader, Scope, Supervision

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
    def choice_probs(self, of: Reader = "teacher") -> Ragged: ...  # probabilities over a row's options, sum 1
    def label_logprobs(self, of: Reader = "teacher") -> Ragged: ...  # natural log, one a token of the label
    def hidden_states(
        self, of: Reader = "teacher", layer: int | str = -1
    ) -> FloatArray: ...  # (n, d), or (n, layers, d)


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
    def fields(self, document: Mapping[str, Any]) -> dict[str, str]: ...  # id, group, key, stratum
    def fingerprint(self) -> str: ...  # changes whenever an item could

    # May have `self_contained`, a bool: whether the fingerprint tells all that documents come from. Otherwise they are
    # read at the start of every run, and their digest is part of what its items are.


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model: where its weights are, how to load them, and a digest that changes when they do."""

    @property
    def name(self) -> str: ...
    def fingerprint(self) -> str: ...
    def load(self) -> tuple[Any, Any]: ...  # (transformers PreTrainedModel in float32, its tokenizer)


@hookspec
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:  # type: ignore[empty-body]
    """Name → factory of a trust function; keyword arguments are its parameters, JSON values with defaults."""


@hookspec
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:  # type: ignore[empty-body]
    """Name → factory of a domain."""


@hookspec
def w2s_models() -> Mapping[str, Callable[..., LanguageModel]]:  # type: ignore[empty-body]
    """Name → factory of a language model."""
