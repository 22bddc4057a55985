"""`TaskDomain`: any lm-eval task as a domain."""

from __future__ import annotations

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2s_bench.errors import PluginError
from w2s_bench.types import Kind

_SOURCES = {".yaml", ".py", ".jsonl", ".json", ".csv", ".txt", ".gz", ".parquet"}

#: The name of a document's field, or a function of the document.
Field = str | Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class TaskDomain:
    """An lm-eval task (a YAML file and its loader) with an id, a group, a canonical key and a stratum an item.

    `group` ties together items that must not straddle two splits (the same fact, template instance, position up to
    symmetry); `key` is equal for two items exactly when they are the same question; `stratum` is a kind, for reporting.
    Each is the name of a field of the documents or a function of one. `max_new_tokens` bounds a generated answer.
    `files` are those beside the YAML that items come from (default: all of them); a change in one makes other items.
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
    max_new_tokens: int | None = None
    files: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kind == "generate" and self.max_new_tokens is None:
            raise PluginError(f"domain {self.name!r} generates its answers: give max_new_tokens, the longest one")

    def task(self) -> Any:
        """The lm-eval task. The default task index is left out: reading it takes longer than a small run."""
        from lm_eval.tasks import TaskManager

        # It tells of `--metadata`, an option of its own command line, at every load.
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        loaded = TaskManager(include_path=str(self.yaml.parent), include_defaults=False).load(self.task_name)
        return loaded["tasks"][self.task_name]

    def fields(self, document: Mapping[str, Any]) -> dict[str, str]:
        """`id`, `group`, `key` and `stratum` of one document."""
        return {name: self._field(name, document) for name in ("id", "group", "key", "stratum")}

    def _field(self, name: str, document: Mapping[str, Any]) -> str:
        field: Field = getattr(self, name)
        if callable(field):
            value = field(document)
        elif field in document:
            value = document[field]
        else:
            raise PluginError(
                f"domain {self.name!r}: a document has no field {field!r} for its {name} (it has {', '.join(document)}); "
                f"name another field, or give a function: TaskDomain(..., {name}=lambda document: ...)"
            )
        if not isinstance(value, str) or not value:
            raise PluginError(
                f"domain {self.name!r}: the {name} of a document must be a non-empty string, got {value!r}"
            )
        return value

    def fingerprint(self) -> str:
        """SHA-256 over the files that an item can come from: code, data, templates."""
        digest = hashlib.sha256(
            f"{self.name} {self.version} {self.kind} {self.task_name} {self.max_new_tokens}".encode()
        )
        for name in ("id", "group", "key", "stratum"):
            digest.update(f"\0{name} {_written(getattr(self, name))}".encode())
        for path in self._sources():
            digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def _sources(self) -> list[Path]:
        folder = self.yaml.parent
        if self.files is None:
            return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in _SOURCES)
        missing = [name for name in self.files if not (folder / name).is_file()]
        if missing:
            raise PluginError(
                f"domain {self.name!r}: no {', '.join(missing)} in {folder}; name files that lie beside {self.yaml.name}"
            )
        return [folder / name for name in sorted({*self.files, self.yaml.name})]


def _written(field: Field) -> str:
    """A field for the fingerprint: its name, or a digest of the source of the module that its function is in."""
    if isinstance(field, str):
        return field
    source = inspect.getsourcefile(field)
    if source is None:
        raise PluginError(
            f"{field!r} has no source file to fingerprint; write it as a function in a module of your package"
        )
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()
