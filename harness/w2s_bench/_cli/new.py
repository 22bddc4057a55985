"""`w2s-bench new`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.output import say
from w2s_bench.plugins.new import NEW

if TYPE_CHECKING:

    class What(StrEnum):
        """What a plugin can be begun with."""

    class Learns(StrEnum):
        """The tracks that a new trust function can belong to."""

        none = "none"
        trust_set = "trust_set"

else:  # members from a table are more than type checkers follow
    What = StrEnum("What", {what: what for what in NEW})
    Learns = StrEnum("Learns", {track: track for track in ("none", "trust_set")})

EPILOG = """
**Examples**

`w2s-bench new trust-function my-margin` — writes `./my-margin/`, with a function that the teacher's confidence makes

`w2s-bench new trust-function my-probe --learns trust_set` — one that is fitted on the trust set's gold

`w2s-bench new domain my-quiz --out ~/plugins` — items from a csv file, with a first suite

`w2s-bench new objective my-loss` — what students minimise, with a first suite

Then `pip install -e 'my-margin[test]'`, and change what is there.
"""


def new(
    what: Annotated[What, typer.Argument(help="What the plugin brings.", show_choices=True)],
    name: Annotated[
        str, typer.Argument(help="Of the distribution and its folder: letters, digits and hyphens.", metavar="NAME")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The folder to write the new one into.", metavar="DIR")
    ] = Path(),
    learns: Annotated[
        Learns | None,
        typer.Option("--learns", help="Of a trust function: what it learns from (default: none).", show_choices=True),
    ] = None,
) -> None:
    """Begin a plugin: a whole distribution, with tests and CI, that is installed and passes as it is written."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.errors import W2SBenchError
        from w2s_bench.plugins.new import write_new

        if learns is not None and NEW[what.value] != "trust_function":
            raise W2SBenchError(f"--learns is for a trust-function; a {what.value} learns nothing: leave it out")
        variant = "" if learns is None or learns.value == "none" else learns.value
        written = write_new(what.value, name, out.expanduser(), variant=variant)
        say(f"Wrote {written.folder}/: {', '.join(written.files)}")
        say(f"Next:\n  pip install -e '{written.folder}[test]'\n  pytest {written.folder}")
        if NEW[what.value] in ("domain", "objective"):
            say(f"  w2s-bench run {written.folder / 'suite.yaml'}")
        else:
            say(f"  w2s-bench try {written.name} --on knowledge\n  w2s-bench run tiny --trust {written.name}")
