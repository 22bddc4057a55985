"""The blocks of the documentation that list the harness's own arms: `python -m w2s_bench.arms_page docs` writes them anew.

A block stands between `<!-- NAME -->` and `<!-- end of NAME -->` in a page; the rest of the page is left as it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from w2s_bench.arm_facts import OwnArm
from w2s_bench.controls import MADE_OF_ARM, OWN_ARMS


def table() -> str:
    """A row of markdown for every reference and control of each run."""
    arms = [arm for arm in OWN_ARMS.values() if not arm.explains]
    rows = [f"| `{arm.name}` | {arm.role} | {_what(arm)} | `{arm.supervision}` |" for arm in arms]
    return "\n".join(["| arm | | what it trains on, or is | track |", "|---|---|---|---|", *rows])


def explaining() -> str:
    """A row of markdown for every control that explains others."""
    rows = [f"| `{arm.name}` | {arm.words} | `{arm.supervision}` |" for arm in OWN_ARMS.values() if arm.explains]
    for made in MADE_OF_ARM.values():
        track = f"`{made.supervision}`" if made.supervision else "the arm's"
        rows.append(f"| `{made.word}:ARM` | {made.words} | {track} |")
    return "\n".join(["| arm | what it trains on | track |", "|---|---|---|", *rows])


def reserved() -> str:
    """The names that no trust function may have, as a line of markdown."""
    names = ", ".join(f"`{name}`" for name in [*OWN_ARMS, *MADE_OF_ARM])
    return f"Reserved for the harness's own arms: {names}."


def _what(arm: OwnArm) -> str:
    return f"nothing: {arm.words}" if arm.role == "reference" and not arm.rows else arm.words


#: Page → name of a block → what stands in it.
BLOCKS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = MappingProxyType(
    {"protocol.md": {"arms": table, "arms that explain": explaining}, "plugins.md": {"reserved arms": reserved}}
)


def current(page: str, text: str) -> str:
    """The text of a page with its blocks as the table of arms has them now."""
    for name, made in BLOCKS[page].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        parts = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", text, flags=re.DOTALL)
        if len(parts) != 2:
            raise ValueError(
                f"{page} has {len(parts) - 1} blocks {name!r}; one is expected, from {begin.strip()} to {end}"
            )
        text = f"{begin}{made()}\n{end}".join(parts)
    return text


if __name__ == "__main__":
    for page in BLOCKS:
        path = Path(sys.argv[1]) / page
        path.write_text(current(page, path.read_text(encoding="utf-8")), encoding="utf-8")
