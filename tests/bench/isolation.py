"""What it costs that code of plugins has processes of its own: a run as it is, and one with everything in the engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from overhead import children
from workers import bodies

TITLE = "Isolation: processes of their own for domains and trust functions"
TARGET = (
    "`w2s-bench run tiny --seeds 1 --workers 2` from an empty store: worker processes that are started, by what they run, and"
    " processor seconds of all processes with their ends; again with every stage in the engines (the built-in plugins do no"
    " harm there). The cell bodies are compared, too. All seeds start no more processes. Target: less than 3 % more."
)
#: Runs the command with its arguments, `shared`: all in engines, and writes which kinds of worker were started.
_RUN = """
import json, sys
from pathlib import Path
shared, counts, *sys.argv[1:] = sys.argv[1:]
from w2s_bench.executors.local import hosts, seat
from w2s_bench.executors.local.process import WorkerProcess
roles = []
class Counted(WorkerProcess):
    def __init__(self, location, plugins, environment, host):
        roles.append(host.role)
        super().__init__(location, plugins, environment, host)
seat.WorkerProcess = Counted
if shared == "shared":
    seat.host_of = lambda stage, installed: hosts.Host()
from w2s_bench._cli.app import main
try:
    main()
finally:
    Path(counts).write_text(json.dumps(roles))
"""


def run(quick: bool) -> list[dict[str, str | float]]:
    options = ["--seeds", "1", *(["--domain", "knowledge"] if quick else [])]
    rows, made = [], []
    with tempfile.TemporaryDirectory() as place:
        for name in ("shared", "apart"):
            folder = Path(place) / name
            rows.append(measured(folder, name, options))
            made.append(bodies(folder))
    if made[0] != made[1]:
        raise SystemExit("the cell bodies differ")
    shared, apart = (float(row["CPU s"]) for row in rows)
    return [rows[0], {**rows[1], "more": f"{apart / shared - 1:.1%}"}]


def measured(folder: Path, name: str, options: list[str]) -> dict[str, str | float]:
    folder.mkdir()
    arguments = ["run", "tiny", *options, "--workers", "2", "--quiet"]
    arguments += ["--out", str(folder), "--store", str(folder / "store")]
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    before = sum(children())
    subprocess.run([sys.executable, "-c", _RUN, name, str(folder / "n"), *arguments], check=True, env=environment)
    seconds, roles = sum(children()) - before, Counter(json.loads((folder / "n").read_text()))
    started = {f"{role} processes": float(roles[role]) for role in ("engine", "domain", "trust")}
    return {"stages of plugins": name, **started, "CPU s": seconds, "more": ""}
