"""What `mkdocs` asks while it builds the site: pages that are made of the code, and links that lead out of `docs/`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_API = {
    "w2s_bench": "What a plugin, or a script, imports. The contract of plugins as prose: [Write a plugin](plugins.md).",
    "w2s_bench.testing": "Checks for a plugin's own tests.",
    "w2s_bench.api": "What the command line does, from Python.",
}


def on_files(files: Files, config: Any) -> Files:
    """The command line's reference and the Python reference, as if they lay in `docs/`."""
    files.append(File.generated(config, "cli.md", content=command_line()))
    files.append(File.generated(config, "api.md", content=python_names()))
    return files


def on_config(config: Any) -> Any:
    """Pages that the navigation does not name stand at its end, so that a new one is not lost."""
    named = set(re.findall(r"[\w-]+\.md", json.dumps(config.nav)))
    others = sorted(path.name for path in Path(config.docs_dir).glob("*.md") if path.name not in named)
    if others:
        config.nav.append({"More": others})
    return config


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """A link to the repository's own files, which no site has, becomes its text; with `repo_url` it leads there."""
    to = f"{config.repo_url.rstrip('/')}/blob/main/" if config.repo_url else None
    return re.sub(
        r"(!?)\[([^\]]*)\]\(\.\./([^)]*)\)", lambda m: f"{m[1]}[{m[2]}]({to}{m[3]})" if to else m[2], markdown
    )


def command_line() -> str:
    """Every verb with its arguments, options and examples, as Typer tells them."""
    import typer
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from w2s_bench._cli.app import app

    command = get_command(app)
    told = get_docs_for_click(obj=command, ctx=typer.Context(command), name="w2s-bench")
    return told.replace("# `w2s-bench`", "# Command line", 1)


def python_names() -> str:
    """The public names of each public module, from their docstrings."""
    import importlib

    pages = ["# Python", ""]
    for module, about in _API.items():
        pages += [f"## `{module}`", "", about, ""]
        for name in importlib.import_module(module).__all__:
            pages += [f"::: {module}.{name}", ""]
    return "\n".join(pages)
