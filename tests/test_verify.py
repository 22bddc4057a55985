"""Verdicts of `verify`: identical, within the suite's tolerance, or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from w2s_bench.cells import ArmRef, Cell, CellBody, DomainRef, ModelRef, PluginRef, SeedResult, SuiteRef
from w2s_bench.record import pack_bits
from w2s_bench.verify import compare

ITEMS = 100


def seed_result(seed: int = 0, right: int = 60, **changes: Any) -> SeedResult:
    correct = np.arange(ITEMS) < right
    digests = {"student": "a" * 64, "kept": "b" * 64}
    fields = {"seed": seed, "accuracy": right / ITEMS, "correct": pack_bits(correct), "digests": digests}
    return SeedResult(**(fields | changes))


def cell(*seeds: SeedResult, **changes: Any) -> Cell:
    fields: dict[str, Any] = {
        "suite": SuiteRef(name="s", version="1", digest="0" * 64, evaluate_on="test"),
        "protocol": "w2s-1",
        "domain": DomainRef(name="w2s-bench/math", version="1", fingerprint="1" * 64),
        "teacher": ModelRef(name="t", fingerprint="2" * 64),
        "student": ModelRef(name="u", fingerprint="3" * 64),
        "arm": ArmRef(name="w2s-bench/probe", kind="trust_function", supervision="trust_set"),
        "plugin": PluginRef(distribution="w2s-bench", version="0.1", source="4" * 64),
        "items": ITEMS,
        "items_digest": "5" * 64,
        "seeds": seeds or (seed_result(0), seed_result(1)),
    }
    return Cell.of(CellBody(**(fields | changes)), {"platform": "here"})


def test_equal_bodies_are_identical_wherever_they_were_made() -> None:
    other = Cell.of(cell().body, {"platform": "elsewhere"})
    assert compare(cell(), other, 0.02).verdict == "identical"


def test_accuracies_within_the_tolerance_are_so_said_with_what_differs() -> None:
    verified = compare(cell(), cell(seed_result(0, 61), seed_result(1)), 0.02)
    assert verified.verdict == "within tolerance"
    assert verified.why == "seed 0: accuracy 0.6000 before, 0.6100 now"


def test_other_weights_with_the_same_answers_are_within_tolerance() -> None:
    verified = compare(
        cell(), cell(seed_result(0, digests={"student": "c" * 64, "kept": "b" * 64}), seed_result(1)), 0.0
    )
    assert verified.verdict == "within tolerance"
    assert "other student" in verified.why


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (cell(seed_result(0, 63), seed_result(1)), "accuracy 0.6000 before, 0.6300 now"),
        (cell(seed_result(0, accuracy=None, correct=None, error="it broke"), seed_result(1)), "it broke now"),
        (cell(plugin=PluginRef(distribution="w2s-bench", version="0.2", source="4" * 64)), "plugin was"),
        (cell(items_digest="6" * 64), "items was"),
        (cell(domain=DomainRef(name="w2s-bench/math", version="2", fingerprint="1" * 64)), "domain was"),
        (cell(seed_result(0)), ""),
    ],
)
def test_anything_more_differs(changed: Cell, why: str) -> None:
    verified = compare(cell(), changed, 0.02)
    assert verified.verdict == "DIFFERS"
    assert why in verified.why
