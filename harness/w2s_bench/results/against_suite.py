"""What in one cell its suite contradicts: who was trained on what, how many rows, where its plugin came from."""

from __future__ import annotations

from collections.abc import Iterator

from w2s_bench.controls import OWN_ARMS, made_of
from w2s_bench.names import of_arm, selected, short
from w2s_bench.results.cells import Cell
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.suite import Suite
from w2s_bench.suite_domain import DomainSpec


def against_suite(cell: Cell, suite: Suite) -> Iterator[str]:
    """What in a cell the suite contradicts."""
    body, arm = cell.body, cell.body.arm
    ref = body.suite
    stated = {"name": ref.name, "version": ref.version, "evaluate_on": ref.evaluate_on, "protocol": body.protocol}
    for what, value in stated.items():
        if value != (true := getattr(suite, what)):
            yield f"it has {what} {value!r}, the suite {true!r}"
    spec = next((domain for domain in suite.domains if domain.name == body.domain.name), None)
    if spec is None:
        yield f"the suite has no domain {body.domain.name!r}"
        return
    if body.trust_from != spec.trust_from:
        yield f"it has trust_from {body.trust_from!r}, the suite's domain {spec.trust_from!r}"
    spec = suite.as_met(spec)
    if body.chain is not None and (faults := list(_against_chain(cell, spec))):
        yield from faults
        return
    teaches, learns = spec.link(body.generation) if body.chain else (spec.teacher, spec.student)
    stated = {"version": body.domain.version, "teacher": body.teacher.name, "student": body.student.name}
    for what, value in stated.items():
        true = {"version": spec.version, "teacher": teaches.model, "student": learns.model}[what]
        if value != true:
            yield f"it has {what} {value!r}, the suite's domain {true!r}"
    if len(body.seeds) != suite.seeds:
        yield f"it has {len(body.seeds)} seeds, the suite {suite.seeds}"
    if body.correctness() and body.items != (size := spec.sizes.of(suite.evaluate_on)):
        yield f"it has {body.items} items, the suite {size}"
    if arm.trusts is not None:
        yield from _against_plugin(cell, suite)
    elif body.plugin is not None:
        yield f"arm {arm.name!r} is the harness's own, and is said to come from {body.plugin.distribution!r}"
    elif arm.trust_function is not None or arm.parameters or arm.selection is not None:
        yield f"arm {arm.name!r} is the harness's own, and has a trust function, its parameters or its selection"
    yield from _against_objectives(cell, suite)
    if body.spent is not None:
        if suite.diagnostics != "full":
            yield "it says what lies behind its answers, which the suite does not ask for"
        # A label source may have been told the gold of what it answers; a teacher of another domain's trust set had its own.
        most = sum(spec.sizes.of(split) for split in ("weak_train", "trust", "transfer", suite.evaluate_on))
        most += suite.trust_source(spec).sizes.weak_train if body.trust_from is not None else 0
        if body.spent.gold_labels > most:
            yield f"it had {body.spent.gold_labels} gold labels, of {most} items"
        if arm.facts.rows and body.spent.steps < learns.steps:
            yield f"it took {body.spent.steps} steps, its student alone takes {learns.steps}"
    if arm.coverage != (asked := arm.facts.coverage(suite.coverage)):
        whose = "the suite" if asked == suite.coverage else f"arm {arm.name!r}"
        yield f"it has coverage {arm.coverage}, {whose} {asked}"
        return
    for seed in body.seeds:
        if seed.error is None:
            yield from (f"seed {seed.seed}: {fault}" for fault in _against_sizes(cell, seed, suite, spec))


def _against_objectives(cell: Cell, suite: Suite) -> Iterator[str]:
    arm, plugin = cell.body.arm, cell.body.objective_plugin
    distribution, slash, _ = (arm.objective or "").partition(":")[0].partition("/")
    if (plugin.distribution if plugin else "") != (distribution if slash else ""):
        origin = repr(plugin.distribution) if plugin else "nowhere"
        yield f"objective {arm.objective!r} is said to come from {origin}"
    if arm.objective is None:
        return
    if arm.objective not in suite.objectives:
        named = ", ".join(map(repr, suite.objectives)) or "none beside its students' own"
        yield f"it has objective {arm.objective!r}, the suite's are {named}"
    if arm.selection not in (None, "top", "weighted") or not (arm.selection or arm.facts.keeps_all_weak_labels):
        yield f"it has objective {arm.objective!r}, which arms of all weak labels, by `top` and by `weighted` alone can have"


def _against_chain(cell: Cell, spec: DomainSpec) -> Iterator[str]:
    """What a generation's cell says of its chain, against that of the suite's domain."""
    chain, arm = cell.body.chain, cell.body.arm
    assert chain is not None
    if not spec.chain:
        yield f"it is a generation of a chain, and the suite has none in {spec.name!r}"
        return
    if (chain.generations, chain.pool) != (spec.generations, spec.pool):
        yield (
            f"its chain has {chain.generations} generations with pool {chain.pool!r}, the suite's domain {spec.generations} with "
            f"pool {spec.pool!r}"
        )
    if not arm.facts.chains:
        yield f"arm {arm.name!r} has no chain"
    sizes = spec.sizes
    _, learns = spec.link(min(cell.body.generation, spec.generations))
    for what, spent, least in (
        ("its chain", chain.spent, learns.steps),
        ("one hop", chain.one_hop, spec.student.steps),
    ):
        if spent.steps < least:
            yield f"{what} took {spent.steps} steps, its last student alone takes {least}"
        if spent.gold_labels > (most := sizes.weak_train + sizes.trust + sizes.transfer):
            yield f"{what} had {spent.gold_labels} gold labels, of {most} items"


def _against_plugin(cell: Cell, suite: Suite) -> Iterator[str]:
    arm, plugin = cell.body.arm, cell.body.plugin
    said = selected(arm.selection or "top", arm.trusts or "")
    if (made := made_of(short(arm.name))) is not None:
        said = of_arm(made[0].word, said)
    if (said := arm.under(said)) != arm.name:
        yield f"arm {arm.name!r} is said to be {said!r}"
    if plugin is None or plugin.distribution != (arm.trusts or "").partition("/")[0]:
        origin = "nowhere" if plugin is None else repr(plugin.distribution)
        yield f"trust function {arm.name!r} is said to come from {origin}"
    if arm.selection not in suite.selections:
        yield f"it has selection {arm.selection!r}, the suite's are {', '.join(map(repr, suite.selections))}"


def _against_sizes(cell: Cell, seed: SeedResult, suite: Suite, spec: DomainSpec) -> Iterator[str]:
    """What one seed says of the rows kept, against the sizes of the suite's splits."""
    chained = cell.body.chain is not None
    facts, pool = cell.body.arm.facts, spec.pool_rows(chained=chained)
    if not facts.rows:
        if seed.kept is not None or seed.shortfall:
            name = short(cell.body.arm.name)
            yield f"{name} keeps no rows; it has kept {seed.kept}, shortfall {seed.shortfall}"
        return
    if seed.abstained is not None:
        if cell.body.arm.guarantee is None:
            yield f"it abstained, which selections with a guarantee alone can do, and has {cell.body.arm.selection!r}"
        elif seed.purity is not None or seed.coverage != 0 or seed.shortfall:
            yield f"it abstained with purity {seed.purity}, coverage {seed.coverage} and shortfall {seed.shortfall}"
        return
    if seed.kept is None or seed.purity is None:
        yield f"it lacks {'kept' if seed.kept is None else 'purity'}"
        return
    wanted = beside = rows_beside(cell, spec)
    if facts.of_pool is None:
        if seed.coverage is not None:
            yield f"coverage {seed.coverage}, of gold that is not of the pool"
    else:
        pool = spec.sizes.transfer if facts.of_pool.whole_pool and not chained else pool
        asked = {"all": pool, "certified": seed.kept, "coverage": suite.kept_rows(spec, chained=chained)}
        wanted += asked[facts.of_pool.share]
        if seed.coverage is None or abs(seed.coverage * pool - (seed.kept - beside)) > 1e-6 * pool:
            yield f"coverage {seed.coverage}, with {seed.kept - beside} of {pool} rows kept"
    if seed.kept + seed.shortfall != wanted:
        yield f"kept {seed.kept} and shortfall {seed.shortfall}, where {wanted} rows were asked for"
    if seed.shortfall and not facts.may_fall_short:
        able = ", ".join(name for name, own in OWN_ARMS.items() if own.may_fall_short)
        yield f"shortfall {seed.shortfall}, which only {able} can have"
    may_err = cell.body.own_training_gold and any(rows.labels == "gold" for rows in facts.rows)
    if facts.all_right and not may_err and seed.purity != 1.0:
        yield f"purity {seed.purity}, where every row is right"
    if facts.all_wrong and seed.purity != 0.0:
        yield f"purity {seed.purity}, where every row is wrong"


def rows_beside(cell: Cell, spec: DomainSpec) -> int:
    """How many rows an arm trains on beside those of the pool: gold of the trust set, all of it or none."""
    return spec.sizes.trust if cell.body.arm.facts.with_trust_set else 0
