"""What a logger is, and what it is opened with."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from w2s_bench.errors import W2SBenchError


@dataclass(frozen=True)
class Logging:
    """A run as loggers know it: the `suite`'s name, `facts` of it as text, and the `folder` for those that write files.

    `began`: when, as the name of a folder has it; a run of its own for a logger.
    """

    suite: str
    facts: Mapping[str, str]
    folder: Path
    began: str


class Logger(Protocol):
    """Where a run is followed. It is called from one thread, in the order in which things happen."""

    def losses(self, training: str, values: Sequence[float]) -> None:
        """A training has ended, or was stored already: its loss at each optimizer step, from the first.

        `training` is what progress calls it (`knowledge · seed 0 · teacher`); no two of a run have one name.
        """

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        """A row, `DOMAIN/ARM`, has come: figures by name, and the accuracy of each seed that did not fail.

        Told once as soon as the cell is made, and once more with all columns of the board (`pgr`, `pgr_low`, …) when
        that is; what is told then goes before.
        """

    def close(self) -> None:
        """The run is over, or was stopped; what was told is on the disk, or sent, when this returns."""


def library(module: str, option: str) -> Any:
    """A library that a logger is made with; `W2SBenchError` names the extra where it is not installed or does not load."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise W2SBenchError(
            f"--log {option} needs {module.partition('.')[0]}, which cannot be imported here ({error}); "
            f"pip install 'w2s-bench[{option}]', or leave --log {option} out"
        ) from error
