"""Answers → right or wrong, by the task's own filter and metric, as lm-eval has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from w2s_bench.errors import PluginError
from w2s_bench.items import ANSWERS, load_domain
from w2s_bench.prediction import PREDICTIONS
from w2s_bench.record import read_json, read_records, write_json
from w2s_bench.stages import Stage, StageContext
from w2s_bench.types import Answer, Prediction

if TYPE_CHECKING:
    from pathlib import Path

    from w2s_bench.hookspecs import Domain

GRADES = "grades.json"


def domain_params(name: str, domain: Domain, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A domain as stage parameters carry it: enough to build it, and a fingerprint that makes a changed one another."""
    return {
        "name": name,
        "version": domain.version,
        "fingerprint": domain.fingerprint(),
        "parameters": dict(parameters),
    }


def grade(domain: Mapping[str, Any], predictions: Stage, gold: Stage, label: str = "") -> Stage:
    """Stage: id → whether the prediction is right."""
    inputs = {"predictions": predictions, "gold": gold}
    return Stage("grade", 1, "w2s_bench.evaluation:run_grade", {"domain": domain}, inputs, ("lm_eval",), label)


def run_grade(context: StageContext) -> None:
    domain = load_domain(context)
    gold = {a.id: a for a in read_records(context.inputs["gold"] / ANSWERS, Answer)}
    predictions = read_records(context.inputs["predictions"] / PREDICTIONS, Prediction)
    task = domain.task()
    if domain.kind == "choice":
        correct = [_choice_is_right(task, p, gold[p.id]) for p in predictions]
    else:
        correct = _generated_are_right(task, predictions, [gold[p.id] for p in predictions])
    write_json(context.out / GRADES, {p.id: c for p, c in zip(predictions, correct, strict=True)})


def read_grades(folder: Path) -> dict[str, bool]:
    """Id → right or wrong, in the order of the ids."""
    return dict(sorted(read_json(folder / GRADES).items()))


def _choice_is_right(task: Any, prediction: Prediction, gold: Answer) -> bool:
    # lm-eval takes the first of equal scores; the label that stands is the one chosen here, so that one is graded.
    count = len(prediction.choice_scores or ())
    results = [(0.0 if i == prediction.index else -1.0, False) for i in range(count)]
    return _right_or_wrong(task.process_results(gold.document, results), "acc", prediction.id)


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
