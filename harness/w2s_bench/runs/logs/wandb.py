"""Weights & Biases: a run of the project `w2s-bench`, or of WANDB_PROJECT's; WANDB_MODE=offline sends nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from w2s_bench.runs.logs.base import Logging, library


class WandB:
    """See `base.Logger`. Losses are drawn over the optimizer's steps; figures of rows are the run's summary."""

    def __init__(self, run: Logging) -> None:
        wandb = library("wandb", "wandb")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "w2s-bench"),
            group=run.suite,
            name=f"{run.suite} {run.began}",
            config=dict(run.facts),
            settings=wandb.Settings(console="off"),
        )
        self._run.define_metric("optimizer step", hidden=True)
        self._run.define_metric("loss/*", step_metric="optimizer step")

    def losses(self, training: str, values: Sequence[float]) -> None:
        key = f"loss/{training.replace(' · ', '/')}"
        for step, value in enumerate(values):
            self._run.log({key: value, "optimizer step": step})

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        of_seeds = {f"accuracy of seed {seed}": value for seed, value in accuracies.items()}
        self._run.summary.update({f"row/{row}/{name}": value for name, value in {**figures, **of_seeds}.items()})

    def close(self) -> None:
        self._run.finish()
