"""Answers → right or wrong, by the task's own filter and metric, as lm-eval has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from w2s_bench.errors import PluginError
from w2s_bench.items import ANSWERS, ITEMS, loaded_task
from w2s_bench.prediction import PREDICTIONS
from w2s_bench.record import read_json, read_records, write_json
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import Answer, Item, Kind, Prediction

if TYPE_CHECKING:
    from pathlib import Path

    from w2s_bench.hookspecs import Domain

GRADES, MARKS = "grades.json", "marks.json"


def domain_params(name: str, domain: Domain, parameters: Mapping[str, Any], **read: Any) -> dict[str, Any]:
    """A domain as stage parameters carry it: enough to build it, and what makes a changed one another.

    That is its fingerprint; of a domain that is not self-contained also what is `read` at the start of a run: `documents`,
    their digest (None: they could not be read), and `source`, that of its package.
    """
    return {
        "name": name,
        "version": domain.version,
        "fingerprint": domain.fingerprint(),
        "parameters": dict(parameters),
        **read,
    }


def marks(domain: Mapping[str, Any], gold: Stage, subset: Stage, label: str = "") -> Stage:
    """Stage: id → for each option of a choice item, whether it is right. Gold by another name: `grade` stages alone read it."""
    inputs = {"gold": gold, "subset": subset}
    return Stage("marks", 1, "w2s_bench.evaluation:run_marks", {"domain": domain}, inputs, ("lm_eval",), label)


def grade(
    domain: Mapping[str, Any], kind: Kind, predictions: Stage, gold: Stage, subset: Stage, label: str = ""
) -> Stage:
    """Stage: id → whether the prediction is right. Chosen options are looked up in the split's marks, whoever chose them."""
    function = "w2s_bench.evaluation:run_grade"
    if kind == "choice":
        marked = marks(domain, gold, subset, f"{subset.label} · marks")
        return Stage("grade", 2, function, {}, {"predictions": predictions, "marks": marked}, label=label)
    inputs = {"predictions": predictions, "gold": gold}
    return Stage("grade", 2, function, {"domain": domain}, inputs, ("lm_eval",), label)


def run_marks(context: StageContext) -> None:
    task = loaded_task(context)
    gold = {a.id: a for a in read_records(context.inputs["gold"] / ANSWERS, Answer)}
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    write_json(
        context.out / MARKS,
        {item.id: [_option_is_right(task, gold[item.id], item, i) for i in range(_count(item))] for item in items},
    )


def run_grade(context: StageContext) -> None:
    predictions = read_records(context.inputs["predictions"] / PREDICTIONS, Prediction)
    if "marks" in context.inputs:
        right = read_json(context.inputs["marks"] / MARKS)
        correct = [right[p.id][p.index] for p in predictions]
    else:
        gold = {a.id: a for a in read_records(context.inputs["gold"] / ANSWERS, Answer)}
        correct = _generated_are_right(loaded_task(context), predictions, [gold[p.id] for p in predictions])
    write_json(context.out / GRADES, {p.id: c for p, c in zip(predictions, correct, strict=True)})


def read_grades(folder: Path) -> dict[str, bool]:
    """Id → right or wrong, in the order of the ids."""
    return dict(sorted(read_json(folder / GRADES).items()))


def _count(item: Item) -> int:
    return len(item.choices or ())


def _option_is_right(task: Any, gold: Answer, item: Item, option: int) -> bool:
    # As if the option had been scored highest by far: of equal scores lm-eval takes the first, we the one that was drawn.
    results = [(0.0 if i == option else -1.0, False) for i in range(_count(item))]
    return _right_or_wrong(task.process_results(gold.document, results), "acc", item.id)


def _generated_are_right(task: Any, predictions: list[Prediction], gold: list[Answer]) -> list[bool]:
    from lm_eval.api.instance import Instance

    instances = []
    for place, (prediction, answer) in enumerate(zip(predictions, gold, strict=True)):
        instance = Instance(request_type="generate_until", doc=dict(answer.document), arguments=("", {}), idx=place)
        instance.resps = [prediction.answer]
        instances.append(instance)
    # A task with several filters would give several verdicts an item; the first one is the task's headline.
    chosen = task._filters[0]
    chosen.apply(instances)
    metric = str(next(iter(task._metric_fn_list)))
    return [
        _right_or_wrong(
            task.process_results(instance.doc, [instance.filtered_resps[chosen.name]]), metric, prediction.id
        )
        for instance, prediction in zip(instances, predictions, strict=True)
    ]


def _right_or_wrong(metrics: Mapping[str, Any], metric: str, item: str) -> bool:
    if metric not in metrics:
        raise PluginError(
            f"item {item}: the task reports {', '.join(metrics) or 'nothing'}, not {metric!r}; name that metric in its metric_list"
        )
    value = metrics[metric]
    if value not in (0, 1):
        raise PluginError(
            f"item {item}: metric {metric!r} gave {value!r}; the protocol needs right (1) or wrong (0), as acc and exact_match give"
        )
    return bool(value == 1)
