"""`w2s-bench suite`: begin a suite, and look at it before hours are spent."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from w2s_bench._cli.options import Data, IncludePath, Store, Workers
from w2s_bench._cli.output import print_json, say
from w2s_bench.types import RecipeName

if TYPE_CHECKING:
    from w2s_bench.suite import Suite

    class Recipe(StrEnum):
        """How a model is trained."""

    class StudentRecipe(StrEnum):
        """The same of a student, which has to be trained."""

else:  # members from a list are more than type checkers follow
    Recipe = StrEnum("Recipe", {name: name for name in get_args(RecipeName)})
    StudentRecipe = StrEnum("StudentRecipe", {name: name for name in Recipe if name != "none"})

HELP = """Begin a suite with sizes that fit its domains, and look at one before hours are spent on it."""
EPILOG = """
**Examples**

`w2s-bench suite new mine --domain knowledge --teacher tiny/knowledge-s --student tiny/knowledge-l` — writes `mine.yaml`

`w2s-bench suite new mine --domain lm-eval/arc_easy --data DIR --teacher tiny/knowledge-s --student tiny/knowledge-l` — of an lm-eval
task with its files below `DIR`; or of the hub, with `--domain lm-eval/arc_easy:revision=COMMIT`

`w2s-bench suite new mine` — asks for the rest

`w2s-bench suite check mine.yaml` — do the splits fill, do the models load, what can it tell apart

`w2s-bench suite check mine.yaml --gap` — and is there a gap: teacher, base and ceiling on `dev`, two seeds

`w2s-bench suite check mine.yaml --budget` — and are its steps enough: ceiling and naive at half and twice the steps, on `dev`

`w2s-bench suite check w2s-results/mine/suite.yaml --budget --keep w2s-results/mine` — and show that on the board of its run

Exit codes: 0 done, 1 a domain cannot be run as the suite says, 2 a mistake in the call or the suite.
"""

app = typer.Typer(name="suite", help=HELP, epilog=EPILOG, no_args_is_help=True, rich_markup_mode="markdown")

_WHICH = "Domains, parted by commas (see `w2s-bench list domains`)"
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Of the suite and its results folder: a-z, 0-9, `.`, `_`, `-`.")],
    domain: Annotated[
        list[str] | None,
        typer.Option(
            "--domain",
            "-d",
            help="A domain, as NAME or NAME:key=value,… with its parameters; repeat for more.",
            metavar="D",
        ),
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
        StudentRecipe | None, typer.Option("--student-recipe", help="How students are trained (default: as above).")
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
        from w2s_bench.runs.refusals import unwritable

        path = out or Path(f"{name}.yaml")
        if path.exists() or path.is_symlink():
            raise SuiteError(f"{path} is there already; nothing was written. Give another --out FILE")
        if not path.absolute().parent.is_dir():
            raise SuiteError(
                f"there is no folder {path.parent} to write {path.name} into; make it, or give another --out"
            )
        if fault := unwritable(path.absolute().parent):
            raise SuiteError(f"{path.parent} takes no file {path.name}: {fault}; give another --out")
        # A comma before `key=` parts parameters.
        domains = domain or re.split(r",(?!\s*[A-Za-z_]\w*\s*=)", _asked("--domain", _WHICH))
        models = {
            "teacher": teacher or _asked("--teacher", "The weak model, the teacher (see `w2s-bench list models`)"),
            "student": student or _asked("--student", "The strong model, the student"),
        }
        recipes: dict[str, Recipe | StudentRecipe | None] = {"teacher": teacher_recipe, "student": student_recipe}
        where_from = _computing(f"suite {name}", store, workers, data, include_path, quiet=quiet)
        with _parameters_told(), where_from as where:
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
        say(f"Wrote {path}. {_next_step(path, suite, store, data, include_path or ())}")


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
        from w2s_bench._cli.suite_look import print_look
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
            print_look(look, loaded.coverage)
            if look.kept:
                say(f"Wrote {look.kept}. `w2s-bench leaderboard {keep}` shows it.")
        if keep is not None and not look.kept:
            say(f"note: nothing was kept in {keep}: a budget is kept of all domains or of none", error=True)
        raise typer.Exit(0 if look.ok else 1)


def _training(model: str, recipe: Recipe | StudentRecipe | None) -> dict[str, Any]:
    from w2s_bench.runs.drafting import TRAINED

    chosen = cast(RecipeName, recipe.value if recipe else "full" if model.startswith("tiny/") else "lora")
    return {"recipe": chosen, **TRAINED[chosen]}


def _next_step(path: Path, suite: Suite, store: str | None, data: Path | None, include: Sequence[Path]) -> str:
    """What to type next; a gap is looked for where every domain has `dev` items enough."""
    from w2s_bench.runs.on_dev import FEWEST_DEV

    given = [*(("--store", store) if store else ()), *(("--data", str(data)) if data else ())]
    given += [word for folder in include for word in ("--include-path", str(folder))]
    command = ["w2s-bench", "suite", "check", str(path)]
    if all(spec.sizes.dev >= FEWEST_DEV for spec in suite.domains):
        return f"Is there a gap to recover? {shlex.join([*command, '--gap', *given])}"
    return f"Do its models load? {shlex.join([*command, *given])} (--gap takes {FEWEST_DEV} dev items a domain)"


@contextmanager
def _parameters_told() -> Iterator[None]:
    """What is told of a suite's `parameters` is said as this command takes them."""
    from w2s_bench.errors import SuiteError, W2SBenchError

    try:
        yield
    except W2SBenchError as error:
        if "parameters: {" in str(error):
            raise SuiteError(f"{error}. Here: --domain 'NAME:key=value,…'") from error
        raise


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
