"""Suite files: those that ship with the harness, those of a user, and the one of a results folder."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.suite import NESTED, Suite
from w2s_bench.untrusted import UnreadableError, parse_yaml, read_stream, read_text
from w2s_bench.validation import explain

#: Bytes of a suite file.
LARGEST: Final = 128 << 10
#: What stands, where a suite is named, for a stream that is open already: standard input, or `<(command)` of a shell.
STREAMS = re.compile(r"-|/dev/stdin|/dev/fd/(\d{1,6})")


def _read_open(number: int) -> str:
    with os.fdopen(os.dup(number), "rb") as stream:
        return read_stream(stream, LARGEST)


def built_in_suites() -> dict[str, Path]:
    """Name → file of the suites that ship with the harness."""
    folder = Path(str(files("w2s_bench") / "suites"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name_or_path: str | Path) -> Suite:
    """A built-in suite by name, or any suite file by path; `-` or `/dev/stdin` is the standard input, `/dev/fd/N` what is open.

    Relative folders of models are those beside the file (of the working directory, for a stream).
    """
    shipped = built_in_suites()
    path = Path(name_or_path)
    if str(name_or_path) in shipped:
        path = shipped[str(name_or_path)]
    elif (stream := STREAMS.fullmatch(str(name_or_path))) is not None:
        number = int(stream[1] or 0)
        return _suite_of("standard input" if number == 0 else str(path), lambda: _read_open(number)).with_folders_of(
            Path.cwd()
        )
    elif not os.path.lexists(path):
        looks_like_path = path.suffix in {".yaml", ".yml"} or len(path.parts) > 1
        if looks_like_path:
            raise SuiteError(
                f"no suite file {str(path)!r}; give the path of a YAML file, or one of {', '.join(shipped)}"
            )
        raise UnknownNameError("suite", str(name_or_path), shipped, "Or give the path of a suite file.")
    elif path.is_dir():
        raise SuiteError(
            f"{str(path)!r} is a folder; give the path of a suite file, such as {str(path / 'suite.yaml')!r}"
        )
    suite = _suite_of(f"suite file {path}", lambda: read_text(path, LARGEST, follow=True))
    return suite.with_folders_of(path.absolute().parent)


def read_results_suite(results: Path) -> Suite:
    """The suite of a results folder, as it was run: folders of models are names there, wherever they lie now."""
    path = results / "suite.yaml"
    return _suite_of(f"suite file {path}", lambda: read_text(path, LARGEST, follow=False))


def _suite_of(what: str, read: Callable[[], str]) -> Suite:
    try:
        content = parse_yaml(read())
    except (UnreadableError, OSError) as error:
        raise SuiteError(f"cannot read {what}: {error}") from error
    if not isinstance(content, dict):
        raise SuiteError(f"{what} holds {type(content).__name__}, expected a mapping with name, version, domains …")
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SuiteError(f"{what}:\n{explain(error, Suite, NESTED)}") from error
