"""`w2s-bench list`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from w2s_bench._cli.output import console, print_json, say
from w2s_bench.plugins.hooks import HOOKS
from w2s_bench.resolvers import resolvers_for
from w2s_bench.text import one_line

if TYPE_CHECKING:

    class Topic(StrEnum):
        """Suites, plugins, or one kind of what plugins bring."""

else:  # members from a table are more than type checkers follow
    Topic = StrEnum(
        "Topic",
        {topic: topic for topic in (*(hook.topic for hook in HOOKS.values()), "suites", "plugins")},
    )


def list_(
    topic: Annotated[
        Topic | None, typer.Argument(help="What to list (default: everything).", show_choices=True)
    ] = None,
    pattern: Annotated[
        str | None, typer.Argument(help="With --lm-eval: tasks whose name this fits, such as `arc*` (default: all).")
    ] = None,
    lm_eval: Annotated[
        bool, typer.Option("--lm-eval", help="With `domains`: which lm-eval tasks can be used; of the others, why not.")
    ] = False,
    include_path: Annotated[
        list[Path] | None,
        typer.Option(
            "--include-path", help="With --lm-eval: a folder with YAML files of tasks; repeat for more.", metavar="DIR"
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try plugins again that ended or hung the process when they were imported.")
    ] = False,
) -> None:
    """What is installed: suites, domains, trust functions, models, objectives, and the plugins they come from."""
    from w2s_bench._cli.errors import explained

    with explained():
        if lm_eval or pattern is not None or include_path:
            _list_tasks(topic, pattern or "*", include_path or [], asked=lm_eval, as_json=json_output)
            raise typer.Exit
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.plugins.registry import Registry

        if retry:
            from w2s_bench.plugins.memory import forget_fatal

            forget_fatal()
        with told_waits() as awaits:
            registry = Registry.load(awaits=awaits)
            tables = {t.value: _rows(t.value, registry) for t in ([topic] if topic else Topic)}
        if json_output:
            print_json(tables if topic is None else tables[topic.value])
        else:
            _print(tables)
        for problem in registry.problems:
            say(f"plugin problem: {problem}", error=True)


def _list_tasks(topic: Topic | None, pattern: str, include: list[Path], *, asked: bool, as_json: bool) -> None:
    """The table of `list domains --lm-eval`: what each task makes, or why it makes no domain."""
    from w2s_bench._cli.preflight import use_tasks
    from w2s_bench.domains.usable import tasks_like
    from w2s_bench.errors import W2SBenchError

    if not asked or topic is None or topic.value != "domains":
        raise W2SBenchError(
            "a pattern and --include-path go with lm-eval's tasks; write: list domains --lm-eval 'PATTERN'"
        )
    use_tasks(None, include)
    tasks = tasks_like(pattern)
    if not tasks:
        raise W2SBenchError(f"no lm-eval task fits {pattern!r}; `*` stands for any text, as in '*arc*'")
    rows = [
        {
            "name": task.name,
            "version": task.version if task.keys else "",
            "becomes": "no domain" if task.fault else task.kind,
            "data": task.dataset if task.keys else "",
            "remark": task.fault or task.remark,
        }
        for task in tasks
    ]
    if as_json:
        print_json(rows)
    else:
        _print({"lm-eval tasks": rows})


def _rows(topic: str, registry: Any) -> list[dict[str, str]]:
    if topic == "suites":
        from w2s_bench.names import short
        from w2s_bench.suite_files import built_in_suites, load_suite

        suites = [load_suite(name) for name in built_in_suites()]
        return [
            {
                "name": s.name,
                "version": s.version,
                "domains": ", ".join(short(d.name) for d in s.domains),
                "summary": s.description,
            }
            for s in suites
        ]
    if topic == "plugins":
        return [
            {
                "name": plugin.distribution,
                "version": plugin.version,
                "entry point": plugin.entry_point,
                "status": plugin.status,
                "provides": ", ".join(registered.name for registered in plugin.provides),
            }
            for plugin in registry.plugins
        ]
    if topic == "trust":
        from w2s_bench.runs.functions import function_rows

        return [row.shown() for row in function_rows(registry)]
    if topic == "objectives":
        from w2s_bench.runs.objectives_page import objective_rows

        return objective_rows(registry)
    (entry_kind,) = (entry_kind for entry_kind, hook in HOOKS.items() if hook.topic == topic)
    entries = registry.table(entry_kind).values()
    rows = [{"name": r.name, "from": f"{r.distribution} {r.version}", "summary": r.summary} for r in entries]
    if topic == "readings":  # no plugin registers the harness's own readings
        from w2s_bench.names import BUILT_IN
        from w2s_bench.plugins.installation import running_version
        from w2s_bench.protocol.evidence.readings import built_in_readings

        origin = f"{BUILT_IN} {running_version()}"
        own = built_in_readings().items()
        rows = [*({"name": name, "from": origin, "summary": reading.says} for name, reading in own), *rows]
    return [*rows, *({"name": r.written, "from": r.place, "summary": r.summary} for r in resolvers_for(entry_kind))]


def _parts(topic: str, rows: list[dict[str, str]]) -> list[tuple[str, list[dict[str, str]]]]:
    """Trust functions by family and track, which then stand in the title; other tables are whole."""
    if topic != "trust" or not rows:
        return [(topic, rows)]
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        shown = {key: value for key, value in row.items() if key not in ("family", "track")}
        groups.setdefault(f"trust · {row['family']} · track {row['track']}", []).append(shown)
    return [*groups.items()]


def _print(tables: dict[str, list[dict[str, str]]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen = console()
    for name, rows in (part for topic, whole in tables.items() for part in _parts(topic, whole)):
        table = Table(title=name, title_style="bold", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in rows[0] if rows else ("none installed",):
            table.add_column(
                column, overflow="fold", style="cyan" if column == "name" else None, no_wrap=column == "name"
            )
        for row in rows:
            table.add_row(
                *(Text(one_line(value)) for value in row.values())
            )  # plugins' text: no brackets in it mean anything
        screen.print(table)
