"""Which files under some folders a process opens: noted, or refused. What it lets other programs or C code open is not seen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


def note(folders: Sequence[Path]) -> Callable[[], list[str]]:
    """From now on; the function that is returned gives the real paths, sorted, and those of all modules that are imported then."""
    opened = set[str]()
    _watch(opened.add)

    def so_far() -> list[str]:
        modules = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        paths = opened | {path for path in modules if isinstance(path, str)}
        return sorted(filter(_within(folders), map(os.path.realpath, paths)))

    return so_far


def refuse(folders: Sequence[Path], *, but: Sequence[Path]) -> None:
    """From now on opening one raises PermissionError, unless it is reached by a link under `but`."""
    refused, let = _within(folders), _within(but)

    def judge(path: str) -> None:
        if refused(os.path.realpath(path)) and not let(path):
            raise PermissionError(
                f"{path} comes with the domain, and no trust function may open its files as they are shipped"
            )

    _watch(judge)


def _watch(tell: Callable[[str], None]) -> None:
    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(path := arguments[0], str | bytes | os.PathLike):
            tell(os.path.normpath(Path(os.fsdecode(path)).absolute()))

    sys.addaudithook(hook)


def _within(folders: Sequence[Path]) -> Callable[[str], bool]:
    beginnings = tuple(f"{folder}{os.sep}" for folder in folders)
    return lambda path: path.startswith(beginnings)
