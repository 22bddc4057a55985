"""Checks of a plugin's reading: its contract, and the twin that stands for it in tests."""

from __future__ import annotations

import numpy as np

from w2s_bench.errors import W2SBenchError
from w2s_bench.hookspecs import Reading
from w2s_bench.plugins import checks as contract
from w2s_bench.plugins.descriptions import DescribedReading
from w2s_bench.protocol.evidence.readings.base import Values
from w2s_bench.protocol.evidence.registered import validated
from w2s_bench.testing.evidence import synthetic_evidence
from w2s_bench.testing.expecting import expect, guarded, keeps_contract
from w2s_bench.types import Synthetic

_ROWS = 30


def check_reading(reading: Reading) -> None:
    """Attributes and signatures are right; the twin has the reading's form, and is the same for the same `rng`.

    `read` needs a model, and is tried by a run.
    """
    keeps_contract(contract.check_reading, reading)
    for kind in DescribedReading.of(reading).kinds:
        evidence, correct = synthetic_evidence(kind, _ROWS, 0)
        made_up = Synthetic(evidence.rows, np.where(correct, 1.0, -1.0), "teacher", layers=3, width=6)
        drawn = [_twin(reading, made_up) for _ in range(2)]
        same = all(np.array_equal(values, other) for values, other in zip(*drawn, strict=True))
        expect(same, "two twins of the same labels and rng differ; take all randomness from `rng`")


def _twin(reading: Reading, made_up: Synthetic) -> Values:
    values = guarded("synthetic", lambda: reading.synthetic(made_up, rng=np.random.default_rng(0)))
    try:
        return validated(type(reading).__name__, reading.form, values, made_up.rows)
    except W2SBenchError as error:
        raise AssertionError(f"synthetic: {error}") from error
