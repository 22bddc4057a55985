"""Rules about the cells of a folder beside each other: what is missing, what failed, what shows too much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from w2s_bench.controls import CEILING, ORACLE, OWN_ARMS
from w2s_bench.errors import NotApplicableError
from w2s_bench.names import file_name, row_name, short
from w2s_bench.results.cells import Cell
from w2s_bench.results.checking.findings import Finding, Level
from w2s_bench.results.checking.folder import Folder
from w2s_bench.results.checks import suspects, to_audit
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.seed_results import KEPT_BY_LABEL
from w2s_bench.results.statistics import Estimate
from w2s_bench.results.surroundings import made_elsewhere as other_surroundings
from w2s_bench.text import shortened
from w2s_bench.types import KINDS


def controls(folder: Folder) -> Iterator[Finding]:
    """References and controls that a domain lacks; those for some kinds of domains, where a cell shows that it is of one. A
    domain without any cell was not run."""
    if folder.suite is None or not folder.cells:
        return
    here, away = _by_domain(folder), _not_run(folder)
    for domain in folder.suite.domains:
        if domain.name in away:
            continue
        arms = here.get(domain.name, {})
        classes = any(KEPT_BY_LABEL in s.diagnostics for cell in arms.values() for s in cell.body.seeds)
        usual = [arm for arm in OWN_ARMS.values() if not arm.explains]
        needed = [arm for arm in usual if set(arm.kinds) == set(KINDS) or (classes and "choice" in arm.kinds)]
        refused = {finding.row for finding in folder.refused}
        missing = [a.name for a in needed if a.name not in arms and row_name(domain.name, a.name) not in refused]
        if missing:
            fact = f"domain {short(domain.name)} has no {', '.join(missing)}"
            todo = "Run the suite into this folder: a run makes every control (what is stored is not computed again)"
            yield Finding("controls", "error", "results", fact, todo)


def not_run(folder: Folder) -> Iterator[Finding]:
    """Domains of the suite without any cell, as after `run --domain`: what is there is sound without them."""
    if folder.cells and (away := _not_run(folder)):
        todo = "What is there is sound. For rows of every domain, as a leaderboard has them, run the suite without --domain"
        yield Finding("not_run", "note", "results", f"not run: {', '.join(map(short, away))}", todo)


def seeds(folder: Folder) -> Iterator[Finding]:
    """Seeds that failed: they are shown, and tell of no result."""
    for cell in folder.cells:
        for seed in cell.body.failed:
            fact = f"seed {seed.seed} failed: {shortened(seed.error or '', 300)}"
            if NotApplicableError.is_behind(seed.error):
                todo = "Nothing is broken: the row says that it asks what this domain or its models cannot give"
                yield _of("seeds", "note", cell, fact, todo)
            else:
                todo = "Run the row again where its cause is mended; do not leave the row out"
                yield _of("seeds", "warning", cell, fact, todo)


def domains(folder: Folder) -> Iterator[Finding]:
    """Trust functions' arms without a cell in a domain of the board; a few are for one kind of domain alone."""
    here, refused = _by_domain(folder), {finding.row for finding in folder.refused}
    arms: dict[str, list[str]] = defaultdict(list)
    for domain, cells in here.items():
        for arm, cell in cells.items():
            if cell.body.arm.role == "trust_function":
                arms[arm].append(domain)
    for arm, those in arms.items():
        lacking = [domain for domain in here if domain not in those and row_name(domain, arm) not in refused]
        if lacking:
            fact = f"{arm} has no cell in {', '.join(map(short, lacking))}"
            todo = "Run it there too, unless it is for other kinds of domains: without, it has no mean"
            cell = here[those[0]][arm]
            yield _of("domains", "note", cell, fact, todo)


def gold(folder: Folder) -> Iterator[Finding]:
    """Arms that show more than their track can know."""
    for cells in _by_domain(folder).values():
        for arm, why in suspects(Comparison(cells)).items():
            command = to_audit(arm, f"{folder.path}/suite.yaml")
            todo = f"{command} tells whether gold of the pool reaches it; a student may also know the answers once it is asked"
            yield _of("gold", "warning", cells[arm], f"{arm} knows too much: {why}", todo)


def above_oracle(folder: Folder) -> Iterator[Finding]:
    """What is better than the right labels alone."""
    return _above(folder, "above_oracle", ORACLE)


def above_ceiling(folder: Folder) -> Iterator[Finding]:
    """What is better than ground truth."""
    return _above(folder, "above_ceiling", CEILING)


def _above(folder: Folder, rule: str, yardstick: str) -> Iterator[Finding]:
    for cells in _by_domain(folder).values():
        domain = Comparison(cells)
        for arm, cell in cells.items():
            if cell.body.arm.role != "trust_function":
                continue
            difference = domain.accuracy_difference(arm, yardstick)
            if isinstance(difference, Estimate) and difference.low > 0:
                fact = (
                    f"{arm} − {yardstick}, accuracy: {difference.value:.3f} [{difference.low:.3f}, {difference.high:.3f}], "
                    "above 0 beyond its interval"
                )
                todo = (
                    "No fault: easy or representative rows may teach more than all that is right. Look at what it keeps"
                )
                yield _of(rule, "note", cell, fact, todo)


def made_elsewhere(folder: Folder) -> Iterator[Finding]:
    """Cells made with other versions, or on another machine, than most."""
    told = other_surroundings(folder.cells)
    for cell in folder.cells:
        if cell.row in told:
            fact = f"made with {'; '.join(told[cell.row])}"
            todo = "No fault: accuracies may be the suite's tolerance apart. Run it again here to compare bit for bit"
            yield _of("made_elsewhere", "note", cell, fact, todo)


def _not_run(folder: Folder) -> list[str]:
    """Domains that no file is about, be it one that is refused."""
    if folder.suite is None:
        return []
    there = {cell.row.rpartition("/")[0] for cell in folder.cells}
    there |= {finding.row.rpartition("/")[0] for finding in folder.refused}
    return [d.name for d in folder.suite.domains if file_name(d.name) not in there]


def _by_domain(folder: Folder) -> Mapping[str, Mapping[str, Cell]]:
    """Domain → short name of an arm → its cell, of those that lie where an arm's own cell does; generations do not."""
    out: dict[str, dict[str, Cell]] = {}
    for cell in folder.cells:
        domain, arm = cell.body.domain.name, cell.body.arm.name
        if cell.row == row_name(domain, arm):
            out.setdefault(domain, {})[short(arm)] = cell
    return out


def _of(rule: str, level: Level, cell: Cell, fact: str, to_do: str) -> Finding:
    return Finding(rule, level, f"results/{cell.row}.json", fact, to_do, cell.row)
