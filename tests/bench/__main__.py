"""Benchmarks: `python tests/bench` measures everything, `python tests/bench scoring store` a part, `--help` says more.

Every figure is a ratio of two things measured in turn in one run, so that it holds where absolute times do not. A module
here with `TITLE`, `TARGET` and `run(quick)` is a benchmark; each runs in a process of its own, on one thread.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
START, END = "<!-- results: written by tests/bench -->", "<!-- end of results -->"
PLAIN = ("finetuning", "generation", "scoring")  # what computes in the benchmark's own process
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if "\nTARGET = " in path.read_text(encoding="utf-8"))


def measured(name: str, options: list[str]) -> str:
    """One benchmark as a section of markdown, measured in a process of its own."""
    command = [sys.executable, str(HERE), "--one", name, *options]
    environment = {**os.environ, **ONE_THREAD, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmark {name} failed with exit code {done.returncode}; its messages stand above")
    return done.stdout.rpartition("\n\f")[2].strip()


def section(name: str, options: list[str]) -> str:
    from tabulate import tabulate

    module = importlib.import_module(name)
    quick = "--quick" in options
    if "--plain" in options:
        if name not in PLAIN:
            raise SystemExit(f"--plain is for {', '.join(PLAIN)}: the others run in processes of their own, not {name}")
        from w2s_bench.models import products

        products.pays = lambda: False
    begun = time.perf_counter()
    table = tabulate(module.run(quick), headers="keys", tablefmt="github", floatfmt=".3g")
    again = f"`{' '.join(['python tests/bench', name, *options])}` ({time.perf_counter() - begun:.0f} s)"
    return f"### {module.TITLE}\n\n{module.TARGET}\n\n{table}\n\nAgain: {again}"


def machine() -> str:
    """What the figures were measured on, without the machine's name."""
    from importlib import metadata

    model = next((line.partition(":")[2].strip() for line in _cpu_facts() if line.startswith("model name")), "unknown")
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("torch", "transformers", "lm_eval", "w2s-bench"))
    return f"{os.cpu_count()} processors ({model}), one thread a process; {versions}."


def _cpu_facts() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def write_into(page: Path, sections: dict[str, str]) -> None:
    """Replace the page's measured sections by those just measured; the others stay as they are."""
    text = page.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    old, end, after = rest.partition(END)
    if not start or not end:
        raise SystemExit(f"{page} has no lines {START!r} and {END!r} between which results go")
    kept: dict[str, str] = {}
    for block in old.split("\n### ")[1:]:
        name = block.partition("python tests/bench ")[2].partition("`")[0].split(" ")[0]
        kept[name] = "### " + block.strip()
    kept |= sections
    body = "\n\n".join([f"Measured on {machine()}", *(kept[name] for name in names() if name in kept)])
    page.write_text(f"{before}{START}\n\n{body}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure (default: all): {', '.join(names())}"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and few rounds: does it run, not what it says"
    )
    parser.add_argument(
        "--plain", action="store_true", help=f"without oneDNN, as on processors not by AMD: {', '.join(PLAIN)}"
    )
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the sections into this page, docs/performance.md"
    )
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    options = [option for option in ("--quick", "--plain") if getattr(arguments, option[2:])]
    if arguments.one:
        print("\n\f" + section(arguments.one, options))
        return
    if unknown := set(arguments.names) - set(names()):
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if arguments.plain and arguments.write:
        parser.error("--plain is not what the page shows; leave out --write")
    sections: dict[str, str] = {}
    for name in arguments.names or names():
        sections[name] = measured(name, options)
        print(sections[name], end="\n\n", flush=True)
    if arguments.write:
        write_into(arguments.write, sections)


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    main()
