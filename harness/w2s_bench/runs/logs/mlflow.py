"""MLflow: an experiment a suite, a run a run, where MLFLOW_TRACKING_URI says or MLflow writes without it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence

from w2s_bench.runs.logs.base import Logging, library

#: Metrics in one call, at most, as the tracking server has it.
_AT_ONCE = 1000


class MLflow:
    """See `base.Logger`."""

    def __init__(self, run: Logging) -> None:
        mlflow = library("mlflow", "mlflow")
        self._metric = library("mlflow.entities", "mlflow").Metric
        self._client = mlflow.MlflowClient()
        name = f"w2s-bench/{run.suite}"
        known = self._client.get_experiment_by_name(name)
        experiment = known.experiment_id if known is not None else self._client.create_experiment(name)
        self._run = self._client.create_run(experiment, run_name=run.began, tags=dict(run.facts)).info.run_id

    def losses(self, training: str, values: Sequence[float]) -> None:
        self._log((f"loss/{training.replace(' · ', '/')}", value, step) for step, value in enumerate(values))

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        told = [(f"row/{row}/{name}", value, 0) for name, value in figures.items()]
        self._log([*told, *((f"row/{row}/accuracy by seed", value, seed) for seed, value in accuracies.items())])

    def close(self) -> None:
        self._client.set_terminated(self._run)

    def _log(self, values: Iterable[tuple[str, float, int]]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(allowed(key), value, now, step) for key, value, step in values]
        for start in range(0, len(metrics), _AT_ONCE):
            self._client.log_batch(self._run, metrics=metrics[start : start + _AT_ONCE])


def allowed(key: str) -> str:
    """A name as MLflow takes one: letters, digits, `_`, `-`, `.`, `/` and spaces, and no path that leads elsewhere."""
    return re.sub(r"[^\w\-./ ]", "_", key, flags=re.ASCII).replace("..", "._")[:250]
