"""One domain of a suite: the sizes of its splits, its teacher and its student, and what lies between them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from w2s_bench.resolvers import resolver_of
from w2s_bench.suite_training import Count, Line, Strict, Training
from w2s_bench.types import (
    JSON,
    SPLITS,
    Overflow,
    Split,
)
from w2s_bench.untrusted import refuse_unsound

#: Bytes of one domain's parameters as JSON.
LARGEST_PARAMETERS: Final = 64 << 10
#: Models between a teacher and a student.
MOST_BETWEEN: Final = 20
#: What the generations of a chain learn from.
Pool = Literal["same", "fresh"]


class Sizes(Strict):
    """Items in each split. `dev` and `test` are the same for every seed; a seed draws the other three from the rest."""

    dev: int = Field(
        ge=0,
        le=10**9,
        strict=True,
        description="for the authors of the suite, to choose sizes and recipes on; may be 0",
    )
    test: int = Field(ge=2, le=10**9, strict=True, description="accuracies are measured on these")
    weak_train: int = Field(
        0, ge=0, le=10**9, strict=True, description="gold items the teacher is trained on; 0 where its recipe is `none`"
    )
    trust: Count = Field(description="gold items that trust functions may learn from, and the teacher never sees")
    transfer: Count = Field(description="the pool: labelled by the teacher, and what students are trained on")

    def of(self, split: Split) -> int:
        size: int = getattr(self, split)
        return size

    @property
    def total(self) -> int:
        return sum(self.of(split) for split in SPLITS)


class DomainSpec(Strict):
    """One domain of a suite with everything its cells depend on."""

    name: Line = Field(description="a domain (`w2s-bench list domains`): `distribution/name`, or the name alone")
    version: Line = Field(description="the domain's version; another one installed is refused")
    parameters: Mapping[str, JSON] = Field(
        default_factory=dict,
        description="given to the domain as keyword arguments: JSON values, at most 64 KiB, integers below 2⁶³",
    )
    sizes: Sizes = Field(description="items in each split")
    teacher: Training = Field(description="the weak model")
    student: Training = Field(description="the strong model")
    chain: Annotated[tuple[Training, ...], Field(max_length=MOST_BETWEEN)] = Field(
        (),
        description="models between teacher and student, in their order: each learns from the one before and teaches the next, "
        "and the student is the last that learns; see [chains.md](chains.md)",
    )
    pool: Pool = Field(
        "same",
        description="what each generation of a `chain` labels and learns from: the whole `transfer` again, or (`fresh`) a part of "
        "it that no other generation has, ⌊transfer / generations⌋ items",
    )

    overflow: Overflow = Field(
        "refuse",
        description="what becomes of an item whose prompt, with its options or its answer, is longer than a model's positions: "
        "`refuse` says which they are before anything is trained; `truncate_left` takes tokens off the prompt's beginning, as "
        "lm-eval does",
    )
    trust_from: Line | None = Field(
        None,
        description="another domain of the suite, whose trust set trust functions and controls learn from in place of this one's "
        "own; see [protocol.md](protocol.md#trust-from-another-domain)",
    )

    @property
    def models_of_parameters(self) -> dict[str, str]:
        """Parameter → the name of a model that it gives the domain."""
        resolver = resolver_of("domain", self.name)
        named = () if resolver is None else resolver.naming_models
        return {key: value for key in named if isinstance(value := self.parameters.get(key), str)}

    def with_models(self, called: Callable[[str], str]) -> DomainSpec:
        """The domain with every model by what `called` gives for its name, also those that its parameters name."""

        def renamed(training: Training) -> Training:
            return training.model_copy(update={"model": called(training.model)})

        named = {key: called(model) for key, model in self.models_of_parameters.items()}
        changed: dict[str, object] = {role: renamed(getattr(self, role)) for role in ("teacher", "student")}
        changed |= {"chain": tuple(map(renamed, self.chain)), "parameters": {**self.parameters, **named}}
        return self.model_copy(update=changed)

    @property
    def generations(self) -> int:
        """How many models learn one from another, the student among them; 1 without a chain."""
        return len(self.chain) + 1

    def link(self, generation: int) -> tuple[Training, Training]:
        """Who teaches and who learns in one generation of the chain, counted from 1."""
        ladder = (self.teacher, *self.chain, self.student)
        return ladder[generation - 1], ladder[generation]

    def pool_rows(self, *, chained: bool) -> int:
        """Items that one student's pool has: of a generation of the chain, or of the one hop from teacher to student."""
        if self.teacher.labels is not None:
            return self.teacher.labels
        return self.sizes.transfer // self.generations if chained and self.pool == "fresh" else self.sizes.transfer

    @field_validator("chain", mode="before")
    @classmethod
    def _is_a_list_of_models(cls, chain: object) -> object:
        given = chain if isinstance(chain, list | tuple) else [chain]
        if chain is None or not given:
            raise ValueError(
                "a chain has one model or more between teacher and student; name some, or leave the key out"
            )
        if given is not chain or not all(isinstance(model, Mapping | Training) for model in given):
            raise ValueError(
                "a chain is a list of models, each with `model`, `steps` and `learning_rate` as `student` has them"
            )
        if len(given) > MOST_BETWEEN:
            raise ValueError(f"a chain has at most {MOST_BETWEEN} models between teacher and student; got {len(given)}")
        return chain

    @model_validator(mode="after")
    def _learns_elsewhere_in_one_hop(self) -> DomainSpec:
        if self.trust_from is not None and self.chain:
            raise ValueError(
                "a domain has either a `chain`, whose generations learn from gold of its own trust set, or `trust_from`; leave one out"
            )
        return self

    @model_validator(mode="after")
    def _is_of_a_chain(self) -> DomainSpec:
        if self.pool != "same" and not self.chain:
            raise ValueError(
                f"pool {self.pool!r} is for the generations of a chain, and there is no `chain`; leave it out"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, JSON]:
        """Domains without what came later (a chain, a way with long items) are what they were before, digest and all."""
        written: dict[str, JSON] = write(self)
        if not self.chain:
            written.pop("chain", None)
        if self.pool == "same":
            written.pop("pool", None)
        if self.overflow == "refuse":
            written.pop("overflow", None)
        if self.trust_from is None:
            written.pop("trust_from", None)
        return written

    @model_validator(mode="after")
    def _who_trains_has_rows(self) -> DomainSpec:
        if any(training.source is not None for training in (*self.chain, self.student)):
            raise ValueError("a label source is for a teacher alone: a student learns from them; leave out `source`")
        if (labels := self.teacher.labels) is not None and (labels >= self.sizes.transfer or self.chain):
            why = "leaves the generations of a chain no pool" if self.chain else "is no part of the pool"
            raise ValueError(
                f"labels {labels} of label source 'scarce' {why}, of {self.sizes.transfer} items; give fewer, without a chain"
            )
        if any(training.recipe == "none" for training in (*self.chain, self.student)):
            raise ValueError("recipe 'none' is for a teacher alone: a student learns from weak labels; take another")
        if self.teacher.recipe != "none" and self.sizes.weak_train < 1:
            raise ValueError(
                f"weak_train 0 leaves nothing to train the teacher on by recipe {self.teacher.recipe!r}; give at least 1"
            )
        return self

    @field_validator("parameters")
    @classmethod
    def _are_json(cls, parameters: Mapping[str, JSON]) -> Mapping[str, JSON]:
        try:
            refuse_unsound(parameters)
            written = json.dumps(parameters, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"parameters must be JSON values ({error}); write dates and the like in quotes") from error
        if len(written) > LARGEST_PARAMETERS:
            raise ValueError(f"parameters of {len(written) >> 10} KiB as JSON; at most {LARGEST_PARAMETERS >> 10} KiB")
        return parameters
