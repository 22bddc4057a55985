"""The parent of one worker: whatever the worker starts ends with it, also what has left its process group and session.

A worker is any process of this package that runs code of others. On Linux orphans come to it, where a stage's watch sees
them, and after its end to this process, which ends them. Elsewhere the system offers no such thing: then the worker's own
process group is ended, and no more.

This file is run by itself, before the package is imported: the process stays as small as Python can be.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
from pathlib import Path

_SET_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)
_LOOK = 1.0  # seconds between two looks whether the driver is alive; all else is told by signals


def keep() -> None:
    """Go on as a worker, in a child of this process, which stays behind as its keeper and exits as the worker does."""
    driver = os.getppid()
    told, tell = os.pipe()
    for end in (told, tell):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, _hear)
    _prctl(_SET_CHILD_SUBREAPER)
    keeper = os.getpid()
    if worker := os.fork():
        _guard(worker, driver, told)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.close(told)
    os.close(tell)
    os.setpgid(0, 0)  # so a signal that a stage sends to its group reaches no keeper
    _prctl(_SET_CHILD_SUBREAPER)
    _prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(1)


class _Told:
    """Whether the driver has asked for the end."""

    end = False


def _hear(number: int, frame: object) -> None:
    _Told.end |= number == signal.SIGTERM


def _guard(worker: int, driver: int, told: int) -> None:
    """Until the worker has ended, or must: then nothing that it started is left, and this process ends, too."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):  # the driver sees by these pipes that a worker is gone
        os.dup2(nothing, descriptor)
    status = None
    while status is None and not _Told.end and os.getppid() == driver:
        select.select([told], [], [], _LOOK)
        while select.select([told], [], [], 0)[0] and os.read(told, 256):
            pass
        status = _reaped(worker)
    while True:
        _end_children(worker)
        try:
            ended, how = os.waitpid(-1, 0)
        except ChildProcessError:
            break
        if ended == worker:
            status = how
    code = os.waitstatus_to_exitcode(status or 0)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the worker has left a core dump, where the user wants one
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _reaped(worker: int) -> int | None:
    """How the worker ended, if it has. Orphans that have ended are let go on the way."""
    try:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            process, how = ended
            if process == worker:
                return how
    except ChildProcessError:
        return 0
    return None


def _end_children(worker: int) -> None:
    """Kill whatever is a child of this process now; children of these become its own when they are gone."""
    if not sys.platform.startswith("linux"):
        _kill(-worker)
        return
    own = str(os.getpid())
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            except OSError:  # the process has just ended
                continue
            if parent == own:
                _kill(int(folder.name))


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _prctl(option: int, value: int = 1) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
