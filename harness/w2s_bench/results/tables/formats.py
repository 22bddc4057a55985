"""A table in each format: text with intervals for people (Markdown, LaTeX, HTML), plain values for programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape as html_escaped
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.record import replacing, write_atomically
from w2s_bench.results.pages import blocks
from w2s_bench.results.tables.lines import Plain, Table
from w2s_bench.text import one_line

if TYPE_CHECKING:
    import pandas

_LATEX: Final = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}", "−": "$-$", "–": "--",
    "`": "'",
}  # fmt: skip


def as_markdown(table: Table[Any]) -> str:
    """A pipe table."""
    heads, lines = table.text()
    count = len(table.heads)
    # Names come from outside; figures are written by the columns.
    rows = [
        [
            blocks.escape(text) if at < count else f"**{text}**" if strong else text
            for at, (text, strong) in enumerate(line)
        ]
        for line in lines
    ]
    return blocks.table([blocks.escape(head) for head in heads], rows) + "\n"


def as_latex(table: Table[Any]) -> str:
    r"""A `tabular` with the rules of `booktabs`; for UTF-8, any engine."""
    heads, lines = table.text()

    def cell(text: str, strong: bool = False) -> str:
        written = re.sub(r"[\\{}$&#_%~^<>−–`]", lambda match: _LATEX[match[0]], one_line(text))
        return rf"\textbf{{{written}}}" if strong else written

    rows = [" & ".join(cell(*text) for text in line) + r" \\" for line in lines]
    align = "l" * len(table.heads) + "r" * len(table.columns)
    head = " & ".join(map(cell, heads)) + r" \\"
    return "\n".join(
        [rf"\begin{{tabular}}{{{align}}}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}", ""]
    )


def as_html(table: Table[Any]) -> str:
    """A `<table>` without style or script, for any page."""
    heads, lines = table.text()

    def cell(text: str, strong: bool) -> str:
        written = html_escaped(one_line(text))
        return f"<td><strong>{written}</strong></td>" if strong else f"<td>{written}</td>"

    head = "".join(f'<th scope="col">{html_escaped(one_line(text))}</th>' for text in heads)
    rows = "".join(f"<tr>{''.join(cell(*text) for text in line)}</tr>\n" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def as_csv(data: Mapping[str, list[Plain]]) -> str:
    """Comma-separated, one line of heads; what is missing is empty. Text that a spreadsheet would run gets a `'` before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(data)
    writer.writerows([_inert(value) for value in line] for line in zip(*data.values(), strict=True))
    return out.getvalue()


def _inert(value: Plain) -> Plain:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def as_json(data: Mapping[str, list[Plain]]) -> str:
    """A list of objects, one a line of the table."""
    lines = [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]
    return json.dumps(lines, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def frame(data: Mapping[str, list[Plain]]) -> pandas.DataFrame:
    """A pandas frame, in the table's order; numbers stay numbers where some, or all, are missing."""
    import pandas

    return pandas.DataFrame({name: pandas.array(values, dtype=_dtype(values)) for name, values in data.items()})


def _dtype(values: Sequence[Plain]) -> str:
    """The pandas type of a column, each of which knows missing values; a column of nothing is one of numbers."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float}:
        return "Int64" if kinds == {int} else "Float64"
    return "boolean" if kinds == {bool} else "string"


def _written_of(write: Callable[[Mapping[str, list[Plain]]], str]) -> Callable[[Table[Any]], str]:
    return lambda table: write(table.data())


#: Name of a format → its text. Parquet is none of these: it is binary.
TEXT: Final[Mapping[str, Callable[[Table[Any]], str]]] = MappingProxyType(
    {
        "md": as_markdown,
        "csv": _written_of(as_csv),
        "json": _written_of(as_json),
        "latex": as_latex,
        "html": as_html,
    }
)
PARQUET: Final = "parquet"
FORMATS: Final = (*TEXT, PARQUET)
_BY_SUFFIX: Final = {".md": "md", ".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html", ".parquet": PARQUET}


def format_of(out: Path | None, asked: str | None) -> str:
    """The format that is asked for, else that of the file's ending, else Markdown."""
    if asked is not None:
        return asked
    return "md" if out is None else _BY_SUFFIX.get(out.suffix, "md")


def write(table: Table[Any], how: str, out: Path | None) -> str | None:
    """Write a table to a file, or return its text where there is none to write to."""
    if how == PARQUET:
        if out is None:
            raise W2SBenchError("parquet is binary: give --out FILE")
        with replacing(out) as file:
            frame(table.data()).to_parquet(file, index=False)
        return None
    text = TEXT[how](table)
    if out is None:
        return text
    write_atomically(out, text, errors="backslashreplace")
    return None
