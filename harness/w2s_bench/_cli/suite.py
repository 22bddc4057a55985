"""`w2s-bench suite`: begin a suite, and look at it before hours are spent."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from w2s_bench._cli.options import Data, IncludePath, Store, Workers
from w2s_bench._cli.output import console, print_json, say
from w2s_bench.controls import BASE, CEILING, WEAK
from w2s_bench.types import RecipeName

if TYPE_CHECKING:
    from w2s_bench.runs.drafting import SuiteLook

    class Recipe(StrEnum):
        """How a model is trained."""

else:  # members from a list are more than type checkers follow
    Recipe = StrEnum("Recipe", {name: name for name in get_args(RecipeName)})

HELP = """Begin a suite with sizes that fit its domains, and look at one before hours are spent on it."""
EPILOG = """
**Examples**

`w2s-bench suite new mine --domain lm-eval/arc_easy --teacher tiny/knowledge-s --student tiny/knowledge-l` — writes `mine.yaml`

`w2s-bench suite new mine` — asks for the rest

`w2s-bench suite check mine.yaml` — do the splits fill, do the models load, what can it tell apart

`w2s-bench suite check mine.yaml --gap` — and is there a gap: teacher, base and ceiling on `dev`, two seeds

`w2s-bench suite check mine.yaml --budget` — and are its steps enough: ceiling and naive at half and twice the steps, on `dev`

`w2s-bench suite check w2s-results/mine/suite.yaml --budget --keep w2s-results/mine` — and show that on the board of its run

Exit codes: 0 done, 1 a domain cannot be run as the suite says, 2 a mistake in the call or the suite.
"""

app = typer.Typer(name="suite", help=HELP, epilog=EPILOG, no_args_is_help=True, rich_markup_mode="markdown")

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Of the suite and its results folder: a-z, 0-9, `.`, `_`, `-`.")],
    domain: Annotated[
        list[str] | None, typer.Option("--domain", "-d", help="A domain; repeat for more.", metavar="D")
    ] = None,
    teacher: Annotated[str | None, typer.Option("--teacher", help="The weak model.", metavar="MODEL")] = None,
    student: Annotated[str | None, typer.Option("--student", help="The strong model.", metavar="MODEL")] = None,
    teacher_recipe: Annotated[
        Recipe | None,
        typer.Option(
            "--teacher-recipe", help="How the teacher is trained (default: full for tiny/ models, else lora)."
        ),
    ] = None,
    student_recipe: Annotated[
        Recipe | None, typer.Option("--student-recipe", help="How students are trained (default: as above).")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="How many seeds.", metavar="N", min=1, max=1000)] = 3,
    coverage: Annotated[
        float, typer.Option("--coverage", help="Share of the pool that is kept.", metavar="SHARE", min=0.001, max=0.999)
    ] = 0.5,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file to write (default: NAME.yaml).", metavar="FILE")
    ] = None,
    store: Store = None,
    workers: Workers = None,
    data: Data = None,
    include_path: IncludePath = None,
    quiet: Quiet = False,
) -> None:
    """Write a suite of domains and two models, with splits as large as the domains' items let them be."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.errors import SuiteError
        from w2s_bench.record import write_atomically
        from w2s_bench.runs.drafting import draft

        path = out or Path(f"{name}.yaml")
        if path.exists() or path.is_symlink():
            raise SuiteError(f"{path} is there already; nothing was written. Give another --out FILE")
        if not path.absolute().parent.is_dir():
            raise SuiteError(
                f"there is no folder {path.parent} to write {path.name} into; make it, or give another --out"
            )
        domains = domain or _asked("--domain", "Domains, parted by commas (see `w2s-bench list domains`)").split(",")
        models = {
            "teacher": teacher or _asked("--teacher", "The weak model, the teacher (see `w2s-bench list models`)"),
            "student": student or _asked("--student", "The strong model, the student"),
        }
        recipes = {"teacher": teacher_recipe, "student": student_recipe}
        with _computing(f"suite {name}", store, workers, data, include_path, quiet=quiet) as where:
            suite = draft(
                name,
                [domain_name.strip() for domain_name in domains if domain_name.strip()],
                *({"model": model, **_training(model, recipes[role])} for role, model in models.items()),
                seeds=seeds,
                coverage=coverage,
                **where,
            )
        write_atomically(path, suite.with_folders_from(Path.cwd(), path.absolute().parent).to_yaml())
        for spec in suite.domains:
            sizes = ", ".join(f"{split} {size}" for split, size in spec.sizes.model_dump().items())
            say(f"{spec.name}: {sizes}")
        say(f"Wrote {path}. Is there a gap to recover? w2s-bench suite check {path} --gap")


@app.command("check")
def check(
    suite: Annotated[str, typer.Argument(help="A suite's name, or the path of a suite file.", metavar="SUITE")],
    gap: Annotated[
        bool, typer.Option("--gap", help="Train teacher and ceiling on two seeds, and compare them on `dev`.")
    ] = False,
    budget: Annotated[
        bool,
        typer.Option(
            "--budget",
            help="Train ceiling and naive at half, once and twice the steps on two seeds, and compare them on `dev`.",
        ),
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            help="With --budget: write what was found to DIR/budget.json, of the results folder of a run of this suite; "
            "`w2s-bench leaderboard DIR` shows it as a table, and `check` holds it to the suite.",
            metavar="DIR",
        ),
    ] = None,
    store: Store = None,
    workers: Workers = None,
    data: Data = None,
    include_path: IncludePath = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
    quiet: Quiet = False,
) -> None:
    """Do the splits fill, do the models load, what can it tell apart; with --gap, is there a gap to recover, and with
    --budget, do more steps change the ceiling."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench.errors import SuiteError
        from w2s_bench.runs.drafting import look_at_suite
        from w2s_bench.suite_files import load_suite

        if keep is not None and not budget:
            raise SuiteError("--keep is for what --budget finds; add --budget, or leave it out")
        loaded = load_suite(suite)
        title = f"check {loaded.name}"
        with _computing(title, store, workers, data, include_path, quiet=quiet, as_json=json_output) as where:
            look = look_at_suite(loaded, gap=gap, budget=budget, keep=keep, **where)
        if json_output:
            from dataclasses import asdict

            print_json(asdict(look))
        else:
            _print(look, loaded.coverage)
            if look.kept:
                say(f"Wrote {look.kept}. `w2s-bench leaderboard {keep}` shows it.")
        if keep is not None and not look.kept:
            say(f"note: nothing was kept in {keep}: a budget is kept of all domains or of none", error=True)
        raise typer.Exit(0 if look.ok else 1)


def _training(model: str, recipe: Recipe | None) -> dict[str, Any]:
    from w2s_bench.runs.drafting import TRAINED

    chosen = cast(RecipeName, recipe.value if recipe else "full" if model.startswith("tiny/") else "lora")
    return {"recipe": chosen, **TRAINED[chosen]}


def _asked(option: str, question: str) -> str:
    """What somebody at a terminal answers; where nobody is there, the option is missing."""
    from w2s_bench.errors import SuiteError

    if not sys.stdin.isatty():
        raise SuiteError(f"{option} is missing, and there is no terminal to ask at; give it")
    return str(typer.prompt(question))


@contextmanager
def _computing(
    title: str,
    store: str | None,
    workers: int | None,
    data: Path | None,
    include: list[Path] | None,
    *,
    quiet: bool,
    as_json: bool = False,
) -> Iterator[dict[str, Any]]:
    """Where stages run, are kept and told of, as the calls below take it."""
    from w2s_bench._cli.preflight import use_tasks
    from w2s_bench._cli.progress import shown_progress
    from w2s_bench.runs.execute import local_executor
    from w2s_bench.store import default_location, open_store

    use_tasks(data, include or ())
    opened = open_store(store or default_location())
    with shown_progress(title, quiet=quiet, as_json=as_json) as events:
        yield {"store": opened, "executor": local_executor(workers), "events": events}


def _print(look: SuiteLook, coverage: float) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results.pages.style import number
    from w2s_bench.text import one_line

    with_gap = any(domain.gap for domain in look.domains)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in (
        "domain",
        "items",
        "in splits",
        *((WEAK, BASE, CEILING, "gap", "labels right") if with_gap else ()),
    ):
        table.add_column(head, justify="left" if head == "domain" else "right", overflow="fold")
    for domain in look.domains:
        figures = ["?" if domain.items is None else str(domain.items), str(domain.asked)]
        if with_gap:
            g = domain.gap
            told = (g.weak, g.base, g.ceiling, g.ceiling - g.weak, g.labels) if g else (None,) * 5
            figures += [number(figure, 3) for figure in told]
        table.add_row(Text(one_line(domain.domain)), *figures)
    console().print(table)
    if any(domain.budget for domain in look.domains):
        _print_budgets(look)
    for domain in look.domains:
        if domain.fault:
            say(f"cannot be run: {domain.domain}: {domain.fault}", error=True)
        elif domain.gap and domain.gap.ceiling <= domain.gap.weak:
            say(f"{domain.domain}: no gap on dev: a weaker teacher, a stronger student, or more steps of the student")
        if domain.gap and coverage > domain.gap.labels:
            say(
                f"{domain.domain}: {100 * domain.gap.labels:.0f} % of the weak labels are right, and the coverage is {coverage:g}: "
                "even perfect trust must keep wrong ones"
            )
    for remark in look.remarks:
        say(f"note: {remark}")
    say(
        "With one seed nothing shows how much seeds differ, and so no difference of arms: ask for three at least (w2s-bench plan)."
        if look.detectable is None
        else f"With {look.seeds} seeds, differences of mean PGR from {look.detectable:.2f} are found with 80 % power, from stated "
        "assumptions (w2s-bench plan)."
    )


def _print_budgets(look: SuiteLook) -> None:
    """The curve over steps as a table, and of each ceiling whether the suite's steps are enough."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from w2s_bench.results.budgets import FLAT
    from w2s_bench.results.pages.budget_section import gained
    from w2s_bench.results.pages.style import NONE, number
    from w2s_bench.text import one_line

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, head in enumerate(("domain", "arm", "×", "steps", "accuracy", "at twice", "with twice")):
        table.add_column(head, justify="left" if column in (0, 1, 6) else "right", overflow="fold")
    told = []
    for domain in look.domains:
        for arm in domain.budget:
            figures = (
                f"{arm.factor:g}",
                f"{arm.steps}",
                number(arm.accuracy, 3),
                gained(arm.more, arm.within),
                arm.verdict or NONE,
            )
            table.add_row(Text(one_line(domain.domain)), arm.arm, *figures)
            if arm.arm == CEILING and arm.factor == 1 and arm.more is not None:
                enough = "the steps are enough" if arm.verdict == "flat" else "the steps are not where it is flat"
                told.append(
                    f"{domain.domain}: {number(abs(arm.more), 3)} {'more' if arm.more >= 0 else 'less'} at {2 * arm.steps} steps than at "
                    f"{arm.steps}: the ceiling {'is flat' if arm.verdict == 'flat' else arm.verdict}, {enough}"
                )
    console().print(table)
    say(
        f"Mean accuracy on dev, two seeds; ±: 95 % over clusters of dev items, these seeds given. Flat: within {FLAT:g}."
    )
    for line in told:
        say(line)
