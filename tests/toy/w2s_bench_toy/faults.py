"""Trust functions at their worst: each does in `score` what no trust function may do to the process that it shares."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import tempfile
import time

import numpy as np


class Fault:
    """Does its mischief, then scores as a sound function would."""

    supervision = "none"
    needs = ()
    scope = "pool"

    def score(self, evidence, *, rng):
        self.mischief(evidence)
        return np.array([float(len(prompt)) for prompt in evidence.prompts])


class Hangs(Fault):
    def mischief(self, evidence):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)


class EatsMemory(Fault):
    def mischief(self, evidence):
        eaten = []
        while True:
            eaten.append(bytearray(64 << 20))


class PrintsMegabytes(Fault):
    def mischief(self, evidence):
        for _ in range(4096):
            print("x" * 1023)


class ChangesInputs(Fault):
    def mischief(self, evidence):
        evidence.label_index[:] = 0


class Forks(Fault):
    def mischief(self, evidence):
        os.fork()  # the child would return to the worker's loop, and answer too


class Reseeds(Fault):
    def mischief(self, evidence):
        random.seed(0)
        np.random.seed(0)


class ChangesEnvironment(Fault):
    def mischief(self, evidence):
        os.environ["OMP_NUM_THREADS"] = "64"
        os.environ["W2S_TOY_WAS_HERE"] = "1"
        os.environ.pop("PATH")


class ChangesDirectory(Fault):
    def mischief(self, evidence):
        os.chdir(tempfile.gettempdir())


class Segfaults(Fault):
    def mischief(self, evidence):
        ctypes.string_at(0)


class KillsItself(Fault):
    def mischief(self, evidence):
        os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {
    "hangs": Hangs,
    "eats_memory": EatsMemory,
    "prints_megabytes": PrintsMegabytes,
    "changes_inputs": ChangesInputs,
    "forks": Forks,
    "reseeds": Reseeds,
    "changes_environment": ChangesEnvironment,
    "changes_directory": ChangesDirectory,
    "segfaults": Segfaults,
    "kills_itself": KillsItself,
}
