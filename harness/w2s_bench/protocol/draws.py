"""Rows of the pool that no trust score chose: what controls draw blindly, by gold, or by what a label looks like."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np

from w2s_bench.arm_facts import FLIPPED
from w2s_bench.coverage import count_to_keep
from w2s_bench.errors import NotApplicableError
from w2s_bench.protocol.classes import strata_and_classes
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ITEMS, PREDICTIONS
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.selection import top_ids
from w2s_bench.randomness import hash_rank
from w2s_bench.record import iter_rows, read_records
from w2s_bench.store.stage import Stage, StageContext, StageFunction, stage
from w2s_bench.types import Item, Prediction


def alike(kept: Stage, *, subset: Stage, labels: Stage, seed: int, label: str = "") -> Stage:
    """Stage: rows drawn blindly from the whole pool, as many as `kept` has of each weak label in each stratum.

    In a stratum where labels are no classes (`label_classes`), as many of the stratum. With the seed of `random` its rows are
    among those drawn as far as the counts allow.
    """
    return Stage(run_alike, {"seed": seed}, {"kept": kept, "subset": subset, "labels": labels}, label=label)


def draw(
    how: str,
    *,
    labels: Stage,
    grades: Stage,
    coverage: float,
    stream: Callable[[str], int],
    difficulty: Callable[[], Stage] | None = None,
    label: str = "",
) -> Stage:
    """Stage: k rows of the pool as `DRAWS` has it by this word; `stream` gives the seed of a role.

    `difficulty` gives the stage of that name, for the words that read it.
    """
    drawn = DRAWS[how]
    if drawn.reads == "difficulty":
        assert difficulty is not None, f"{how!r} needs to know what is easy"
        read = {"difficulty": difficulty()}
    else:
        read = {"labels": labels} if drawn.reads == "labels" else {"grades": grades}
    params = {"coverage": coverage, "seed": stream(drawn.role), **drawn.params}
    return Stage(drawn.run, params, read, label=label)


def random_ids(ids: list[str], count: int, seed: int) -> list[str]:
    """`count` of `ids`, sorted; for one seed a smaller draw is part of a larger one."""
    return sorted(sorted(ids, key=lambda i: hash_rank("draw", seed, i))[:count])


@stage("alike", version=1)
def run_alike(context: StageContext) -> None:
    """Random rows with the counts of those that were kept, and with their weights in each cell; gold-blind."""
    kept, seed = Kept.read(context.inputs["kept"]), context.params["seed"]
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    labels = read_records(context.inputs["labels"] / PREDICTIONS, Prediction)
    for name, cell in strata_and_classes(items, labels).items():
        cells[cell].append(name)
    drawn: dict[str, float] = {}
    for ids in cells.values():
        weights = [kept.weights[name] for name in ids if name in kept.weights]
        drawn |= zip(random_ids(ids, len(weights), seed), weights, strict=True)
    Kept.weighted(dict(sorted(drawn.items())), kept.wanted).write(context.out)


@stage("random", version=1)
def run_random(context: StageContext) -> None:
    """k rows by a seeded hash of the id; gold-blind."""
    ids = [row["id"] for row in iter_rows(context.inputs["labels"] / PREDICTIONS)]
    wanted = count_to_keep(context.params["coverage"], len(ids))
    Kept.whole(random_ids(ids, wanted, context.params["seed"]), wanted).write(context.out)


@stage("oracle", version=1)
def run_oracle(context: StageContext) -> None:
    """min(k, number correct) rows drawn uniformly from the correct ones; a shortfall is recorded, never filled."""
    grades = read_grades(context.inputs["grades"])
    correct = [i for i, right in grades.items() if right]
    if not correct:
        raise NotApplicableError(
            f"none of the teacher's {len(grades)} weak labels is right, so an oracle has none to choose. "
            "Train the teacher longer, or take easier items; see the accuracy of `weak`"
        )
    _draw_among(correct, len(grades), context)


@stage("wrong", version=1)
def run_wrong(context: StageContext) -> None:
    """min(k, number wrong) rows drawn uniformly from the wrong ones; a shortfall is recorded, never filled."""
    grades = read_grades(context.inputs["grades"])
    wrong = [i for i, right in grades.items() if not right]
    if not wrong:
        raise NotApplicableError(
            f"all of the teacher's {len(grades)} weak labels are right, so an inverted oracle has no wrong one to choose"
        )
    _draw_among(wrong, len(grades), context)


@stage("noisy", version=1)
def run_noisy(context: StageContext) -> None:
    """min(k, number taken for right) rows drawn uniformly from those that an oracle takes for right.

    Of ⌊flipped · n⌋ rows, by a seeded hash of the id, it takes the right ones for wrong and the wrong ones for right.
    """
    grades, seed = read_grades(context.inputs["grades"]), context.params["seed"]
    count = count_to_keep(context.params["flipped"], len(grades))
    flipped = set(sorted(grades, key=lambda i: hash_rank("flip", seed, i))[:count])
    taken = [i for i, right in grades.items() if right != (i in flipped)]
    if not taken:
        raise NotApplicableError(
            f"a noisy oracle takes none of the teacher's {len(grades)} weak labels for right; take a larger pool, or train the "
            "teacher longer"
        )
    _draw_among(taken, len(grades), context)


def _draw_among(ids: list[str], of: int, context: StageContext) -> None:
    """As many of `ids` as the coverage keeps of a pool of `of` rows, or all there are."""
    wanted = count_to_keep(context.params["coverage"], of)
    Kept.whole(random_ids(ids, wanted, context.params["seed"]), wanted).write(context.out)


@stage("shortest", version=1)
def run_shortest(context: StageContext) -> None:
    """k rows whose weak labels have the fewest characters; equal lengths are ranked by a seeded hash of the id; gold-blind."""
    lengths = {row["id"]: len(row["answer"].strip()) for row in iter_rows(context.inputs["labels"] / PREDICTIONS)}
    wanted = count_to_keep(context.params["coverage"], len(lengths))
    scores = Scores.of(list(lengths), -np.array(list(lengths.values()), dtype=np.float64))
    Kept.whole(top_ids(scores, wanted, context.params["seed"]), wanted).write(context.out)


@stage("first", version=1)
def run_first(context: StageContext) -> None:
    """k rows whose weak labels stand first among the options as the domain has them; equal places by a hash; gold-blind."""
    places = {row["id"]: row["index"] for row in iter_rows(context.inputs["labels"] / PREDICTIONS)}
    wanted = count_to_keep(context.params["coverage"], len(places))
    scores = Scores.of(list(places), -np.array(list(places.values()), dtype=np.float64))
    Kept.whole(top_ids(scores, wanted, context.params["seed"]), wanted).write(context.out)


@stage("easiest", version=1)
def run_easiest(context: StageContext) -> None:
    """k rows of lowest difficulty; equal ones are ranked by a seeded hash of the id."""
    difficulty = Scores.read(context.inputs["difficulty"])
    wanted = count_to_keep(context.params["coverage"], len(difficulty))
    easiness = replace(difficulty, values=-difficulty.values)
    Kept.whole(top_ids(easiness, wanted, context.params["seed"]), wanted).write(context.out)


@dataclass(frozen=True)
class Draw:
    """A way in which a control draws rows: the stage that does it, what it reads, the role of its seed, and other parameters."""

    run: StageFunction
    reads: Literal["labels", "grades", "difficulty"]
    role: str
    params: Mapping[str, float] = field(default_factory=dict)


#: By the word in `arm_facts.Rows.drawn`. Grades and difficulty are gold: what reads them is `privileged`.
DRAWS: Final[Mapping[str, Draw]] = MappingProxyType(
    {
        "blindly": Draw(run_random, "labels", "random"),
        "right": Draw(run_oracle, "grades", "oracle"),
        "wrong": Draw(run_wrong, "grades", "oracle"),
        "noisily": Draw(run_noisy, "grades", "oracle", {"flipped": FLIPPED}),
        "shortest": Draw(run_shortest, "labels", "ties"),
        "first": Draw(run_first, "labels", "ties"),
        "easiest": Draw(run_easiest, "difficulty", "ties"),
    }
)
