"""Protocol `w2s-1` on one domain and one seed, as a graph of stages. Nothing runs here.

Read it from the top: splits → teacher → weak labels → grades → evidence → rows → student → grades.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from w2s_bench.names import short
from w2s_bench.protocol import evaluation, items, prediction, splits, training
from w2s_bench.protocol.evidence import view as evidence
from w2s_bench.protocol.evidence.view import Readers
from w2s_bench.protocol.trust import Labelled
from w2s_bench.randomness import derived_seed
from w2s_bench.store.stage import Stage
from w2s_bench.suite import DomainSpec, Suite
from w2s_bench.types import Kind, Need, Split


@dataclass(frozen=True)
class DomainFacts:
    """What the graph needs to know of a domain and its models before anything runs."""

    spec: DomainSpec
    kind: Kind
    max_new_tokens: int | None
    domain: Mapping[str, Any]  # evaluation.domain_params
    teacher: Mapping[str, Any]  # training.model_params
    student: Mapping[str, Any]

    @property
    def short_name(self) -> str:
        return short(self.domain["name"])


@dataclass(frozen=True)
class Student:
    """A student's stages: its weights, its answers to the evaluated split, and whether they are right."""

    weights: Stage | None
    predictions: Stage
    grades: Stage


@dataclass(frozen=True)
class SeedGraph:
    """All stages of one domain and seed; arms hang theirs onto these."""

    suite: Suite
    facts: DomainFacts
    seed: int

    @property
    def name(self) -> str:
        """The domain's full name, however the suite wrote it: splits and randomness hang on it."""
        name: str = self.facts.domain["name"]
        return name

    def stream(self, role: str) -> int:
        """The seed of one role; roles never name an arm, so that differences between arms are paired."""
        return derived_seed(self.suite.seed, self.name, self.seed, role)

    def label(self, what: str) -> str:
        return f"{self.facts.short_name} · seed {self.seed} · {what}"

    @cached_property
    def items(self) -> Stage:
        return items.items(self.facts.domain, f"{self.facts.short_name} · items")

    @cached_property
    def answers(self) -> Stage:
        return items.answers(self.facts.domain, f"{self.facts.short_name} · answers")

    @cached_property
    def splits(self) -> Stage:
        spec, name = self.facts.spec, self.facts.short_name
        held_out = splits.held_out(self.items, spec.sizes, domain=self.name, label=f"{name} · held-out items")
        return splits.splits(
            held_out,
            spec.sizes,
            domain=self.name,
            seed=self.seed,
            suite_seed=self.suite.seed,
            label=self.label("splits"),
        )

    def subset(self, split: Split) -> Stage:
        return splits.subset(self.items, self.splits, split, self.label(f"{split} items"))

    def gold(self, split: Split) -> Stage:
        return splits.gold(self.answers, self.subset(split), split, self.label(f"{split} gold"))

    @cached_property
    def teacher_weights(self) -> Stage:
        rows = training.gold_rows(
            self.subset("weak_train"), self.gold("weak_train"), None, self.label("teacher's rows")
        )
        return training.train(
            self.facts.teacher, self.facts.spec.teacher, rows, seed=self.stream("teacher"), label=self.label("teacher")
        )

    def weak_labels(self, split: Split) -> Stage:
        return prediction.predict(
            self.facts.teacher,
            self.subset(split),
            weights=self.teacher_weights,
            max_new_tokens=self.facts.max_new_tokens,
            label=self.label(f"weak labels of {split}"),
        )

    def label_grades(self, split: Split) -> Stage:
        """Whether each weak label is right: for the trust set, for controls and diagnostics; for the pool never a plugin's to see."""
        return self._grade(self.weak_labels(split), split, f"grades of {split} labels")

    def _grade(self, predictions: Stage, split: Split, what: str) -> Stage:
        gold, subset = self.gold(split), self.subset(split)
        return evaluation.grade(self.facts.domain, self.facts.kind, predictions, gold, subset, self.label(what))

    def student(self, rows: Stage | None, name: str) -> Student:
        """The student trained on `rows` and evaluated; untuned (the base) where `rows` is None."""
        weights = None
        if rows is not None:
            weights = training.train(
                self.facts.student,
                self.facts.spec.student,
                rows,
                seed=self.stream("student"),
                label=self.label(f"student of {name}"),
            )
        split = self.suite.evaluate_on
        predictions = prediction.predict(
            {**self.facts.student, **({"recipe": "full"} if weights is None else {})},
            self.subset(split),
            weights=weights,
            max_new_tokens=self.facts.max_new_tokens,
            label=self.label(f"answers of {name}"),
        )
        return Student(weights, predictions, self._grade(predictions, split, f"grades of {name}"))

    @cached_property
    def trust_gold_rows(self) -> Stage:
        return training.gold_rows(self.subset("trust"), self.gold("trust"), None, self.label("trust set's gold"))

    @cached_property
    def readers(self) -> Readers:
        verifier = self.student(self.trust_gold_rows, "gold_trust_set").weights
        assert verifier is not None
        untuned = {**self.facts.student, "recipe": "full"}
        return Readers((self.facts.teacher, self.teacher_weights), (untuned, None), (self.facts.student, verifier))

    def evidence(self, needs: Iterable[Need], split: Split, *, with_grades: bool, with_gold: bool) -> Labelled:
        """What a trust function's evidence on `trust` or `transfer` is made of. `with_gold` for the privileged alone."""
        labels, subset = self.weak_labels(split), self.subset(split)
        readings = evidence.readings(
            needs,
            self.readers,
            kind=self.facts.kind,
            labels=labels,
            subset=subset,
            fitting=split == "trust",
            label=self.label(split),
        )
        grades = self.label_grades(split) if with_grades else None
        return Labelled(subset, labels, readings, grades, self.gold(split) if with_gold else None)
