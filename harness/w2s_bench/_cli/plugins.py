"""`w2s-bench plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from w2s_bench._cli.output import console, print_json

if TYPE_CHECKING:
    from w2s_bench.plugins.registry import Registry

EPILOG = """
**Examples**

`w2s-bench plugins` — every installed plugin, and what it brings

`w2s-bench plugins --json | jq '.[] | select(.status == "broken")'` — those that did not load whole

Exit codes: 0 all is whole, 1 an entry point did not load whole, or a trust function cannot be built.
"""


def plugins(
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try plugins again that ended or hung the process when they were imported.")
    ] = False,
) -> None:
    """What each installed distribution brings, in which version; what failed to load, and why."""
    from w2s_bench._cli.errors import explained

    with explained():
        from w2s_bench._cli.waiting import told_waits
        from w2s_bench.plugins.registry import Registry

        if retry:
            from w2s_bench.plugins.memory import forget_fatal

            forget_fatal()
        with told_waits() as awaits:
            rows = plugin_rows(Registry.load(awaits=awaits))
        if json_output:
            print_json(rows)
        else:
            _print(rows)
        faulty = [row for row in rows if row["problem"] or any(entry["fault"] for entry in row["provides"])]
        raise typer.Exit(1 if faulty else 0)


def plugin_rows(registry: Registry) -> list[dict[str, Any]]:
    """An entry point a row, with a row of its own for all that it provides.

    `fault` of a trust function: why it cannot be built without parameters; empty where it can, and for other kinds, which are
    built when they are used.
    """
    from w2s_bench.plugins.hooks import words
    from w2s_bench.runs.functions import function_rows

    faults = {row.full_name: row.fault for row in function_rows(registry)}
    return [
        {
            "distribution": plugin.distribution,
            "version": plugin.version,
            "entry_point": plugin.entry_point,
            "status": plugin.status,
            "problem": plugin.problem.cause if plugin.problem else "",
            "left_out": plugin.why,
            "provides": [
                {
                    "kind": words(entry.entry_kind),
                    "name": entry.name,
                    "summary": entry.summary,
                    "fault": faults.get(entry.name, "") if entry.entry_kind == "trust_function" else "",
                }
                for entry in plugin.provides
            ],
        }
        for plugin in registry.plugins
    ]


def _print(rows: list[dict[str, Any]]) -> None:
    """A distribution a block. All text is a plugin's: no brackets in it mean anything, and it steers no terminal."""
    from rich.text import Text

    from w2s_bench.text import one_line

    screen = console()
    before = None
    for row in rows:
        if (of := f"{row['distribution']} {row['version']}") != before:
            screen.print(Text(one_line(of), style="bold"))
            before = of
        told = f"entry point {row['entry_point']}: {row['status']} {row['left_out']}"
        screen.print(Text(f"  {one_line(told)}"))
        if row["problem"]:
            screen.print(Text(f"    {one_line(row['problem'])}", style="red"))
        by_entry_kind: dict[str, list[str]] = {}
        for entry in row["provides"]:
            by_entry_kind.setdefault(entry["kind"], []).append(entry["name"])
        for entry_kind, names in by_entry_kind.items():
            screen.print(Text(f"    {entry_kind}: {one_line(', '.join(names))}"))
        for entry in row["provides"]:
            if entry["fault"]:
                screen.print(Text(f"    {one_line(entry['fault'])}", style="red"))
