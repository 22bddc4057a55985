"""Steps as CUDA graphs: when one is recorded, when it is replayed, and what becomes of a step that none may hold.

No test machine has such a device, so torch's graph is a stand-in here, which does at each replay what was recorded;
`tests/bench/gpu.py` asks the real one, of fourteen families of models.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from w2s_bench.models import replayed
from w2s_bench.models.replayed import Replayed


class Counting:
    """A step in place: one more each time it is computed, by Python or by a graph."""

    def __init__(self) -> None:
        self.counts, self.by_python = torch.zeros(1), 0
        self.recording = False

    def __call__(self) -> torch.Tensor:
        self.by_python += 1
        if not self.recording:
            self.counts += 1
        return self.counts


class Graph:
    """Torch's, for `Counting`: what is recorded is not computed, what is replayed is."""

    made: list[Graph]
    step: Counting

    def __init__(self) -> None:
        self.made.append(self)

    def replay(self) -> None:
        self.step.counts += 1


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()

    @contextmanager
    def recorded(graph: Graph, **settings: Any) -> Iterator[None]:
        counting.recording = True
        try:
            yield
        finally:
            counting.recording = False

    monkeypatch.setattr(Graph, "made", [], raising=False)
    monkeypatch.setattr(Graph, "step", counting, raising=False)
    monkeypatch.setattr(replayed.torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(replayed.torch.cuda, "graph", recorded)
    return counting


def test_a_step_is_computed_once_a_call_whoever_computes_it(step: Counting) -> None:
    call = Replayed(step)
    found = [call() for _ in range(5)]
    assert [float(each) for each in found[1:]] == [2, 3, 4, 5], "each result stays what it was when others follow"
    assert step.by_python == 2 and len(Graph.made) == 1, "the first call, and the recording"


def test_what_no_graph_may_hold_is_computed_as_it_is(step: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[str] = []
    monkeypatch.setattr(replayed, "_leave_recording", lambda: left.append("left"))

    def waits() -> torch.Tensor:
        if step.recording:
            raise RuntimeError("operation not permitted when stream is capturing")
        return step()

    call = Replayed(waits)
    assert [float(call()) for _ in range(4)] == [1, 2, 3, 4]
    assert len(Graph.made) == 1 and left == ["left"], "it is tried once, and random numbers are set free"


def test_memory_that_runs_out_is_no_reason_to_go_on_without(step: Counting) -> None:
    def large() -> torch.Tensor:
        if step.recording:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step()

    call = Replayed(large)
    call()
    with pytest.raises(torch.OutOfMemoryError):
        call()
