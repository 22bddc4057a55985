"""How a stage ends, as it travels between processes: what is read is what was written, and nothing else is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stage_functions import stage
from w2s_bench.executors import Done, Failed
from w2s_bench.executors.jobs import Job
from w2s_bench.executors.outcomes import Answer, Lacking, Unusable, failed_input, input_results, key_or_failure
from w2s_bench.store import Damage, Result, Store, key_of

RESULT = Result(Path("/s/write/ab"), "ab", "cd", {"text": "ef"}, 1.5, 0.1 + 0.2, "2026-01-01T00:00:00+00:00", "m")


@pytest.mark.parametrize(
    "outcome",
    [
        Done(RESULT),
        Done(RESULT, new=True),
        Failed("write x", "it is so", "node"),
        Failed("write x", "odd \udc80", "node", Path("/s/.logs/\udc80.log")),
        Lacking(("a", "b")),
        Unusable("no space"),
    ],
)
def test_an_answer_is_read_as_it_was_written(outcome: Any) -> None:
    answer = Answer(outcome, "it printed", (Damage(Path("/s/write/ab"), "text is missing"),))
    again = Answer.from_json(json.loads(json.dumps(answer.to_json(), default=str)))
    assert again == answer
    assert getattr(again.outcome, "new", None) == getattr(outcome, "new", None)


@pytest.mark.parametrize("value", [None, [], {}, {"outcome": {}}, {"outcome": {"result": 3}}, {"outcome": "done"}])
def test_what_is_no_answer_is_not_taken_for_one(value: Any) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Answer.from_json(value)


def test_whether_a_result_is_new_is_no_part_of_what_it_is() -> None:
    assert Done(RESULT, new=True) == Done(RESULT)


def test_a_failed_job_is_its_own_cause_by_the_node_that_it_has_in_the_graph(tmp_path: Path) -> None:
    top = stage("write", text="top")
    below = replace(stage("write", {"a": top}, text="below"), label="")
    job = Job.of(below, "ab" * 32, {"a": RESULT})
    read = Job.from_json(json.loads(json.dumps(job.to_json())))
    assert read == replace(job, stage=read.stage)
    failed = job.kept(job.failed("no", "printed"), Store(tmp_path)).outcome
    assert isinstance(failed, Failed)
    assert (failed.stage, failed.cause_node) == (f"write {below.node[:12]}", below.node)
    assert failed.log is not None and failed.log.read_text().endswith("\n\nprinted")


def test_what_inputs_came_to() -> None:
    top, other = stage("write", text="top"), stage("write", text="other")
    below = stage("write", {"a": top, "b": other}, text="below")
    first, second = Failed("top", "no", top.node), Failed("other", "no", other.node)
    assert failed_input(below, {other.node: second, top.node: first}) is first
    assert failed_input(below, {top.node: Done(RESULT)}) is None
    assert input_results(below, {top.node: Done(RESULT), other.node: second}) == {"a": RESULT}
    assert key_or_failure(below, {"a": RESULT, "b": RESULT}) == key_of(below, {"a": "cd", "b": "cd"})
    needy = replace(top, libraries=("no-such-library",))
    failed = key_or_failure(needy, {})
    assert isinstance(failed, Failed) and "which is not installed" in failed.reason
