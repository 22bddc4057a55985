"""A step on a CUDA device, launched as one graph: Python launches its kernels one by one, and for one token a row that takes
ten times as long as the kernels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


class Replayed:
    """Calls `step`, which reads and writes tensors in their places and gives a tensor; from the third call on as a graph.

    The first call is made as it is, since kernels are chosen and libraries begin at their first use; at the second the graph
    is recorded. What cannot be recorded, as where a step waits for the device, is called as it is each time.
    """

    def __init__(self, step: Callable[[], torch.Tensor]) -> None:
        self._step = step
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: torch.Tensor | None = None
        self._begun = self._refused = False

    def __call__(self) -> torch.Tensor:
        if not self._begun or self._refused:
            self._begun = True
            return self._step()
        if self._graph is None:
            self._record()
        if self._graph is None or self._result is None:
            return self._step()
        self._graph.replay()
        return self._result.clone()  # the next replay writes there

    def _record(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = self._step()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:  # torch's word for an operation that no graph may hold; a step's own fault comes again
            self._refused = True
            _leave_recording()
            return
        self._graph, self._result = graph, result


def _leave_recording() -> None:
    """After a recording that failed, the device's random numbers would wait for its graph for ever; their state is kept."""
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(generator.clone_state())
