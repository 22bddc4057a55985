"""`w2s-bench plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from w2s_bench._cli.output import console, print_json

if TYPE_CHECKING:
    from w2s_bench.results.noise import Noise
    from w2s_bench.results.planning import Plan
    from w2s_bench.suite import Suite

EPILOG = """
**Examples**

`w2s-bench plan tiny --detect .05` — from stated assumptions

`w2s-bench plan leaderboards/tiny --detect .05` — from the noise that these results show
"""


def plan(
    suite: Annotated[
        str,
        typer.Argument(help="A suite, its file, or a results folder, whose noise is measured.", metavar="SUITE|DIR"),
    ],
    detect: Annotated[
        float,
        typer.Option("--detect", "-d", help="A difference of two arms' mean PGRs.", metavar="PGR", min=0.001, max=10),
    ] = 0.05,
    power: Annotated[
        float, typer.Option("--power", help="How often it shall be found.", metavar="SHARE", min=0.5, max=0.999)
    ] = 0.8,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """How many seeds and test items a suite needs to tell two trust functions apart."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.results import planning
        from w2s_bench.suite_files import built_in_suites, load_suite

        noise: Sequence[Noise]
        left_out: Mapping[str, str] = {}
        is_measured = suite not in built_in_suites() and Path(suite).is_dir()
        if is_measured:
            told = planning.measured(Path(suite))
            of, noise, left_out = told.suite, told.noise, told.left_out
        else:
            of = load_suite(suite)
            noise = planning.assumed(of)
        planned = planning.plan(of, noise, detect, power, measured=is_measured)
        if json_output:
            from dataclasses import asdict

            noises = [asdict(of_domain) for of_domain in noise]
            print_json(asdict(planned) | {"noise": noises, "left_out": dict(left_out)})
        else:
            _print(planned, of, [of_domain.domain for of_domain in noise], left_out)


def _print(planned: Plan, suite: Suite, domains: Sequence[str], left_out: Mapping[str, str]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results import planning
    from w2s_bench.results.pages.style import count, number, significant
    from w2s_bench.text import one_line

    screen = console()
    factors = list(dict.fromkeys(factor for _, factor, _ in planned.grid))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("seeds", justify="right")
    for factor in factors:
        table.add_column(f"test items × {factor:g}", justify="right")
    for seeds in dict.fromkeys(seeds for seeds, _, _ in planned.grid):
        cells = {factor: told for s, factor, told in planned.grid if s == seeds}
        styles = ["bold" if cells[factor] <= planned.detect else "" for factor in factors]
        figures = [Text(number(cells[f], 3), style=style) for f, style in zip(factors, styles, strict=True)]
        table.add_row(f"{seeds}", *figures)
    said = [
        f"{suite.name} {suite.version}: differences of mean PGR over {', '.join(domains)} that are found with "
        f"{100 * planned.power:g} % power, by one test at 5 %.",
        *(f"Left out: {name}, since {why}." for name, why in left_out.items()),
        "As it is (1 seed): nothing, since one seed does not show how much seeds differ."
        if planned.now is None
        else f"As it is ({count(suite.seeds, 'seed')}): {number(planned.now, 3)}.",
        f"For {planned.detect:g}: "
        + (
            f"{count(planned.seeds, 'seed')} with these test items, "
            if planned.seeds
            else "no number of seeds is enough with these test items, "
        )
        + (
            f"or {significant(planned.factor, 2)} times the test items with {count(suite.seeds, 'seed')}."
            if planned.factor
            else "and with one seed no number of test items tells that."
            if planned.now is None
            else f"and no number of test items with {count(suite.seeds, 'seed')}."
        ),
        "From the noise that the results show: means over arms, so an arm that is a lottery needs more, and most others less."
        if planned.measured
        else f"From assumptions: a gap of {planning.ASSUMED_GAP:g}; standard deviations of a paired difference of "
        f"{planning.ASSUMED_SEED:g} from seed to seed, {planning.ASSUMED_ITEM:g} from item to item, "
        f"{planning.ASSUMED_REST:g} within; every item its own cluster. Give a results folder to measure them.",
    ]
    screen.print(Text(one_line(said[0]), style="bold"))
    screen.print(table)
    for line in said[1:]:
        screen.print(Text(one_line(line)))
