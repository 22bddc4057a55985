"""What pages in markdown are made of: inert text from outside, tables, and parts that unfold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from w2s_bench.results.pages.column import Column, Subject
from w2s_bench.text import one_line

#: A word with what cmark-gfm's autolinks and GitHub's mentions begin at; what ends a code span or a table's cell ends it.
_LINKED = re.compile(r"(?<![^\s|`])([^\s|`]*(?:@|://|www\.)[^\s|`]*)", re.IGNORECASE)


def escape(text: str) -> str:
    """Text from outside as inert inline markdown: one line, no markup, no HTML, no table bars, no mentions or links.

    It is shown as it is. A word that would become a link or a mention stands in a code span, which is read for neither
    (an entity or a backslash is no help: links are looked for in what these have become).
    """
    return "".join(f"`{part}`" if at % 2 else _escaped(part) for at, part in enumerate(_LINKED.split(one_line(text))))


def _escaped(text: str) -> str:
    # Backslashes first: the entities' own characters must not be escaped.
    text = re.sub(r"([\\`*\[\]|~$!#])", r"\\\1", text)
    text = re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """A name or digest as code; what could end the code span is left out."""
    return "`" + re.sub(r"[^0-9A-Za-z._-]", "", text) + "`"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, prose: bool = False) -> str:
    """A pipe table, padded so that the raw text reads well too; the first column left, the others centred or, of `prose`, left."""
    import tabulate

    # Widths are counted in characters whether or not wcwidth is installed: the same bytes everywhere.
    tabulate.WIDE_CHARS_MODE = False
    align = ("left", *["left" if prose else "center"] * (len(header) - 1))
    lines = [list(row) for row in rows]
    return tabulate.tabulate(lines, list(header), tablefmt="pipe", disable_numparse=True, colalign=align)


def columns_table(subjects: Mapping[str, Subject], columns: Sequence[Column[Subject]]) -> str:
    """A table with a line for every arm."""

    def head(column: Column[Subject]) -> str:
        return f"{column.header} {escape(column.domain)}" if column.domain else column.header

    def told(column: Column[Subject], subject: Subject) -> str:
        text = f"**{column.text(subject)}**" if column.strong(subject) else column.text(subject)
        return f"{text} {aside}" if (aside := column.aside(subject)) else text

    rows = [[escape(arm), *(told(column, subject) for column in columns)] for arm, subject in subjects.items()]
    return table(["arm", *map(head, columns)], rows)


def differences_table(
    title: str,
    subjects: Mapping[str, Subject],
    columns: Sequence[Column[Subject]],
    note: str,
    *,
    folded: bool = False,
) -> list[str]:
    """The arms that have any difference to a control; `folded`: the table unfolds."""
    shown = {arm: subject for arm, subject in subjects.items() if any(c.value(subject) is not None for c in columns)}
    if not shown:
        return []
    listed = [columns_table(shown, columns)]
    return [title, note, *(unfolding(f"All {len(shown)} arms", listed) if folded else listed)]


def unfolding(summary: str, blocks: Sequence[str]) -> list[str]:
    """Blocks that GitHub shows when a reader opens their line; `summary` is our own words alone."""
    return [f"<details><summary>{summary}</summary>", *blocks, "</details>"] if blocks else []
