"""A cell: one arm on one domain, all seeds. The file format that leaderboards are made of and that `verify` compares.

The `body` is digested and is the same for every run on one machine; `provenance` says where and when, and costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from w2s_bench.names import row_name
from w2s_bench.record import digest_of, pack_bits, unpack_bits, write_atomically
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.fields import Digest, Strict, Text
from w2s_bench.results.figures import is_whole, refuse_impossible, shown
from w2s_bench.results.references import ArmRef, ChainRef, DomainRef, ModelRef, PluginRef, Spent, SuiteRef
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.suite import MOST_SEEDS
from w2s_bench.types import JSON, BoolArray, IntArray

SCHEMA: Final = "w2s-bench/cell/1"

_MOST_PACKAGES: Final = 1000


class CellBody(Strict):
    """`clusters`: those of the items, of a domain that names them; without, each item is its own.

    `plugin` is that of the arm's trust function, `objective_plugin` that of its objective, where it is not the harness's own.
    `trust_from`: the domain whose trust set trust functions and controls learn from, where it is not the domain's own.
    `teacher` and `student` are those of the generation. `chain` is None where it is the one hop without a chain.
    `spent`: what lies behind the arm's answers, of a suite with full diagnostics; a generation's `chain` says it of itself.
    `own_training_gold`: whether the gold that anything learned from may be another answer than the one that grades.
    """

    suite: SuiteRef
    protocol: Text
    generation: Annotated[int, Field(ge=1, strict=True)] = 1
    chain: ChainRef | None = Field(default=None, exclude_if=lambda value: value is None)
    spent: Spent | None = Field(default=None, exclude_if=lambda value: value is None)
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
        of_pool_alone = (
            not self.arm.facts.with_trust_set
        )  # else gold is among the rows kept: how much, the suite alone says
        for s in self.seeds:
            if s.coverage and s.kept and of_pool_alone and not is_whole(pool := s.kept / s.coverage):
                raise ValueError(f"seed {s.seed}: {s.kept} rows kept are coverage {s.coverage} of {pool:.3f} rows")
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


class Cell(Strict):
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
