"""Protocol `w2s-1` on one domain and one seed, as a graph of stages. Nothing runs here.

After `split_graph`, read it from the top: teacher → weak labels → grades → evidence → rows → student → grades.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, get_args

from w2s_bench.protocol import crossfit, difficulty, evaluation, label_sources, shots, splits, training
from w2s_bench.protocol.ask import Ask, More, Taught
from w2s_bench.protocol.crossfit import CrossFitted
from w2s_bench.protocol.needs import PlannedNeed, Readers, lacks, own_reading, readings
from w2s_bench.protocol.objectives import PlannedObjective
from w2s_bench.protocol.planned import PlannedModel, Tutor
from w2s_bench.protocol.recipes import recipe_of
from w2s_bench.protocol.split_graph import SplitGraph, once
from w2s_bench.protocol.trust import Labelled
from w2s_bench.store.stage import Stage
from w2s_bench.suite_training import Training
from w2s_bench.types import Reader, Split


@dataclass(frozen=True)
class Teacher:
    """A model that labels: the suite's weak one, or a student of the generation before. `weights`: None where it is untuned."""

    model: PlannedModel
    weights: Stage | None


@dataclass(frozen=True)
class Student:
    """A student's stages: its weights, its answers to the evaluated split, and whether they are right."""

    weights: Stage | None
    predictions: Stage
    grades: Stage


@dataclass(frozen=True)
class Generation(SplitGraph):
    """All stages of one domain and seed that hang on one teacher; arms hang theirs onto these.

    `taught_by` is who labels (None: the suite's teacher, trained on `weak_train`). `learns_from` is the graph of another domain whose
    trust set takes the place of this one's own, whose gold then nobody reads.
    """

    taught_by: Teacher | None = None
    learns_from: Generation | None = None

    def __post_init__(self) -> None:
        if self.index < 1 or (self.index > 1 and self.taught_by is None):
            raise ValueError(
                f"generation {self.index} taught by {self.taught_by}; generations count from 1, and later ones have a teacher"
            )

    @cached_property
    def teacher(self) -> Teacher:
        if self.taught_by is not None:
            return self.taught_by
        if self.task.teacher.recipe == "none":
            return Teacher(self.task.teacher.untuned, None)
        model, how, rows = self.task.teacher, self.task.spec.teacher, self._teacher_rows
        weights = recipe_of(model).train(model, how, rows, seed=self.stream("teacher"), label=self.label("teacher"))
        return Teacher(model, weights)

    @property
    def _teacher_rows(self) -> Stage:
        gold, label = self.training_gold("weak_train"), self.label("teacher's rows")
        return training.gold_rows(self.subset("weak_train"), gold, None, label)

    @property
    def _taught(self) -> Taught | None:
        """How the suite's teacher is trained; None where it is used as it is, is no model, or a student of the generation before."""
        how = self._how_it_labels
        if how is None or not how.is_model or self.task.teacher.recipe == "none":
            return None
        return Taught(recipe_of(self.task.teacher), self._teacher_rows, self.stream("teacher"))

    @property
    def _how_it_labels(self) -> Training | None:
        """The suite's teacher, where it labels itself; None in later generations of a chain."""
        return self.task.spec.teacher if self.taught_by is None else None

    def lacking(self, needs: Iterable[PlannedNeed]) -> str | None:
        """Why evidence of these needs cannot be had in this domain: its labels are no model's, its teacher's training cannot be
        done again, or models that were trained otherwise come out the same; None where it can."""
        kind, how = self.task.domain.kind, self._how_it_labels
        no_model = how is not None and not how.is_model
        asked = (
            planned
            for planned in needs
            if planned.need.applies(kind)
            and kind in planned.reading.kinds
            and (
                planned.trains_apart
                or planned.trains_asked
                or (no_model and planned.need.of in ("teacher", "teacher_icl"))
            )
        )
        return next((why for planned in asked if (why := lacks(planned, self.readers, kind)) is not None), None)

    @once
    def weak_labels(self, split: Split) -> Stage:
        how = self._how_it_labels
        if how is not None and how.source is not None:
            return self._source_labels(how, split)
        return self._answers(self.teacher.model, self.teacher.weights, split, f"weak labels of {split}")

    @once
    def label_grades(self, split: Split) -> Stage:
        """Whether each weak label is right: for the trust set, for controls and diagnostics; for the pool never a plugin's to see."""
        return self._grade(self.weak_labels(split), split, f"grades of {split} labels")

    @once
    def training_grades(self, split: Split) -> Stage:
        """Whether each weak label is what training gold says: what a trust function may learn of its trust set."""
        if not self.task.domain.own_training_gold:
            return self.label_grades(split)
        gold, label = self.training_gold(split), self.label(f"{split} labels against training gold")
        return evaluation.grade(self.task.domain, self.weak_labels(split), gold, self.subset(split), label)

    @once
    def grades_of_training_gold(self, split: Split) -> Stage:
        """Whether the training gold of each item of a whole split is right: for diagnostics alone."""
        whole, label = self.whole(split), self.label
        learned = splits.gold(self.training_answers, whole, split, label(f"{split} training gold of all items"))
        right = splits.gold(self.answers, whole, split, label(f"{split} gold of all items"))
        labels = difficulty.gold_as_labels(whole, learned, label(f"{split} training gold as labels"))
        return evaluation.grade(self.task.domain, labels, right, whole, label(f"grades of {split} training gold"))

    def _source_labels(self, how: Training, split: Split) -> Stage:
        subset, label = self.subset(split), self.label(f"weak labels of {split}")
        if how.is_model:
            model, weights = self.teacher.model, self.teacher.weights
            answers = self._drawn(how, model, weights, split)
            if how.source == "majority":
                return label_sources.by_majority(subset, answers, label)
            return label_sources.by_certainty(model if weights else model.untuned, weights, subset, answers, label)
        wrong, rate = None, how.rate or 0.0
        if rate and how.noise == "systematic":
            untuned = self.task.student.untuned
            if self.task.domain.kind == "choice":
                wrong = self._answers(untuned, None, split, f"answers of {untuned.name} untuned to {split}")
            else:
                wrong = self._drawn(how, untuned, None, split)
        gold, seed, marks = self.training_gold(split), self.stream(f"noise of {split}"), None
        if rate and self.task.domain.kind == "choice":
            marks = evaluation.marks(self.task.domain, gold, subset, self.label(f"{split} options that are right"))
        return label_sources.of_gold(
            subset, gold, rate=rate, noise=how.noise, wrong=wrong, seed=seed, marks=marks, label=label
        )

    def _drawn(self, how: Training, model: PlannedModel, weights: Stage | None, split: Split) -> Stage:
        return label_sources.drawn(
            model if weights else model.untuned,
            weights,
            self.subset(split),
            samples=how.samples,
            temperature=how.temperature,
            max_new_tokens=self.task.domain.max_new_tokens,
            seed=self.stream(f"answers drawn to {split}"),
            label=self.label(f"answers of {model.name} drawn to {split}"),
        )

    def _answers(self, model: PlannedModel, weights: Stage | None, split: Split, what: str) -> Stage:
        most_new, label = self.task.domain.max_new_tokens, self.label(what)
        if weights is None:
            model = model.untuned
        subset = self.subset(split)
        return recipe_of(model).predict(model, subset, weights=weights, max_new_tokens=most_new, label=label)

    def _grade(self, predictions: Stage, split: Split, what: str) -> Stage:
        gold, subset = self.gold(split), self.subset(split)
        return evaluation.grade(self.task.domain, predictions, gold, subset, self.label(what))

    def student(self, rows: Stage | None, name: str, *, objective: PlannedObjective | None = None) -> Student:
        """The student trained on `rows` and evaluated; untuned (the base) where `rows` is None.

        It is trained by the suite's own objective, unless another is given.
        """
        model, how, split = self.task.student, self.task.spec.student, self.suite.evaluate_on
        weights = None
        if rows is not None:
            seed, label = self.stream("student"), self.label(f"student of {name}")
            tutor = None
            if objective is not None:
                taught = self.teacher
                tutor = Tutor(taught.model, taught.weights, self.task.domain.max_new_tokens)
            train = recipe_of(model).train
            weights = train(model, how, rows, seed=seed, label=label, objective=objective, tutor=tutor)
        predictions = self._answers(model, weights, split, f"answers of {name}")
        return Student(weights, predictions, self._grade(predictions, split, f"grades of {name}"))

    @property
    def with_trust_set(self) -> Generation:
        """The graph whose trust set is learnt from."""
        return self.learns_from or self

    @cached_property
    def trust_gold_rows(self) -> Stage:
        if self.learns_from is not None:
            return self.learns_from.trust_gold_rows
        gold = self.training_gold("trust")
        return training.gold_rows(self.subset("trust"), gold, None, self.label("trust set's gold"))

    @cached_property
    def readers(self) -> Readers:
        verifier = self.student(self.trust_gold_rows, "gold_trust_set").weights
        student, spec, domain = self.task.student, self.task.spec, self.task.domain
        return Readers(
            (self.teacher.model, self.teacher.weights),
            (student.untuned, None),
            (student, verifier),
            {"teacher": spec.teacher, **{of: spec.student for of in get_args(Reader) if not of.startswith("teacher")}},
            {
                "verifier_cv": CrossFitted(student, partial(self._student_without, "gold"), verifier),
                "student_cv": CrossFitted(student, partial(self._student_without, "weak")),
                "student_gold_cv": CrossFitted(student, partial(self._student_without, "both")),
            },
            More(
                recipe_of(student),
                student,
                self._all_weak_rows,
                self.stream("student"),
                domain.kind,
                domain.max_new_tokens,
                self._taught,
            ),
            self._with_examples,
            {"teacher_icl": (self.teacher.model, self.teacher.weights), "student_icl": (student.untuned, None)},
            "" if self._how_it_labels is None or self._how_it_labels.is_model else spec.teacher.model,
        )

    def _with_examples(self, subset: Stage) -> Stage:
        label = f"{subset.label} · with examples"
        return shots.with_examples(subset, self.trust_gold_rows, seed=self.stream("examples"), label=label)

    @cached_property
    def _all_weak_rows(self) -> Stage:
        """Rows of the weak labels of the trust set and of the pool, each once."""
        # A gold budget takes gold away and no weak label, so that functions that see no gold have the same scores at every budget.
        graph = self if self.suite.gold_budget is None else replace(self, suite=self.suite.without_gold_budget)
        splits: tuple[Split, ...] = ("trust", self.pool)
        rows = [
            training.weak_rows(graph.subset(s), graph.weak_labels(s), None, self.label(f"rows of {s}")) for s in splits
        ]
        return training.joined_rows(rows, self.label("rows of trust set and pool"), share="as they are")

    @once
    def _student_without(self, learns_from: Literal["gold", "weak", "both"], fold: int) -> Stage:
        """The weights of a student trained without one fold: of the trust set's gold, of the pool's weak labels, or of both."""
        what, parts = f"{learns_from} without fold {fold + 1}", []
        if learns_from != "weak":
            graph = self.with_trust_set
            subset = graph.subset("trust")
            kept, label = crossfit.others(subset, fold), graph.label(f"trust set's gold without fold {fold + 1}")
            parts.append(training.gold_rows(subset, graph.training_gold("trust"), kept, label))
        if learns_from != "gold":
            subset = self.subset(self.pool)
            kept, label = crossfit.others(subset, fold), self.label(f"weak rows without fold {fold + 1}")
            parts.append(training.weak_rows(subset, self.weak_labels(self.pool), kept, label))
        rows = parts[0] if len(parts) == 1 else training.joined_rows(parts, self.label(f"rows of {what}"))
        model, how, seed = self.task.student, self.task.spec.student, self.stream("student")
        return recipe_of(model).train(model, how, rows, seed=seed, label=self.label(f"student of {what}"))

    @cached_property
    def difficulty(self) -> Stage:
        """How hard each item of the pool is, by students trained on the gold of the others (`difficulty`).

        Gold is behind it: it serves controls that are `privileged`, and whoever looks at a run that is finished.
        """
        kind, subset, model = self.task.domain.kind, self.subset(self.pool), self.task.student
        gold = self.training_gold(self.pool)
        labels = difficulty.gold_as_labels(subset, gold, self.label("gold of the pool as labels"))
        need, label = difficulty.need_of(kind), self.label("loss on the pool's gold")
        reading, asked = own_reading(need), partial(Ask, need, recipe_of(model), model, subset=subset, seed=None)
        read = [
            (part, reading.stage(asked(weights=weights, labels=part, label=f"{label} · fold {fold + 1}")))
            for fold, (part, weights) in enumerate(
                CrossFitted(model, self._ceiling_without).parts(labels, subset, fitting=True)
            )
        ]
        joined = crossfit.joined_reading(reading.form, labels, read, label)
        return difficulty.difficulty(joined, labels, kind, self.label("difficulty of the pool"))

    @once
    def _ceiling_without(self, fold: int) -> Stage:
        """The weights of the student trained on the pool's gold without one fold."""
        subset, gold = self.subset(self.pool), self.training_gold(self.pool)
        what = f"the pool's gold without fold {fold + 1}"
        rows = training.gold_rows(subset, gold, crossfit.others(subset, fold), self.label(what))
        model, how, seed = self.task.student, self.task.spec.student, self.stream("student")
        return recipe_of(model).train(model, how, rows, seed=seed, label=self.label(f"student of {what}"))

    def evidence(self, needs: Iterable[PlannedNeed], split: Split, *, with_grades: bool, with_gold: bool) -> Labelled:
        """What a trust function's evidence on `trust` or the pool is made of. `with_gold` for the privileged alone, who see what
        grades; to all others training gold says which labels are right."""
        labels, subset = self.weak_labels(split), self.subset(split)
        read = readings(
            needs,
            self.readers,
            kind=self.task.domain.kind,
            labels=labels,
            subset=subset,
            fitting=split == "trust",
            label=self.label(split),
            seed=lambda need: self.stream(f"reading {need} of {split}"),
        )
        grades = None
        if with_grades:
            grades = self.label_grades(split) if with_gold else self.training_grades(split)
        gold = self.gold(split) if with_gold else None
        return Labelled(subset, labels, read.stages, grades, gold, read.shown_as)
