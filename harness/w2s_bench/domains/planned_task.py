"""A task of lm-eval as it is planned: its splits, files and fingerprint, known without its data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_bench.domains.asked import FIELD
from w2s_bench.domains.chat import pasted, template_of
from w2s_bench.domains.files import (
    digest_of_file,
    files_below,
    names_and_paths,
    read_by,
    task_files,
    with_paths_resolved,
)
from w2s_bench.domains.parameters import Parameters
from w2s_bench.domains.task_data import files_of
from w2s_bench.domains.task_index import installed_tasks
from w2s_bench.domains.usable import FILE_FORMATS, LONGEST_ANSWER, Facts
from w2s_bench.errors import PluginError
from w2s_bench.record import canonical_json
from w2s_bench.types import ChatTemplate, Kind

if TYPE_CHECKING:
    from w2s_bench.domains.asked import AskedTask


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

    def code_files(self) -> list[Path]:
        """The Python files that the task's YAML names, and all others in its folder."""
        files = task_files(self.path, f"domain {self.name!r}")
        named = {path for file in files for path in file.named()} | set(self.path.parent.glob("*.py"))
        return sorted(path for path in named if path.suffix == ".py")

    def overridden(self) -> dict[str, Any]:
        """Relative paths of data in the YAML, made absolute."""
        return with_paths_resolved(task_files(self.path, f"domain {self.name!r}"), f"domain {self.name!r}")


def _names_files(facts: Facts) -> bool:
    """Whether `dataset_path` is a format and the files of it are named."""
    options = facts.keys.get("dataset_kwargs")
    named = isinstance(options, Mapping) and any(options.get(key) for key in ("data_files", "data_dir"))
    return named and facts.keys.get("dataset_path") in FILE_FORMATS
