"""Names that several layers share: the harness's own, and how others' are shortened for people and for file systems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from w2s_bench.record import digest_of

#: The distribution whose names need no prefix.
BUILT_IN: Final = "w2s-bench"
#: Parent of results folders where the user names none.
RESULTS: Final = Path("w2s-results")
#: What a results folder shows to people.
README, PLOT, TIES, CHAINS = "README.md", "pgr.svg", "ties.svg", "chains.svg"
#: The file that makes a folder of a store a result.
MANIFEST: Final = "manifest.json"
#: Where models run: "cpu" (the default: the same bytes again) or any device torch knows. It is part of every key.
DEVICE_VARIABLE: Final = "W2S_BENCH_DEVICE"
#: Folder with the data files of lm-eval tasks. No part of any key: the digest of the documents is.
DATA_VARIABLE: Final = "W2S_BENCH_DATA"
#: Folders with YAML files of lm-eval tasks of the user's own, parted as those of PATH are; their code is run.
INCLUDE_VARIABLE: Final = "W2S_BENCH_INCLUDE_PATH"


def normalized(distribution: str) -> str:
    """A distribution's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def short(name: str) -> str:
    """A full name without the built-in distribution's prefix; others keep theirs, so two names never become one."""
    return name.removeprefix(f"{BUILT_IN}/")


def bare(name: str) -> str:
    """A full name without its distribution, whichever that is."""
    return name.partition("/")[2] or name


def selected(selection: str, name: str) -> str:
    """The name of a trust function's arm by a selection: its own for `top`, else as in `balanced:confidence`.

    No other name is one of these: before the colon of a full name stands a slash, and no name of an entry holds a colon.
    """
    return name if selection == "top" else f"{selection}:{short(name)}"


def file_name(name: str) -> str:
    """`distribution/name:parameters` as the name of one file or folder, the built-in distribution's prefix dropped.

    What a file name should not hold, or too many characters, cost readability: then a digest keeps two names apart.
    """
    head, colon, parameters = short(name).partition(":")
    plain = head.replace("/", ".", 1) + ("@" if colon else "") + parameters
    safe = re.sub(r"[^A-Za-z0-9._@=,+-]", "_", plain)[:120].lstrip(".")
    return safe if safe and safe == plain else f"{safe}~{digest_of(name)[:12]}"


def row_name(domain: str, arm: str, generation: int | None = None) -> str:
    """`DOMAIN/ARM`: one arm on one domain, as the command line and a path under `results/` have it.

    A generation of a chain is `DOMAIN/generation2@ARM`: no arm is called so, since `generation2` is none's first word.
    """
    step = "" if generation is None else f"generation{generation}@"
    return f"{file_name(domain)}/{step}{file_name(arm)}"
