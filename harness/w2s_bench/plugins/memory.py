"""What looking at plugins came to, remembered between commands: a small file each in the user's cache.

Nothing depends on it but time: a file that is missing, broken or cannot be written means that the plugin is looked at again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from itertools import islice
from pathlib import Path

from w2s_bench.plugins.source import Moment, Source, module_named, sources_of
from w2s_bench.record import digest_of
from w2s_bench.types import JSON

#: Environment variable with the folder that remembers; empty: nothing is remembered.
MEMORY_VARIABLE = "W2S_BENCH_PLUGIN_CACHE"
#: Seconds after which a plugin that ended or hung the process is tried again: the machine may have been at fault.
RETRY_AFTER = 3600.0
_FORMAT = 3  # raise it whenever the format of what is remembered changes
_MOST_FILES = 500
_MOST_BYTES = 1 << 20
_MOST_STAMPS = 2000  # files beside the code that are looked at


def recall(key: str, *, patience: float) -> JSON | None:
    """What was remembered under `key`, unless it is out of date.

    `patience`: the seconds that a plugin has now; one that once took too long is tried again where it has more.
    """
    folder = _folder()
    if folder is None:
        return None
    try:
        with (folder / f"{key}.json").open("rb") as file:
            remembered = json.loads(file.read(_MOST_BYTES))
        if remembered.pop("digest") != _digest(remembered):
            return None
        answer, when, waited = remembered["answer"], float(remembered["when"]), remembered["waited"]
        sources = {name: str(digest) for name, digest in remembered["sources"].items()}
        distribution = str(remembered["distribution"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if remembered["fatal"] and not (0 <= time.time() - when < RETRY_AFTER and (waited is None or patience <= waited)):
        return None
    return answer if sources and _digests(sources, distribution) == sources else None


def remember(
    key: str,
    answer: JSON,
    modules: Sequence[str],
    distribution: str,
    *,
    asked: float,
    waited: float | None,
    fatal: bool,
) -> None:
    """Keep `answer` as long as the sources of `modules` are what they are; a `fatal` one for `RETRY_AFTER` seconds.

    `asked`: the time of the question. `waited`: the seconds after which it was given up.
    """
    folder = _folder()
    sources = _digests(modules, distribution)
    if folder is None or not sources or _changed_since(asked, modules, distribution):
        return
    kept = {"answer": answer, "fatal": fatal, "waited": waited, "when": asked}
    kept |= {"sources": sources, "distribution": distribution}
    text = json.dumps({**kept, "digest": _digest(kept)})
    if len(text) >= _MOST_BYTES:
        return
    with contextlib.suppress(OSError):  # on a full disk or in somebody else's folder nothing is remembered
        folder.mkdir(parents=True, exist_ok=True)
        number, beside = tempfile.mkstemp(dir=folder, suffix=".tmp")
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                file.write(text)
            Path(beside).replace(folder / f"{key}.json")
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        _forget_oldest(folder)


def forget_fatal() -> None:
    """Forget which plugins ended or hung the process, so that they are tried again."""
    for path in _files(_folder()):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
            if json.loads(path.read_bytes())["fatal"]:
                path.unlink()


def key_of(entry_point: EntryPoint, distribution: str, version: str, asked: JSON) -> str | None:
    """What an answer depends on, sources apart: the question, versions, what is installed, and the environment.

    None where the entry point's source cannot be found. Of the environment it is the variables that the source names.
    """
    sources = sources_of([module_named(entry_point)], distribution)
    if not all(source.files for source in sources):
        return None
    try:
        named = _words_of(sources) & os.environ.keys()
    except OSError:
        return None
    about: Mapping[str, JSON] = {
        "format": _FORMAT,
        "python": [sys.version, sys.prefix, *_installed()],
        "plugin": [entry_point.name, entry_point.value, distribution, version],
        "environment": [[name, os.environ[name].encode(errors="surrogateescape").hex()] for name in sorted(named)],
        "asked": asked,
    }
    return _digest(about)


def _digest(value: JSON) -> str:
    return digest_of(json.dumps(value, sort_keys=True))  # escaped: a plugin's text may hold half a character


def _installed() -> Iterator[JSON]:
    """What changes when anything is installed, upgraded or removed: a plugin needs its dependencies."""
    for name in ("purelib", "platlib"):
        with contextlib.suppress(OSError):
            yield Path(sysconfig.get_path(name)).stat().st_mtime_ns


def _words_of(sources: Iterable[Source]) -> set[str]:
    words: set[str] = set()
    for source in sources:
        for _, path in source.files:
            words |= {word.decode() for word in re.findall(rb"[A-Za-z_][A-Za-z0-9_]{2,}", path.read_bytes())}
    return words


def _digests(modules: Iterable[str], distribution: str) -> dict[str, str]:
    """Module → digest of all that its package holds, data by size and time alone; empty where it cannot be told.

    What hooks return may come from data: a list of task files, for one.
    """
    digests, now = {}, Moment()
    for module in modules:
        (source,) = sources_of([module], distribution, now)
        try:
            stamps = [stamp for folder in source.folders for stamp in _stamps(folder)]
            digest = now.digest(source)
        except OSError:
            return {}
        if not source.files or len(stamps) > _MOST_STAMPS:
            return {}
        digests[module] = _digest([digest, stamps])
    return digests


def _stamps(folder: Path) -> list[list[JSON]]:
    """Path, size and time of the files in a package that are not Python's, or of as many as show that they are too many."""
    every = (path for path in folder.rglob("*") if path.suffix not in (".py", ".pyc") and path.is_file())
    return sorted([str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in islice(every, _MOST_STAMPS + 1))


def _changed_since(when: float, modules: Iterable[str], distribution: str) -> bool:
    files = [path for source in sources_of(modules, distribution) for _, path in source.files]
    return any(path.stat().st_mtime >= when for path in files)


def _folder() -> Path | None:
    chosen = os.environ.get(MEMORY_VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    from platformdirs import user_cache_path

    return user_cache_path("w2s-bench") / "plugins"


def _files(folder: Path | None) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in folder.iterdir() if path.suffix == ".json"] if folder else []
    return []


def _forget_oldest(folder: Path) -> None:
    files = _files(folder)
    if len(files) > _MOST_FILES:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) - _MOST_FILES // 2]:
            path.unlink(missing_ok=True)
