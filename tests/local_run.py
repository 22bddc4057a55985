"""Stages run by the local executor, and what it told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from support import ended
from w2s_bench.executors import Done, Event, Failed, Outcome
from w2s_bench.executors.local.executor import LocalExecutor
from w2s_bench.store import Result, Store
from w2s_bench.store.stage import Stage

E = TypeVar("E")


class Told(list[Event]):
    """Keeps the events of a run."""

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self if isinstance(event, kind)]

    def labels(self, how: Literal["new", "stored", "failed"]) -> list[str]:
        return sorted(one.label for one in ended(self, how))


def run(targets: Sequence[Stage], root: Path, workers: int = 1) -> tuple[Mapping[str, Outcome], Told]:
    told = Told()
    outcomes = LocalExecutor(workers).run(targets, Store(root), told.append)
    return outcomes, told


def result_of(outcomes: Mapping[str, Outcome], one: Stage) -> Result:
    outcome = outcomes[one.node]
    assert isinstance(outcome, Done), outcome
    return outcome.result


def failure_of(outcomes: Mapping[str, Outcome], one: Stage) -> Failed:
    outcome = outcomes[one.node]
    assert isinstance(outcome, Failed), outcome
    return outcome


def text_of(outcomes: Mapping[str, Outcome], one: Stage) -> str:
    return (result_of(outcomes, one).path / "text").read_text()
