"""Name of an lm-eval task → its YAML file: those of the installed lm-eval, and of folders that the user named.

lm-eval's own `TaskManager()` parses some ten thousand files to find one, which takes 7 to 20 s. Here the line `task: NAME`
is looked for in their text, once for each installed version; the answer is kept in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from w2s_bench.errors import PluginError, UnknownNameError
from w2s_bench.names import INCLUDE_VARIABLE
from w2s_bench.record import write_atomically

_FORMAT = 2  # raise it whenever the format of the file in the cache changes
_IGNORED = {"__pycache__", ".ipynb_checkpoints"}
#: A task or group by its name at the start of a line. A group's `task:` is a list on the lines that follow.
_NAMED = re.compile(rb"""^["']?(task|group)["']?[ \t]*:[ \t]*["']?([^\s"'#\[{|>&*-][^\r\n"'#]*)""", re.MULTILINE)
#: A task that is a Python class may name its group by the same key.
_CLASS = re.compile(rb"^class[ \t]*:", re.MULTILINE)
_MOST_NEAR = 5


def installed_tasks() -> Path:
    """The folder of tasks of the installed lm-eval, which is not imported for it."""
    spec = util.find_spec("lm_eval")
    for package in spec.submodule_search_locations or () if spec else ():
        if (Path(package) / "tasks").is_dir():
            return Path(package) / "tasks"
    raise PluginError("lm-eval is not installed, or has no folder of tasks; pip install 'lm-eval>=0.4.13,<0.5'")


def included_folders() -> list[Path]:
    """The folders that the user named, by `--include-path` or the environment variable; the first one wins a name."""
    named = [part for part in os.environ.get(INCLUDE_VARIABLE, "").split(os.pathsep) if part]
    folders = [Path(part).expanduser().absolute() for part in named]
    for folder in folders:
        if not folder.is_dir():
            raise PluginError(f"include path {str(folder)!r} is no folder; give one with YAML files of lm-eval tasks")
    return folders


def find_task(name: str) -> tuple[Path, Path]:
    """(the YAML of a task, the folder that its code may come from); an unknown name raises with the nearest ones."""
    tasks: dict[str, str] = {}
    for folder in [*included_folders(), installed_tasks()]:
        index = names_below(folder)
        if name in index:
            key, _, path = index[name].partition(" ")
            if key == "group":
                # Members lie beside their group as a rule; tasks of other groups may have a like name.
                beside = f"task {path.rpartition('/')[0]}/"
                named = [other for other, at in index.items() if at.startswith("task ") and name in other]
                inside = near(name, [other for other in named if index[other].startswith(beside)] or named)
                raise PluginError(
                    f"lm-eval's {name!r} is a group of tasks; a domain is one task: name one of its members"
                    f"{', such as ' + inside[0] if inside else ''} (w2s-bench list domains --lm-eval '{name}*')"
                )
            return folder / path, folder
        tasks |= index
    close = near(name, tasks)
    hint = "`w2s-bench list domains --lm-eval PATTERN` lists them; --include-path DIR adds those of a folder of yours."
    raise UnknownNameError("lm-eval task", name, close, hint)


def near(name: str, names: Mapping[str, str] | Sequence[str]) -> list[str]:
    """The names most like one."""
    return difflib.get_close_matches(name, list(names), n=_MOST_NEAR, cutoff=0.5)


def names_below(folder: Path) -> Mapping[str, str]:
    """Name → `task PATH` or `group PATH`, relative to the folder; of two files with one name the first in their order."""
    if folder != installed_tasks():
        return _read_names(folder)
    return _installed_names(folder, _installed_version())


def _installed_version() -> str:
    try:
        return metadata.version("lm-eval")
    except metadata.PackageNotFoundError:
        return "unknown"


@lru_cache(2)
def _installed_names(folder: Path, version: str) -> Mapping[str, str]:
    from platformdirs import user_cache_path

    # The times of the folders show that files of an installed version were edited.
    stamp = f"{_FORMAT} {version} {folder} {[(p.name, p.stat().st_mtime_ns) for p in sorted(folder.iterdir())]}"
    remembered = user_cache_path("w2s-bench") / "lm-eval" / "names.json"
    digest = hashlib.sha256(stamp.encode()).hexdigest()
    # A file that is missing, broken or cannot be written costs time and nothing else.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(remembered.read_text(encoding="utf-8"))
        if content["of"] == digest:
            return {str(name): str(at) for name, at in content["names"].items()}
    names = _read_names(folder)
    with contextlib.suppress(OSError):
        remembered.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(remembered, json.dumps({"of": digest, "names": names}))
    return names


def _read_names(folder: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    paths = [p for p in folder.glob("**/*.yaml") if not _IGNORED.intersection(p.parts)]
    for path in sorted(paths, key=lambda p: p.as_posix()):
        try:
            text = path.read_bytes()
        except OSError:
            continue  # as lm-eval does
        first = {key.decode(): name for key, name in reversed(_NAMED.findall(text))}
        key = "group" if "group" in first and not _CLASS.search(text) else "task"
        if key in first:
            name = first[key].decode("utf-8", "replace").strip()
            names.setdefault(name, f"{key} {path.relative_to(folder).as_posix()}")
    return names
