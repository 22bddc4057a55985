"""What the YAML of an lm-eval task says before any data is read: what kind of domain it makes, or why it makes none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from w2s_bench.domains.contexts import returns_a_number
from w2s_bench.domains.files import TaskFile, task_files
from w2s_bench.domains.task_index import included_folders, installed_tasks, names_below
from w2s_bench.errors import W2SBenchError
from w2s_bench.types import Kind

#: Metrics that say of one generated answer that it is right (1) or wrong (0).
_EXACT = re.compile(r"exact[_-]?match\w*|em|acc|accuracy|math_verify", re.IGNORECASE)
#: The one of them that lm-eval itself computes of generated answers. It looks for most others on the hub, and would run the code
#: found there.
_REGISTERED = "exact_match"
#: What lm-eval's number may be of right (1) and wrong (0) items: their mean. A metric has it where it says nothing else.
_MEANS = ("mean", "nanmean")
_KINDS: Mapping[str, Kind] = {"multiple_choice": "choice", "generate_until": "generate"}
#: What `dataset_path` may be where files are read and nothing is fetched.
FILE_FORMATS = {"json", "csv", "parquet", "arrow", "text"}
#: lm-eval's own limit of a generated answer, in tokens, where a task has none.
LONGEST_ANSWER = 256


@dataclass(frozen=True)
class Facts:
    """A task by its YAML. `fault` says in one sentence why it can be no domain; None: it can."""

    name: str
    keys: Mapping[str, Any]
    kind: Kind = "choice"
    metric: str = "acc"
    fault: str | None = None

    @property
    def version(self) -> str:
        """The task's own version, as text; "0" where it has none."""
        metadata = self.keys.get("metadata")
        return str(metadata.get("version", "0")) if isinstance(metadata, Mapping) else "0"

    @property
    def dataset(self) -> str:
        """The data set as one reads it: path and name."""
        parts = [self.keys.get("dataset_path"), self.keys.get("dataset_name")]
        return " ".join(str(part) for part in parts if part) or "its own loader's"

    def split(self, role: str) -> str | None:
        """The name of the split that the YAML gives as `training_split`, `validation_split` or `test_split`."""
        value = self.keys.get(f"{role}_split")
        return str(value) if value else None

    @property
    def shots(self) -> int:
        """How many examples lm-eval puts before a question where nobody says otherwise."""
        given = self.keys.get("num_fewshot")
        return given if isinstance(given, int) else 0

    @property
    def remark(self) -> str:
        """What must be given besides the name, in a few words; empty where nothing must."""
        return "" if self.split("training") else "has no training documents: name a split with train="


def merged(files: Sequence[TaskFile]) -> dict[str, Any]:
    """The keys of a YAML with those of all that it includes, as lm-eval has them: a later one's win."""
    return {key: value for file in files for key, value in file.keys.items()}


def facts_of(name: str, keys: Mapping[str, Any], metric: str | None = None, *, several_contexts: bool = False) -> Facts:
    """Kind and metric of a task, or its fault. `metric`: the one that grades, where the user names one.

    `several_contexts`: whether the code of the task shows that its options stand before the answer.
    """
    kind = _KINDS.get(str(keys.get("output_type", "generate_until")))
    listed = _metrics(keys)
    fault = _fault(keys, kind, listed, metric)
    if fault is None and kind == "choice" and several_contexts:
        fault = "its options stand in the prompt (several contexts an item); one context an item is needed"
    chosen = metric or ("acc" if kind == "choice" else next((m for m in listed if _EXACT.fullmatch(m)), "exact_match"))
    return Facts(name, dict(keys), kind or "choice", chosen, fault)


def has_several_contexts(files: Sequence[TaskFile]) -> bool:
    """Whether `doc_to_text` is a function beside its YAML that returns the number of an option."""
    file = next((file for file in reversed(files) if "doc_to_text" in file.keys), None)
    module, _, function = str(file.keys["doc_to_text"] if file else "").rpartition(".")
    if file is None or f"{module}.{function}" not in file.functions:
        return False
    return returns_a_number(file.path.parent / f"{module.replace('.', '/')}.py", function)


def read_facts(name: str, path: Path) -> Facts:
    """`facts_of` a file; what cannot be read is a fault."""
    try:
        files = task_files(path, f"lm-eval's {name}")
        return facts_of(name, merged(files), several_contexts=has_several_contexts(files))
    except (W2SBenchError, yaml.YAMLError, OSError) as error:
        return Facts(name, {}, fault=str(error))


def tasks_like(pattern: str) -> list[Facts]:
    """The tasks whose name a pattern with `*` and `?` fits, sorted; of one name the user's own wins."""
    paths: dict[str, Path] = {}
    for folder in [*included_folders(), installed_tasks()]:
        for name, at in names_below(folder).items():
            listed_as, _, path = at.partition(" ")
            if listed_as == "task" and fnmatchcase(name, pattern):
                paths.setdefault(name, folder / path)
    return [read_facts(name, path) for name, path in sorted(paths.items())]


def _metrics(keys: Mapping[str, Any]) -> list[str]:
    """Names of the metrics that a task lists; without a list, those that lm-eval takes for its kind."""
    listed = keys.get("metric_list")
    if listed is None:
        return {"multiple_choice": ["acc", "acc_norm"], "generate_until": ["exact_match"]}.get(
            str(keys.get("output_type", "generate_until")), []
        )
    return [str(m["metric"]) for m in listed if isinstance(m, Mapping) and "metric" in m]


def _fetched(keys: Mapping[str, Any]) -> set[str]:
    """The metrics that a task wants from the hub's library `evaluate`, even where lm-eval has one of that name."""
    listed = keys.get("metric_list") or []
    return {str(m.get("metric")) for m in listed if isinstance(m, Mapping) and m.get("hf_evaluate") is True}


def _aggregation(keys: Mapping[str, Any], metric: str) -> str:
    """How lm-eval makes one number of a metric's values; a function of the task by its name."""
    listed = [m for m in keys.get("metric_list") or [] if isinstance(m, Mapping) and m.get("metric") == metric]
    return str(listed[0].get("aggregation") or _MEANS[0]) if listed else _MEANS[0]


def _no_mean(keys: Mapping[str, Any], metric: str) -> str | None:
    """The fault of a metric whose number is not the share of items that are right."""
    if (by := _aggregation(keys, metric)) in _MEANS:
        return None
    return (
        f"its metric {metric} is aggregated by {by}, so that lm-eval's number is not the share of right answers; one with "
        "aggregation: mean can be used"
    )


def _fault(keys: Mapping[str, Any], kind: Kind | None, metrics: Sequence[str], metric: str | None) -> str | None:
    shown = ", ".join(metrics) or "none"
    if "class" in keys:
        return "it is a Python class, not a YAML with questions and options"
    if keys.get("output_type") == "loglikelihood_rolling":
        return "it measures the perplexity of whole texts: there is no answer to label"
    if keys.get("output_type") == "loglikelihood":
        return "it scores one continuation an item: there is nothing to choose among and nothing generated"
    if kind is None:
        return f"its output_type is {keys.get('output_type')!r}; multiple_choice and generate_until can be used"
    if keys.get("doc_to_image") or keys.get("doc_to_audio"):
        return "its questions are images or sounds; models of text alone are trained"
    if keys.get("unsafe_code"):
        return "it runs code that a model wrote; nothing here does"
    if not keys.get("test_split") and not keys.get("validation_split"):
        return "it has no test and no validation split: there is no gold to grade by"
    if metric is not None and metric not in metrics:
        return f"it has no metric {metric!r} (its metrics: {shown})"
    if kind == "choice":
        if "acc" not in metrics:
            return f"its metrics are {shown}; options are graded by acc"
        if not keys.get("process_results") and "acc" in _fetched(keys):
            return "its metric acc is code that lm-eval fetches from the hub; it is not run"
        if (fault := _no_mean(keys, "acc")) is not None:
            return fault
        return None if keys.get("doc_to_choice") is not None or keys.get("use_prompt") else "it lists no options"
    exact = [metric] if metric else [m for m in metrics if _EXACT.fullmatch(m)]
    graded_by_task = bool(keys.get("process_results"))
    if exact and not graded_by_task and exact[0] == "acc" and "acc" not in _fetched(keys):
        # To lm-eval it is a pair of gold and answer, which its aggregation compares: any pair would count as right.
        return "its metric acc does not compare a generated answer with gold; exact_match does, or process_results of its own"
    if exact and not graded_by_task and (exact[0] != _REGISTERED or exact[0] in _fetched(keys)):
        return (
            f"its metric {exact[0]} is code that lm-eval fetches from the hub or a function of its own; neither is run"
        )
    if metric is None and not any(_EXACT.fullmatch(m) for m in metrics):
        return f"its metrics ({shown}) say of no answer that it is right or wrong, as exact_match does"
    if exact and (fault := _no_mean(keys, exact[0])) is not None:
        return fault
    asked = keys.get("generation_kwargs")
    if isinstance(asked, Mapping) and asked.get("do_sample"):
        return "it samples its answers; the protocol decodes greedily"
    if isinstance(keys.get("repeats"), int) and keys["repeats"] > 1:
        return f"it asks every question {keys['repeats']} times; the protocol asks once"
    return None
