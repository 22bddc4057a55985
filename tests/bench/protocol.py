"""What one more trust function costs beside the pipeline that it is added to, fine-tuned and with heads on frozen states."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from w2s_bench.store.stage import Stage, walk

TITLE = "Protocol: one more trust function, as a share of teacher → weak labels → student → ceiling"
TARGET = (
    "Domain `knowledge` of the suite `tiny`, one seed: processor seconds of the stages that the trust function `confidence`,"
    " whose score is free, adds to a store that has the rest (score, selection, rows, student, answers, grades), as a share of"
    " those from the domain's items to the grades of teacher, student on all weak labels, and ceiling. Targets: at most .45"
    " fine-tuned (recipe `full`, as frozen), at most .02 with heads (the same suite with recipe `head`). The seconds are those"
    " of the stages' manifests in a worker that has its libraries loaded. Whole: both as commands of their own, with imports,"
    " planning and the driver."
)
PIPELINE, ADDED = ("weak", "naive", "ceiling"), "confidence"
_HEAD = {"recipe": "head", "steps": 300, "batch_size": 16, "learning_rate": 0.01}


def run(quick: bool) -> list[dict[str, str | float]]:
    return [row(recipe, quick) for recipe in ("full", "head")]


def row(recipe: str, quick: bool) -> dict[str, str | float]:
    pipeline, added = stages_of(recipe, quick)
    with tempfile.TemporaryDirectory() as place:
        in_one_worker([*pipeline, *added], Path(place) / "imports are paid here")
        took = in_one_worker([*pipeline, *added], Path(place) / "store")
        first, more = (sum(took[stage.node] for stage in part) for part in (pipeline, added))
        whole, whole_more = (in_a_process(recipe, quick, part, Path(place) / "whole") for part in ("pipeline", "all"))
    return {
        "recipe": recipe,
        "pipeline, CPU s": first,
        "stages": len(pipeline),
        "one more, CPU s": more,
        "more stages": len(added),
        "share": f"{more / first:.3f}",
        "whole pipeline, CPU s": whole,
        "whole one more, CPU s": whole_more,
        "share of the whole": f"{whole_more / whole:.3f}",
    }


def stages_of(recipe: str, quick: bool) -> tuple[list[Stage], list[Stage]]:
    """The stages of the pipeline, and those that the trust function adds; inputs before what uses them."""
    from w2s_bench.runs.execute import make_plan
    from w2s_bench.suite import Suite
    from w2s_bench.suite_files import load_suite

    content: dict[str, Any] = load_suite("tiny").model_dump(mode="json")
    content["domains"] = [d for d in content["domains"] if d["name"] == "w2s-bench/knowledge"]
    for role in ("teacher", "student"):
        content["domains"][0][role] |= _HEAD if recipe == "head" else {}
        content["domains"][0][role] |= {"steps": 10} if quick else {}
    plan = make_plan(Suite.model_validate(content), seeds=1, trust=[ADDED])
    targets = {cell.arm.ref.name.rpartition("/")[2]: cell.targets() for cell in plan.cells}
    pipeline = list(walk([stage for name in PIPELINE for stage in targets[name]]))
    known = {stage.node for stage in pipeline}
    return pipeline, [stage for stage in walk(targets[ADDED]) if stage.node not in known]


def in_one_worker(stages: Sequence[Stage], folder: Path) -> Mapping[str, float]:
    """Node → processor seconds, by the manifests of an empty store: run one after another as a worker runs them."""
    from w2s_bench.executors.jobs import Job
    from w2s_bench.executors.local.worker import Worker
    from w2s_bench.executors.outcomes import Done
    from w2s_bench.isolation.process_state import watch_for_torch
    from w2s_bench.store import Result, key_of, open_store

    watch_for_torch()
    worker, made = Worker(open_store(folder)), dict[str, Result]()
    for stage in stages:
        inputs = {name: made[one.node] for name, one in stage.inputs.items()}
        key = key_of(stage, {name: one.content for name, one in inputs.items()})
        outcome = worker.answer_to(Job.of(stage, key, inputs)).outcome
        assert isinstance(outcome, Done), outcome
        made[stage.node] = outcome.result
    return {node: result.cpu_seconds for node, result in made.items()}


def in_a_process(recipe: str, quick: bool, part: str, store: Path) -> float:
    """Processor seconds of a process that plans and runs `part` with one worker, and of that worker."""
    command = [sys.executable, __file__, recipe, str(int(quick)), part, str(store)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds: float = json.loads(done.stdout.splitlines()[-1])
    return seconds


def own_seconds() -> Iterator[float]:
    import resource

    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        used = resource.getrusage(who)
        yield used.ru_utime + used.ru_stime


if __name__ == "__main__":
    from w2s_bench.runs.execute import local_executor
    from w2s_bench.store import open_store

    pipeline, added = stages_of(sys.argv[1], bool(int(sys.argv[2])))
    wanted = pipeline if sys.argv[3] == "pipeline" else [*pipeline, *added]
    local_executor(1).run(wanted, open_store(sys.argv[4]), lambda event: None)
    print(json.dumps(sum(own_seconds())))
