"""Slurm as far as a submission sees it: `sbatch`, `srun` and `scancel` on PATH, which keep jobs as files, and a scheduler.

As a script it is those commands; as a module it puts them on PATH and runs the jobs, each after those it depends on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

COMMANDS = ("sbatch", "srun", "scancel")
FIRST = 101


class FakeSlurm:
    """A cluster of one node under `folder`. `limit`: how many jobs a user may have."""

    def __init__(self, folder: Path, monkeypatch: Any, limit: int = 10_000) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        (folder / "limit").write_text(str(limit))
        for name in COMMANDS:
            command = folder / "bin" / name
            arguments = [sys.executable, "-I", "-S", str(Path(__file__).absolute()), name, str(folder)]
            command.write_text(f'#!/bin/sh\nexec {shlex.join(arguments)} "$@"\n')
            command.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Jobs by number: `options` of the script, the `script` itself and its `state`."""
        found = {path.stem: json.loads(path.read_text()) for path in self.folder.glob("*.json")}
        return dict(sorted(found.items(), key=lambda entry: int(entry[0])))

    def run(self, *, killed: Container[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Every pending job once those it depends on have ended; one that is `killed` ends before it has done anything."""
        for number, job in self.jobs().items():
            if job["state"] != "PENDING":
                continue
            ended = self.jobs()
            assert all(ended[one]["state"] not in ("PENDING", "RUNNING") for one in dependencies(job)), job
            if number in killed:
                _write(self.folder, number, {**job, "state": "NODE_FAIL"})
                continue
            variables = {**os.environ, **(environment or {}), "SLURM_JOB_ID": number, "SLURM_NTASKS": "1"}
            code = subprocess.run(["bash", "-c", job["script"]], env=variables).returncode
            _write(self.folder, number, {**job, "state": "FAILED" if code else "COMPLETED"})


def dependencies(job: Mapping[str, Any]) -> list[str]:
    """The jobs that a job waits for, however they end."""
    kind, *numbers = job["options"].get("dependency", "afterany").split(":")
    assert kind == "afterany", kind
    return list(numbers)


def sbatch(folder: Path, arguments: list[str]) -> str:
    script = Path(arguments[-1]).read_text()
    lines = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("#SBATCH ")]
    options = {name.removeprefix("--"): value for name, _, value in (line.partition("=") for line in lines)}
    numbers = [int(path.stem) for path in folder.glob("*.json")]
    if options.get("partition", "debug") != "debug":
        return "sbatch: error: invalid partition specified: {partition}".format(**options)
    if len(numbers) >= int((folder / "limit").read_text()):
        return "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed"
    if not set(map(int, dependencies({"options": options}))) <= set(numbers):
        return "sbatch: error: Batch job submission failed: Job dependency problem"
    number = max(numbers, default=FIRST - 1) + 1
    _write(folder, str(number), {"options": options, "script": script, "state": "PENDING"})
    print(f"Submitted batch job {number}")
    return ""


def srun(folder: Path, arguments: list[str]) -> str:
    output = ""
    while arguments and arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--output":
            output = arguments.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["SLURM_PROCID"] = "0"
    os.execvp(arguments[0], arguments)


def scancel(folder: Path, arguments: list[str]) -> str:
    for number in arguments:
        with contextlib.suppress(FileNotFoundError):
            job = json.loads((folder / f"{number}.json").read_text())
            _write(folder, number, {**job, "state": "CANCELLED"})
    return ""


def _write(folder: Path, number: str, job: Mapping[str, Any]) -> None:
    (folder / f"{number}.json").write_text(json.dumps(job))


if __name__ == "__main__":
    complaint = {"sbatch": sbatch, "srun": srun, "scancel": scancel}[sys.argv[1]](Path(sys.argv[2]), sys.argv[3:])
    sys.exit(complaint or None)
