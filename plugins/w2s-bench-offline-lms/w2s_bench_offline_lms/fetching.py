"""Files out of wheels: of an installed distribution, or of one that pip fetches without what it depends on; nothing of it runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import IO, Final

from w2s_bench import ModelError

#: Says in a few words what is being done.
Say = Callable[[str], None]
#: The parent of fetched files, where the user names one.
FOLDER_VARIABLE: Final = "W2S_BENCH_OFFLINE_LMS"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Wheel:
    """One wheel of a package index, and the path in it of the file that is wanted."""

    distribution: str
    version: str
    sha256: str
    member: str


def cache_folder() -> Path:
    """Where fetched files lie: in the user's cache folder, or where `W2S_BENCH_OFFLINE_LMS` says."""
    from platformdirs import user_cache_path

    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else user_cache_path("w2s-bench") / "offline-lms"


def assembled(name: str, wheels: Sequence[Wheel], sha256: str, terms: str, say: Say) -> Path:
    """The file that the wheels' members give when joined, in the cache; one process at a time makes it.

    A file that is there is taken as it is: whoever unpacks it reads its SHA-256 anyway.
    """
    from filelock import FileLock

    target = cache_folder() / f"{name}-{sha256[:16]}.gguf"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f"{target.name}.lock")):
            if target.is_file() and _digest(target) == sha256:
                return target
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as scratch:
                whole = Path(scratch) / target.name
                _join(name, wheels, whole, terms, say)
                if (found := _digest(whole)) != sha256:
                    raise ModelError(
                        f"model {name!r}: what its packages hold has the SHA-256 {found}, {sha256} is expected; install or fetch "
                        "the versions that w2s-bench-offline-lms names"
                    )
                whole.replace(target)
    except OSError as error:
        raise ModelError(
            f"model {name!r} cannot be written to {target.parent}: {error.strerror or error}; make room there, or set "
            f"{FOLDER_VARIABLE} to another folder"
        ) from error
    return target


def _join(name: str, wheels: Sequence[Wheel], whole: Path, terms: str, say: Say) -> None:
    say(terms)
    installed = [_installed(wheel) for wheel in wheels]
    missing = [wheel for wheel, path in zip(wheels, installed, strict=True) if path is None]
    if missing:
        names = ", ".join(f"{wheel.distribution} {wheel.version}" for wheel in missing)
        say(f"{name}: pip fetches {names}, without what they depend on")
        _download(name, missing, whole.parent)
    with whole.open("wb") as out:
        for number, (wheel, path) in enumerate(zip(wheels, installed, strict=True), start=1):
            say(f"{name}: part {number} of {len(wheels)}")
            with _opened(name, wheel, path, whole.parent) as part:
                shutil.copyfileobj(part, out, _BLOCK)


def _installed(wheel: Wheel) -> Path | None:
    """The wanted file of an installed distribution, which is not imported; None where it is not installed."""
    try:
        found = distribution(wheel.distribution)
    except PackageNotFoundError:
        return None
    path = Path(str(found.locate_file(wheel.member)))
    return path if found.version == wheel.version and path.is_file() else None


def _download(name: str, wheels: Sequence[Wheel], folder: Path) -> None:
    """Let pip fetch wheels from the index that the user has set, each with the bytes that are expected."""
    wanted = folder / "wheels.txt"
    wanted.write_text("".join(f"{w.distribution}=={w.version} --hash=sha256:{w.sha256}\n" for w in wheels))
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(wanted), "--dest", str(folder)],
        check=False,
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines()
        raise ModelError(
            f"model {name!r}: pip cannot fetch it ({errors[-1].strip() if errors else 'no answer'}). Where there is a network: "
            f"`w2s-bench-offline-lms fetch {name}`; or bring the wheels and `pip install --no-deps` them: "
            f"{' '.join(f'{w.distribution}=={w.version}' for w in wheels)}"
        )


@contextmanager
def _opened(name: str, wheel: Wheel, installed: Path | None, folder: Path) -> Iterator[IO[bytes]]:
    if installed is not None:
        with installed.open("rb") as file:
            yield file
        return
    file_name = f"{wheel.distribution.replace('-', '_')}-{wheel.version}-"
    found = next((path for path in folder.glob("*.whl") if path.name.startswith(file_name)), None)
    if found is None:
        raise ModelError(f"model {name!r}: pip has left no wheel of {wheel.distribution}; fetch it again")
    with zipfile.ZipFile(found) as archive, archive.open(wheel.member) as member:
        yield member


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
