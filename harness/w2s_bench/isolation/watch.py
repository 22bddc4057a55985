"""What a trust function must leave as it found it: noted before its code runs, compared and given back afterwards.

The trust functions of one distribution share worker processes, which nothing else runs in. What one leaves behind there
(a seed, a variable, a timer) could reach the scores of the others, so whoever changes it fails. What is watched are the
mistakes that sound code makes; that nothing reaches anybody else does not depend on this list.
"""

from __future__ import annotations

import os
import random
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from w2s_bench.errors import TrustFunctionError
from w2s_bench.isolation.process_state import (
    noting_torch,
    quiet_imports,
    set_torch,
    torch_settings,
    torch_settings_when_loaded,
    torch_state_when_loaded,
)
from w2s_bench.isolation.surroundings import current_umask
from w2s_bench.isolation.traces import Settle, handlers, streams, threads, timers
from w2s_bench.names import MANIFEST

#: Bytes a trust function may print; a stage's log keeps no more.
MOST_PRINTED = 1 << 20

#: Every watch that needs to know nothing, in the order in which changes are given back: the log before it is measured.
_WATCHES = (streams, timers, handlers, threads)


class _Forks:
    """Python's audit hook of this process: forks are refused before they happen.

    A hook cannot be taken away again; it is added when it is first needed, and idle while no trust function runs.
    """

    added = False
    watched = 0

    @classmethod
    def hear(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if cls.watched and event in ("os.fork", "os.forkpty"):
            raise TrustFunctionError(
                "tried to fork its process; a copy would go on as the worker. Work in one process (n_jobs=1)"
            )


@contextmanager
def left_as_found(name: str, what: str, inputs: Iterable[Path] = ()) -> Iterator[None]:
    """Around a trust function's own code: what it must not change is given back, and a change is an error that says which.

    `what` is the method that runs, `inputs` are the folders that the evidence comes from. Whatever the code itself raises
    goes first: then nothing more is said, only given back.
    """
    process, changes = os.getpid(), list[str]()
    if not _Forks.added:
        sys.addaudithook(_Forks.hear)
        _Forks.added = True
    with quiet_imports() as set_by_imports:
        own = (_directory, _umask, _python, _numpy, _torch, _torch_settings, _numpy_errors, _children, _output)
        settles = [watch() for watch in (*_WATCHES, *own)]
        settles += [_environment(set_by_imports), _files(inputs)]
        _Forks.watched += 1
        try:
            yield
        finally:
            if os.getpid() != process:  # the code forked without telling Python
                os._exit(1)
            _Forks.watched -= 1
            changes += [change for settle in settles if (change := settle())]
    if changes:
        raise TrustFunctionError(
            f"trust function {name!r} did not leave everything as it found it: in {what} it changed {'; '.join(changes)}"
        )


@contextmanager
def put_back() -> Iterator[None]:
    """Around other code of a plugin's: what a trust function must not change is what it was, and nobody is told. It may fork."""
    with noting_torch(), quiet_imports() as set_by_imports:
        settles = [watch() for watch in (*_WATCHES, _directory, _umask, _python, _numpy, _torch, _torch_settings)]
        settles += [_numpy_errors(), _environment(set_by_imports)]
        try:
            yield
        finally:
            for settle in settles:
                settle()


@contextmanager
def unchanged(name: str, what: str, **given: NDArray[Any] | None) -> Iterator[None]:
    """Around one call: the arrays that it was given hold the same numbers afterwards, even if it forced them writeable."""
    arrays = {key: (array, array.copy()) for key, array in given.items() if array is not None}
    yield
    for key, (array, before) in arrays.items():
        if len(rows := np.flatnonzero(array != before)):
            first = f"row {rows[0]} from {before[rows[0]]} to {array[rows[0]]}"
            raise TrustFunctionError(
                f"trust function {name!r} changed {key} in {what}, the first {first}; it is read-only, work on a copy"
            )


def _environment(set_by_imports: Set[str]) -> Settle:
    before = dict(os.environ)

    def settle() -> str | None:
        after = dict(os.environ)
        # Libraries set state when first imported. It stays while they are used; executors take it back after the stage.
        names = {n for n in before.keys() | after.keys() if before.get(n) != after.get(n)} - set_by_imports
        told = []
        for name in sorted(names):
            told.append(f"{name} ({'removed' if name not in after else 'changed' if name in before else 'added'})")
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
        # Names alone: a value may be a secret.
        return f"the environment: {', '.join(told)}; give libraries what they need as arguments" if told else None

    return settle


def _directory() -> Settle:
    before = Path.cwd()

    def settle() -> str | None:
        try:
            after = str(Path.cwd())
        except FileNotFoundError:
            after = "one that is gone"
        if after == str(before):
            return None
        os.chdir(before)
        return f"the working directory, from '{before}' to '{after}'; give absolute paths instead"

    return settle


def _umask() -> Settle:
    before = current_umask()

    def settle() -> str | None:
        if (after := current_umask()) == before:
            return None
        os.umask(before)
        return f"the umask, from {before:03o} to {after:03o}; give the modes of your own files instead"

    return settle


def _python() -> Settle:
    before = random.getstate()

    def settle() -> str | None:
        if random.getstate() == before:
            return None
        random.setstate(before)
        return "the generator of Python's `random`, by a seed or by draws; take all randomness from the `rng` given"

    return settle


def _numpy() -> Settle:
    def parts(state: Mapping[str, Any]) -> tuple[Any, ...]:
        inner = state["state"]
        return state["bit_generator"], inner["key"].tobytes(), inner["pos"], state["has_gauss"], state["gauss"]

    before: Any = np.random.get_state(legacy=False)

    def settle() -> str | None:
        after: Any = np.random.get_state(legacy=False)
        if parts(after) == parts(before):
            return None
        np.random.set_state(before)
        return (
            "numpy's global generator, by numpy.random.seed or by draws; take all randomness from the `rng` given"
            " (scikit-learn: random_state=int(rng.integers(2**32)))"
        )

    return settle


def _torch() -> Settle:
    torch: Any = sys.modules.get("torch")
    loaded_before = torch.get_rng_state() if torch is not None else None

    def settle() -> str | None:
        torch: Any = sys.modules.get("torch")
        before = loaded_before if loaded_before is not None else torch_state_when_loaded()
        if torch is None or before is None or torch.equal(torch.get_rng_state(), before):
            return None
        torch.set_rng_state(before)
        return (
            "torch's global generator, by torch.manual_seed or by draws; write `with torch.random.fork_rng():`"
            " and in it torch.manual_seed(int(rng.integers(2**63)))"
        )

    return settle


def _torch_settings() -> Settle:
    torch: Any = sys.modules.get("torch")
    loaded_before = torch_settings(torch) if hasattr(torch, "get_rng_state") else None

    def settle() -> str | None:
        torch: Any = sys.modules.get("torch")
        before = loaded_before if loaded_before is not None else torch_settings_when_loaded()
        if torch is None or before is None or (after := torch_settings(torch)) == before:
            return None
        set_torch(torch, before)
        told = ", ".join(f"{name} from {was} to {after[name]}" for name, was in before.items() if after[name] != was)
        return f"torch's settings: {told}; leave them, and convert your own tensors"

    return settle


def _numpy_errors() -> Settle:
    before = np.geterr()

    def settle() -> str | None:
        after = np.geterr()
        if after == before:
            return None
        np.seterr(**before)
        return f"what numpy does on errors, from {before} to {after}; write `with np.errstate(…)`"

    return settle


def _children() -> Settle:
    import psutil

    def running() -> dict[int, psutil.Process]:
        alive = {}
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                # multiprocessing starts one such helper a process, which lives as long as the process.
                if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline()):
                    alive[hash(child)] = child  # of pid and start time
        return alive

    before = running()

    def settle() -> str | None:
        left = [child for key, child in running().items() if key not in before]
        names = []
        for child in left:
            with suppress(psutil.Error):
                names.append(child.name())
                child.kill()
        psutil.wait_procs(left, timeout=5)
        if not names:
            return None
        return f"the processes there are: left {', '.join(names)} running; wait for them to end, or work in one process"

    return settle


def _output() -> Settle:
    def printed() -> int:
        """Bytes in the files that the process prints to; a worker prints to one, a terminal has no size."""
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with suppress(OSError, ValueError):  # the stream's file was closed
                    stream.flush()
        sizes = {}
        for descriptor in (1, 2):
            with suppress(OSError):  # closed
                facts = os.fstat(descriptor)
                if stat.S_ISREG(facts.st_mode):
                    sizes[facts.st_dev, facts.st_ino] = facts.st_size
        return sum(sizes.values())

    before = printed()

    def settle() -> str | None:
        taken = printed() - before
        if taken < 0:
            return "the log: what was printed before is gone; print, and leave the file alone"
        if taken <= MOST_PRINTED:
            return None
        return f"the log: it printed {taken / (1 << 20):.1f} MiB, more than the {MOST_PRINTED >> 20} MiB it may; print less"

    return settle


def _files(folders: Iterable[Path]) -> Settle:
    def seen() -> dict[Path, tuple[int, int, int]]:
        stamps = {}
        for folder in kept:
            for path in folder.rglob("*"):
                with suppress(FileNotFoundError):
                    facts = path.stat()
                    # The store itself marks a result as used, in any process and at any time, by its manifest's time.
                    written = 0 if path.name == MANIFEST else facts.st_mtime_ns
                    if path.is_file():
                        stamps[path] = (facts.st_ino, facts.st_size, written)
        return stamps

    kept = tuple(folders)
    before = seen()

    def settle() -> str | None:
        after = seen()
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        if not changed:
            return None
        # The store finds the damage by its digests and makes the results again. Only their content is known to be wrong here.
        return f"its inputs: {', '.join(repr(str(path)) for path in changed)}; write to a temporary folder instead"

    return settle
