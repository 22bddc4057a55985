"""What a board says of each domain: a section of its page, or a page of its own where there are many."""

from __future__ import annotations

from w2s_bench.names import DOMAINS, README, file_name
from w2s_bench.results.board import DomainSummary, Entry, Leaderboard
from w2s_bench.results.folding import folds
from w2s_bench.results.pages import columns
from w2s_bench.results.pages.beyond_gold import beyond_gold
from w2s_bench.results.pages.blocks import columns_table, differences_table, escape, table, unfolding
from w2s_bench.results.pages.column import had, notes_of
from w2s_bench.results.pages.style import NONE, figure, number

#: Strata that a page shows at once; a table of more unfolds.
_MOST_STRATA = 6
_DOMAIN_NOTE = "PGR units, paired; p corrected for the comparisons of this table (Holm)."


def domain_sections(board: Leaderboard) -> list[str]:
    """The blocks of all domains, or of many a table that leads to their pages."""
    if not board.wide:
        return [block for domain in board.domains for block in _domain(domain, board)]
    rows = [
        [
            f"[{escape(d.name)}]({page_name(d.name)})",
            str(d.items),
            number(d.label_accuracy, 3),
            figure(d.gap, 3) if d.gap else NONE,
            escape(d.left_out) if d.left_out else "in means",
        ]
        for d in board.domains
    ]
    told = (
        "Each has a page of its own, with every arm, strata and differences to controls. Gap: ceiling − weak, accuracy."
    )
    kin = [[escape(name), ", ".join(map(escape, own))] for name, own in board.families.items()]
    header = ["domain", "items", "weak labels right", "gap", "means"]
    families = [table(["family", "domains that enter its mean"], kin)] if kin else []
    return ["## Domains", told, table(header, rows), *families]


def domain_pages(board: Leaderboard) -> dict[str, str]:
    """File name → text of the page of each domain, where there are so many that each has one."""
    if not board.wide:
        return {}
    back = f"[← {escape(board.suite.name)}](../{README})"
    made = "Made by `w2s-bench` from the cell files alone; do not edit it by hand."
    return {
        page_name(domain.name): "\n\n".join([back, *_domain(domain, board), made]) + "\n" for domain in board.domains
    }


def page_name(domain: str) -> str:
    """The file of a domain's page, below the board's."""
    return f"{DOMAINS}/{file_name(domain)}.md"


def _domain(domain: DomainSummary, board: Leaderboard) -> list[str]:
    arms: dict[str, Entry] = dict(domain.references)
    arms |= {row.arm: row.entries[domain.name] for row in board.rows if domain.name in row.entries}
    clusters = f" in {domain.clusters} clusters" if domain.clusters < domain.items else ""
    facts = (
        f"Version {escape(domain.version)}, {domain.items} items of `{board.suite.evaluate_on}`{clusters}, teacher "
        f"{escape(domain.teacher)}, student {escape(domain.student)}."
    )
    if domain.label_accuracy is not None:
        facts += f" Of the weak labels of the transfer pool, {number(domain.label_accuracy, 3)} are right."
    if domain.trust_from:
        facts += (
            f" Trust functions, and controls with gold of a trust set, learn from that of {escape(domain.trust_from)}."
        )
    shown = had(columns.of_domain(), arms.values())
    blocks = [columns_table(arms, shown), notes_of(shown)]
    strata = sorted({s for entry in arms.values() for s in (*entry.by_stratum, *entry.kept_by_stratum)})
    if len(strata) > 1:
        header = ["accuracy (share kept)", *(escape(s) for s in strata)]
        rows = [[escape(arm), *(_stratum(entry, s) for s in strata)] for arm, entry in arms.items()]
        listed = table(header, rows)
        wide = len(strata) > _MOST_STRATA and not folds(board.rows)
        blocks += unfolding(f"Accuracy and share kept in each of {len(strata)} strata", [listed]) if wide else [listed]
    for name, words in columns.KEPT_OF.items():
        kept_by = {arm: entry.kept_by[name] for arm, entry in arms.items() if entry.kept_by.get(name)}
        if parts := sorted({part for kept in kept_by.values() for part in kept}):
            rows = [[escape(arm), *(number(kept.get(part)) for part in parts)] for arm, kept in kept_by.items()]
            blocks.append(table([f"share kept {words}", *map(escape, parts)], rows))
    beyond = beyond_gold(domain, arms)
    title = f"### Differences to controls in {escape(domain.name)}"
    blocks += differences_table(title, arms, columns.differences(), _DOMAIN_NOTE)
    if folds(board.rows) and not board.wide:  # a page of its own need not be short
        blocks = unfolding(f"All {len(arms)} arms, with what each keeps and its differences to controls", blocks)
    return [f"## Domain {escape(domain.name)}", facts, *beyond, *blocks]


def _stratum(entry: Entry, stratum: str) -> str:
    kept = entry.kept_by_stratum.get(stratum)
    return number(entry.by_stratum.get(stratum)) + (f" ({number(kept)})" if kept is not None else "")
