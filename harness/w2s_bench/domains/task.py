"""`TaskDomain`: any lm-eval task as a domain."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from w2s_bench.domains.files import (
    LARGEST_HASHED,
    digest_of_file,
    files_below,
    names_and_paths,
    task_files,
    with_paths_resolved,
)
from w2s_bench.domains.task_class import task_class
from w2s_bench.errors import PluginError
from w2s_bench.record import canonical_json
from w2s_bench.types import Kind

#: The name of a document's field, or a function of the document. A whole number counts as its text.
Field = str | Callable[[Mapping[str, Any]], str | int]
#: A document → the same with another answer.
Taught = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class TaskDomain:
    """An lm-eval task (a YAML file and its loader) with an id, a group, a canonical key and a stratum an item.

    `group` ties together items that must not straddle two splits (the same fact, template instance, position up to
    symmetry); `key` is equal for two items exactly when they are the same question; `stratum` is a kind, for reporting.
    `cluster` ties together items that are right or wrong together, since they share a verb, a country or a kind of position:
    intervals are over clusters, and splits do not heed them. Without it the items of a group are a cluster.
    Each is the name of a field of the documents or a function of one. `max_new_tokens` bounds a generated answer.

    `files`, relative to the YAML's folder, promise that items come from these files and the YAML alone: then a change in
    one of them makes other items, and nothing else does. Without them the documents are read at the start of every run,
    wherever they come from.

    `training_document` is for a domain whose training gold is worse than what it is graded by: a function of a document (or a
    `functools.partial` of one, of values that JSON can hold) that gives the same question with the answer that is learned from.
    """

    name: str
    version: str
    kind: Kind
    yaml: Path
    task_name: str
    id: Field = "id"
    group: Field = "group"
    key: Field = "key"
    stratum: Field = "stratum"
    cluster: Field | None = None
    max_new_tokens: int | None = None
    files: tuple[str, ...] | None = None
    training_document: Taught | None = None

    def __post_init__(self) -> None:
        if self.kind == "generate" and self.max_new_tokens is None:
            raise PluginError(f"domain {self.name!r} generates its answers: give max_new_tokens, the longest one")

    def task(self) -> Any:
        """The lm-eval task. The default task index is left out: reading it takes longer than a small run."""
        from lm_eval.tasks import TaskManager

        # lm-eval tells of `--metadata`, an option of its own command line, at every load.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        task_files(self.yaml, self._who)  # raises an error that says what is missing
        manager = TaskManager(include_path=str(self.yaml.parent), include_defaults=False)
        entry = manager.task_index.get(self.task_name)
        if entry is None:
            raise PluginError(
                f"{self._who}: no task {self.task_name!r} in {self.yaml.parent} (there: {', '.join(manager.all_tasks) or 'none'})"
            )
        files = task_files(Path(entry.yaml_path or self.yaml), self._who)
        resolved = with_paths_resolved(files, self._who)
        # lm-eval gives a task other values as a member of a group.
        if not any("class" in file.keys for file in files):
            resolved["class"] = task_class(self._who)
        changed = {"group": "resolved", "task": [{"task": self.task_name, **resolved}]}
        return manager.load(changed if resolved else self.task_name)["tasks"][self.task_name]

    @property
    def _who(self) -> str:
        return f"domain {self.name!r}"

    @property
    def self_contained(self) -> bool:
        """Whether `fingerprint()` tells all that the documents come from, so that nobody need read them to know."""
        return self.files is not None

    def fields(self, document: Mapping[str, Any]) -> dict[str, str]:
        """`id`, `group`, `key` and `stratum` of one document, and its `cluster` where the domain has any."""
        return {name: self._field(name, field, document) for name, field in self._fields()}

    def _fields(self) -> list[tuple[str, Field]]:
        named = [(name, getattr(self, name)) for name in ("id", "group", "key", "stratum", "cluster")]
        return [(name, field) for name, field in named if field is not None]

    def _field(self, name: str, field: Field, document: Mapping[str, Any]) -> str:
        if callable(field):
            value = field(document)
        elif field in document:
            value = document[field]
        else:
            raise PluginError(
                f"domain {self.name!r}: a document has no field {field!r} for its {name} (it has {', '.join(document)}); "
                f"name another field, or give a function: TaskDomain(..., {name}=lambda document: ...)"
            )
        if isinstance(value, int) and not isinstance(value, bool):  # many data sets number their rows
            value = str(value)
        if not isinstance(value, str) or not value:
            raise PluginError(
                f"domain {self.name!r}: the {name} of a document must be a non-empty string or a whole number, got {value!r}"
            )
        return value

    def fingerprint(self) -> str:
        """SHA-256 over the files that an item can come from: code, data, templates."""
        digest = hashlib.sha256(
            f"{self.name} {self.version} {self.kind} {self.task_name} {self.max_new_tokens}".encode()
        )
        for name, field in self._fields():
            digest.update(f"\0{name} {_written(field)}".encode())
        if self.training_document is not None:
            digest.update(f"\0training_document {_called(self.training_document)}".encode())
        for shown, path in self._sources():
            digest.update(shown.encode() + b"\0" + bytes.fromhex(digest_of_file(path)))
        return digest.hexdigest()

    def _sources(self) -> list[tuple[str, Path]]:
        """Names and paths of the files, each once: `files`, or all below the YAML's folder; what the YAML includes."""
        yaml = self.yaml.absolute()
        folder, tasks = yaml.parent, task_files(yaml, self._who)
        named = [task.path for task in tasks] + [path for task in tasks for path in task.named()]
        if self.files is None:
            # Larger files are data, not code. Their documents are read instead.
            named += [path for path in files_below(folder) if path.stat().st_size <= LARGEST_HASHED]
        else:
            missing = [name for name in self.files if not (folder / name).is_file()]
            if missing:
                raise PluginError(
                    f"{self._who}: no {', '.join(missing)} in {folder}; name files that lie beside {self.yaml.name}"
                )
            named += [folder / name for name in self.files]
        # Relative to the YAML: the same files elsewhere are the same domain.
        return names_and_paths(named, folder)


def _called(function: Taught) -> str:
    """A function for the fingerprint: as `_written`, and by name; of a partial also what it is called with."""
    given: list[Any] = []
    while isinstance(function, partial):
        given += [list(function.args), dict(function.keywords)]
        function = function.func
    return f"{getattr(function, '__qualname__', '')} {_written(function)} {canonical_json(given)}"


def _written(field: Field | Taught) -> str:
    """A field for the fingerprint: its name, or a digest of the source of the module that its function is in."""
    if isinstance(field, str):
        return field
    try:
        source = inspect.getsourcefile(field)
    except TypeError:  # the field is no function, but a partial or an object that can be called
        source = None
    if source is None:
        raise PluginError(
            f"{field!r} has no source file to fingerprint; write it as a function in a module of your package"
        )
    return digest_of_file(Path(source))
