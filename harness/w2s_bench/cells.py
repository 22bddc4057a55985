"""A cell: one arm on one domain, all seeds. The file format that leaderboards are made of and that `verify` compares.

The `body` is digested and is the same for every run on one machine; `provenance` says where and when, and costs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from w2s_bench.errors import CellError
from w2s_bench.names import file_name, row_name
from w2s_bench.record import canonical_json, digest_of, pack_bits, unpack_bits, write_atomically
from w2s_bench.types import JSON, BoolArray

SCHEMA: Final = "w2s-bench/cell/1"

Rate = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SuiteRef(_Strict):
    name: str
    version: str
    digest: str
    evaluate_on: Literal["test", "dev"]


class DomainRef(_Strict):
    """`documents`: the digest of those that the run read, of a domain whose fingerprint does not tell all."""

    name: str
    version: str
    fingerprint: str
    documents: str | None = Field(default=None, exclude_if=lambda value: value is None)


class ModelRef(_Strict):
    name: str
    fingerprint: str


class PluginRef(_Strict):
    """Where a trust function came from; `source` is the digest of the Python files of its package."""

    distribution: str
    version: str
    source: str


class ArmRef(_Strict):
    """One way of choosing what the student trains on. Its identity: trust function with parameters, selection, coverage.

    `kind`: `reference` (weak, base, ceiling), `control` (owned by the harness) or `trust_function`.
    """

    name: str
    kind: Literal["reference", "control", "trust_function"]
    supervision: Literal["none", "trust_set", "privileged"]
    trust_function: str | None = None
    parameters: Mapping[str, JSON] = Field(default_factory=dict)
    selection: Literal["top"] | None = None
    coverage: float | None = None

    @property
    def slug(self) -> str:
        """The arm's file name without suffix, and its name in rows: `distribution.name@parameter=value,…`."""
        return file_name(self.name)


class SeedResult(_Strict):
    """What one seed gave. `correct` packs one bit an item of the evaluated split, items sorted by id (`record.pack_bits`).

    `accuracy` … are None where the seed failed, and `error` says why. `kept`, `purity` and `coverage` describe the rows
    the student trained on (None for weak and base); `shortfall` is how many rows an arm lacked of what it was asked for.
    """

    seed: int
    error: str | None = None
    accuracy: Rate | None = None
    correct: str | None = None
    kept: int | None = None
    purity: Rate | None = None
    coverage: Rate | None = None
    shortfall: int = 0
    by_stratum: Mapping[str, Rate] = Field(default_factory=dict)
    diagnostics: Mapping[str, JSON] = Field(default_factory=dict)
    digests: Mapping[str, str] = Field(default_factory=dict)


class CellBody(_Strict):
    suite: SuiteRef
    protocol: str
    generation: int = 1
    domain: DomainRef
    teacher: ModelRef
    student: ModelRef
    arm: ArmRef
    plugin: PluginRef | None = None
    items: Annotated[int, Field(ge=0)]
    items_digest: str
    seeds: tuple[SeedResult, ...]

    @model_validator(mode="after")
    def _seeds_agree(self) -> CellBody:
        """Accuracy and bits must tell the same story: leaderboards are computed from the bits alone."""
        if len({s.seed for s in self.seeds}) < len(self.seeds):
            raise ValueError(f"a seed stands once in a cell; got {[s.seed for s in self.seeds]}")
        for s in self.seeds:
            if len({s.error is None, s.accuracy is not None, s.correct is not None}) > 1:
                raise ValueError(f"seed {s.seed} must have accuracy and correct, or else an error")
            if s.correct is not None and s.accuracy is not None:
                bits = unpack_bits(s.correct, self.items)
                if pack_bits(bits) != s.correct or abs(s.accuracy * self.items - bits.sum()) > 1e-6:
                    raise ValueError(
                        f"seed {s.seed}: accuracy {s.accuracy} and the bits of correct ({bits.sum()} of {self.items} items) disagree"
                    )
        return self

    @property
    def failed(self) -> tuple[SeedResult, ...]:
        return tuple(s for s in self.seeds if s.error is not None)

    def correctness(self) -> dict[int, BoolArray]:
        """Seed → (items,) whether each item was answered right, in the order of the sorted ids; failed seeds left out."""
        return {s.seed: unpack_bits(s.correct, self.items) for s in self.seeds if s.correct is not None}


class Cell(_Strict):
    """The file: schema, body, the body's digest, and provenance."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["w2s-bench/cell/1"] = Field(alias="schema")
    body: CellBody
    digest: str
    provenance: Mapping[str, JSON] = Field(default_factory=dict)

    @classmethod
    def of(cls, body: CellBody, provenance: Mapping[str, JSON]) -> Cell:
        return cls(schema=SCHEMA, body=body, digest=digest_of(body.model_dump(mode="json")), provenance=provenance)

    @property
    def row(self) -> str:
        """`DOMAIN/ARM` as the command line names it: the cell's path under `results/`, without the suffix."""
        return row_name(self.body.domain.name, self.body.arm.name)

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


def cell_paths(results: Path) -> list[Path]:
    """Every cell file under a suite's results folder."""
    return sorted((results / "results").glob("*/*.json"))


def schema_json() -> str:
    """The published JSON schema of cell files, as `docs/cell.schema.json` holds it."""
    return json.dumps(Cell.model_json_schema(by_alias=True), indent=1, sort_keys=True) + "\n"


def read_cell(path: Path) -> Cell:
    """One cell file, checked: the schema, every field, and that the digest is the body's."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        cell = Cell.model_validate(content)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()[:3])
        raise CellError(f"{path} is no cell of schema {SCHEMA}: {found}") from error
    except (OSError, ValueError) as error:
        raise CellError(f"{path} cannot be read as a cell of schema {SCHEMA}: {error}") from error
    if digest_of(content["body"]) != cell.digest:
        raise CellError(
            f"{path} was altered after it was written: its body does not give its digest {cell.digest[:12]}; run the row again"
        )
    return cell


def read_placed(path: Path, results: Path) -> Cell:
    """One cell file of a results folder, which must lie where its row says: then no row has two files."""
    cell = read_cell(path)
    if path != (own := cell.path(results)):
        raise CellError(f"{path} holds the cell of row {cell.row}, which belongs in {own}; move it there, or remove it")
    return cell


def _refuse_constant(name: str) -> JSON:
    raise ValueError(f"{name} is no JSON")


def read_cells(results: Path) -> list[Cell]:
    """All cells under a suite's results folder, sorted by domain and arm; at least one, all of one suite, each in its place."""
    paths = cell_paths(results)
    if not paths:
        raise CellError(f"no cell files in {results / 'results'}; give the folder that holds suite.yaml and results/")
    cells = [read_placed(path, results) for path in paths]
    suites = sorted({canonical_json(c.body.suite.model_dump()) for c in cells})
    if len(suites) > 1:
        raise CellError(
            f"{results} mixes cells of {len(suites)} suites: {'; '.join(suites)}; keep each suite in a folder of its own"
        )
    return cells


def stack_correctness(body: CellBody, seeds: tuple[int, ...]) -> BoolArray:
    """(seeds, items) correctness for the seeds named."""
    by_seed = body.correctness()
    return np.stack([by_seed[seed] for seed in seeds])
