"""One answer → right or wrong, by the task's own filter and metric, as lm-eval has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from w2s_bench.errors import PluginError

_MOST_SHOWN = 60  # characters of an answer in a message


def option_is_right(task: Any, document: Mapping[str, Any], options: int, option: int, item: str) -> bool:
    """Whether the option of this index, of so many, is right."""
    # The option is graded as if scored highest by far: of equal scores lm-eval takes the first, the harness one by hash.
    results = [(0.0 if i == option else -1.0, False) for i in range(options)]
    return _right_or_wrong(task.process_results(document, results), "acc", f"item {item}")


def answers_are_right(
    task: Any,
    items: Sequence[str],
    documents: Sequence[Mapping[str, Any]],
    answers: Sequence[str],
    *,
    filter: int = 0,
) -> list[bool]:
    """Whether each generated answer is right; the three go together, and `items` are ids. `filter`: which of the task's."""
    from lm_eval.api.instance import Instance

    instances = []
    for number, (document, answer) in enumerate(zip(documents, answers, strict=True)):
        instance = Instance(request_type="generate_until", doc=dict(document), arguments=("", {}), idx=number)
        instance.resps = [answer]
        instances.append(instance)
    # A task with several filters would give several verdicts an item; the first one is the task's headline.
    chosen = task._filters[filter]
    chosen.apply(instances)
    metric = headline(task)
    return [
        _right_or_wrong(
            task.process_results(instance.doc, [instance.filtered_resps[chosen.name]]),
            metric,
            f"item {item}, answer {answer[:_MOST_SHOWN]!r}",
        )
        for instance, item, answer in zip(instances, items, answers, strict=True)
    ]


def filter_that_takes(
    task: Any, items: Sequence[str], documents: Sequence[Mapping[str, Any]], answers: Sequence[str]
) -> str | None:
    """The first of the task's other filters by which any of these answers is right; None where none is."""
    for number, other in enumerate(task._filters[1:], start=1):
        try:
            taken = any(answers_are_right(task, items, documents, answers, filter=number))
        except Exception:  # noqa: BLE001  # a filter that nobody asked for may raise anything
            taken = False
        if taken:
            return str(other.name)
    return None


def delimiter_of(task: Any) -> str:
    """What stands between a prompt and its answer; a task in a chat format may say another than its configuration."""
    return str(getattr(task, "answer_delimiter", task.config.target_delimiter))


def headline(task: Any) -> str:
    """The metric that generated answers are graded by: the first that the task lists."""
    return str(next(iter(task._metric_fn_list)))


def _right_or_wrong(metrics: Mapping[str, Any], metric: str, graded: str) -> bool:
    if metric not in metrics:
        raise PluginError(
            f"{graded}: the task reports {', '.join(metrics) or 'nothing'}, not {metric!r}; name that metric in its metric_list"
        )
    value = metrics[metric]
    if value not in (0, 1):
        raise PluginError(
            f"{graded}: metric {metric!r} gave {value!r}; the protocol needs right (1) or wrong (0), as acc and exact_match give: "
            "list such a metric first in metric_list, or let process_results say from what value on an answer is right"
        )
    return bool(value == 1)
