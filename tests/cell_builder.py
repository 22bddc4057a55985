"""Made-up cells for tests of what is made from cells: seeded correctness with item, seed and arm effects. No models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.arm_facts import Facts
from w2s_bench.controls import OWN_ARMS, facts_of, of_role
from w2s_bench.plugins.spec import parse_spec
from w2s_bench.record import digest_of, pack_bits
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.references import ArmRef, DomainRef, ModelRef, PluginRef, SuiteRef
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.suite import Suite

REFERENCES: dict[str, float] = {"weak": 0.50, "base": 0.25, "ceiling": 0.90}
#: Accuracies of students; a control that is not named has a level of its own between the teacher and the ceiling.
NAMED = {
    "naive": 0.66,
    "random": 0.62,
    "oracle": 0.86,
    "gold_trust_set": 0.72,
    "naive_plus_gold": 0.76,
    "gold_random": 0.84,
}
CONTROLS: dict[str, float] = {arm.name: NAMED.get(arm.name, 0.58) for arm in of_role("control") if not arm.explains}
#: Drawn after all others, whose draws stay what they were before.
DRAWN_LAST = tuple(name for name in CONTROLS if name == "naive_plus_gold" or name not in NAMED)
#: Trust functions: accuracy of their students, track, AUROC.
TRUST: dict[str, tuple[float, str, float]] = {
    "w2s-bench/confidence": (0.69, "none", 0.71),
    "acme/margin": (0.60, "none", 0.68),
    "w2s-bench/probe": (0.78, "trust_set", 0.90),
    "acme/verifier:layer=-1": (0.81, "trust_set", 0.93),
    "acme/engine": (0.85, "privileged", 0.99),
}
POOL, TRUST_SET = 400, 60


def make_cells(
    domain: str = "w2s-bench/math",
    *,
    seeds: int = 3,
    items: int = 300,
    shift: float = 0.0,
    arms: Iterable[str] | None = None,
    accuracies: Mapping[str, float] | None = None,
    failed: Mapping[tuple[str, int], str] | None = None,
    evaluate_on: str = "test",
    diagnostics: bool = True,
    label_accuracy: float = 0.55,
) -> dict[str, Cell]:
    """Arm → cell of one domain. `accuracies` overrides levels, `failed` names (arm, seed) → reason."""
    rng = np.random.default_rng(int.from_bytes(domain.encode()[-6:], "big"))
    levels = REFERENCES | CONTROLS | {name: level for name, (level, _, _) in TRUST.items()}
    levels |= dict(accuracies or {})
    levels = dict(sorted(levels.items(), key=lambda level: level[0] in DRAWN_LAST))
    hard = rng.normal(size=items)
    cells = {}
    for arm, level in levels.items():
        noise = rng.normal(size=(seeds, items))
        drift = rng.normal(scale=0.03, size=(seeds, 1))
        if arms is not None and arm not in arms:
            continue
        latent = 0.8 * hard + 0.6 * noise + drift  # variance about 1
        correct = latent < _normal_quantile(min(max(level - shift, 0.001), 0.999))
        cells[arm] = _cell(domain, arm, correct, dict(failed or {}), evaluate_on, diagnostics, label_accuracy)
    return cells


def steady(items: int, gap: int) -> dict[str, Cell]:
    """A domain where ceiling and weak teacher differ in `gap` items, the same for every seed, all in one direction."""
    cells = {}
    for arm, cell in make_cells("a/steady", items=items).items():
        right = items // 2 + {"weak": 0, "base": -items // 4, "ceiling": gap}.get(arm, gap // 2)
        bits = np.arange(items) < right
        seeds = tuple(
            seed.model_copy(update={"correct": pack_bits(bits), "accuracy": right / items, "by_stratum": {}})
            for seed in cell.body.seeds
        )
        cells[arm] = Cell.of(cell.body.model_copy(update={"seeds": seeds}), {})
    return cells


def suite_of(cells: Iterable[Cell]) -> Suite:
    """The suite that made-up cells could be of."""
    bodies = [cell.body for cell in cells]
    training = {"steps": 10, "learning_rate": 1e-3}
    first = bodies[0].suite
    items = {b.domain.name: max(o.items for o in bodies if o.domain.name == b.domain.name) or 2 for b in bodies}
    domains = [
        {
            "name": name,
            "version": next(b.domain.version for b in bodies if b.domain.name == name),
            "sizes": {"dev": count, "test": count, "weak_train": 100, "trust": TRUST_SET, "transfer": POOL},
            "teacher": {"model": "w2s-bench/small", **training},
            "student": {"model": "w2s-bench/large", **training},
        }
        for name, count in sorted(items.items())
    ]
    fields = {"name": first.name, "version": first.version, "evaluate_on": first.evaluate_on}
    return Suite.model_validate({**fields, "seeds": len(bodies[0].seeds), "coverage": 0.5, "domains": domains})


def write_cells(results: Path, *domains: Mapping[str, Cell]) -> Path:
    """A results folder: the cells, and the suite that they are of."""
    cells = [cell for one in domains for cell in one.values()]
    suite = suite_of(cells)
    results.mkdir(parents=True, exist_ok=True)
    (results / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    for cell in cells:
        change(cell, suite=cell.body.suite.model_copy(update={"digest": suite.digest})).write(results)
    return results


def change(cell: Cell, **fields: Any) -> Cell:
    """The cell with fields of its body replaced and its digest made anew."""
    return Cell.of(cell.body.model_copy(update=fields), cell.provenance)


def possible_auroc(wanted: float, right: int, kept_right: int, kept: int) -> float:
    """The nearest that can be, where so many labels of the pool and so many of the kept ones, of highest score, are right."""
    pairs, kept_wrong = right * (POOL - right), kept - kept_right
    low, high = kept_right * (POOL - right - kept_wrong) / 2, pairs - kept_wrong * (right - kept_right) / 2
    return min(max(round(wanted * pairs), low), high) / pairs


def _normal_quantile(p: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(p))


def _rows_of(facts: Facts) -> tuple[int, int]:
    """How many rows of the pool and of the trust set an arm keeps, at coverage 0.5."""
    share = facts.coverage(0.5)
    return round((share or 0.0) * POOL), TRUST_SET if facts.with_trust_set else 0


def _cell(
    domain: str,
    arm: str,
    correct: np.ndarray[Any, np.dtype[np.bool_]],
    failed: dict[tuple[str, int], str],
    evaluate_on: str,
    diagnostics: bool,
    label_accuracy: float,
) -> Cell:
    items = correct.shape[1]
    half = items // 2
    facts = facts_of(arm)
    results = []
    for seed, row in enumerate(correct):
        if (arm, seed) in failed:
            results.append(SeedResult(seed=seed, error=failed[arm, seed]))
            continue
        told: dict[str, Any] = {}
        if diagnostics and arm == "weak":
            right_labels = round(label_accuracy * POOL)
            surer = possible_auroc(0.74, right_labels, right_labels, POOL)
            told = {"label_accuracy": label_accuracy, "label_probability_auroc": surer}
        of_pool, beside = _rows_of(facts)
        kept = of_pool + beside
        right = 1.0 if facts.all_right else label_accuracy
        if beside and of_pool:
            right = (round(label_accuracy * of_pool) + beside) / kept
        if arm in TRUST:
            right = min(1.0, label_accuracy + (TRUST[arm][2] - 0.5) / 2)
            auroc = possible_auroc(TRUST[arm][2], round(label_accuracy * POOL), round(right * kept), kept)
            told = {"auroc": auroc, "kept_by_stratum": {"easy": 0.625, "hard": 0.375}} if diagnostics else {}
        shortfall = max(0, kept - int(label_accuracy * POOL)) if facts.may_fall_short else 0
        trains = bool(facts.rows)
        results.append(
            SeedResult(
                seed=seed,
                accuracy=float(row.mean()),
                correct=pack_bits(row),
                kept=kept - shortfall if trains else None,
                purity=right if trains else None,
                coverage=(of_pool - shortfall) / POOL if of_pool else None,
                shortfall=shortfall,
                by_stratum={"easy": float(row[:half].mean()), "hard": float(row[half:].mean())},
                diagnostics=told,
                digests={"weak_labels": digest_of([domain, seed])} if facts.hangs_on_weak_labels or trains else {},
            )
        )
    survived = any(result.correct for result in results)
    kind = "trust_function" if arm in TRUST else OWN_ARMS[arm].role
    supervision = TRUST[arm][1] if arm in TRUST else OWN_ARMS[arm].supervision
    coverage = facts.coverage(0.5)
    function, parameters = parse_spec(arm)
    chosen: dict[str, Any] = {"trust_function": function, "parameters": parameters, "selection": "top"}
    chosen = chosen if arm in TRUST else {}
    body = CellBody(
        suite=SuiteRef(name="toy", version="1", digest=digest_of("toy"), evaluate_on=evaluate_on),  # type: ignore[arg-type]
        protocol="w2s-1",
        domain=DomainRef(name=domain, version="1", fingerprint=digest_of(domain)),
        teacher=ModelRef(name="w2s-bench/small", fingerprint=digest_of("small")),
        student=ModelRef(name="w2s-bench/large", fingerprint=digest_of("large")),
        arm=ArmRef(name=arm, role=kind, supervision=supervision, coverage=coverage, **chosen),  # type: ignore[arg-type]
        plugin=PluginRef(distribution=arm.split("/")[0], version="1.2", source=digest_of(arm.split("/")[0]))
        if arm in TRUST
        else None,
        items=items if survived else 0,
        items_digest=digest_of([f"{domain}/{i}" for i in range(items)] if survived else []),
        seeds=tuple(results),
    )
    return Cell.of(body, {"packages": {"torch": "2.13.0", "w2s-bench": "0.1.0"}, "cost": {"seconds": 1.0}})
