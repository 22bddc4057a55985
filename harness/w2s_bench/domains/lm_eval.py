"""`lm-eval/TASK`: a task of the installed lm-eval, or of a folder that the user named, as a domain without any code.

`test` is the task's own; the other splits are cut from its training documents. What the YAML says is known without data, so
that a run is planned and its mistakes are told before anything is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_bench.domains.asked import FIELD
from w2s_bench.domains.chat import pasted, template_of
from w2s_bench.domains.files import (
    TaskFile,
    digest_of_file,
    files_below,
    names_and_paths,
    read_by,
    task_files,
    with_paths_resolved,
)
from w2s_bench.domains.named_files import refuse_absent
from w2s_bench.domains.task_data import Mapped, check_mapping, files_of
from w2s_bench.domains.task_index import find_task, installed_tasks
from w2s_bench.domains.usable import LONGEST_ANSWER, Facts, facts_of, has_several_contexts, merged
from w2s_bench.errors import PluginError
from w2s_bench.record import canonical_json
from w2s_bench.types import JSON, ChatTemplate, Kind

if TYPE_CHECKING:
    from w2s_bench.domains.asked import AskedTask

_COMMIT = re.compile(r"[0-9a-f]{40}")
#: What `dataset_path` may be where files are read and nothing is fetched.
_FORMATS = {"json", "csv", "parquet", "arrow", "text"}


@dataclass(frozen=True)
class Parameters:
    """What a suite may say of an lm-eval task; all of it is part of what its items are, but for where data lie."""

    data: Mapped = None
    revision: str | None = None
    train: tuple[str, ...] = ()
    test: str | None = None
    group: str | None = None
    key: str | None = None
    stratum: str | None = None
    num_fewshot: int = 0
    filter: str | None = None
    metric: str | None = None
    max_new_tokens: int | None = None
    calculator_marks: bool = True
    chat_template: str | None = None
    apply_chat_template: str | None = None
    system_prompt: str | None = None
    cluster: str | None = None


@dataclass(frozen=True)
class LmEvalDomain:
    """One lm-eval task. `path` is its YAML, `root` the folder that its code may come from besides lm-eval's own."""

    name: str
    facts: Facts
    path: Path
    root: Path
    given: Parameters

    @property
    def version(self) -> str:
        """The version that the task has in its metadata."""
        return self.facts.version

    @property
    def kind(self) -> Kind:
        return self.facts.kind

    @property
    def max_new_tokens(self) -> int | None:
        """The longest answer: what the suite says, else the task, else lm-eval's own limit."""
        if self.kind == "choice":
            return None
        asked = self.facts.keys.get("generation_kwargs") or {}
        own = asked.get("max_gen_toks", asked.get("max_new_tokens", LONGEST_ANSWER))
        return self.given.max_new_tokens or int(own)

    @property
    def training_splits(self) -> tuple[str, ...]:
        """The splits whose documents all but `test` are cut from."""
        own = self.facts.split("training")
        return self.given.train or ((own,) if own else ())

    @property
    def test_splits(self) -> tuple[str, ...]:
        """The splits that may be `test`, the first that has gold: the task's test split, else its validation split."""
        if self.given.test:
            return (self.given.test,)
        own = [split for split in (self.facts.split("test"), self.facts.split("validation")) if split]
        # Of a task with one of the two alone, `train` may name it too: all splits are cut from it then.
        shared = own[:1] if self.facts.split("test") or self.given.train else []
        return tuple(split for split in own if split not in self.training_splits or split in shared)

    @property
    def example_split(self) -> str | None:
        """The split of the task's own examples, where it has one apart from those that items are made of."""
        own = self.facts.keys.get("fewshot_split")
        apart = own and own not in self.training_splits and own not in self.test_splits
        return str(own) if self.given.num_fewshot and apart else None

    @cached_property
    def files(self) -> Mapping[str, Sequence[Path]] | None:
        """Split → its files in the data folder; None where the data come from elsewhere."""
        wanted = [*self.training_splits, *([self.example_split] if self.example_split else [])]
        who, mapped, error = f"domain {self.name!r}", self.given.data, None
        # The data may have only one of the two splits that could be `test`. The first of them is the one to ask for.
        for number, tests in enumerate((self.test_splits, *((split,) for split in self.test_splits))):
            try:
                return files_of(self.facts.name, mapped, list(dict.fromkeys([*wanted, *tests])), who)
            except PluginError as fault:
                error = fault if number < 2 else error  # all, the first alone, the second alone
        assert error is not None
        if self.given.revision is not None and mapped is None:
            return None  # the suite says where else the documents are
        raise error

    @cached_property
    def template(self) -> ChatTemplate | None:
        """The chat template of its prompts, read once; None where they are plain text."""
        if self.given.apply_chat_template is not None:
            return template_of(self.given.apply_chat_template, f"domain {self.name!r}")
        return None if self.given.chat_template is None else pasted(self.given.chat_template)

    @property
    def brings_data(self) -> bool:
        """Whether the task's own YAML reads files beside it, or has a loader."""
        keys, path = self.facts.keys, str(self.facts.keys.get("dataset_path"))
        return "custom_dataset" in keys or _names_files(self.facts) or (self.path.parent / path).is_dir()

    def task(self) -> AskedTask:
        """The loaded task; reads the data, runs the task's own functions."""
        from w2s_bench.domains.loaded import load_task

        return load_task(self)

    def fields(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Id, group, key and stratum of one document of `task()`, and its cluster where the suite names a field for it."""
        marks = document[FIELD]
        return {name: str(marks[name]) for name in ("id", "group", "key", "stratum", "cluster") if name in marks}

    @property
    def in_test_by_task(self) -> bool:
        """Whether `test` is a split of the task's own; else all splits are cut from the same documents."""
        return self.test_splits[0] not in self.training_splits

    def in_test(self, document: Mapping[str, Any]) -> bool | None:
        """Whether the task itself has the document in `test`; None where the task does not say."""
        return bool(document[FIELD]["in_test"]) if self.in_test_by_task else None

    def fingerprint(self) -> str:
        """SHA-256 over the task's YAML with all that it includes, the code beside it, the files that its code names, and a model's
        chat template.

        Data lie elsewhere: their documents are read at the start of every run, with those that stand in prompts as examples.
        """
        digest = hashlib.sha256(f"{self.name} {self.version} {self.kind} {self.max_new_tokens}".encode())
        files = task_files(self.path, f"domain {self.name!r}")
        named = [file.path for file in files] + [path for file in files for path in file.named()]
        if self.root != installed_tasks():  # the installed lm-eval's version is part of every key
            named += [path for path in files_below(self.path.parent) if path.suffix == ".py"]
            installed = installed_tasks().resolve()
            own = [path for path in named if path.suffix == ".py" and not path.resolve().is_relative_to(installed)]
            named += read_by(own)
        for shown, path in names_and_paths(named, self.path.parent):
            digest.update(shown.encode() + b"\0" + bytes.fromhex(digest_of_file(path)))
        if self.given.apply_chat_template is not None and self.template is not None:
            # What it says, and not whose it is: the same template elsewhere makes the same items.
            digest.update(f"\0chat template {canonical_json(asdict(self.template))}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def overridden(self) -> dict[str, Any]:
        """Relative paths of data in the YAML, made absolute."""
        return with_paths_resolved(task_files(self.path, f"domain {self.name!r}"), f"domain {self.name!r}")


def from_name(
    name: str,
    *,
    data: JSON = None,
    revision: JSON = None,
    train: JSON = None,
    test: JSON = None,
    group: JSON = None,
    key: JSON = None,
    stratum: JSON = None,
    num_fewshot: JSON = 0,
    filter: JSON = None,
    metric: JSON = None,
    max_new_tokens: JSON = None,
    calculator_marks: JSON = True,
    chat_template: JSON = None,
    apply_chat_template: JSON = None,
    system_prompt: JSON = None,
    cluster: JSON = None,
) -> LmEvalDomain:
    """The domain that `lm-eval/TASK` names. What can be known to be wrong without its data is said here."""
    who, short = f"domain {name!r}", name.removeprefix("lm-eval/")
    texts = {
        "revision": revision, "test": test, "group": group, "key": key, "stratum": stratum, "filter": filter,
        "metric": metric, "chat_template": chat_template, "apply_chat_template": apply_chat_template,
        "system_prompt": system_prompt, "cluster": cluster,
    }  # fmt: skip
    if isinstance(apply_chat_template, bool):
        raise PluginError(
            f"{who}: apply_chat_template must name the model whose chat template every prompt is written by, such as "
            f"local/FOLDER, got {apply_chat_template!r}; all models of a suite are asked the same"
        )
    for parameter, value in texts.items():
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise PluginError(f"{who}: {parameter} must be a text, got {value!r}; leave it out, or put it in quotes")
    if chat_template is not None and apply_chat_template is not None:
        raise PluginError(
            f"{who}: chat_template and apply_chat_template both say how chats are written; give the text, or a model's name"
        )
    trained = [train] if isinstance(train, str) else train or []
    if not isinstance(trained, list) or not all(isinstance(split, str) and split for split in trained):
        raise PluginError(f"{who}: train must be the name of a split, or a list of names, got {train!r}")
    for split in [*trained, *([test] if isinstance(test, str) else [])]:
        if any(sign in split for sign in "/\\") or split.startswith((".", "~")):
            raise PluginError(
                f"{who}: {split!r} is no name of a split; write one such as train, and where its file lies in data"
            )
    for parameter, value, least in (("num_fewshot", num_fewshot, 0), ("max_new_tokens", max_new_tokens, 1)):
        if value is not None and (type(value) is not int or value < least):
            raise PluginError(f"{who}: {parameter} must be a whole number, {least} or more, got {value!r}")
    if not isinstance(calculator_marks, bool):
        raise PluginError(f"{who}: calculator_marks must be true (kept) or false (removed), got {calculator_marks!r}")
    if revision is not None and not _COMMIT.fullmatch(revision):
        raise PluginError(
            f"{who}: revision {revision!r} can move; give the 40 hexadecimal digits of a commit of its data set"
        )
    path, root = find_task(short)
    files = task_files(path, who)
    _refuse_foreign(files, root, who)
    facts = facts_of(short, merged(files), metric, several_contexts=has_several_contexts(files))
    if facts.fault:
        raise PluginError(
            f"{who} cannot be used: {facts.fault}; `w2s-bench list domains --lm-eval` shows which tasks can"
        )
    given = Parameters(
        check_mapping(data, who), revision, tuple(trained), test, group, key, stratum, num_fewshot or 0, filter, metric,
        max_new_tokens, calculator_marks, chat_template, apply_chat_template, system_prompt, cluster,
    )  # fmt: skip
    domain = LmEvalDomain(name, facts, path, root, given)
    _refuse_unfit(domain, who)
    _ = domain.template  # a model without one is told before anything runs
    return domain


def _refuse_foreign(files: Sequence[TaskFile], root: Path, who: str) -> None:
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


def _refuse_unfit(domain: LmEvalDomain, who: str) -> None:
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
    if domain.files is None and not domain.brings_data and path in _FORMATS:
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


def _names_files(facts: Facts) -> bool:
    """Whether `dataset_path` is a format and the files of it are named."""
    options = facts.keys.get("dataset_kwargs")
    named = isinstance(options, Mapping) and any(options.get(key) for key in ("data_files", "data_dir"))
    return named and facts.keys.get("dataset_path") in _FORMATS


def _is_pinned(facts: Facts) -> bool:
    options = facts.keys.get("dataset_kwargs")
    return isinstance(options, Mapping) and bool(_COMMIT.fullmatch(str(options.get("revision"))))
