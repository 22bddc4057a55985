"""TensorBoard: a folder of event files, `OUT/tensorboard/SUITE/TIME`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from w2s_bench.runs.logs.base import Logging, library


class TensorBoard:
    """See `base.Logger`. A row's accuracy is drawn over seeds; of its figures those told last are the latest step."""

    def __init__(self, run: Logging) -> None:
        library("tensorboard", "tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run.folder / "tensorboard" / run.suite / run.began))
        self._writer.add_text("suite", "\n".join(f"- {name}: `{value}`" for name, value in run.facts.items()))
        self._told: dict[str, int] = {}

    def losses(self, training: str, values: Sequence[float]) -> None:
        tag = "loss/" + "/".join(training.split(" · "))
        for step, value in enumerate(values):
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def row(self, row: str, figures: Mapping[str, float], accuracies: Mapping[int, float]) -> None:
        step = self._told[row] = self._told.get(row, -1) + 1
        for name, value in figures.items():
            self._writer.add_scalar(f"row/{row}/{name}", value, step)
        for seed, accuracy in accuracies.items():
            self._writer.add_scalar(f"row/{row}/accuracy by seed", accuracy, seed)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
