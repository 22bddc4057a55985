"""What a task of lm-eval lacks to be a domain, as far as its YAML and a suite's parameters tell: said before any data is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from w2s_bench.domains.files import TaskFile
from w2s_bench.domains.named_files import refuse_absent
from w2s_bench.domains.parameters import COMMIT
from w2s_bench.domains.planned_task import LmEvalDomain
from w2s_bench.domains.task_index import installed_tasks
from w2s_bench.domains.usable import FILE_FORMATS, Facts
from w2s_bench.errors import PluginError


def refuse_foreign(files: Sequence[TaskFile], root: Path, who: str) -> None:
    """Code is run from the installed lm-eval and from the folder that the user named, and from nowhere else."""
    roots = [root.resolve(), installed_tasks().resolve()]

    def is_inside(path: Path) -> bool:
        return any(path.resolve().is_relative_to(folder) for folder in roots)

    for file in files:
        if not is_inside(file.path):
            raise PluginError(
                f"{who}: {file.path} is included from outside of {root}; copy it there, or name its folder by --include-path"
            )
        for function in file.functions:
            module = function.rpartition(".")[0]
            path = file.path.parent / f"{module.replace('.', '/')}.py"
            if path.exists() and not is_inside(path):
                raise PluginError(
                    f"{who}: !function {function} leads outside of {root}, to {path}; nothing there is run"
                )
            if not path.exists() and module.partition(".")[0] != "lm_eval":
                raise PluginError(
                    f"{who}: !function {function} of {file.path.name} is neither in a file beside it nor in lm-eval; "
                    f"nothing else is run: put {module}.py into {file.path.parent}"
                )


def refuse_unfit(domain: LmEvalDomain, who: str) -> None:
    """What parameters and YAML do not have: documents to train on, a filter, data."""
    facts, given = domain.facts, domain.given
    named = {role: split for role in ("training", "validation", "test") if (split := facts.split(role))}
    if not domain.training_splits:
        has = ", ".join(f"{role}: {split}" for role, split in named.items())
        raise PluginError(
            f"{who} has no training documents (its splits: {has}); name a split of {facts.dataset} that the splits for "
            "training are cut from, as in parameters: {train: NAME}. That of `test` itself cuts all splits from it."
        )
    if not domain.test_splits:
        raise PluginError(
            f"{who}: no split with gold is left for `test`, as train takes {', '.join(domain.training_splits)}; name "
            "one by test"
        )
    if domain.test_splits[0] in domain.training_splits and len(domain.training_splits) > 1:
        raise PluginError(
            f"{who}: train names the split of `test`, {domain.test_splits[0]!r}, and others; name it alone, and all splits are "
            "cut from it, or leave it out"
        )
    filters = [f.get("name") for f in facts.keys.get("filter_list") or [] if isinstance(f, Mapping)]
    if given.filter is not None and given.filter not in filters:
        raise PluginError(
            f"{who} has no filter {given.filter!r} (its filters: {', '.join(map(str, filters)) or 'none'})"
        )
    if domain.kind == "choice" and given.max_new_tokens is not None:
        raise PluginError(f"{who}: max_new_tokens bounds generated answers, and its options are given; leave it out")
    path = facts.keys.get("dataset_path")
    if domain.files is None and not domain.brings_data and path in FILE_FORMATS:
        raise PluginError(
            f"{who} has no data: its YAML has dataset_path: {path}, and names no files; give --data DIR with its files, or name them "
            "in dataset_kwargs: {data_files: …}"
        )
    if domain.files is None and domain.brings_data:
        refuse_absent(domain.overridden().get("dataset_kwargs") or {}, who)
    if domain.files is None and not domain.brings_data and given.revision is None and not _is_pinned(facts):
        raise PluginError(
            f"{who}: where is its data set, {facts.dataset}? Give --data DIR with its files, or pin a commit of the hub in the "
            "suite: parameters: {revision: 40 hexadecimal digits}"
        )


def _is_pinned(facts: Facts) -> bool:
    options = facts.keys.get("dataset_kwargs")
    return isinstance(options, Mapping) and bool(COMMIT.fullmatch(str(options.get("revision"))))
