"""A planned lm-eval task (`planned_task.LmEvalDomain`) → the loaded one: data read, documents chosen, filter and metric set."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from w2s_bench.domains.asked import AskedTask, Examples, Reading, Row, choose, lacking
from w2s_bench.domains.chat import chat_of
from w2s_bench.domains.seeded import dealing_alike, seeded
from w2s_bench.domains.task_class import task_class
from w2s_bench.domains.task_data import read_splits
from w2s_bench.errors import PluginError, W2SBenchError, said

_CALCULATOR = re.compile(r"<<[^<>]*>>")
_MOST_TEMPLATES = 256
_MOST_SHOWN = 5


@seeded()
def load_task(domain: Any) -> AskedTask:
    """Everything that an item is made of."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    remember_templates()
    who, given = f"domain {domain.name!r}", domain.given
    dataset = _dataset(domain, who)
    task, rows, remarks = _tested(domain, dataset, who)
    reading = _reading(domain)
    if domain.in_test_by_task:
        for split in domain.training_splits:
            documents = _processed(task, dataset, split, domain, who)
            rows = [*rows, *_with_gold(reading.rows(task, split, documents, in_test=False), split, remarks)]
    chosen = choose(rows, _brought(domain, task, dataset, who), given.num_fewshot, who)
    task.sampler = Examples(chosen.examples)
    _grade_by(task, domain)
    return AskedTask(task, chosen, chat_of(domain.template, given.system_prompt, who), remarks, given.num_fewshot)


def remember_templates() -> None:
    """From here on lm-eval compiles a template once, not once a document, which takes most of rendering."""
    from lm_eval import utils

    environment = getattr(utils, "env", None)
    if environment is not None and not hasattr(environment.from_string, "cache_info"):
        environment.from_string = lru_cache(_MOST_TEMPLATES)(environment.from_string)


def _reading(domain: Any) -> Reading:
    given = domain.given
    return Reading(f"domain {domain.name!r}", domain.kind, given.group, given.key, given.stratum, given.cluster)


def _dataset(domain: Any, who: str) -> Any | None:
    """The data set from files or from the hub; None where the task's own YAML brings it."""
    if domain.files is not None:
        return read_splits(domain.files, who)
    if domain.brings_data:
        return None
    from datasets import load_dataset

    keys = domain.facts.keys
    options = {k: v for k, v in (keys.get("dataset_kwargs") or {}).items() if k != "trust_remote_code"}
    if domain.given.revision is not None:
        options["revision"] = domain.given.revision
    try:
        return load_dataset(keys["dataset_path"], keys.get("dataset_name"), **options)
    except Exception as error:  # the hub's client and the readers of files raise many kinds
        raise PluginError(
            f"{who}: its data set {domain.facts.dataset} cannot be fetched at revision {options.get('revision')} "
            f"({type(error).__name__}: {said(error)}); look at the network and the revision, or give --data DIR with its files"
        ) from error


def _tested(domain: Any, dataset: Any | None, who: str) -> tuple[Any, list[Row], list[str]]:
    """The task on the first split for `test` that has gold, the rows of that split, and what is to be said."""
    remarks: list[str] = []
    for split in domain.test_splits:
        if dataset is not None and split not in dataset:
            continue
        task = _task(domain, dataset, split, who)
        documents = _processed(task, task.dataset, split, domain, who)
        read = _reading(domain).rows(task, split, documents, in_test=domain.in_test_by_task)
        if not any(read):
            remarks.append(f"split {split} has no gold")
            continue
        return task, _with_gold(read, split, remarks), remarks
    has = ", ".join(dataset) if dataset is not None else ", ".join(domain.test_splits)
    raise PluginError(
        f"{who}: none of the splits for `test` ({', '.join(domain.test_splits)}) has gold (its data set has: {has}); name one that "
        "has by test"
    )


def _task(domain: Any, dataset: Any | None, test: str, who: str) -> Any:
    """lm-eval's own task, with nothing of it changed but where its documents are."""
    from lm_eval.tasks._yaml_loader import load_yaml

    changed: dict[str, Any] = {
        "training_split": domain.training_splits[0],
        "validation_split": None,
        "test_split": test,
        "num_fewshot": 0,
        "fewshot_split": None,
    }
    try:
        keys = {**load_yaml(domain.path), **domain.overridden()}
        options = keys.get("dataset_kwargs") or {}
        changed["dataset_kwargs"] = {k: v for k, v in options.items() if k != "trust_remote_code"}
        if dataset is not None:
            changed |= {"custom_dataset": lambda **_: dataset, "dataset_kwargs": {}}
        # The task still says how examples are written. The harness says which split they come from.
        own = keys.get("fewshot_config") or {}
        changed["fewshot_config"] = {k: v for k, v in own.items() if k not in ("sampler", "split", "samples")}
        if keys.get("metric_list") is not None:
            # lm-eval looks for any other metric on the hub, and runs the code that it finds there.
            changed["metric_list"] = [m for m in keys["metric_list"] if m.get("metric") == domain.facts.metric]
        if callable(keys.get("process_docs")):
            # lm-eval calls it of several splits, and `datasets` remembers what it gave.
            changed["process_docs"] = dealing_alike(keys["process_docs"])
        if domain.kind == "generate" and domain.given.max_new_tokens is not None:
            asked = {k: v for k, v in (keys.get("generation_kwargs") or {}).items() if k != "max_new_tokens"}
            changed["generation_kwargs"] = {**asked, "max_gen_toks": domain.given.max_new_tokens}
        config = {k: v for k, v in {**keys, **changed}.items() if k not in ("tag", "group", "task_list", "include")}
    except W2SBenchError:
        raise
    except Exception as error:  # a function that the YAML names is imported
        raise PluginError(
            f"{who}: its YAML cannot be read ({type(error).__name__}: {said(error)}); look at it, and at the functions that it names"
        ) from error
    return task_class(who, ", or give --data DIR with its files")(config=config)


def _processed(task: Any, dataset: Any, split: str, domain: Any, who: str) -> Iterable[dict[str, Any]]:
    """The documents of a split as the task has them, calculator marks removed where the domain says so."""
    dataset = dataset if dataset is not None else task.dataset
    if split not in dataset:
        raise PluginError(
            f"{who}: its data set has no split {split!r} (it has: {', '.join(dataset)}); name one of them"
        )
    documents = dataset[split]
    try:
        if task.config.process_docs is not None:
            documents = task.config.process_docs(documents)
    except Exception as error:  # a function of the task raises anything
        raise lacking(who, f"split {split}", dict(dataset[split][0]), error) from error
    if domain.given.calculator_marks:
        return (dict(document) for document in documents)
    return (_without_marks(document) for document in documents)


def _without_marks(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _CALCULATOR.sub("", value) if isinstance(value, str) else value for name, value in document.items()}


def _with_gold(rows: list[Row | None], split: str, remarks: list[str]) -> list[Row]:
    lost = [f"{split}-{number}" for number, row in enumerate(rows) if row is None]
    if lost:
        shown = ", ".join(lost[:_MOST_SHOWN]) + (", …" if len(lost) > _MOST_SHOWN else "")
        remarks.append(
            f"{len(lost)} of {len(rows)} documents of split {split} were left out, as they have no gold ({shown})"
        )
    return [row for row in rows if row is not None]


def _brought(domain: Any, task: Any, dataset: Any, who: str) -> list[Row] | None:
    """The examples that the task itself brings; None where they are training documents."""
    if not domain.given.num_fewshot:
        return None
    from lm_eval.tasks._yaml_loader import load_yaml

    samples = (load_yaml(domain.path).get("fewshot_config") or {}).get("samples")
    if samples is not None:
        documents: Iterable[dict[str, Any]] = samples() if callable(samples) else samples
        return [_reading(domain).example(task, n, document) for n, document in enumerate(documents)]
    if domain.example_split is None:
        return None
    split = domain.example_split
    read = _reading(domain).rows(task, split, _processed(task, dataset, split, domain, who), in_test=False)
    return [row for row in read if row is not None]


def _grade_by(task: Any, domain: Any) -> None:
    """The declared filter first, which grades, and the one metric that does; no other metric of the task is computed."""
    if domain.given.filter is not None:
        task._filters.sort(key=lambda ensemble: ensemble.name != domain.given.filter)
    if task.config.process_results is None:
        metric = domain.facts.metric
        task._metric_fn_list = {name: function for name, function in task._metric_fn_list.items() if name == metric}
    else:
        task._metric_fn_list = {domain.facts.metric: None}
