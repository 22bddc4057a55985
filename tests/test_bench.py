"""Benchmarks are no tests, and break unseen; what of them is not measured is asked here."""

from __future__ import annotations

from pathlib import Path

import pytest

from w2s_bench.runs.execute import make_plan
from w2s_bench.store.stage import walk

BENCH = Path(__file__).parent / "bench"


def test_the_large_run_of_the_scale_benchmark_has_stages_of_the_recorded_one_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCH)
    import scale

    plan = make_plan("tiny", seeds=1, domains=["knowledge"])
    recorded = {stage.name for cell in plan.cells for stage in walk(cell.targets())}
    targets = list(scale.large_run(plan, functions=9, domains=2, seeds=2))
    assert {name for name, _ in targets} == {"knowledge"}
    stages = list(walk([target for _, target in targets]))
    assert {stage.name for stage in stages} == recorded
    scores = [stage for stage in stages if stage.name == "score"]
    assert len(scores) == len({stage.node for stage in scores}) == 9 * 2 * 2, "nothing is shared"
