"""Answers → right or wrong, by the task's own filter and metric, as lm-eval has it."""

from __future__ import annotations

from pathlib import Path

from w2s_bench.domains.grading import answers_are_right, option_is_right
from w2s_bench.protocol.files import ANSWERS, GRADES, ITEMS, MARKS, PREDICTIONS
from w2s_bench.protocol.items import loaded_task
from w2s_bench.protocol.planned import PlannedDomain
from w2s_bench.record import read_json, read_records, write_json
from w2s_bench.store.stage import Stage, StageContext, stage
from w2s_bench.types import Answer, Item, Prediction


def marks(domain: PlannedDomain, gold: Stage, subset: Stage, label: str = "") -> Stage:
    """Stage: id → for each option of a choice item, whether it is right. Gold by another name:
    `grade` stages read it, and labels that are gold with noise."""
    inputs = {"gold": gold, "subset": subset}
    return Stage(run_marks, {"domain": domain.params}, inputs, domain.libraries, label, code=domain.code)


def grade(domain: PlannedDomain, predictions: Stage, gold: Stage, subset: Stage, label: str = "") -> Stage:
    """Stage: id → whether the prediction is right. Chosen options are looked up in the split's marks, whoever chose them."""
    if domain.kind == "choice":
        marked = marks(domain, gold, subset, f"{subset.label} · marks")
        return Stage(run_grade, {}, {"predictions": predictions, "marks": marked}, label=label)
    inputs = {"predictions": predictions, "gold": gold}
    return Stage(run_grade, {"domain": domain.params}, inputs, domain.libraries, label, code=domain.code)


@stage("marks", version=1)
def run_marks(context: StageContext) -> None:
    task = loaded_task(context)
    gold = {a.id: a for a in read_records(context.inputs["gold"] / ANSWERS, Answer)}
    items = read_records(context.inputs["subset"] / ITEMS, Item)
    write_json(
        context.out / MARKS,
        {
            item.id: [option_is_right(task, gold[item.id].document, count, i, item.id) for i in range(count)]
            for item in items
            for count in [len(item.choices or ())]
        },
    )


@stage("grade", version=2)
def run_grade(context: StageContext) -> None:
    predictions = read_records(context.inputs["predictions"] / PREDICTIONS, Prediction)
    if "marks" in context.inputs:
        right = read_json(context.inputs["marks"] / MARKS)
        correct = [right[p.id][p.index] for p in predictions]
    else:
        gold = {a.id: a for a in read_records(context.inputs["gold"] / ANSWERS, Answer)}
        ids, answers = [p.id for p in predictions], [p.answer for p in predictions]
        correct = answers_are_right(loaded_task(context), ids, [gold[i].document for i in ids], answers)
    write_json(context.out / GRADES, {p.id: c for p, c in zip(predictions, correct, strict=True)})


def read_grades(folder: Path) -> dict[str, bool]:
    """Id → right or wrong, in the order of the ids."""
    return dict(sorted(read_json(folder / GRADES).items()))
