"""`w2s-bench-qwen-coder`: which models there are, and fetching them before a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from w2s_bench import ModelError
from w2s_bench_qwen_coder.published import FOLDER_VARIABLE, MODELS, Published, PublishedModel, models_folder

_HELP = f"""
Files lie in {FOLDER_VARIABLE} if that is set, else in the user's cache folder; each is checked by its SHA-256, wherever it came
from. They are unpacked once, into W2S_BENCH_GGUF_CACHE: 1.3 and 3.6 GB in bfloat16.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done; 1: a model could not be had; 2: a mistake in the call."""
    parser = argparse.ArgumentParser(
        prog="w2s-bench-qwen-coder",
        description="Qwen2.5-Coder-Instruct 0.5B and 1.5B (Q4_K_M, Apache-2.0), for w2s-bench.",
        epilog=_HELP,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the models, their files and where they are looked for")
    fetch = commands.add_parser("fetch", help="fetch files from the hub that are not there, and unpack them")
    fetch.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MODELS)}; both if none is given")
    given = parser.parse_args(arguments)
    if given.command == "list":
        print(f"files lie in {models_folder()}")
        for published in MODELS.values():
            here = "here" if (models_folder() / published.file).is_file() else "not here"
            print(f"{published.name}\t{published.size / 1e6:.0f} MB\t{published.repository}/{published.file}\t{here}")
        return 0
    if unknown := [name for name in given.names if name not in MODELS]:
        parser.error(f"there is no model {unknown[0]!r}; give {', '.join(MODELS)}")
    try:
        for name in given.names or MODELS:
            fetched(MODELS[name])
            print(f"{name} lies in {PublishedModel(MODELS[name]).in_its_file().unpacked().path}")
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def fetched(published: Published) -> None:
    """Get a file from the hub, if it is not there; whether it is the right one is seen where it is read."""
    from huggingface_hub import hf_hub_download

    folder = models_folder()
    if (folder / published.file).is_file():
        return
    print(f"{published.repository}: {published.file}, {published.size / 1e6:.0f} MB, licensed under Apache-2.0")
    try:
        hf_hub_download(published.repository, published.file, local_dir=folder)
    except (
        Exception
    ) as error:  # the hub's, the network's and the disk's errors are of many kinds; all mean the same here
        raise ModelError(
            f"{published.file} could not be fetched from {published.repository}: {error}; fetch it elsewhere and put it into {folder}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
