"""Loggers by their names, opened before anything runs and closed when a run ends however it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from w2s_bench.errors import UnknownNameError, W2SBenchError, said
from w2s_bench.runs.logs.base import Logger, Logging
from w2s_bench.runs.logs.mlflow import MLflow
from w2s_bench.runs.logs.tensorboard import TensorBoard
from w2s_bench.runs.logs.told import Told
from w2s_bench.runs.logs.wandb import WandB
from w2s_bench.suite import Suite

#: Name → what opens it. Each has an extra of the same name.
LOGGERS: Final[Mapping[str, Callable[[Logging], Logger]]] = MappingProxyType(
    {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
)


def refuse_unknown(names: Sequence[str]) -> None:
    """Refuse a logger that there is none of, before anything is planned."""
    for name in names:
        if name not in LOGGERS:
            raise UnknownNameError("logger", name, LOGGERS)


@contextmanager
def opened(names: Sequence[str], suite: Suite, out: Path) -> Iterator[Told]:
    """Yields what a run is told to. Raises W2SBenchError where a logger is unknown, lacks its library or cannot be opened."""
    refuse_unknown(names)
    run = Logging(
        suite.name,
        {"suite": suite.name, "version": suite.version, "digest": suite.digest, "seeds": str(suite.seeds)},
        out,
        f"{datetime.now():%Y-%m-%dT%H-%M-%S-%f}",
    )
    with ExitStack() as stack:
        told = stack.enter_context(Told().closing())
        for name in dict.fromkeys(names):
            told.to[name] = _opened(name, run)
        yield told


def _opened(name: str, run: Logging) -> Logger:
    try:
        return LOGGERS[name](run)
    except W2SBenchError:
        raise
    except Exception as error:  # each library has errors of its own, of settings, accounts, disks and networks
        raise W2SBenchError(
            f"--log {name} cannot be opened: {type(error).__name__}: {said(error)}; set {name} up as its documentation "
            f"says, or leave --log {name} out"
        ) from error
