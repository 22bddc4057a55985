"""What a stage is: identity by everything its result depends on, and graphs that are walked inputs first."""

from __future__ import annotations

import dataclasses
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage_functions import named
from w2s_bench.store.stage import Stage, StageFunction, walk

BASE = Stage(StageFunction("train", 1, "stage_functions:write"), {"text": "a", "rate": 0.5}, {}, ("numpy",), "train a")


def test_a_label_is_for_people_and_no_part_of_what_a_stage_is() -> None:
    assert dataclasses.replace(BASE, label="other").node == BASE.node


@pytest.mark.parametrize(
    "change",
    [
        {"function": dataclasses.replace(BASE.function, name="tune")},
        {"function": dataclasses.replace(BASE.function, version=2)},
        {"params": {"text": "a", "rate": 0.25}},
        {"params": {"text": "a"}},
        {"inputs": {"rows": BASE}},
    ],
    ids=["name", "version", "parameter", "missing parameter", "input"],
)
def test_whatever_changes_the_result_changes_the_node(change: dict[str, object]) -> None:
    assert dataclasses.replace(BASE, **change).node != BASE.node  # type: ignore[arg-type]


def test_the_order_of_parameters_and_inputs_says_nothing() -> None:
    other = dataclasses.replace(BASE, params={"text": "other"})
    one = named("s", {"a": 1, "b": 2}, inputs={"x": BASE, "y": other})
    two = named("s", {"b": 2, "a": 1}, inputs={"y": other, "x": BASE})
    swapped = named("s", {"a": 1, "b": 2}, inputs={"x": other, "y": BASE})
    assert one.node == two.node != swapped.node


def test_a_parameter_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        _ = named("s", {"rate": float("nan")}).node


def test_a_stage_finds_its_function_and_survives_pickling() -> None:
    import stage_functions

    assert BASE.function.resolve() is stage_functions.write
    assert pickle.loads(pickle.dumps(BASE)).node == BASE.node  # noqa: S301 - made in the line itself


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_a_walk_yields_every_needed_stage_once_and_inputs_first(data: st.DataObject) -> None:
    stages: list[Stage] = []
    for number in range(data.draw(st.integers(1, 12))):
        chosen = data.draw(st.sets(st.sampled_from(stages))) if stages else set()
        stages.append(named("s", {"number": number}, inputs={one.node: one for one in chosen}))
    targets = data.draw(st.lists(st.sampled_from(stages), max_size=5))
    walked = [stage.node for stage in walk(targets)]
    assert len(walked) == len(set(walked))
    assert {stage.node for stage in targets} <= set(walked)
    by_node = {stage.node: stage for stage in stages}
    for place, node in enumerate(walked):
        assert all(one.node in walked[:place] for one in by_node[node].inputs.values())
    needed = {target.node for target in targets}
    needed |= {one.node for node in walked for one in by_node[node].inputs.values()}
    assert set(walked) == needed
