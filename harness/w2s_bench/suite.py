"""A suite: a frozen set of domains, models, sizes, recipe, coverage and seeds, validated and digested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.names import bare, short
from w2s_bench.record import digest_of
from w2s_bench.resolvers import beside, named_from, resolver_of
from w2s_bench.selections import written
from w2s_bench.suite_domain import DomainSpec, Sizes
from w2s_bench.suite_training import Count, Line, Share, Spec, Strict, Training
from w2s_bench.types import JSON, Selection
from w2s_bench.validation import explain

PROTOCOL: Final = "w2s-1"
MOST_SEEDS: Final = 1000


class Suite(Strict):
    """A frozen benchmark. It may name the trust functions of a run that names none; no result hangs on which those are."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)] = Field(
        description="lower-case letters, digits, `.`, `_`, `-`; the results' folder is called so"
    )
    version: Line = Field(description="text (`'1'`, in quotes); another one is another suite")
    description: str = Field("", max_length=4000, description="for readers; no part of the digest")
    protocol: Literal["w2s-1"] = Field(PROTOCOL, description="see [protocol.md](protocol.md)")
    seed: Annotated[int, Field(ge=0, lt=1 << 63, strict=True)] = Field(
        0, description="what every seed's own randomness is derived from"
    )
    seeds: Annotated[int, Field(gt=0, le=MOST_SEEDS, strict=True)] = Field(
        3, description="how many seeds, numbered from 0: each cuts its own splits and trains its own models"
    )
    evaluate_on: Literal["test", "dev"] = Field(
        "test", description="`dev` while a suite is made: its figures are no results"
    )
    coverage: Share = Field(0.5, description="share of the pool that trust functions and controls keep")
    gold_budget: Count | None = Field(
        None,
        description="of how many items of each trust set anybody sees the gold (`null`: of all). Those of a smaller budget are among "
        "those of a larger one, and every other split stays as it is; see [curves.md](curves.md)",
    )
    selections: Annotated[
        tuple[Annotated[Selection, AfterValidator(written)], ...], Field(min_length=1, max_length=8)
    ] = Field(
        ("top",),
        description="which rows trust functions keep, `top` first: the highest scores of all; `balanced`: of each class of "
        "weak labels, equally many; `stratified`: of each stratum, its share; `diverse`: of the trusted half, those that stand for "
        "it; `weighted`: every row, by the rank of its score; `ltt:purity=0.9` (or `sgr`, `hoeffding`, `conformal`): as many as that "
        "share can be guaranteed of, "
        "[by gold of the trust set](protocol.md#selections-with-a-guarantee). Others than `top` are arms of their own",
    )
    diagnostics: Literal["usual", "full"] = Field(
        "usual",
        description="what cells say of trust scores beside AUROC; `full`: also AUPRC, AURC, E-AURC, AUGRC, purity at every tenth of "
        "coverage, which rows are kept, how long their labels and how hard they are (for which students are trained on folds of the "
        "pool's gold), the gold labels behind each arm, and of scores from 0 to 1 Brier score, calibration error and reliability, "
        "against gold of the pool",
    )
    objectives: Annotated[tuple[Spec, ...], Field(max_length=20)] = Field(
        (),
        description="[objectives](objectives.md) that students are trained by beside their own, as `NAME` or `NAME:key=value,…`: "
        "each has an arm for every arm that keeps all weak labels and for every trust function by `top`; those "
        "[on policy](on-policy.md) by `weighted`, too",
    )
    tolerance: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.02, description="how far accuracies may be apart when `verify` runs on another machine"
    )
    trust_functions: Annotated[tuple[Spec, ...], Field(max_length=1000)] | None = Field(
        None,
        description=(
            "what `run` takes of the trust functions that come with the harness, as `NAME` or `NAME:key=value,…` (`null`: all of "
            "them); installed plugins' run besides; `--trust` takes others; no part of the digest"
        ),
    )
    domains: Annotated[tuple[DomainSpec, ...], Field(min_length=1, max_length=1000)] = Field(
        description="one or more, each once"
    )

    @field_validator("trust_functions")
    @classmethod
    def _named_once(cls, named: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if twice := _twice(list(named or ())):
            raise ValueError(f"a trust function may stand once in a suite; twice here: {', '.join(twice)}")
        return named

    @field_validator("objectives")
    @classmethod
    def _objectives_once(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        if twice := _twice(objectives):
            raise ValueError(f"an objective may stand once in a suite; twice here: {', '.join(twice)}")
        return objectives

    @field_validator("domains")
    @classmethod
    def _distinct(cls, domains: tuple[DomainSpec, ...]) -> tuple[DomainSpec, ...]:
        if twice := _twice([short(d.name) for d in domains]):
            raise ValueError(f"a domain may stand once in a suite; twice here: {', '.join(twice)}")
        return domains

    @model_validator(mode="after")
    def _trust_sets_are_there(self) -> Suite:
        """The domain whose trust set another one has is of this suite, and has its own."""
        for d in self.domains:
            if d.trust_from is None:
                continue
            source = self.trust_source(d)
            if source is d:
                raise ValueError(f"domain {d.name!r} has trust_from itself, as it would without the key; leave it out")
            if source.trust_from is not None or source.chain:
                told = "a chain" if source.chain else f"trust_from {source.trust_from!r}"
                raise ValueError(
                    f"domain {d.name!r} has trust_from {d.trust_from!r}, which has {told} itself; name one that learns from its own"
                )
        return self

    def trust_source(self, domain: DomainSpec) -> DomainSpec:
        """The domain whose trust set this one's trust functions learn from: itself, unless it says `trust_from`."""
        if domain.trust_from is None:
            return domain
        named = [d for d in self.domains if short(d.name) == short(domain.trust_from)]
        named = named or [d for d in self.domains if bare(d.name) == domain.trust_from]
        if len(named) != 1:
            choices = ", ".join(d.name for d in self.domains)
            raise ValueError(
                f"domain {domain.name!r} has trust_from {domain.trust_from!r}, which {'several are' if named else 'none is'} of "
                f"the suite's domains; write one of {choices}, in full"
            )
        return named[0]

    @model_validator(mode="after")
    def _gold_is_there(self) -> Suite:
        """A budget is a part of every trust set, so that one figure is one budget in all domains."""
        for d in self.domains:
            rows = self.trust_source(d).sizes.trust
            if self.gold_budget is not None and self.gold_budget >= rows:
                raise ValueError(
                    f"gold_budget {self.gold_budget} is no part of the trust set that domain {d.name!r} learns from, of {rows} items; "
                    "give fewer than the smallest trust set has, or leave it out for all"
                )
        return self

    def as_met(self, domain: DomainSpec) -> DomainSpec:
        """A domain with the size of the trust set that its arms meet."""
        rows = self.trust_source(domain).sizes.trust if self.gold_budget is None else self.gold_budget
        sizes = domain.sizes.model_copy(update={"trust": rows})
        return domain.model_copy(update={"sizes": sizes})

    @field_validator("selections")
    @classmethod
    def _begin_with_top(cls, selections: tuple[Selection, ...]) -> tuple[Selection, ...]:
        if selections[0] != "top" or _twice(selections):
            raise ValueError(f"`top` stands first, and each selection once; got {', '.join(selections)}")
        return selections

    @model_serializer(mode="wrap")
    def _without_what_is_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, JSON]:
        """Suites of `top` alone, of no other objectives, or that name no trust functions, are what they were before there was a choice."""
        written: dict[str, JSON] = write(self)
        if self.selections == ("top",):
            written.pop("selections", None)
        if self.gold_budget is None:
            written.pop("gold_budget", None)
        if self.diagnostics == "usual":
            written.pop("diagnostics", None)
        if not self.objectives:
            written.pop("objectives", None)
        if self.trust_functions is None:
            written.pop("trust_functions", None)
        return written

    @model_validator(mode="after")
    def _sizes_suffice(self) -> Suite:
        for d in self.domains:
            if self.kept_rows(d) < 1:
                raise ValueError(
                    f"coverage {self.coverage} of {d.sizes.transfer} transfer items keeps none; raise either"
                )
            if self.kept_rows(d, chained=True) < 1:
                raise ValueError(
                    f"domain {d.name!r}: pool 'fresh' leaves each of {d.generations} generations "
                    f"{d.pool_rows(chained=True)} of {d.sizes.transfer} transfer items, of which coverage {self.coverage} keeps "
                    "none; raise either, or take pool 'same'"
                )
            if d.sizes.of(self.evaluate_on) < 2:
                raise ValueError(f"evaluate_on {self.evaluate_on}: domain {d.name!r} needs at least 2 such items")
        return self

    def kept_rows(self, domain: DomainSpec, *, chained: bool = False) -> int:
        """How many rows of the pool (of one generation's, where `chained`) the suite's coverage keeps."""
        return count_to_keep(self.coverage, domain.pool_rows(chained=chained))

    def domain(self, name: str) -> DomainSpec:
        """The spec of a domain by full or bare name; bare, the built-in one wins, else it must be the only one so called."""
        named = [d for d in self.domains if short(d.name) == short(name)]
        named = named or [d for d in self.domains if bare(d.name) == name]
        if len(named) == 1:
            return named[0]
        if named:
            hint = f"Several domains of suite {self.name!r} have this name; write one in full."
            raise UnknownNameError("domain", name, [d.name for d in named], hint)
        hint = f"These are the domains of suite {self.name!r}."
        if (resolver := resolver_of("domain", name)) is not None:
            hint += (
                f" Add {resolver.written} to `domains` of a suite file, with its sizes, teacher and student; `w2s-bench suite new` "
                "drafts one."
            )
        raise UnknownNameError("domain", name, [d.name for d in self.domains], hint)

    def at(self, *, coverage: float | None = None, gold_budget: int | None = None) -> Suite:
        """This suite with another coverage or gold budget, called after it: a point of a curve. Raises SuiteError where it has none."""
        changed = {"coverage": coverage, "gold_budget": gold_budget}
        told = {name: value for name, value in changed.items() if value is not None}
        suffix = "".join(f".{name.removesuffix('_budget')}-{value:g}" for name, value in told.items())
        try:
            return Suite.model_validate({**self.model_dump(), **told, "name": f"{self.name}{suffix}"})
        except ValidationError as error:
            raise SuiteError(f"suite {self.name!r} at {', '.join(told)}:\n{explain(error, Suite, NESTED)}") from error

    @property
    def without_gold_budget(self) -> Suite:
        return self.model_copy(update={"gold_budget": None})

    def with_full_names(self, full: Callable[[str], str]) -> Suite:
        """The suite with each domain's name replaced by what `full` gives for it: digest, splits and cells follow names."""
        sources = [None if d.trust_from is None else full(self.trust_source(d).name) for d in self.domains]
        domains = tuple(
            d.model_copy(update={"name": full(d.name), "trust_from": source})
            for d, source in zip(self.domains, sources, strict=True)
        )
        if twice := _twice([d.name for d in domains]):
            raise SuiteError(f"a domain may stand once in a suite; {self.name!r} has {', '.join(twice)} by two names")
        return self.model_copy(update={"domains": domains})

    def with_objectives(self, written: Callable[[str], str]) -> Suite:
        """The suite with each of `objectives` replaced by what `written` gives for it: digest and cells follow the text."""
        if not self.objectives:
            return self
        objectives = tuple(written(objective) for objective in self.objectives)
        if twice := _twice(objectives):
            raise SuiteError(
                f"an objective may stand once in a suite; {self.name!r} has {', '.join(twice)} in two ways"
            )
        return self.model_copy(update={"objectives": objectives})

    def with_folders_of(self, folder: Path) -> Suite:
        """The suite with relative folders of models taken from `folder`."""
        domains = tuple(d.with_models(lambda name: beside("model", name, folder)) for d in self.domains)
        return self.model_copy(update={"domains": domains})

    def with_folders_from(self, working: Path, folder: Path) -> Suite:
        """The suite as a file in `folder` has it: relative folders of models, of `working`, are named from `folder`; others stay."""
        domains = tuple(d.with_models(lambda name: named_from("model", name, working, folder)) for d in self.domains)
        return self.model_copy(update={"domains": domains})

    def canonical(self) -> dict[str, JSON]:
        """What the digest is over: everything but the description and the choice of trust functions."""
        return self.model_dump(mode="json", exclude={"description", "trust_functions"})

    @property
    def digest(self) -> str:
        return digest_of(self.canonical())

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


#: What stands under a key, for `validation.explain`.
NESTED: Final[Mapping[str, type[BaseModel]]] = {
    "domains": DomainSpec,
    "sizes": Sizes,
    "teacher": Training,
    "student": Training,
    "chain": Training,
}


def _twice(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
