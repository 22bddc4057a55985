"""The one HTML file: templates, style and script put together, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from w2s_bench.names import file_name
from w2s_bench.results.pages.style import NONE
from w2s_bench.results.report.arms import LOOKS, Arm, arms_of, comparisons, without_arm
from w2s_bench.results.report.chain_rows import ChainTable, chain_tables
from w2s_bench.results.report.facts import Fact, OtherCell, alike, other_cells
from w2s_bench.results.report.overview import Overview, overview
from w2s_bench.results.report.plots import Panel, Scatter, forest, scatters
from w2s_bench.results.report.reading import Folder
from w2s_bench.results.report.rows import RowPage, kept_rows, row_pages
from w2s_bench.results.report.scripts import as_script, board_data
from w2s_bench.results.report.tables import METRICS, Table, main_table
from w2s_bench.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment

#: Panels of the forest plot that stand open, and of a large board's; those of further domains unfold.
_OPEN_PANELS: Final = 7
_OPEN_OF_LARGE: Final = 1


@dataclass(frozen=True)
class Shown:
    """One board as the templates take it. `link` begins the address of everything in it. `shared` is what all cells say alike,
    `shared_here` what those of each domain do besides."""

    key: str
    link: str
    folder: Folder
    arms: tuple[Arm, ...]
    overview: Overview
    panels: tuple[Panel, ...]
    table: Table
    plots: tuple[Scatter, ...]
    pages: tuple[RowPage, ...]
    shared: tuple[Fact, ...]
    shared_here: Mapping[str, tuple[Fact, ...]]
    chains: tuple[ChainTable, ...]
    others: tuple[OtherCell, ...]
    data: Any

    @property
    def board(self) -> Any:
        return self.folder.board

    @property
    def open_panels(self) -> int:
        return _OPEN_OF_LARGE if self.folder.board.large else _OPEN_PANELS

    @property
    def faults(self) -> tuple[str, ...]:
        """Why cells are left out. Files are named from the folder on: where it lies here is nobody else's business."""
        return tuple(fault.replace(f"{self.folder.path}/", "") for fault in self.folder.faults)

    @property
    def groups(self) -> tuple[str, ...]:
        """The tracks that have an arm, controls and references last."""
        return tuple(group for group in LOOKS if any(arm.group == group for arm in self.arms))


def render(folders: Sequence[Folder], *, live: Mapping[str, Any] | None = None) -> str:
    """The whole page of these folders; `live` is given where a server shows it, which it then asks for news."""
    keys: dict[str, Folder] = {}
    for folder in folders:
        name = file_name(folder.suite.name)
        key = next(k for i in range(1, len(folders) + 1) if (k := name if i == 1 else f"{name}-{i}") not in keys)
        keys[key] = folder
    boards = [_shown(key, folder, many=len(keys) > 1) for key, folder in keys.items()]
    return _page(boards, live)


def waiting(told: str, live: Mapping[str, Any]) -> str:
    """The page of a folder that has nothing to show yet, and why."""
    return _page([], live, told)


def _shown(key: str, folder: Folder, *, many: bool) -> Shown:
    arms = arms_of(folder)
    pages = row_pages(folder.board, arms, folder.pools)
    parts = [part for page in pages for part in page.parts]
    shared = alike([part.facts for part in parts])
    here = {d.name: alike([part.facts for part in parts if part.domain == d.name]) for d in folder.board.domains}
    return Shown(
        key=key,
        link=f"board={key}&" if many else "",
        folder=folder,
        arms=arms,
        overview=overview(folder.board),
        panels=forest(folder.board, arms),
        table=main_table(folder.board, arms),
        plots=scatters(folder.board, arms),
        pages=pages,
        shared=shared,
        shared_here={name: tuple(fact for fact in facts if fact not in shared) for name, facts in here.items()},
        chains=chain_tables(folder.board),
        others=other_cells(without_arm(folder, arms)),
        data=board_data(key, folder.board, arms, comparisons(folder.board, arms), kept_rows(arms, folder.pools)),
    )


def _page(boards: Sequence[Shown], live: Mapping[str, Any] | None, told: str = "") -> str:
    environment = _environment()
    style = environment.get_template("report.css").render(looks=LOOKS)
    scripts = [_text("report.js"), *([_text("live.js")] if live is not None else [])]
    hashes = " ".join(map(_hash, scripts))
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {hashes}; img-src data:; base-uri 'none'; form-action 'none'"
    if live is not None:
        policy += "; connect-src 'self'"
    return environment.get_template("page.html").render(
        boards=boards,
        live=None if live is None else as_script(live),
        told=told,
        policy=policy,
        # These files are the harness's own and hold no text from outside. The policy names the digest of each.
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        data=as_script({"boards": [board.data for board in boards]}),
        looks=LOOKS,
        metrics=METRICS,
        none=NONE,
    )


@cache
def _environment() -> Environment:
    """Whatever a template writes has its control characters shown, and is then escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    def inert(value: Any) -> Any:
        return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    def ticked(text: str) -> Markup:
        """Words of our own, in which names stand between backticks, as markdown has them."""
        parts = enumerate(printable(text).split("`"))
        return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in parts)

    environment = Environment(
        loader=PackageLoader("w2s_bench.results.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ticked"] = ticked
    return environment


def _text(name: str) -> str:
    return (files("w2s_bench.results.report") / "templates" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
