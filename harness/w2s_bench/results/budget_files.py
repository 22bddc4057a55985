"""A suite's budget of steps, as a file beside its board: what half and twice the steps do to ceiling and naive, on `dev` alone.

The file holds bits, one a dev item, as cells do: every figure is computed from them, and no figure of `test` enters it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from w2s_bench.errors import CellError
from w2s_bench.names import BUDGET, short
from w2s_bench.record import pack_bits, unpack_bits, write_atomically
from w2s_bench.results.budgets import ARMS, FACTORS, Budget, DomainBudget, SuiteBudget, budgets_of
from w2s_bench.results.cells import Cell
from w2s_bench.results.clusters import Clusters
from w2s_bench.results.fields import Digest, Rate, Strict, Text
from w2s_bench.results.references import DomainRef, ModelRef
from w2s_bench.suite import MOST_SEEDS, Suite
from w2s_bench.suite_domain import DomainSpec
from w2s_bench.text import one_line, shortened
from w2s_bench.types import FloatArray
from w2s_bench.untrusted import UnreadableError, parse_json, read_text

SCHEMA: Final = "w2s-bench/budget/1"
_LARGEST: Final = 32 << 20  # bytes of a file, as of a cell


def _looked_at(arm: str) -> str:
    if arm not in ARMS:
        raise ValueError(f"arm is {shortened(arm, 100)!r}; expected {' or '.join(ARMS)}")
    return arm


class StudentAt(Strict):
    """An arm's students after `steps` optimizer steps, one a seed: accuracy, and one bit a dev item (`record.pack_bits`)."""

    arm: Annotated[str, AfterValidator(_looked_at)]
    steps: Annotated[int, Field(ge=1, strict=True)]
    accuracies: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=MOST_SEEDS)]
    correct: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_SEEDS)]

    def by_item(self, items: int) -> FloatArray:
        """(items,) share of the seeds that answer each item right."""
        shares: FloatArray = np.mean([unpack_bits(bits, items) for bits in self.correct], axis=0, dtype=np.float64)
        return shares


class DomainRecord(Strict):
    """What was trained and asked in one domain: students arm by arm, each from the fewest steps to the most."""

    domain: DomainRef
    teacher: ModelRef
    student: ModelRef
    items: Annotated[int, Field(ge=2, strict=True)]
    items_digest: Digest
    clusters: Clusters | None = Field(default=None, exclude_if=lambda value: value is None)
    students: tuple[StudentAt, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> DomainRecord:
        """Each arm at each budget, and bits that tell what accuracies do."""
        name = short(self.domain.name)
        if [one.arm for one in self.students] != [arm for arm in ARMS for _ in FACTORS]:
            raise ValueError(
                f"{name}: students are of {', '.join(one.arm for one in self.students)}; expected {len(FACTORS)} of each of "
                f"{', '.join(ARMS)}, in this order"
            )
        if self.clusters is not None and len(self.clusters.array()) != self.items:
            raise ValueError(f"{name}: clusters has {len(self.clusters.array())} codes, of {self.items} items")
        for one in self.students:
            if len(one.accuracies) != len(one.correct):
                raise ValueError(
                    f"{name}: {one.arm} has {len(one.accuracies)} accuracies and bits of {len(one.correct)} seeds"
                )
            for accuracy, text in zip(one.accuracies, one.correct, strict=True):
                bits = unpack_bits(text, self.items)
                if pack_bits(bits) != text or abs(accuracy * self.items - bits.sum()) > 1e-6:
                    raise ValueError(
                        f"{name}: {one.arm} at {one.steps} steps: accuracy {accuracy} and the bits of correct ({bits.sum()} of "
                        f"{self.items} items) disagree"
                    )
        return self

    def shown(self) -> DomainBudget:
        """The figures of this domain."""
        codes = None if self.clusters is None else self.clusters.array()
        told: list[Budget] = []
        for at, arm in enumerate(ARMS):
            students = dict(zip(FACTORS, self.students[at * len(FACTORS) :], strict=False))
            steps = {factor: one.steps for factor, one in students.items()}
            right = {factor: one.by_item(self.items) for factor, one in students.items()}
            told += budgets_of(arm, steps, right, codes)
        return DomainBudget(short(self.domain.name), self.items, tuple(told))


class BudgetFile(Strict):
    """The file `budget.json` of a results folder. `suite` is the digest of the board's suite, whose steps are looked at.

    `split`, `seeds` and `factors` say what was asked and trained; `packages` and `machines` where that was computed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["w2s-bench/budget/1"] = Field(alias="schema", default=SCHEMA)
    suite: Digest
    split: Literal["dev"] = "dev"
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(min_length=1, max_length=MOST_SEEDS)]
    factors: tuple[float, ...] = FACTORS
    domains: Annotated[tuple[DomainRecord, ...], Field(min_length=1, max_length=1000)]
    packages: Annotated[Mapping[Text, Text], Field(max_length=1000)] = Field(default_factory=dict)
    machines: Annotated[tuple[Text, ...], Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _agrees(self) -> BudgetFile:
        if self.factors != FACTORS:
            raise ValueError(f"factors are {self.factors}; expected {FACTORS}")
        if self.seeds != tuple(range(len(self.seeds))):
            raise ValueError(f"seeds are 0 to {len(self.seeds) - 1}, in this order; got {self.seeds[:20]}")
        names = [record.domain.name for record in self.domains]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"domain {twice[0]} stands twice")
        for record in self.domains:
            for one in record.students:
                if len(one.correct) != len(self.seeds):
                    raise ValueError(
                        f"{short(record.domain.name)}: {one.arm} at {one.steps} steps has {len(one.correct)} seeds, of "
                        f"{len(self.seeds)}"
                    )
        return self

    @classmethod
    def of(cls, suite: Suite, cells: Mapping[tuple[str, str, float], Cell]) -> BudgetFile:
        """Of the suite whose steps are looked at, and (domain, arm, factor) → cell on `dev`, all with the same seeds."""
        made = list(cells.values())
        here = {domain for domain, _, _ in cells}
        return cls(
            suite=suite.digest,
            seeds=tuple(seed.seed for seed in made[0].body.seeds),
            domains=tuple(_record(spec, cells) for spec in suite.domains if spec.name in here),
            packages=dict(made[0].provenance.get("packages", {})),
            machines=tuple(sorted({machine for cell in made for machine in cell.provenance.get("machines", ())})),
        )

    def write(self, results: Path) -> Path:
        path = results / BUDGET
        content = self.model_dump(mode="json", by_alias=True)
        write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path

    def shown(self) -> SuiteBudget:
        """Its figures, as a board shows them."""
        return SuiteBudget(len(self.seeds), tuple(record.shown() for record in self.domains))

    def faults(self, suite: Suite, cells: Iterable[Cell] = ()) -> Iterator[str]:
        """What the suite of a board, its domains named in full, and the board's cells have against it."""
        if self.suite != suite.digest:
            yield f"it is about a suite of digest {self.suite[:12]}, suite.yaml has {suite.digest[:12]}"
            return
        named, own = [record.domain.name for record in self.domains], [spec.name for spec in suite.domains]
        if named != own:
            yield f"it has domains {', '.join(map(short, named))}; the suite has {', '.join(map(short, own))}"
            return
        made_of = {cell.body.domain.name: cell for cell in cells if cell.body.chain is None}
        for spec, record in zip(suite.domains, self.domains, strict=True):
            yield from (f"{short(spec.name)}: {fault}" for fault in _against_suite(record, spec))
            if (cell := made_of.get(spec.name)) is not None:
                yield from (f"{short(spec.name)}: {fault}" for fault in _against_cell(record, cell))


def read_budgets(results: Path) -> BudgetFile | None:
    """The budget file of a results folder; None where there is none. Raises CellError where it is no such file."""
    path = results / BUDGET
    if not os.path.lexists(path):
        return None
    try:
        return BudgetFile.model_validate(parse_json(read_text(path, _LARGEST, follow=False)))
    except ValidationError as error:
        first = error.errors()[0]
        told = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg'].removeprefix('Value error, ')}"
    except UnreadableError as error:
        told = str(error)
    raise CellError(one_line(f"{path} is no budget of schema {SCHEMA}: {shortened(told, 400)}; remove it"), path)


def believed_budget(results: Path, suite: Suite, cells: Sequence[Cell]) -> SuiteBudget | None:
    """What a board shows of its budget file; None where it has none, or one of another suite, as after `run --seeds` with more.

    Raises CellError where the board contradicts a file of its suite.
    """
    found = read_budgets(results)
    if found is None or found.suite != suite.digest:
        return None
    for fault in found.faults(suite, cells):
        raise CellError(f"{results / BUDGET}: {fault}; remove it, or make it anew", results / BUDGET)
    return found.shown()


def steps_at(spec: DomainSpec, factor: float) -> int:
    """The steps of a domain's students at a budget."""
    return max(1, round(factor * spec.student.steps))


def _record(spec: DomainSpec, cells: Mapping[tuple[str, str, float], Cell]) -> DomainRecord:
    """One domain's students. A cell whose seeds did not all come is no part of a budget: `runs.on_dev` refuses it."""
    body = cells[spec.name, ARMS[0], 1.0].body
    students = tuple(
        StudentAt(
            arm=arm,
            steps=steps_at(spec, factor),
            accuracies=tuple(seed.accuracy for seed in seeds if seed.accuracy is not None),
            correct=tuple(seed.correct for seed in seeds if seed.correct is not None),
        )
        for arm in ARMS
        for factor in FACTORS
        for seeds in (cells[spec.name, arm, factor].body.seeds,)
    )
    return DomainRecord(
        domain=body.domain,
        teacher=body.teacher,
        student=body.student,
        items=body.items,
        items_digest=body.items_digest,
        clusters=body.clusters,
        students=students,
    )


def _against_suite(record: DomainRecord, spec: DomainSpec) -> Iterator[str]:
    stated = {"version": record.domain.version, "teacher": record.teacher.name, "student": record.student.name}
    true = {"version": spec.version, "teacher": spec.teacher.model, "student": spec.student.model}
    for what, value in stated.items():
        if value != true[what]:
            yield f"it has {what} {value!r}, the suite's domain {true[what]!r}"
    if record.items != spec.sizes.dev:
        yield f"it has {record.items} dev items, the suite {spec.sizes.dev}"
    steps = [steps_at(spec, factor) for _ in ARMS for factor in FACTORS]
    if (told := [one.steps for one in record.students]) != steps:
        yield f"its students took {told} steps; half, once and twice the suite's are {steps}"


def _against_cell(record: DomainRecord, cell: Cell) -> Iterator[str]:
    """The same documents and models as the board's: of others, another curve."""
    for what in ("domain", "teacher", "student"):
        stated, true = getattr(record, what).fingerprint, getattr(cell.body, what).fingerprint
        if stated != true:
            yield f"it has another {what} (fingerprint {stated[:12]}) than the board's cells ({true[:12]})"
