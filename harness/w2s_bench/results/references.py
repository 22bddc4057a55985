"""What a cell is of: suite, domain, models, plugins, arm, and its place in a chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from w2s_bench.arm_facts import Facts, OwnRole, Role
from w2s_bench.controls import CERTIFIED, EVERY_ROW, MADE_OF_ARM, OWN_ARMS, facts_of, made_of, of_role
from w2s_bench.names import of_arm, parted, short
from w2s_bench.results.fields import Digest, Rate, Rows, Strict, Text
from w2s_bench.selections import Guarantee, guarantee_of, written
from w2s_bench.suite_domain import Pool
from w2s_bench.types import JSON, Selection


class SuiteRef(Strict):
    name: Text
    version: Text
    digest: Digest
    evaluate_on: Literal["test", "dev"]


class DomainRef(Strict):
    """`documents`: the digest of those that the run read, of a domain whose fingerprint does not tell all."""

    name: Text
    version: Text
    fingerprint: Text
    documents: Text | None = Field(default=None, exclude_if=lambda value: value is None)

    def may_be(self, now: DomainRef) -> bool:
        """Whether it is that of `now` as far as a run can tell, which has no `documents` where it could not read them."""
        return self == now or (now.documents is None and self.model_copy(update={"documents": None}) == now)


class ModelRef(Strict):
    name: Text
    fingerprint: Text


class PluginRef(Strict):
    """Where a trust function or an objective came from; `source` is the digest of the Python files of its package."""

    distribution: Text
    version: Text
    source: Digest


class ArmRef(Strict):
    """One way of choosing what the student trains on. Its identity: trust function with parameters, selection, coverage.

    `role`: `reference` (weak, base, ceiling), `control` (owned by the harness) or `trust_function`; files call it `kind`, as they
    did when they were first published. A control that is made of a trust function's arm, `gold_kept:ARM`, has trust function,
    parameters and selection of that arm. `objective`: what its students are trained by, where that is not what the suite says
    of all.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    name: Text
    role: Role = Field(validation_alias="kind", serialization_alias="kind")
    supervision: Literal["none", "trust_set", "privileged"]
    trust_function: Text | None = None
    parameters: Annotated[Mapping[str, JSON], Field(max_length=1000)] = Field(default_factory=dict)
    selection: Annotated[Selection, Field(max_length=400)] | None = None
    coverage: Rate | None = None
    objective: Annotated[str, Field(min_length=1, max_length=400)] | None = Field(
        default=None, exclude_if=lambda value: value is None
    )

    @model_validator(mode="after")
    def _is_whose_it_is(self) -> ArmRef:
        """The harness's names are of its own roles and tracks, and no plugin's."""
        made, own = made_of(short(self.name)), OWN_ARMS.get(self.plain)
        if self.role != (role := "control" if made else own.role if own else "trust_function"):
            stated: list[OwnRole] = [r for r in (self.role, role) if r != "trust_function"]
            named = {r: [arm.name for arm in of_role(r)] for r in stated}
            if "control" in named:
                named["control"] += [f"{word}:ARM" for word in MADE_OF_ARM]
            told = "; ".join(f"{r}s are {', '.join(names)}" for r, names in named.items())
            raise ValueError(f"arm {self.name!r} is of kind {self.role!r}; {told}")
        track = made[0].track(self.supervision) if made else own.supervision if own else None
        if track is not None and self.supervision != track:
            raise ValueError(f"arm {self.name!r} has supervision {self.supervision!r}, its is {track!r}")
        return self

    @field_validator("selection")
    @classmethod
    def _is_a_selection(cls, selection: str | None) -> str | None:
        """In the one way that there is to write it."""
        if selection is not None and (one_way := written(selection)) != selection:
            raise ValueError(f"selection {selection!r} is written {one_way!r}")
        return selection

    @model_validator(mode="after")
    def _is_named_by_its_objective(self) -> ArmRef:
        if self.objective is not None and (said := self.under(self.plain)) != self.name:
            raise ValueError(f"arm {self.name!r} has objective {self.objective!r}; such an arm is named {said!r}")
        return self

    @property
    def plain(self) -> str:
        """The short name of the arm that has the same rows and the suite's own objective: its own, where it names none."""
        made = parted(short(self.name)) if self.objective is not None else None
        return made[1] if made else short(self.name)

    def under(self, arm: str) -> str:
        """The name of another arm by the objective of this one."""
        return arm if self.objective is None else of_arm(self.objective, arm)

    @property
    def made_of(self) -> str | None:
        """The short name of the arm that a control is made of, to explain it; None where it is made of none."""
        made = made_of(short(self.name))
        return made[1] if made else None

    @property
    def explains(self) -> bool:
        """Whether it is there to explain other arms, and so only in a run that is asked for such."""
        own = OWN_ARMS.get(short(self.name))
        return self.made_of is not None or (own is not None and own.explains)

    @property
    def trusts(self) -> str | None:
        """The trust function with its parameters by which rows are kept; None where there is none."""
        from w2s_bench.plugins.spec import write_spec

        keeps = self.role == "trust_function" or self.made_of is not None
        return write_spec(self.trust_function or "", self.parameters) if keeps else None

    @property
    def is_other_selection(self) -> bool:
        """Whether rows are kept otherwise than by the highest scores of all: no ranking, mean or tie is about it."""
        return self.role == "trust_function" and self.selection not in (None, "top")

    @property
    def is_other_objective(self) -> bool:
        """Whether its students are trained otherwise than the suite says: no ranking, mean or tie is about it."""
        return self.objective is not None

    @property
    def facts(self) -> Facts:
        """What it trains on."""
        if self.guarantee is not None:
            return CERTIFIED
        return EVERY_ROW if self.selection == "weighted" else facts_of(self.plain)

    @property
    def guarantee(self) -> Guarantee | None:
        """What its selection guarantees, where it guarantees anything."""
        return guarantee_of(self.selection)


class Spent(Strict):
    """What lies behind an arm's answers: optimizer steps of all models trained for it, itself and its first teacher among them, and
    distinct gold labels that any of them, a trust function or a control has had. Of one seed; the greatest of all."""

    steps: Rows
    gold_labels: Rows


class ChainRef(Strict):
    """Of a cell that is one generation of a chain: how many there are, whether each has a `pool` of its own, and what lies
    behind its student, the generations before it included; `one_hop`: behind that of the same arm without a chain."""

    generations: Annotated[int, Field(ge=2, strict=True)]
    pool: Pool
    spent: Spent
    one_hop: Spent
