"""A cell: one arm on one domain, all seeds. The file format that leaderboards are made of and that `verify` compares.

The `body` is digested and is the same for every run on one machine; `provenance` says where and when, and costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from w2s_bench.controls import CERTIFIED, EVERY_ROW, MADE_OF_ARM, OWN_ARMS, Facts, facts_of, made_of, of_kind
from w2s_bench.names import of_arm, parted, row_name, short
from w2s_bench.record import digest_of, pack_bits, unpack_bits, write_atomically
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.figures import is_rate, is_whole, refuse_impossible, shown
from w2s_bench.selections import Guarantee, guarantee_of, written
from w2s_bench.suite import MOST_SEEDS
from w2s_bench.suite_domain import Pool
from w2s_bench.types import JSON, BoolArray, IntArray, Selection

SCHEMA: Final = "w2s-bench/cell/1"

_MOST_PACKAGES: Final = 1000
#: A diagnostic of the teacher: AUROC of its own label probability against the correctness of its labels of the pool.
LABEL_PROBABILITY_AUROC: Final = "label_probability_auroc"
#: Diagnostics of trust scores: AUROC over the pairs of rows of one label, or of one stratum.
WITHIN_LABEL: Final = "auroc_within_label"
WITHIN_STRATUM: Final = "auroc_within_stratum"
#: Diagnostics that are shares by name: of each stratum, or of each label, what was kept.
KEPT_BY: Final = ("kept_by_stratum", "kept_by_label")

#: Diagnostics over all coverages, of a suite that asks for them: see `statistics.selective`.
OVER_COVERAGES: Final = ("auprc_right", "auprc_wrong", "aurc", "e_aurc", "augrc", "brier", "ece")
#: A diagnostic of a selection with a guarantee that kept something: the purity that is guaranteed.
CERTIFIED_PURITY: Final = "certified_purity"

#: Diagnostics of a domain whose training gold is not what grades. Of the teacher: the share of the pool's training gold that is
#: right. Of an arm: the share of its kept labels that training gold has too; and of the rows kept, dropped and all of the pool (as
#: rows drawn blindly have it), the share whose label differs from training gold and is right, and the share of labels right among
#: those that differ.
TRAINING_GOLD_ACCURACY: Final = "training_gold_accuracy"
TRAINING_PURITY: Final = "training_purity"
BETTER: Final = ("better_kept", "better_dropped", "better_pool")
RIGHT_WHERE_DIFFERENT: Final = (
    "right_where_different_kept",
    "right_where_different_dropped",
    "right_where_different_pool",
)

#: Diagnostics that are numbers from 0 to 1, or None.
RATES: Final = (
    *("auroc", WITHIN_LABEL, WITHIN_STRATUM, "label_accuracy", LABEL_PROBABILITY_AUROC),
    *(CERTIFIED_PURITY, *OVER_COVERAGES),
    *(TRAINING_GOLD_ACCURACY, TRAINING_PURITY, *BETTER, *RIGHT_WHERE_DIFFERENT),
)

Rate = Annotated[float, Field(ge=0, le=1)]
Rows = Annotated[int, Field(ge=0, strict=True)]
Text = Annotated[str, Field(max_length=4000)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteRef(_Strict):
    name: Text
    version: Text
    digest: Digest
    evaluate_on: Literal["test", "dev"]


class DomainRef(_Strict):
    """`documents`: the digest of those that the run read, of a domain whose fingerprint does not tell all."""

    name: Text
    version: Text
    fingerprint: Text
    documents: Text | None = Field(default=None, exclude_if=lambda value: value is None)


class ModelRef(_Strict):
    name: Text
    fingerprint: Text


class PluginRef(_Strict):
    """Where a trust function or an objective came from; `source` is the digest of the Python files of its package."""

    distribution: Text
    version: Text
    source: Digest


class ArmRef(_Strict):
    """One way of choosing what the student trains on. Its identity: trust function with parameters, selection, coverage.

    `kind`: `reference` (weak, base, ceiling), `control` (owned by the harness) or `trust_function`. A control that is made of
    a trust function's arm, `gold_kept:ARM`, has trust function, parameters and selection of that arm. `objective`: what its
    students are trained by, where that is not what the suite says of all.
    """

    name: Text
    kind: Literal["reference", "control", "trust_function"]
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
        """The harness's names are of its own kinds and tracks, and no plugin's."""
        made, own = made_of(short(self.name)), OWN_ARMS.get(self.plain)
        if self.kind != (kind := "control" if made else own.kind if own else "trust_function"):
            stated: list[Literal["reference", "control"]] = [k for k in (self.kind, kind) if k != "trust_function"]
            named = {k: [arm.name for arm in of_kind(k)] for k in stated}
            if "control" in named:
                named["control"] += [f"{word}:ARM" for word in MADE_OF_ARM]
            told = "; ".join(f"{k}s are {', '.join(names)}" for k, names in named.items())
            raise ValueError(f"arm {self.name!r} is of kind {self.kind!r}; {told}")
        track = made[0].supervision if made else own.supervision if own else None
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

        keeps = self.kind == "trust_function" or self.made_of is not None
        return write_spec(self.trust_function or "", self.parameters) if keeps else None

    @property
    def is_other_selection(self) -> bool:
        """Whether rows are kept otherwise than by the highest scores of all: no ranking, mean or tie is about it."""
        return self.kind == "trust_function" and self.selection not in (None, "top")

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


class SeedResult(_Strict):
    """What one seed gave. `correct` packs one bit an item of the evaluated split, items sorted by id (`record.pack_bits`).

    `accuracy` … are None where the seed failed, and `error` says why. `kept`, `purity` and `coverage` describe the rows
    the student trained on (None for weak and base); `shortfall` is how many rows an arm lacked of what it was asked for.
    `abstained`: why a selection with a guarantee kept nothing; accuracy is that of the untuned student then, and no PGR is of it.
    """

    seed: Rows
    error: Text | None = None
    abstained: Text | None = Field(default=None, exclude_if=lambda value: value is None)
    accuracy: Rate | None = None
    correct: str | None = None
    kept: Rows | None = None
    purity: Rate | None = None
    coverage: Rate | None = None
    shortfall: Rows = 0
    by_stratum: Mapping[Text, Rate] = Field(default_factory=dict)
    diagnostics: Mapping[Text, JSON] = Field(default_factory=dict)
    digests: Mapping[Text, Digest] = Field(default_factory=dict)

    @field_validator("diagnostics")
    @classmethod
    def _are_figures(cls, diagnostics: Mapping[str, JSON]) -> Mapping[str, JSON]:
        """Those that leaderboards show; others may be any JSON."""
        for name in RATES:
            if name in diagnostics and not (is_rate(diagnostics[name]) or diagnostics[name] is None):
                raise ValueError(f"{name} is {shown(diagnostics[name])}, expected a number from 0 to 1")
        for name in KEPT_BY:
            shares = diagnostics.get(name, {})
            if not isinstance(shares, Mapping) or not all(is_rate(share) for share in shares.values()):
                part = name.rpartition("_")[2]
                raise ValueError(f"{name} is {shown(shares)}, expected a number from 0 to 1 for every {part}")
        return diagnostics

    @model_validator(mode="after")
    def _figures_agree(self) -> SeedResult:
        if len({self.error is None, self.accuracy is not None, self.correct is not None}) > 1:
            raise ValueError(f"seed {self.seed} must have accuracy and correct, or else an error")
        figures = (self.kept, self.purity, self.coverage, *self.by_stratum, *self.diagnostics)
        if self.error is not None and any(figure is not None for figure in figures):
            raise ValueError(f"seed {self.seed} failed, and has figures all the same")
        if self.abstained is not None and (self.error is not None or self.kept != 0):
            raise ValueError(f"seed {self.seed} abstained, and has an error or rows kept ({self.kept}) all the same")
        for name in ("purity", "coverage"):
            if getattr(self, name) is not None and self.kept is None:
                raise ValueError(f"seed {self.seed}: {name} {getattr(self, name)} of no rows kept")
        if self.purity is not None and not is_whole(right := self.purity * (self.kept or 0)):
            raise ValueError(
                f"seed {self.seed}: purity {self.purity} of {self.kept} rows kept would be {right:.3f} rows"
            )
        if self.coverage and self.kept and not is_whole(pool := self.kept / self.coverage):
            raise ValueError(f"seed {self.seed}: {self.kept} rows kept are coverage {self.coverage} of {pool:.3f} rows")
        for name in KEPT_BY:
            if (shares := self.diagnostics.get(name)) and self.coverage and self.kept:
                pool = round(self.kept / self.coverage)
                refuse_impossible(shares, self.coverage, pool, f"seed {self.seed}: coverage", name)
        return self


class Spent(_Strict):
    """What lies behind a student: optimizer steps of all models trained for it, itself and its first teacher among them, and
    distinct gold labels that any of them, a trust function or a control has had. Of one seed; the greatest of all."""

    steps: Rows
    gold_labels: Rows


class ChainRef(_Strict):
    """Of a cell that is one generation of a chain: how many there are, whether each has a `pool` of its own, and what lies
    behind its student, the generations before it included; `one_hop`: behind that of the same arm without a chain."""

    generations: Annotated[int, Field(ge=2, strict=True)]
    pool: Pool
    spent: Spent
    one_hop: Spent


class CellBody(_Strict):
    """`clusters`: those of the items, of a domain that names them; without, each item is its own.

    `plugin` is that of the arm's trust function, `objective_plugin` that of its objective, where it is not the harness's own.
    `trust_from`: the domain whose trust set trust functions and controls learn from, where it is not the domain's own.
    `teacher` and `student` are those of the generation. `chain` is None where it is the one hop without a chain.
    `own_training_gold`: whether the gold that anything learned from may be another answer than the one that grades.
    """

    suite: SuiteRef
    protocol: Text
    generation: Annotated[int, Field(ge=1, strict=True)] = 1
    chain: ChainRef | None = Field(default=None, exclude_if=lambda value: value is None)
    domain: DomainRef
    trust_from: Text | None = Field(default=None, exclude_if=lambda value: value is None)
    own_training_gold: bool = Field(default=False, strict=True, exclude_if=lambda value: not value)
    teacher: ModelRef
    student: ModelRef
    arm: ArmRef
    plugin: PluginRef | None = None
    objective_plugin: PluginRef | None = Field(default=None, exclude_if=lambda value: value is None)
    items: Annotated[int, Field(ge=0, strict=True)]
    items_digest: Digest
    clusters: Clusters | None = Field(default=None, exclude_if=lambda value: value is None)
    seeds: Annotated[tuple[SeedResult, ...], Field(min_length=1, max_length=MOST_SEEDS)]

    @model_validator(mode="after")
    def _seeds_agree(self) -> CellBody:
        """Accuracy and bits must tell the same story: leaderboards are computed from the bits alone."""
        if self.generation > (self.chain.generations if self.chain else 1):
            length = f"a chain of {self.chain.generations}" if self.chain else "no chain"
            raise ValueError(f"generation {self.generation} of {length}")
        numbers = [s.seed for s in self.seeds]
        if len(set(numbers)) < len(numbers):
            raise ValueError(f"a seed stands once in a cell; got {numbers[:20]}")
        if numbers != list(range(len(numbers))):
            raise ValueError(f"seeds are 0 to {len(numbers) - 1}, in this order; got {numbers[:20]}")
        if self.clusters is not None and len(self.clusters.array()) != self.items:
            raise ValueError(f"clusters has {len(self.clusters.array())} codes, of {self.items} items")
        for s in self.seeds:
            if s.correct is None or s.accuracy is None:
                continue
            if self.items < 2:
                raise ValueError(f"seed {s.seed} has an accuracy on {self.items} items; at least 2 are needed")
            bits = unpack_bits(s.correct, self.items)
            if pack_bits(bits) != s.correct or abs(s.accuracy * self.items - bits.sum()) > 1e-6:
                raise ValueError(
                    f"seed {s.seed}: accuracy {s.accuracy} and the bits of correct ({bits.sum()} of {self.items} items) disagree"
                )
            if s.by_stratum:
                refuse_impossible(s.by_stratum, s.accuracy, self.items, f"seed {s.seed}: accuracy", "by_stratum")
        return self

    @property
    def step(self) -> int | None:
        """Its place in a chain, from 1; None where it is the one hop from the suite's teacher to its student."""
        return self.generation if self.chain else None

    @property
    def failed(self) -> tuple[SeedResult, ...]:
        return tuple(s for s in self.seeds if s.error is not None)

    @property
    def abstained(self) -> tuple[SeedResult, ...]:
        return tuple(s for s in self.seeds if s.abstained is not None)

    @property
    def cluster_codes(self) -> IntArray | None:
        """(items,) the number of each item's cluster, in the order of the sorted ids; None where each is its own."""
        return None if self.clusters is None else self.clusters.array()

    def correctness(self) -> dict[int, BoolArray]:
        """Seed → (items,) whether each item was answered right, in the order of the sorted ids.

        Failed seeds are left out, and those that abstained.
        """
        made = [s for s in self.seeds if s.correct is not None and s.abstained is None]
        return {s.seed: unpack_bits(s.correct, self.items) for s in made if s.correct is not None}


class Cell(_Strict):
    """The file: schema, body, the body's digest, and provenance."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["w2s-bench/cell/1"] = Field(alias="schema")
    body: CellBody
    digest: Digest
    provenance: Mapping[str, JSON] = Field(default_factory=dict)

    @field_validator("provenance")
    @classmethod
    def _names_packages(cls, provenance: Mapping[str, JSON]) -> Mapping[str, JSON]:
        packages = provenance.get("packages", {})
        if not isinstance(packages, Mapping) or not all(isinstance(version, str) for version in packages.values()):
            raise ValueError(f"packages is {shown(packages)}, expected a version as text for every name")
        if len(packages) > _MOST_PACKAGES:
            raise ValueError(f"packages has {len(packages)} names; at most {_MOST_PACKAGES} are taken")
        return provenance

    @classmethod
    def of(cls, body: CellBody, provenance: Mapping[str, JSON]) -> Cell:
        return cls(schema=SCHEMA, body=body, digest=digest_of(body.model_dump(mode="json")), provenance=provenance)

    @property
    def row(self) -> str:
        """`DOMAIN/ARM` as the command line names it: the cell's path under `results/`, without the suffix."""
        return row_name(self.body.domain.name, self.body.arm.name, self.body.step)

    def path(self, results: Path) -> Path:
        """Where the cell lies under a suite's results folder."""
        return cell_path(results, self.row)

    def write(self, results: Path) -> Path:
        path = self.path(results)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(path, text + "\n")
        return path


def cell_path(results: Path, row: str) -> Path:
    """Where the cell of a row lies under a suite's results folder."""
    return results / "results" / f"{row}.json"


def schema_json() -> str:
    """The published JSON schema of cell files, as `docs/cell.schema.json` holds it."""
    return json.dumps(Cell.model_json_schema(by_alias=True), indent=1, sort_keys=True) + "\n"
