"""Names that several layers share: the harness's own, and how others' are shortened for people and for file systems."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from w2s_bench.record import digest_of

#: The distribution whose names need no prefix.
BUILT_IN: Final = "w2s-bench"
#: What a run says of itself while it goes on, in its results folder.
PROGRESS: Final = ".progress.json"
#: Parent of results folders where the user names none.
RESULTS: Final = Path("w2s-results")
#: What a results folder shows to people.
README, PLOT, TIES, CHAINS = "README.md", "pgr.svg", "ties.svg", "chains.svg"
#: Figure of cells → the plot of PGR against it.
AGAINST: Final[Mapping[str, str]] = MappingProxyType(
    {"purity": "pgr-purity.svg", "auroc": "pgr-auroc.svg", "cost": "pgr-cost.svg"}
)
#: What it shows besides where somebody has computed rows again.
BADGE: Final = "verified.svg"
#: All of these.
PAGES: Final = (README, PLOT, TIES, CHAINS, *AGAINST.values(), BADGE)
#: The plot beside the page over a folder of boards.
ACROSS: Final = "trust-functions.svg"
#: Its folder with a page a domain, where there are too many for one page.
DOMAINS: Final = "domains"
#: The file that makes a folder of a store a result.
MANIFEST: Final = "manifest.json"
#: Its folder with the same suite at other coverages and gold budgets: a results folder a point, and a page about all of them.
CURVES: Final = "curves"
#: Its file with what other numbers of steps do to its students, on `dev` items.
BUDGET: Final = "budget.json"
#: Where models run: "cpu" (the default: the same bytes again) or any device torch knows. It is part of every key.
DEVICE_VARIABLE: Final = "W2S_BENCH_DEVICE"
#: What answers and reads labels: the harness's own engine (the default), or "vllm" where the device is a GPU. It is part of the
#: keys of what vLLM made, and of no others.
ENGINE_VARIABLE: Final = "W2S_BENCH_ENGINE"
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


def of_arm(word: str, arm: str) -> str:
    """The name of an arm that is made of another: `gold_kept:confidence`, `balanced:acme/margin:layer=2`.

    `word` says what is made of it. A word with parameters, `name:key=value`, has them in brackets: `name(key=value):confidence`.
    """
    name, colon, parameters = short(word).partition(":")
    made = f"{name}({parameters}):{short(arm)}" if colon else f"{name}:{short(arm)}"
    if parted(made) != (short(word), short(arm)):
        raise ValueError(f"{word!r} and {arm!r} make the name {made!r}, which does not come apart again")
    return made


def parted(name: str) -> tuple[str, str] | None:
    """Word and arm of a name that `of_arm` gave, without the built-in distribution's prefix; None for any other name.

    A trust function's parameters are no arm: behind their colon stands `key=`.
    """
    match = _OF_ARM.fullmatch(name)
    if match is None:
        return None
    word = match["word"] if match["parameters"] is None else f"{match['word']}:{match['parameters']}"
    return word, match["arm"]


#: Outside of JSON's quotes no bracket stands in parameters as `plugins.spec.write_spec` writes them.
_OF_ARM: Final = re.compile(
    r"""(?P<word>[^:=()"]+)(?:\((?P<parameters>(?:[^"()]|"(?:[^"\\]|\\.)*")+)\))?:(?!\s*[A-Za-z_]\w*\s*=)(?P<arm>.+)""",
    re.DOTALL,
)


def selected(selection: str, name: str) -> str:
    """The name of a trust function's arm by a selection: its own for `top`, else as in `balanced:confidence`."""
    return name if selection == "top" else of_arm(selection, name)


def file_name(name: str) -> str:
    """`distribution/name:parameters` as the name of one file or folder, the built-in distribution's prefix dropped.

    The name of an arm made of another is that of its word, an `@` and that of the other arm. What a file name should not hold,
    or too many characters, cost readability: then a digest keeps two names apart.
    """
    made = parted(name) if len(name) <= _LONGEST else None
    if made is not None and len(joined := "@".join(map(file_name, made))) <= _LONGEST:
        return joined
    head, colon, parameters = short(name).partition(":")
    plain = head.replace("/", ".", 1) + ("@" if colon else "") + parameters
    safe = re.sub(r"[^A-Za-z0-9._@=,+-]", "_", plain)[:120].lstrip(".")
    return safe if safe and safe == plain else f"{safe}~{digest_of(name)[:12]}"


#: Characters of a file name that others make up. File systems allow 255 bytes, and a suffix follows.
_LONGEST: Final = 200


def row_name(domain: str, arm: str, generation: int | None = None) -> str:
    """`DOMAIN/ARM`: one arm on one domain, as the command line and a path under `results/` have it.

    A generation of a chain is `DOMAIN/generation2@ARM`: no arm is called so, since `generation2` is none's first word.
    """
    step = "" if generation is None else f"generation{generation}@"
    return f"{file_name(domain)}/{step}{file_name(arm)}"
