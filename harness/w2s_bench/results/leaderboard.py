"""Cells → leaderboard → `README.md` and plot. A pure function of the cell files: equal cells give equal bytes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import fsum
from pathlib import Path
from typing import Any

from w2s_bench.controls import NAIVE, rivals
from w2s_bench.errors import CellError
from w2s_bench.names import AGAINST, BADGE, CHAINS, CURVES, DOMAINS, PAGES, PLOT, README, TIES, of_arm, short
from w2s_bench.record import digest_of, write_atomically
from w2s_bench.results import noise, statistics
from w2s_bench.results.attestations import Attestation, read_attestations, tiers
from w2s_bench.results.belief import read_results
from w2s_bench.results.board import FEWEST_SEEDS, MOST_DOMAINS, OVER_OPTIONS, POWER, Failure, Leaderboard, Pair, Row
from w2s_bench.results.budget_files import believed_budget
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.chains import chains_of, means_of
from w2s_bench.results.comparison import Comparison, mean
from w2s_bench.results.folding import families
from w2s_bench.results.gains import gains
from w2s_bench.results.places import corrected, paired, placed
from w2s_bench.results.ranking import ranked
from w2s_bench.results.signatures import Signed, read_signatures, signers
from w2s_bench.results.statistics import Ratio, Unresolved
from w2s_bench.results.summaries import summary
from w2s_bench.results.surroundings import machine_of, made_elsewhere
from w2s_bench.results.untuned import untuned

__all__ = ["Leaderboard", "build", "write_leaderboard"]

_WEAK_LABELS = "weak labels"
#: A SHA-256 in a message, of which the beginning is shown.
_DIGEST, _BEGUN = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b"), r"\1"


def write_leaderboard(results: Path) -> Leaderboard:
    """Read the cells under `results`, write `README.md` and the plots beside them, and return what they show."""
    suite, cells = read_results(results)
    built = replace(build(cells, results, suite.description), budget=believed_budget(results, suite, cells))
    board = claimed(attested(built, cells, read_attestations(results)), cells, read_signatures(results))
    if (results / DOMAINS).is_symlink():
        raise CellError(f"{results / DOMAINS} is a link, where a folder of pages belongs; remove it")
    made = pages(board)
    for name, text in made.items():
        (results / name).parent.mkdir(exist_ok=True)
        write_atomically(results / name, text)
    for name in set(PAGES) - {*made}:  # a badge without an attestation would be a claim of nobody's
        (results / name).unlink(missing_ok=True)
    return board


def attested(board: Leaderboard, cells: Sequence[Cell], attestations: Sequence[Attestation]) -> Leaderboard:
    """The board with what attestations say of its cells."""
    told = tiers(cells, attestations)
    if not told:
        return replace(board, cells=len(cells))

    def seen(row: Row) -> Row:
        tiers_here = [told.get(entry.row, "DIFFERS") for entry in row.entries.values()]
        return replace(row, verified=sum(tier != "DIFFERS" for tier in tiers_here))

    last = max(a.made for a in attestations if tiers(cells, [a]))
    rows: Mapping[str, Any] = {table: tuple(map(seen, rows)) for table, rows in board.tables.items()}
    return replace(board, **rows, attested=told, attested_last=last, cells=len(cells))


def claimed(board: Leaderboard, cells: Sequence[Cell], signatures: Sequence[Signed]) -> Leaderboard:
    """The board with who says to have signed its cells."""
    return replace(board, signed=signers(cells, signatures))


def pages(board: Leaderboard) -> dict[str, str]:
    """File name → text of the plots, and of what `written_pages` has."""
    from w2s_bench.results.pages.chain_plot import draw_chains
    from w2s_bench.results.pages.plots import draw
    from w2s_bench.results.pages.scatter import kinds
    from w2s_bench.results.pages.scatter_plot import draw_against
    from w2s_bench.results.pages.ties import draw_ties

    plots = {PLOT: draw(board), TIES: draw_ties(board)} | ({CHAINS: draw_chains(board)} if board.chains else {})
    against = {AGAINST[kind.name]: plot for kind in kinds(board) if (plot := draw_against(board, kind))}
    return {**plots, **against, **written_pages(board)}


def written_pages(board: Leaderboard) -> dict[str, str]:
    """File name → text of the README, of a page a domain where there are many, and of the badge where somebody has verified a
    row: all that attestations change is among these."""
    from w2s_bench.results.pages.badge import draw_badge
    from w2s_bench.results.pages.chain_tables import chain_blocks
    from w2s_bench.results.pages.domain_pages import domain_pages
    from w2s_bench.results.pages.markdown import render

    badge = {BADGE: draw_badge(board)} if board.attested else {}
    domains = domain_pages(board)
    return {**badge, **domains, README: render(board, PLOT, TIES, BADGE, chain_blocks(board, CHAINS))}


def build(cells: Iterable[Cell], results: Path, description: str = "") -> Leaderboard:
    """The leaderboard of cells of one suite, each of another row; `results` is their folder, named in errors and looked at for
    a page of curves, `description` what the suite says of itself."""
    ordered = sorted(cells, key=lambda cell: (cell.body.domain.name, cell.body.arm.name, cell.body.step or 0))
    by_domain: dict[str, dict[str, Cell]] = defaultdict(dict)
    together: dict[str, list[Cell]] = defaultdict(list)
    for cell in ordered:
        together[cell.body.domain.name].append(cell)
        if not cell.body.chain:
            by_domain[short(cell.body.domain.name)][short(cell.body.arm.name)] = cell
    for here in together.values():
        refuse_mixture(here, results)
    seeds = tuple(sorted({s.seed for c in ordered for s in c.body.seeds}))
    domains = {name: Comparison(arms) for name, arms in by_domain.items()}
    summaries = tuple(summary(name, domain, len(seeds)) for name, domain in domains.items())
    arms_shown = {short(c.body.arm.name): c for c in ordered if c.body.arm.role != "reference" and not c.body.chain}
    objectives = {arm: arms_shown.pop(arm) for arm, c in list(arms_shown.items()) if c.body.arm.is_other_objective}
    explaining = {arm: arms_shown.pop(arm) for arm, c in list(arms_shown.items()) if c.body.arm.made_of}
    others = {arm: arms_shown.pop(arm) for arm, c in list(arms_shown.items()) if c.body.arm.is_other_selection}
    entering = {d.name: domains[d.name] for d in summaries if not d.left_out}

    def difference(a: str, b: str) -> Ratio:
        return statistics.mean_over_domains({name: domain.difference(a, b) for name, domain in entering.items()})

    def row_of(arm: str, cell: Cell) -> Row:
        return _row(arm, cell, domains, entering, len(seeds))

    rows = ranked(row_of(arm, cell) for arm, cell in arms_shown.items())
    pairs = paired(rows, entering)
    other_rows = [_beside_top(row_of(arm, cell), cell, difference) for arm, cell in others.items()]
    by_objective = [_beside_usual(row_of(arm, cell), cell, objectives, difference) for arm, cell in objectives.items()]
    explained = [replace(row_of(arm, cell), of=cell.body.arm.made_of or "") for arm, cell in explaining.items()]
    elsewhere = made_elsewhere(ordered)

    def told(row: Row) -> Row:
        said = dict.fromkeys(text for entry in row.entries.values() for text in elsewhere.get(entry.row, ()))
        return replace(row, made_elsewhere=tuple(said))

    kin = families(tuple(entering)) if len(domains) > MOST_DOMAINS else {}

    def by_family(row: Row) -> Row:
        missing = Unresolved("no cell", "–")
        pgr = {d: row.entries[d].pgr if d in row.entries else missing for d in entering}
        means = {name: statistics.mean_over_domains({d: pgr[d] for d in own}) for name, own in kin.items()}
        return replace(row, family_pgr=means)

    order = [row.arm for row in (*rows, *other_rows)]
    chains = chains_of([cell for cell in ordered if cell.body.chain], by_domain, order, len(seeds))
    packages: dict[str, set[str]] = defaultdict(set)
    for cell in ordered:
        for package, version in cell.provenance.get("packages", {}).items():
            packages[package].add(str(version))
    return Leaderboard(
        suite=ordered[0].body.suite,
        protocol=ordered[0].body.protocol,
        seeds=seeds,
        domains=summaries,
        rows=tuple(map(by_family, map(told, placed(corrected(rows), pairs if len(seeds) >= FEWEST_SEEDS else None)))),
        failures=_failures(ordered),
        packages={package: tuple(sorted(versions)) for package, versions in sorted(packages.items())},
        pairs=pairs,
        detectable=_detectable(entering, len(seeds)),
        stability=_stability(entering, pairs),
        untuned=untuned(rows, entering),
        other_selections=tuple(map(by_family, map(told, other_rows))),
        other_objectives=tuple(map(by_family, map(told, by_objective))),
        gains=gains([row.arm for row in (*rows, *other_rows)], domains, entering),
        explaining=tuple(map(by_family, map(told, explained))),
        cells=len(ordered),
        chains=chains,
        mean_chains=means_of(chains, entering),
        curves=(results / CURVES / README).is_file(),
        families=kin,
        description=description,
    )


def _beside_top(row: Row, cell: Cell, difference: Callable[[str, str], Ratio]) -> Row:
    """The row of another selection, with what it is to the arm that keeps the top of the same scores."""
    top = short(cell.body.arm.trusts or "")
    return replace(row, selection=cell.body.arm.selection or "", of=top, minus_top=difference(row.arm, top))


def _beside_usual(row: Row, cell: Cell, objectives: Mapping[str, Cell], difference: Callable[[str, str], Ratio]) -> Row:
    """The row of another objective, with what it is to the usual one on the same rows, and to hard labels over options where
    `objectives` has those of it."""
    plain = cell.body.arm.plain
    row = replace(row, objective=cell.body.arm.objective or "", of=plain, minus_usual=difference(row.arm, plain))
    hard = of_arm(OVER_OPTIONS, plain)
    return replace(row, minus_over_options=difference(row.arm, hard)) if hard in objectives and hard != row.arm else row


def _detectable(entering: Mapping[str, Comparison], seeds: int) -> float | None:
    """By the noise of the arms of each domain that enters means; None of too few seeds to know it, or where one domain tells none."""
    found = noise.measured(entering) if seeds >= FEWEST_SEEDS else ()
    return noise.detectable(found, seeds, POWER) if found and len(found) == len(entering) else None


def _stability(entering: Mapping[str, Comparison], pairs: Iterable[Pair]) -> float | None:
    """Of the arms that are ranked, which have cells in all domains that enter means."""
    compared = [(pair.first, pair.second) for pair in pairs]
    arms = sorted({arm for pair in compared for arm in pair})
    return statistics.split_half([domain.answered(arms) for domain in entering.values()], compared)


def refuse_mixture(cells: Sequence[Cell], results: Path) -> None:
    """Cells of one domain must have asked the same items of the same models and trained on the same weak labels.

    A generation of a chain has the model of the one before as its teacher, and weak labels that its own arm's chain made.
    """

    def facts(cell: Cell) -> dict[str, str]:
        body = cell.body
        stated = {
            "protocol": body.protocol,
            "domain version": body.domain.version,
            "domain fingerprint": body.domain.fingerprint,
            _taught(body, body.generation - 1): f"{body.teacher.name} {body.teacher.fingerprint}",
            _taught(body, body.generation): f"{body.student.name} {body.student.fingerprint}",
        }
        if body.correctness():  # a cell whose seeds all failed tells of no items
            stated["items digest"] = body.items_digest
            stated["clusters of items"] = digest_of(body.clusters.codes)[:12] if body.clusters else "none"
        first = body.generation == 1 and (body.chain is None or body.chain.pool == "same")
        weak = {s.seed: s.digests["weak_labels"] for s in body.seeds if first and "weak_labels" in s.digests}
        return stated | {f"{_WEAK_LABELS} of seed {seed}": digest for seed, digest in weak.items()}

    first: dict[str, tuple[str, Cell]] = {}
    for cell in cells:
        for what, value in facts(cell).items():
            before, other = first.setdefault(what, (value, cell))
            if value != before:
                differing = f"{what} ({_DIGEST.sub(_BEGUN, before)} against {_DIGEST.sub(_BEGUN, value)})"
                raise CellError(
                    f"{other.path(results)} and {cell.path(results)} differ in {differing} and cannot be compared; "
                    f"{_to_be_compared(what, other, cell)}",
                    cell.path(results),
                )


def _to_be_compared(what: str, cell: Cell, other: Cell) -> str:
    """What to do about two cells that differ in what they were made of: processors round otherwise, and a teacher that was trained
    on another labels otherwise."""
    machines = machine_of(cell), machine_of(other)
    if what.startswith(_WEAK_LABELS) and None not in machines and machines[0] != machines[1]:
        return (
            f"they were made on other machines ({machines[0]} against {machines[1]}), whose teachers need not label alike: rows are "
            "compared on one machine, so run the whole board on it"
        )
    return "run both rows again with one version of the suite"


def _taught(body: CellBody, generation: int) -> str:
    """Which model of a domain it is that learned in this generation; none did in generation 0."""
    if generation == 0:
        return "teacher"
    between = body.chain is not None and generation < body.chain.generations
    return f"model of generation {generation}" if between else "student"


def _row(
    arm: str, cell: Cell, domains: Mapping[str, Comparison], entering: Mapping[str, Comparison], of_seeds: int
) -> Row:
    entries = {name: domain.entry(arm, of_seeds) for name, domain in domains.items() if arm in domain.cells}
    plugins = {domain.cells[arm].body.plugin for domain in domains.values() if arm in domain.cells}

    def over_domains(figures: Mapping[str, Ratio]) -> Ratio:
        return statistics.mean_over_domains({d: figures.get(d, Unresolved("no cell", "–")) for d in entering})

    by_seed = {name: entries[name].pgr_by_seed for name in entering if name in entries and entries[name].pgr_by_seed}
    if len(by_seed) < len(entering):  # an arm without a mean has no summary of fewer domains either
        by_seed = {}
    same = len({entries[name].seeds for name in by_seed}) == 1

    return Row(
        arm=arm,
        track="control" if cell.body.arm.role == "control" else cell.body.arm.supervision,
        plugins=tuple(sorted(f"{p.distribution} {p.version} ({p.source[:12]})" for p in plugins if p)),
        rank=None,
        entries=entries,
        mean_pgr=over_domains({d: e.pgr for d, e in entries.items()}),
        mean_minus={
            rival: over_domains({d: e.minus[rival] for d, e in entries.items()})
            for rival in rivals()
            if cell.body.arm.role == "trust_function"
        },
        purity=mean([e.purity for e in entries.values()]),
        coverage=mean([e.coverage for e in entries.values()]),
        pgr_by_seed=tuple(fsum(pgr) / len(pgr) for pgr in zip(*by_seed.values(), strict=True)) if same else (),
        iqm=statistics.interquartile_mean(value for values in by_seed.values() for value in values),
        improvement=statistics.improvement(
            (domains[name].pgr_by_seed(arm, beside=NAIVE), domains[name].pgr_by_seed(NAIVE, beside=arm))
            for name in by_seed
            if arm != NAIVE
        ),
    )


def _failures(cells: list[Cell]) -> tuple[Failure, ...]:
    rows: dict[tuple[int, str], list[str]] = defaultdict(list)
    for cell in cells:
        for seed in cell.body.failed:
            rows[seed.seed, seed.error or ""].append(cell.row)
    return tuple(Failure(tuple(names), seed, reason) for (seed, reason), names in rows.items())
