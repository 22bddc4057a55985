"""The first arrow of the protocol: from a domain's items to the parts of a seed and their gold. Nothing runs here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Concatenate, ParamSpec, TypeVar

from w2s_bench.arm_facts import Facts
from w2s_bench.protocol import items, slices, splits
from w2s_bench.protocol.planned import PlannedTask
from w2s_bench.randomness import derived_seed
from w2s_bench.store.stage import Stage
from w2s_bench.suite import Suite
from w2s_bench.types import Split

P = ParamSpec("P")
T = TypeVar("T")
G = TypeVar("G", bound="SplitGraph")


def once(build: Callable[Concatenate[G, P], T]) -> Callable[Concatenate[G, P], T]:
    """A method of a graph whose answer the graph keeps, as `cached_property` does for those without arguments.

    Every arm asks for the same splits and weak labels: they are then one object, whose place in the graph is digested once.
    """

    @wraps(build)
    def kept(graph: G, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answers: dict[object, T] = graph.__dict__.setdefault("_kept", {})
        asked = (build.__name__, args, *sorted(kwargs.items()))
        if asked not in answers:
            answers[asked] = build(graph, *args, **kwargs)
        return answers[asked]

    return kept


@dataclass(frozen=True)
class SplitGraph:
    """The stages of one domain and seed that hang on no model.

    `index` is the place in a chain, from 1, and `pool` the split that a teacher labels and that students are trained on. `of` is
    how many generations the chain has (None: it is the one hop from the suite's teacher to its student), `parts` among how many
    of them the pool is parted (1: all have it whole).
    """

    suite: Suite
    task: PlannedTask
    seed: int
    index: int = 1
    pool: Split = "transfer"
    of: int | None = None
    parts: int = 1

    @property
    def name(self) -> str:
        """The domain's full name, however the suite wrote it: splits and randomness hang on it."""
        return self.task.domain.name

    @once
    def stream(self, role: str) -> int:
        """The seed of one role; roles never name an arm, so that differences between arms are paired."""
        later = f" of generation {self.index}" if self.index > 1 else ""
        return derived_seed(self.suite.seed, self.name, self.seed, f"{role}{later}")

    def label(self, what: str) -> str:
        later = f" · generation {self.index}" if self.index > 1 or self.of else ""
        return f"{self.task.domain.short_name} · seed {self.seed}{later} · {what}"

    @cached_property
    def items(self) -> Stage:
        return items.items(self.task.domain, f"{self.task.domain.short_name} · items")

    @cached_property
    def answers(self) -> Stage:
        return items.answers(self.task.domain, f"{self.task.domain.short_name} · answers")

    @cached_property
    def training_answers(self) -> Stage:
        """What is learned from: the `answers` that grade, but for a domain with training gold of its own."""
        if not self.task.domain.own_training_gold:
            return self.answers
        return items.training_answers(self.task.domain, f"{self.task.domain.short_name} · training answers")

    @cached_property
    def splits(self) -> Stage:
        sizes, name = self.task.spec.sizes, self.task.domain.short_name
        held_out = splits.held_out(self.items, sizes, domain=self.name, label=f"{name} · held-out items")
        return splits.splits(
            held_out,
            sizes,
            domain=self.name,
            seed=self.seed,
            suite_seed=self.suite.seed,
            label=f"{name} · seed {self.seed} · splits",
        )

    @once
    def subset(self, split: Split) -> Stage:
        whole = self.whole(split)
        if split == "trust" and (budget := self.suite.gold_budget) is not None:
            label = self.label(f"{budget} items of {split}")
            return slices.few(whole, count=budget, seed=self.stream("gold budget"), label=label)
        if split == self.pool and (labels := self.task.spec.teacher.labels) is not None:
            seed, label = self.stream("labelled part of the pool"), self.label(f"{labels} items of {split}")
            return slices.few(whole, count=labels, seed=seed, label=label)
        if split != self.pool or self.parts == 1:
            return whole
        # The cut is one for all generations: were each to draw its own, two could have an item in common.
        seed = derived_seed(self.suite.seed, self.name, self.seed, "parts of the pool")
        label = self.label(f"part of {split}")
        return slices.sliced(whole, part=self.index, parts=self.parts, seed=seed, label=label)

    @once
    def whole(self, split: Split) -> Stage:
        """Every item of a split, those that a budget or a label source leaves out too."""
        return splits.subset(self.items, self.splits, split, self.label(f"{split} items"))

    @cached_property
    def whole_pool(self) -> tuple[Stage, Stage]:
        """Items and training gold of the pool, those without a weak label too (label source `scarce`)."""
        if self.task.spec.teacher.labels is None:
            return self.subset(self.pool), self.training_gold(self.pool)
        whole = self.whole(self.pool)
        return whole, splits.gold(self.training_answers, whole, self.pool, self.label(f"{self.pool} gold of all items"))

    def drawn_from(self, facts: Facts) -> Stage:
        """The items of the pool that an arm of such facts keeps rows of."""
        whole = facts.of_pool is not None and facts.of_pool.whole_pool
        return self.whole_pool[0] if whole else self.subset(self.pool)

    @once
    def gold(self, split: Split) -> Stage:
        """What grades: accuracies, purity and AUROC are by it, oracles and the track `privileged` see it, and nothing else does."""
        return splits.gold(self.answers, self.subset(split), split, self.label(f"{split} gold"))

    @once
    def training_gold(self, split: Split) -> Stage:
        """What is learned from: by teacher, ceiling, gold controls, and trust functions of the trust set. Usually `gold` itself."""
        if not self.task.domain.own_training_gold:
            return self.gold(split)
        return splits.gold(self.training_answers, self.subset(split), split, self.label(f"{split} training gold"))
