"""Gold or weak labels → the rows that a model is trained on, and whether a model can be trained and asked at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from w2s_bench.errors import ModelError, SuiteError
from w2s_bench.models.objectives import Whose, effective_size, relative
from w2s_bench.models.setup import Setup
from w2s_bench.protocol.catalogue import every_nth, picked
from w2s_bench.protocol.files import ABSTAINED, ANSWERS, FORMAT, ITEMS, LOSSES, PREDICTIONS, REMARKS, ROWS, SPLIT_IDS
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.objectives import loaded_objective
from w2s_bench.protocol.planned import PlannedDomain, PlannedModel, load_planned
from w2s_bench.protocol.prediction import label_rows
from w2s_bench.protocol.scores import Scores, by_trust
from w2s_bench.protocol.splits import HELD_OUT
from w2s_bench.record import read_json, read_records, write_json, write_records
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import JSON, Answer, FloatArray, Item, Prediction, TrainingRow

if TYPE_CHECKING:
    from w2s_bench.models.engine import Engine
    from w2s_bench.protocol.objectives import PlannedObjective
    from w2s_bench.suite_training import Training

_MOST_MEASURED = 2000  # golds that are measured, evenly spread


def weak_rows(subset: Stage, labels: Stage, kept: Stage | None, label: str = "") -> Stage:
    """Stage: training rows from weak labels; only those kept, where a selection is given."""
    inputs = {"subset": subset, "labels": labels} | ({"kept": kept} if kept else {})
    return Stage(make_weak_rows, {}, inputs, label=label)


def rows_by_trust(
    subset: Stage,
    labels: Stage,
    kept: Stage,
    scores: Stage,
    *,
    first: Literal["most", "least"],
    seed: int,
    label: str = "",
) -> Stage:
    """Stage: the rows of `weak_rows`, to be seen in the order of their trust scores, the `most` or the `least` trusted first.

    Equal scores are ranked by the same seeded hash of the id as where `top` keeps some of them.
    """
    inputs = {"subset": subset, "labels": labels, "kept": kept, "scores": scores}
    return Stage(make_rows_by_trust, {"first": first, "seed": seed}, inputs, label=label)


def gold_rows(subset: Stage, gold: Stage, kept: Stage | None, label: str = "") -> Stage:
    """Stage: training rows from gold, for the teacher, the ceiling and the gold controls alone."""
    inputs = {"subset": subset, "gold": gold} | ({"kept": kept} if kept else {})
    return Stage(make_gold_rows, {}, inputs, label=label)


def joined_rows(parts: Sequence[Stage], label: str = "", *, share: Literal["equal", "as they are"] = "equal") -> Stage:
    """Stage: the training rows of several splits in one, no item in two of them.

    With `share` "equal" every split is there as often as the largest, so that a batch has a like share of each: the rows of a
    smaller split are repeated, all of them equally often. "as they are": every row stands once.
    """
    return Stage(join_rows, {"share": share}, numbered("part", parts), label=label)


def parts_of(rows: Stage) -> tuple[Stage, ...]:
    """The stages, each of rows of one split, that a stage of rows is made of; it alone where it is of one."""
    return (rows,) if "subset" in rows.inputs else tuple(rows.inputs.values())


def numbered(name: str, stages: Sequence[Stage]) -> dict[str, Stage]:
    """Inputs of one meaning: `name` for the first, `name 1` and on for others. `folders_of` finds them again."""
    return {name if number == 0 else f"{name} {number}": each for number, each in enumerate(stages)}


def folders_of(context: StageContext, name: str) -> list[Path]:
    """The folders of the inputs that `numbered` named."""
    folders = {
        int(key.partition(" ")[2] or 0): at for key, at in context.inputs.items() if key.partition(" ")[0] == name
    }
    return [folders[number] for number in sorted(folders)]


def groups_in(context: StageContext) -> dict[str, str]:
    """The group of every item, by id, of the splits that a training stage has as `subset`; it has none where no group matters."""
    return {
        item.id: item.group for folder in folders_of(context, "subset") for item in read_records(folder / ITEMS, Item)
    }


def schedule_of(training: Training, objective: PlannedObjective | None = None) -> dict[str, JSON]:
    """What a recipe's stage holds of how long, how fast and (where it is not the usual) by what objective a model is trained.

    `objective` is given where it is not that of `training`.
    """
    if objective is not None:
        training = training.model_copy(update={"objective": objective.written})
    return training.model_dump(include={"steps", "batch_size", "learning_rate", "objective"})


def settings_of(context: StageContext) -> dict[str, Any]:
    """What a trainer is told of a stage's parameters: the schedule, the seed, and the objective itself."""
    plain = {name: context.params[name] for name in ("steps", "batch_size", "learning_rate", "seed")}
    return {**plain, "objective": loaded_objective(context)}


def probs_of(
    context: StageContext, rows: Sequence[TrainingRow], needs: Iterable[Whose]
) -> dict[Whose, list[FloatArray]]:
    """Whose distribution an objective needs → one over the options of each row, empty where that model was not asked."""
    probs: dict[Whose, list[FloatArray]] = {}
    for whose in needs:
        told = {
            p.id: p.choice_scores
            for folder in folders_of(context, whose)
            for p in read_records(folder / PREDICTIONS, Prediction)
        }
        probs[whose] = [_softmax(told.get(row.id) or ()) for row in rows]
    return probs


def _softmax(scores: Sequence[float]) -> FloatArray:
    values = np.array(scores, dtype=np.float64)
    exponentials = np.exp(values - values.max(initial=-np.inf))
    probabilities: FloatArray = exponentials / exponentials.sum()
    return probabilities


def report_weights(rows: Sequence[TrainingRow]) -> None:
    """Into the stage's log: of how many rows of one weight those of several weights are worth."""
    weights = [row.weight for row in rows]
    if relative(weights) is not None:
        print(f"{len(rows)} rows of unequal weights, worth {effective_size(weights):.1f} of one weight", flush=True)


def losses_as_written(losses: Sequence[float]) -> list[float]:
    return [round(loss, 6) for loss in losses]


def usable(
    model: PlannedModel,
    domain: PlannedDomain,
    *,
    items: Stage,
    answers: Stage,
    splits: Sequence[Stage],
    asked: Sequence[str],
    label: str = "",
) -> Stage:
    """Stage: the model loads and can be trained and asked as a suite says. Run first: a student's turn may be hours away.

    It has positions enough for the items of the splits `asked`, or the suite cuts them. The gold of generated answers is
    measured, and nothing learns from it.
    """
    most_new = domain.max_new_tokens
    params = {"model": model.params, "max_new_tokens": most_new, "domain": domain.short_name, "splits": list(asked)}
    inputs = {"items": items, **numbered("splits", splits), **({"answers": answers} if most_new else {})}
    return Stage(run_usable, params, inputs, label=label, **model.stage_fields())


@stage("weak_rows", version=1)
def make_weak_rows(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction))
    write_records(context.out / ROWS, _only_kept(context, rows))
    if "kept" in context.inputs and (said := context.inputs["kept"] / ABSTAINED).exists():
        write_json(context.out / ABSTAINED, read_json(said))


@stage("rows_by_trust", version=1)
def make_rows_by_trust(context: StageContext) -> None:
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    rows = _only_kept(context, label_rows(items, read_records(context.inputs["labels"] / PREDICTIONS, Prediction)))
    order = by_trust(
        dict(Scores.read(context.inputs["scores"]).items()), [row.id for row in rows], context.params["seed"]
    )
    if context.params["first"] == "least":
        order.reverse()
    turns = {name: turn for turn, name in enumerate(order)}
    write_records(context.out / ROWS, [replace(row, turn=turns[row.id]) for row in rows])


@stage("gold_rows", version=1)
def make_gold_rows(context: StageContext) -> None:
    items = {item.id: item for item in read_records(context.inputs["subset"] / ITEMS, Item)}
    ended = read_json(context.inputs["subset"] / FORMAT)["kind"] == "generate"
    rows = [
        TrainingRow(a.id, items[a.id].prompt, a.completion, ended, items[a.id].choices, a.index)
        for a in read_records(context.inputs["gold"] / ANSWERS, Answer)
    ]
    write_records(context.out / ROWS, _only_kept(context, rows))


@stage("joined_rows", version=1)
def join_rows(context: StageContext) -> None:
    parts = [read_records(folder / ROWS, TrainingRow) for folder in folders_of(context, "part")]
    times = Counter(row.id for part in parts for row in part)
    if twice := [name for name, count in times.items() if count > 1]:
        raise SuiteError(
            f"item {twice[0]!r} stands in two sets of rows that are joined; two domains of which one has the other's trust set must "
            "not share ids"
        )
    largest = max(map(len, parts)) if context.params["share"] == "equal" else 0
    rows = [row for part in parts for row in part for _ in range(max(1, round(largest / len(part))))]
    write_records(context.out / ROWS, sorted(rows, key=lambda row: row.id))


def left_untuned(context: StageContext) -> bool:
    """Whether a training stage's rows are none because a selection abstained: then the model stays as it is, and that is said."""
    said = context.inputs["rows"] / ABSTAINED
    if not said.exists():
        return False
    write_json(context.out / ABSTAINED, read_json(said))
    write_json(context.out / LOSSES, [])
    return True


def _only_kept(context: StageContext, rows: list[TrainingRow]) -> list[TrainingRow]:
    if "kept" in context.inputs:
        weights = Kept.read(context.inputs["kept"]).weights
        kept = (row for row in rows if row.id in weights)
        rows = [row if weights[row.id] == row.weight else replace(row, weight=weights[row.id]) for row in kept]
    return sorted(rows, key=lambda row: row.id)


@stage("usable", version=2)
def run_usable(context: StageContext) -> None:
    model, most_new, engine = context.params["model"], context.params["max_new_tokens"], load_planned(context)
    engine.refuse_unfit(recipe=model["recipe"], lora_rank=model["lora_rank"], generates=most_new is not None)
    notes = engine.notes()
    if "items" in context.inputs:
        notes += _fitted(context, engine)
    if most_new is not None:
        gold = [row["completion"] for row in every_nth(context.inputs["answers"] / ANSWERS, _MOST_MEASURED)]
        if long := sum(length > most_new for length in engine.lengths(gold)):
            notes.append(
                f"the gold of {long} of {len(gold)} items takes more tokens than an answer may have ({most_new})"
            )
            if long == len(gold):
                raise ModelError(f"model {model['name']!r}: {notes[-1]}; raise max_gen_toks and max_new_tokens")
    write_json(context.out / REMARKS, [f"model {model['name']}: {note}" for note in notes])


def _fitted(context: StageContext, engine: Engine) -> list[str]:
    """What is to be said of items that are cut; `ModelError` where the model lacks positions for some that must not be."""
    params, most_new = context.params, context.params["max_new_tokens"]
    cuts = [read_json(folder / SPLIT_IDS) for folder in folders_of(context, "splits")]
    held = {split: {item for cut in cuts for item in cut[split]} for split in params["splits"]}
    ids = sorted(set().union(*held.values()))
    items = list(picked(context.inputs["items"] / ITEMS, Item, ids))
    golds: dict[str, str] = {}
    if most_new:
        learnt = sorted(set().union(*(held[split] for split in held if split not in HELD_OUT)))
        golds = {a.id: a.completion for a in picked(context.inputs["answers"] / ANSWERS, Answer, learnt)}
    over = engine.overlong(items, most_new=most_new, golds=golds)
    if over is None:
        return []
    what = f"prompt and {most_new} new tokens, or the gold answer" if most_new else "prompt and longest option"
    said = (
        f"{over.count} of {over.of} items of domain {params['domain']!r} take more than its {over.limit} tokens; the longest is "
        f"{over.longest!r} with {over.tokens} ({what})"
    )
    shorter = (
        "lower max_new_tokens, give shorter items (fewer examples)"
        if most_new
        else "give shorter items (fewer examples)"
    )
    if Setup.of(params["model"].get("setup", {})).overflow == "refuse":
        raise ModelError(
            f"model {params['model']['name']!r}: {said}; {shorter}, take a model with a longer context, or set overflow: "
            "truncate_left for the domain, which takes tokens off the beginning of prompts as lm-eval does"
        )
    if over.hopeless:
        raise ModelError(
            f"model {params['model']['name']!r}: {said}; of {over.hopeless} nothing of the prompt would be left, as what follows "
            f"it takes {over.last} tokens alone; {shorter}, or take a model with a longer context"
        )
    return [f"{said}; their prompts are cut on the left"]
