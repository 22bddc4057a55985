"""A leaderboard as markdown that GitHub renders. Text that plugins, items or errors supplied is escaped."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from w2s_bench.controls import OWN_ARMS, of_role
from w2s_bench.names import CURVES, README
from w2s_bench.resolvers import is_on_disk
from w2s_bench.results.board import DomainSummary, Failure, Leaderboard, Row
from w2s_bench.results.checks import CHECKS
from w2s_bench.results.folding import BEST, first_rows, folds
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.blocks import code, columns_table, differences_table, escape, table, unfolding
from w2s_bench.results.pages.budget_section import budget_section
from w2s_bench.results.pages.column import notes_of
from w2s_bench.results.pages.domain_pages import domain_sections
from w2s_bench.results.pages.sections import gains, goes_with, other_objectives, other_selections, pairs, robust
from w2s_bench.results.pages.standing import (
    attested_in_words,
    description,
    did_not_come_again,
    signed_in_words,
    standing,
)
from w2s_bench.results.pages.style import count, figure, number
from w2s_bench.results.pages.warnings import warnings
from w2s_bench.text import shortened

_INTRODUCTION = (
    "Each row is one way of choosing which of a weak teacher's labels a strong student trains on. **PGR** is the share of "
    "the gap between the teacher (0) and the same student trained on ground truth (1) that this closes: "
    "(student − weak) / (ceiling − weak) of mean accuracies. Brackets are 95 % intervals over seeds and test items. Trust "
    "functions are ranked within a track (what they may learn from: nothing, the small gold trust set, or more); the "
    "harness's controls stand below them as yardsticks."
)
_MEAN_NOTE = (
    "Paired differences to controls in PGR units, means over the domains that enter means. p is corrected for all the "
    "comparisons of the table (Holm); bold where it is below 0.05. Intervals are not corrected."
)

_NOT_APPLICABLE = (
    "Rows without a figure for asking what this domain, or the models in it, cannot give; nothing is broken."
)


def render(board: Leaderboard, plot: str, ties: str = "", badge: str = "", chains: Sequence[str] = ()) -> str:
    """The whole README; `ties` and `badge` are the files that show them, where there are any, `chains` the blocks of chains."""
    suite = board.suite
    rows = {row.arm: row for row in board.rows}
    blocks = [
        f"# {escape(suite.name)}: how much trust recovers",
        *([escape(words)] if (words := description(board)) else []),
        f"Suite {code(suite.name)} version {escape(suite.version)} (digest {code(suite.digest[:12])}), protocol "
        f"{escape(board.protocol)}, {count(len(board.seeds), 'seed')}, evaluated on `{suite.evaluate_on}`.",
        *_verified(board, badge),
        *([signed] if (signed := signed_in_words(board, escape)) else []),
        *_warnings(board),
        _INTRODUCTION,
        f"![PGR of {'the arms below' if board.large else 'every arm in every domain'}, with 95 % intervals]({plot})",
        "## Leaderboard",
        *_leaderboard(board, rows),
        *([" ".join(said)] if (said := standing(board, lambda arm: f"**{escape(arm)}**")) else []),
        *([f"At other coverages or gold budgets: [curves]({CURVES}/{README})."] if board.curves else []),
        *_absent(board),
        *_own_arms(rows),
        *differences_table(
            "## What trust functions add", rows, columns.mean_differences(), _MEAN_NOTE, folded=folds(board.rows)
        ),
        *pairs(board, ties if board.ranks else ""),
        *other_selections(board),
        *other_objectives(board),
        *gains(board),
        *chains,
        *goes_with(board),
        *robust(rows),
        "## What the suite must show",
        "✓: it does, with an interval above 0 where there is one; ✗: it does not, or not clearly; –: it cannot be told.",
        *(unfolding(f"In {len(board.domains)} domains", [_checks(board)]) if board.wide else [_checks(board)]),
        *budget_section(board),
        *domain_sections(board),
    ]
    if inapplicable := [f for f in board.failures if f.not_applicable]:
        blocks += ["## Not applicable", _NOT_APPLICABLE, _failures(inapplicable)]
    if failed := [f for f in board.failures if not f.not_applicable]:
        blocks += ["## Failed seeds", _failures(failed)]
    blocks += _models(board)
    blocks += _reproduce(board)
    return "\n\n".join(blocks) + "\n"


def _leaderboard(board: Leaderboard, rows: Mapping[str, Row]) -> list[str]:
    """The first table; of a large board the best alone, and the whole of it to unfold."""
    best, shown = {row.arm: row for row in first_rows(board.rows)}, columns.first(board)
    blocks = [columns_table(best, shown), notes_of(shown)]
    if not board.large:
        return blocks
    functions = sum(not row.is_control for row in board.rows)
    told = []
    if len(best) < len(rows):
        told.append(
            f"Of {functions} trust functions the {BEST} of highest rank in each track stand here, of those that differ in "
            "parameters alone the best; all stand below."
        )
    if board.families:
        told.append(
            "A family's column is the mean over its domains; which these are stands under [Domains](#domains), where each "
            "has a page."
        )
    everything = columns.headline(board)
    summary = f"All {count(functions, 'trust function')}, PGR in every domain"
    return [*blocks, " ".join(told), *unfolding(summary, [columns_table(rows, everything)])]


def _checks(board: Leaderboard) -> str:
    def told(domain: DomainSummary, name: str) -> str:
        check = domain.checks[name]
        mark = {True: "✓", False: "✗", None: "–"}[check.shown]
        if isinstance(check.figure, int):
            return f"{mark} {check.figure}"
        shown = number(check.figure) if isinstance(check.figure, float) else figure(check.figure)
        return shown if shown == mark else f"{mark} {shown}"

    header = ["check", *(escape(d.name) for d in board.domains)]
    return table(header, [[check.words, *(told(d, check.name) for d in board.domains)] for check in CHECKS])


def _absent(board: Leaderboard) -> list[str]:
    """Which trust functions have no cell in which domain, and why that may be."""
    absent = {
        domain.name: [row.arm for row in board.rows if not row.is_control and domain.name not in row.entries]
        for domain in board.domains
    }
    said = [f"in {escape(name)} of {', '.join(map(escape, arms))}" for name, arms in absent.items() if arms]
    if not said:
        return []
    return [
        f"There is no cell {'; '.join(said)}. A trust function that reads the options of an item is not applicable where answers are "
        "generated, nor the other way round, and has no mean over domains then; any other was not run there."
    ]


def _own_arms(rows: Collection[str]) -> list[str]:
    """What the harness's own arms are: the controls of the table, and the references of those below."""
    there = [arm for arm in of_role("control") if not arm.explains or arm.name in rows]
    controls = table(["control", "trains on"], [[f"`{arm.name}`", arm.words] for arm in there], prose=True)
    references = "; ".join(f"`{arm.name}` is {arm.words}" for arm in of_role("reference"))
    return unfolding("What each control trains on", [controls, f"References, in the tables below: {references}."])


def _verified(board: Leaderboard, badge: str) -> list[str]:
    """How many cells somebody has computed again, and how they came out."""
    if not board.attested:
        return []
    picture = f"![Verified]({badge}) " if badge else ""
    said = attested_in_words(board)
    differ = list(map(escape, did_not_come_again(board)))
    said += f" **These did not come again: {', '.join(differ)}.**" if differ else ""
    return [f"{picture}{said} `attestations/` says by what machines."]


def _warnings(board: Leaderboard) -> list[str]:
    """What a reader must know before any figure, as one block quote."""
    lines = [f"**{w.title}** {w.text}" for w in warnings(board, escape, "[Failed seeds](#failed-seeds)")]
    return ["\n>\n".join(f"> {line}" for line in lines)] if lines else []


def _failures(failures: Sequence[Failure]) -> str:
    rows = [[str(f.seed), ", ".join(map(escape, f.rows)), escape(shortened(f.reason))] for f in failures]
    return table(["seed", "rows", "reason"], rows)


def _models(board: Leaderboard) -> list[str]:
    rows = [
        [escape(d.name), escape(d.version), code(d.fingerprint[:12]), escape(d.teacher), escape(d.student)]
        for d in board.domains
    ]
    blocks = ["## Models and versions", table(["domain", "version", "fingerprint", "teacher", "student"], rows)]
    plugins = [[escape(row.arm), "; ".join(map(escape, row.plugins))] for row in board.rows if row.plugins]
    if plugins:
        listed = [table(["trust function", "distribution, version (source digest)"], plugins)]
        blocks += unfolding("Where each trust function comes from", listed) if folds(board.rows) else listed
    if board.packages:
        versions = (f"{escape(name)} {' and '.join(map(escape, seen))}" for name, seen in board.packages.items())
        blocks.append(f"Cells were made with {', '.join(versions)}.")
    return blocks


def _reproduce(board: Leaderboard) -> list[str]:
    rows = [entry.row for row in board.rows for entry in row.entries.values()]
    example = rows[0] if rows and re.fullmatch(r"[0-9A-Za-z._/@=,+-]+", rows[0]) else "DOMAIN/ARM"
    folders = any(is_on_disk("model", model) for d in board.domains for model in (d.teacher, d.student))
    elsewhere = (
        " Models of this suite are folders: give `verify` each as `--model FINGERPRINT=FOLDER`, by its digits above, or "
        "`--trust-folder` where they lie as the suite says."
    )
    return [
        "## Run it again",
        "In the folder of this file, which also holds `suite.yaml` and the cells under `results/`:",
        "```sh\n"
        "# the whole suite, one row computed anew and compared, this page from the cell files (the same bytes)\n"
        "w2s-bench run suite.yaml\n"
        f"w2s-bench verify . --row {example}\n"
        "w2s-bench leaderboard .\n"
        "```",
        *_with_options(board),
        "Made by `w2s-bench` from the cell files alone; do not edit it by hand." + (elsewhere if folders else ""),
    ]


def _with_options(board: Leaderboard) -> list[str]:
    """What of this page the plain command does not make."""
    explaining = board.explaining or any(arm.explains for row in board.rows if (arm := OWN_ARMS.get(row.arm)))
    told = [
        *(
            ["rows that explain others, and what gains are made of (`--decompose` or `--control`)"]
            if explaining
            else []
        ),
        *(["curves (`--coverage`, `--gold-budget`)"] if board.curves else []),
    ]
    return [f"What `run` makes with options alone: {'; '.join(told)}."] if told else []
