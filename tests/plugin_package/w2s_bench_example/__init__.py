"""An example plugin for w2s-bench: the trust function `brevity` and the domain `longest`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.random import Generator

from w2s_bench import (
    BoolArray,
    Domain,
    Evidence,
    FloatArray,
    Need,
    Scope,
    Supervision,
    TaskDomain,
    TrustFunction,
    hookimpl,
)


class Brevity:
    """Trusts short labels: minus the label's length in characters, or in words."""

    supervision: Supervision = "none"
    needs: tuple[Need, ...] = ()
    scope: Scope = "row"

    def __init__(self, unit: str = "characters") -> None:
        if unit not in ("characters", "words"):
            raise ValueError(f"unit must be 'characters' or 'words', got {unit!r}")
        self.unit = unit

    def fit(self, evidence: Evidence, correct: BoolArray, *, rng: Generator) -> None:
        """Nothing to learn."""

    def score(self, evidence: Evidence, *, rng: Generator) -> FloatArray:
        labels = [label.strip() if self.unit == "characters" else label.split() for label in evidence.labels]
        return -np.array([len(label) for label in labels], dtype=np.float64)


def longest() -> TaskDomain:
    """Which of four made-up words is the longest?"""
    yaml = Path(__file__).parent / "longest" / "longest.yaml"
    return TaskDomain(name="longest", version="1", kind="choice", yaml=yaml, task_name="w2s_example_longest")


@hookimpl
def w2s_trust_functions() -> Mapping[str, Callable[..., TrustFunction]]:
    return {"brevity": Brevity}


@hookimpl
def w2s_domains() -> Mapping[str, Callable[..., Domain]]:
    return {"longest": longest}
