"""What a stage may take: time, memory, a GPU."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from w2s_bench.errors import W2SBenchError
from w2s_bench.store.stage import ALL_GPUS, Stage

_KEPT_FREE = 0.1  # of the machine's memory: for the driver and everything else
#: Of the memory that a stage may take, and of what is free: for models that a worker keeps from one stage to the next.
_KEPT_MODELS, _KEPT_OF_AVAILABLE = 1 / 16, 1 / 4


@dataclass(frozen=True)
class Limits:
    """Bounds on every stage; None: the stage's own `seconds`, which most have not, and nine tenths of the machine's memory.

    `memory` (bytes) is of a worker with all that it started, `output` (bytes) of what a stage prints.
    """

    seconds: float | None = None
    memory: int | None = None
    output: int = 64 << 20

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("memory", self.memory), ("output", self.output)):
            if value is not None and value <= 0:
                raise W2SBenchError(f"a stage's limit of {name} must be positive, got {value}")

    def seconds_of(self, stage: Stage) -> float | None:
        return self.seconds if self.seconds is not None else stage.seconds

    @cached_property
    def bytes(self) -> int:
        return self.memory if self.memory is not None else int(machine_memory() * (1 - _KEPT_FREE))


def machine_memory() -> int:
    """Bytes of memory this process and its children may use together: the machine's, or its control group's where less."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal():
            total = min(total, int(text))
    return total


def kept_bytes(memory: int | None) -> int:
    """Bytes of models that a worker may keep between two stages, which may take `memory` each (None: what the machine has)."""
    import psutil

    available = int(psutil.virtual_memory().available * _KEPT_OF_AVAILABLE)
    return min(kept_at_most(machine_memory() if memory is None else memory), available)


def kept_at_most(memory: int) -> int:
    """`kept_bytes`, where the machine has enough."""
    return int(memory * _KEPT_MODELS)


def needs_gpu(stage: Stage) -> bool:
    """Whether a stage takes a GPU for itself. One that names its device by number (`cuda:1`) has chosen, and takes none."""
    return stage.device in ("cuda", ALL_GPUS)


def needs_all_gpus(stage: Stage) -> bool:
    """Whether a stage takes every GPU of its machine, since its model is spread over them."""
    return stage.device == ALL_GPUS


def visible_gpus() -> tuple[str, ...]:
    """The NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them; without importing torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(gpu for gpu in named.split(",") if gpu and gpu != "-1")
    return tuple(str(number) for number in range(len(list(Path("/dev").glob("nvidia[0-9]*")))))
