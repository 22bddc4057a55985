"""A run of the size that the project is for, simulated: the real graph, the real schedule, recorded stage times."""

from __future__ import annotations

import heapq
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from w2s_bench.executors import Done, Event
from w2s_bench.executors.schedule import Schedule
from w2s_bench.store.manifest import Result
from w2s_bench.store.stage import Stage, walk

TITLE = "Scale: 100 trust functions × 10 domains × 10 seeds"
TARGET = (
    "Simulated: every stage of such a run, handed out by the executors' own schedule, takes the seconds and bytes that stages"
    " of its name and domain took in a run of `tiny` just made (medians). What the schedule itself takes per stage is measured"
    " and charged to every hand-out, one after another. No target; a makespan near the greater of work ÷ workers and the"
    " critical path is as good as any order can be."
)
WORKERS = (1, 8, 64, 512)


@dataclass(frozen=True)
class Recorded:
    """What a stage took: seconds in its worker, bytes in the store."""

    seconds: float
    bytes: int


def run(quick: bool) -> list[dict[str, str | float]]:
    functions, domains, seeds = (10, 2, 2) if quick else (100, 10, 10)
    plan, took = recorded(quick)
    targets = list(large_run(plan, functions=functions, domains=domains, seeds=seeds))
    stages = list(walk([target for _, target in targets]))
    by_node = {stage.node: took[stage.name, name] for name, target in targets for stage in walk([target])}
    size = sum(one.bytes for one in by_node.values())
    work = sum(one.seconds for one in by_node.values())
    rows: list[dict[str, str | float]] = []
    for workers in WORKERS:
        makespan, overhead, longest = simulated([target for _, target in targets], by_node, workers)
        best = max(work / workers, longest)
        rows.append(
            {
                "workers": workers,
                "stages": len(stages),
                "work, h": work / 3600,
                "critical path, s": longest,
                "makespan, h": makespan / 3600,
                "of the best possible": f"{best / makespan:.1%}",
                "scheduler, µs a stage": round(overhead * 1e6),
                "store, GB": size / 1e9,
            }
        )
    return rows


def recorded(quick: bool) -> tuple[Any, dict[tuple[str, str], Recorded]]:
    """(the plan of a run of `tiny` with one seed, what its stages took by (stage name, domain)), measured now."""
    from w2s_bench.runs.execute import local_executor, make_plan
    from w2s_bench.store import Store

    plan = make_plan("tiny", seeds=1, domains=["knowledge"] if quick else ())
    found: dict[tuple[str, str], list[Recorded]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = local_executor(1).run(plan.targets(), Store(Path(folder)), lambda event: None)
        for cell in plan.cells:
            for stage in walk(cell.targets()):
                outcome = outcomes[stage.node]
                assert isinstance(outcome, Done), outcome
                size = sum(path.stat().st_size for path in outcome.result.path.rglob("*"))
                found[stage.name, cell.task.domain.short_name].append(Recorded(outcome.result.seconds, size))
    return plan, {
        kind: Recorded(statistics.median(r.seconds for r in each), int(statistics.median(r.bytes for r in each)))
        for kind, each in found.items()
    }


def large_run(plan: Any, *, functions: int, domains: int, seeds: int) -> Iterator[tuple[str, Stage]]:
    """(recorded domain, target stage): copies of the recorded domains, with all controls and so many trust functions."""
    from w2s_bench.protocol.arms import own_arms
    from w2s_bench.protocol.generation import Generation
    from w2s_bench.runs.plan import PlannedCell

    tasks = list({cell.task.domain.name: cell.task for cell in plan.cells}.values())
    arms = [
        *own_arms(plan.suite.coverage),
        *trust_arms(plan, functions),
    ]
    for number in range(domains):
        original = tasks[number % len(tasks)]
        copy = replace(original, domain=replace(original.domain, name=f"{original.domain.name}-{number}"))
        graphs = tuple(Generation(plan.suite, copy, seed) for seed in range(seeds))
        for arm in arms:
            cell = PlannedCell(copy, arm, graphs, tuple(arm.build(graph) for graph in graphs))
            yield from ((original.domain.short_name, target) for target in cell.targets())


def trust_arms(plan: Any, count: int) -> list[Any]:
    """The trust functions of the recorded run again and again, each time with another parameter, so that nothing is shared."""
    from w2s_bench.plugins.planning import declarations
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.protocol.needs import planned_needs
    from w2s_bench.protocol.trust_arms import trust_arm
    from w2s_bench.results.references import PluginRef

    registry = Registry.load()
    names = sorted({cell.arm.ref.trust_function for cell in plan.cells} - {None})
    taken = [names[number % len(names)] for number in range(count)]
    out = []
    for number, declared in enumerate(declarations(registry, [(name, {}) for name in taken])):
        registered = registry.resolve("trust_function", taken[number])
        needs = planned_needs(registry, declared.needs, str(registered))
        plugin = PluginRef(distribution=registered.distribution, version=registered.version, source="0" * 64)
        libraries = registry.libraries(registered)
        out.append(
            trust_arm(registered.name, {"copy": number}, declared, needs, plugin, plan.suite.coverage, libraries)
        )
    return out


def simulated(targets: Sequence[Stage], took: Mapping[str, Recorded], workers: int) -> tuple[float, float, float]:
    """(makespan in seconds, the schedule's own seconds a stage as measured, the longest chain in seconds)."""

    def ignore(event: Event) -> None:
        return None

    begun = time.perf_counter()
    schedule = Schedule(targets, lambda stage: took[stage.node].seconds, ignore)
    own = time.perf_counter() - begun
    longest = max(schedule.urgency.values())
    now, idle, driver_free = 0.0, workers, own
    running: list[tuple[float, int, Any]] = []
    count = 0
    while not schedule.complete:
        begun = time.perf_counter()
        while schedule.fresh:
            schedule.found(schedule.fresh.pop(), None)
        handed = []
        while idle and schedule.waiting(False):
            handed.append(schedule.pop(False))
            idle -= 1
        spent = time.perf_counter() - begun
        for place, work in enumerate(handed, start=1):
            started = max(now, driver_free) + spent * place / len(handed)
            heapq.heappush(running, (started + took[work.nodes[0]].seconds, count, work))
            count += 1
        driver_free = max(now, driver_free) + spent
        own += spent
        now, _, work = heapq.heappop(running)
        idle += 1
        begun = time.perf_counter()
        result = Result(Path(work.key), work.key, work.key, {}, took[work.nodes[0]].seconds, 0.0, "")
        schedule.ended(work, Done(result, new=True))
        spent = time.perf_counter() - begun
        driver_free = max(now, driver_free) + spent
        own += spent
    assert all(isinstance(outcome, Done) for outcome in schedule.outcomes.values())
    return now, own / len(schedule.stages), longest
