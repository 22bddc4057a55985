"""A suite as jobs of a cluster: submitted here, and its cells made by the last of the jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from w2s_bench.runs.execute import RunReport, check_first, execute, local_executor
from w2s_bench.runs.refusals import refuse_mistakes
from w2s_bench.text import printable
from w2s_bench.types import JSON

if TYPE_CHECKING:
    from w2s_bench.executors import Event
    from w2s_bench.executors.resources import Limits
    from w2s_bench.executors.slurm.executor import SlurmSettings, Submitted
    from w2s_bench.runs.plan import Plan

SUBMISSIONS = ".slurm"  # beside the results, which every node has to reach


def submit_suite(
    planned: Plan,
    *,
    out: Path,
    store: Path | str,
    settings: SlurmSettings | None = None,
    limits: Limits | None = None,
    workers: int | None = None,
    events: Callable[[Event], None] = lambda event: None,
    progress: Callable[[int, int], None] = lambda submitted, total: None,
    cluster: Literal["slurm", "local"] = "slurm",
) -> Submitted:
    """Submit what a plan needs; the last job writes to `out/<suite>/` what `execute` would have written.

    Whatever the user must change first is said before anything is submitted: splits are cut and gold is made here, in `workers` local
    processes, which `events` tells of. `progress` and `cluster` as for `executors.slurm.submit`.
    """
    from w2s_bench.executors import Damaged
    from w2s_bench.executors.slurm.clusters import refuse_missing_slurm
    from w2s_bench.executors.slurm.executor import Collect, submit
    from w2s_bench.store import open_store

    folder = out.absolute() / planned.suite.name
    refuse_mistakes(planned, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if cluster == "slurm":
        refuse_missing_slurm()
    opened = open_store(store)
    # The nodes load the models. This machine may have no room for them.
    check_first(planned, store=opened, executor=local_executor(workers, limits), events=events, models=False)
    submitted = submit(
        planned.targets(),
        opened,
        folder / SUBMISSIONS,
        Collect("w2s_bench.runs.submit:collect_submission", _request(planned, out)),
        settings=settings,
        limits=limits,
        progress=progress,
        cluster=cluster,
    )
    for damage in opened.damages:
        events(Damaged(damage))
    return submitted


def collect_submission(folder: Path, request: Mapping[str, JSON]) -> int:
    """What the last job does: cells and leaderboard from the outcomes recorded in `folder`. The exit code of a run."""
    report = _collected(folder, request)
    for row, seed, reason in report.failures:
        print(printable(f"{row}, seed {seed}: {reason}"), file=sys.stderr)
    for told in (*report.problems, *report.notes):
        print(printable(told), file=sys.stderr)
    print(f"results: {report.folder}", file=sys.stderr)
    return 0 if report.ok else 1


def collected(folder: Path) -> RunReport:
    """What the submission in `folder` came to, once all its jobs have ended: results are written, if they are not yet."""
    from w2s_bench.executors.slurm.submission import Submission

    return _collected(folder, Submission(folder).setup.collect.request)


def _collected(folder: Path, request: Mapping[str, JSON]) -> RunReport:
    from w2s_bench.executors.slurm.executor import RecordedExecutor
    from w2s_bench.executors.slurm.submission import Submission

    return execute(
        _planned(request),
        out=Path(request["out"]),
        store=Submission(folder).setup.store,
        executor=RecordedExecutor(folder),
        events=lambda event: None,
        models=False,
    )


def _request(planned: Plan, out: Path) -> dict[str, JSON]:
    """All that makes the same plan again in another process."""
    arms = [cell.arm.ref for cell in planned.cells]
    return {
        "out": str(out.absolute()),
        "suite": planned.suite.model_dump(mode="json"),
        "domains": list(dict.fromkeys(cell.domain.name for cell in planned.cells)),
        "trust": list(dict.fromkeys(arm.trusts for arm in arms if arm.trusts)),
        "decompose": any(arm.explains for arm in arms),
        "rows": [cell.row for cell in planned.cells],
        "documents": dict(planned.documents),
        "problems": list(planned.problems),
    }


def _planned(request: Mapping[str, JSON]) -> Plan:
    from w2s_bench.domains.documents import Documents
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import Plan, plan
    from w2s_bench.suite import Suite

    suite = Suite.model_validate(request["suite"])
    read = Documents(request["documents"])  # the jobs were planned with these documents
    made = plan(
        suite,
        Registry.load(),
        domains=request["domains"],
        trust=request["trust"],
        rows=request["rows"],
        documents=read,
        decompose=request["decompose"],
    )
    # Functions for one kind of domain alone come in another order where they are named one by one.
    places = {row: index for index, row in enumerate(request["rows"])}
    cells = tuple(sorted(made.cells, key=lambda cell: places[cell.row]))
    return Plan(made.suite, cells, tuple(request["problems"]), made.documents)
