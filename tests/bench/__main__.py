"""Benchmarks: `python tests/bench` measures everything, `python tests/bench scoring store` a part, `--help` says more.

`--compare --jobs 16` is the engine against its peers in eight minutes. Every figure is a ratio of two things measured in turn
in one run, so that it holds where absolute times do not. A module
here with `TITLE`, `TARGET` and `run(quick)` is a benchmark; each runs in a process of its own, on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

HERE = Path(__file__).parent
START, END = "<!-- results: written by tests/bench -->", "<!-- end of results -->"
PLAIN = ("finetuning", "generation", "precision", "scoring")  # what computes in the benchmark's own process
#: What `--compare` measures: benchmark → sizes, each in a process of its own.
COMPARED = {
    "scoring": ("1M", "5M", "11M"),
    "finetuning": ("1M", "5M", "26M"),
    "generation": ("math", "1M", "5M", "11M", "26M"),
    "precision": ("1M", "5M", "26M"),
}
#: Flags of processors that decide how fast products are.
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def names() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.py") if "\nTARGET = " in path.read_text(encoding="utf-8"))


def measured(name: str, options: list[str]) -> str:
    """One benchmark as a section of markdown, measured in a process of its own."""
    command = [sys.executable, str(HERE), "--one", name, *options]
    quiet = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = {**os.environ, **ONE_THREAD, **quiet}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"benchmark {name} failed with exit code {done.returncode}; its messages stand above")
    return done.stdout.rpartition("\n\f")[2].strip()


def section(name: str, options: list[str]) -> str:
    from tabulate import tabulate

    module = importlib.import_module(name)
    lacking = [package for package in getattr(module, "NEEDS", ()) if importlib.util.find_spec(package) is None]
    if lacking:
        return f"### {module.TITLE}\n\nNot measured: {', '.join(lacking)} is not installed."
    quick = "--quick" in options
    size = options[options.index("--size") + 1] if "--size" in options else None
    if "--plain" in options:
        if name not in PLAIN:
            raise SystemExit(f"--plain is for {', '.join(PLAIN)}: the others run in processes of their own, not {name}")
        from w2s_bench.models import onednn as products

        products.pays = lambda: False
    begun = time.perf_counter()
    rows = module.compare(quick, size) if size else module.run(quick)
    table = tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3g")
    if size:
        return f"### {name} {size} ({time.perf_counter() - begun:.0f} s)\n\n{table}"
    again = f"`{' '.join(['python tests/bench', name, *options])}` ({time.perf_counter() - begun:.0f} s)"
    return f"### {module.TITLE}\n\n{module.TARGET}\n\n{table}\n\nAgain: {again}. Measured on {machine()}"


def machine() -> str:
    """What the figures were measured on, without the machine's name."""
    from importlib import metadata

    facts = dict(line.replace("\t", "").split(":", 1) for line in _cpu_facts() if ":" in line)
    flags = [flag for flag in FLAGS if flag in facts.get("flags", "").split()]
    numbers = ", ".join(
        f"{name.removeprefix('cpu ')} {facts[name].strip()}" for name in ("cpu family", "model") if name in facts
    )
    named = f"{facts.get('model name', 'unknown').strip()} {numbers}; {' '.join(flags) or 'none of its flags known'}"
    found = []
    for package in ("torch", "transformers", "lm_eval", "accelerate", "trl", "ctranslate2", "w2s-bench"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return f"{os.cpu_count()} processors ({named}), one thread per process; {', '.join(found)}."


def compare(options: list[str], jobs: int) -> None:
    """The engine against its peers in brief, so many processes at a time; tables as they come."""
    print(f"Measured on {machine()}\n", flush=True)
    parts = [(name, size) for name, sizes in COMPARED.items() for size in reversed(sizes)]
    with ThreadPoolExecutor(jobs) as pool:
        for done in as_completed(pool.submit(measured, name, [*options, "--size", size]) for name, size in parts):
            print(done.result(), end="\n\n", flush=True)


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
    body = "\n\n".join(kept[name] for name in names() if name in kept)
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
    parser.add_argument(
        "--compare", action="store_true", help=f"the engine against its peers in brief: {', '.join(COMPARED)}"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes at a time, for --compare (default: 1)"
    )
    parser.add_argument("--size", help=argparse.SUPPRESS)
    parser.add_argument("--one", metavar="NAME", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    options = [option for option in ("--quick", "--plain") if getattr(arguments, option[2:])]
    if arguments.one:
        options += ["--size", arguments.size] if arguments.size else []
        print("\n\f" + section(arguments.one, options))
        return
    if arguments.compare:
        if arguments.names or arguments.write:
            parser.error("--compare takes neither names nor --write: it measures its own selection and prints it")
        compare(options, arguments.jobs)
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
