"""A process that scores once more, told on standard input by which stage and where its inputs lie: `runs.audit` starts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """As a worker would, but on folders that belong to no store."""
    from w2s_bench.errors import W2SBenchError, said
    from w2s_bench.isolation.process_state import isolated, watch_for_torch
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.protocol.trust import run_score
    from w2s_bench.runs.watched import refuse
    from w2s_bench.store.stage import StageContext

    told = json.load(sys.stdin)
    watch_for_torch()
    if "refused" in told:
        refuse([Path(folder) for folder in told["refused"]], but=[Path(told["copies"])])
    inputs = {name: Path(folder) for name, folder in told["inputs"].items()}
    try:
        registry = Registry.load(only=told["distribution"])
        with isolated(told["key"]):
            run_score(StageContext(told["params"], inputs, Path(told["out"]), registry))
    except W2SBenchError as error:
        sys.exit(said(error))


if __name__ == "__main__":
    main()
