"""Selections with a guarantee: the gold that certifies is none that the scores have learnt from, and what is certified holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import run_inline, run_stage, toy_registry, toy_suite
from w2s_bench.errors import CellError, TrustFunctionError
from w2s_bench.executors import Done
from w2s_bench.protocol.calibration import halves, not_applicable
from w2s_bench.protocol.evaluation import read_grades
from w2s_bench.protocol.files import ABSTAINED, CALIBRATION, CERTIFICATE, GRADES, KEPT
from w2s_bench.protocol.kept import Kept
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.selection import run_certified
from w2s_bench.record import read_json, write_json
from w2s_bench.results.cells import Cell
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.store.stage import walk
from w2s_bench.types import Item, Need


def items(*groups: str) -> list[Item]:
    return [Item(f"i{place:03d}", group, group, "s", f"prompt {place}", None) for place, group in enumerate(groups)]


def test_halves_part_the_trust_set_keep_groups_whole_and_hang_on_the_seed_alone() -> None:
    given = items(*(f"g{place // 3}" for place in range(60)))
    group = {item.id: item.group for item in given}
    cuts = [halves(given, seed) for seed in range(40)]
    for learnt, other in cuts:
        assert sorted([*learnt, *other]) == [item.id for item in given]
        assert {group[i] for i in learnt}.isdisjoint(group[i] for i in other)
        assert len(learnt) == 30
    assert halves(given[::-1], 7) == cuts[7]
    assert len({tuple(learnt) for learnt, _ in cuts}) > 35
    assert [len(half) for half in halves(items("a", "b"), 0)] == [1, 1]
    passage = items(*["a"] * 50, *(f"g{place}" for place in range(50)))  # the one large group fits into either half
    assert {len(learnt) for learnt, _ in (halves(passage, seed) for seed in range(40))} <= {49, 50, 51}
    with pytest.raises(TrustFunctionError, match="3 items in 1 group cannot be cut"):
        halves(items("a", "a", "a"), 0)


def test_scores_that_learnt_from_the_whole_trust_set_cannot_be_calibrated() -> None:
    assert not_applicable("none", [Need("student", "choice_probs")]) is None
    assert not_applicable("trust_set", [Need("student_cv", "choice_probs")]) is None
    assert "verifier.choice_probs" in str(not_applicable("trust_set", [Need("verifier", "choice_probs")]))
    assert "gold of the pool" in str(not_applicable("privileged", []))


def certified(folder: Path, scores: Any, trust: Any, right: Any, **params: Any) -> Path:
    """What the stage makes of these scores of the pool, and of these of the trust set."""
    folder.mkdir()
    Scores.of([f"p{row:04d}" for row in range(len(scores))], np.asarray(scores, dtype=float)).write(folder)
    ids = [f"t{row:04d}" for row in range(len(trust))]
    write_json(folder / CALIBRATION, dict(zip(ids, map(float, trust), strict=True)))
    (folder / "grades").mkdir()
    write_json(folder / "grades" / GRADES, dict(zip(ids, map(bool, right), strict=True)))
    return run_stage(run_certified, folder / "out", params, scores=folder, grades=folder / "grades")


@pytest.mark.parametrize("method", ["ltt", "sgr", "hoeffding", "conformal"])
def test_what_is_kept_lies_above_the_threshold_and_nothing_is_kept_without_one(tmp_path: Path, method: str) -> None:
    rng = np.random.default_rng(0)
    scores, trust = rng.uniform(size=500), rng.uniform(size=2000)
    params = {"method": method, "confidence": 0.9}
    out = certified(tmp_path / "sure", scores, trust, trust > 0.4, purity=0.8, **params)
    kept, found = Kept.read(out), read_json(out / CERTIFICATE)
    assert set(kept.weights) == {f"p{row:04d}" for row in np.flatnonzero(scores >= found["threshold"])}
    assert (found["rows"], kept.shortfall) == (2000, 0)
    assert 0.6 <= np.mean(scores[scores >= found["threshold"]] > 0.4) < 1, "it goes below the border, and not by much"
    assert not (out / ABSTAINED).exists()
    out = certified(tmp_path / "none", scores, trust[:20], trust[:20] > 0.4, purity=0.99, **params)
    assert Kept.read(out).weights == {} and read_json(out / KEPT)["wanted"] == 0
    assert read_json(out / ABSTAINED).startswith(f"{method} keeps nothing at a purity of 0.99: ")


@pytest.mark.parametrize("method", ["ltt", "sgr"])
def test_the_guarantee_holds_of_the_rows_that_are_kept(tmp_path: Path, method: str) -> None:
    """Rows of a population whose purity above a threshold is known: the selection breaks its word in 10 % of runs at most."""
    rng, broken, kept_any = np.random.default_rng(1), 0, 0
    for run in range(60):
        pool, trust = rng.uniform(size=300), rng.uniform(size=400)
        out = certified(
            tmp_path / str(run), pool, trust, rng.uniform(size=400) < trust, method=method, purity=0.75, confidence=0.9
        )
        threshold = read_json(out / CERTIFICATE)["threshold"]
        if threshold is not None:
            kept_any += 1
            broken += (
                1 + threshold
            ) / 2 < 0.75  # P(right | score ≥ t) of a uniform score that is the chance to be right
    assert kept_any > 50
    assert broken <= 6 + 3 * np.sqrt(60 * 0.1 * 0.9)


LTT, STRICT = "ltt:purity=0.05", "ltt:purity=0.99"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The toy run of a function that learns nothing, one that learns, one of scope `pool`, and one that cannot be calibrated."""
    # Shared with other files of this test run, as in test_collect.py.
    shared = tmp_path_factory.getbasetemp()
    store = Store(shared / "toy-store")
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        suite = toy_suite(shared / "toy-models", seeds=1, selections=["top", LTT, STRICT])
        trust = ["w2s-bench-toy/prompt_hash", "probe:folds=3", "rank_average", "verifier"]
        planned = plan(suite, registry, domains=["largest"], trust=trust)
        outcomes = run_inline(planned.targets(), store, registry)
    return planned, outcomes, store


def folder(outcomes: Any, stage: Any) -> Path:
    outcome = outcomes[stage.node]
    assert isinstance(outcome, Done), outcome
    return outcome.result.path


@pytest.mark.slow
def test_rows_that_certify_are_none_that_a_function_was_fitted_on(toy: Any) -> None:
    planned, outcomes, _ = toy
    sizes = {}
    for name in ("prompt_hash", "probe:folds=3", "rank_average"):
        word = f"ltt(purity=0.05):{name}" if name != "prompt_hash" else None
        cell = next(
            c
            for c in planned.cells
            if c.arm.ref.selection == LTT and (c.arm.ref.name == word or (word is None and "prompt_hash" in c.row))
        )
        own, graph = cell.stages[0], cell.graphs[0]
        calibration = read_json(folder(outcomes, own.scores) / CALIBRATION)
        trust = read_grades(folder(outcomes, graph.label_grades("trust")))
        assert set(calibration) <= set(trust)
        sizes[name] = len(calibration)
        assert len(Scores.read(folder(outcomes, own.scores))) == 100
        assert ("trust:grades" in own.scores.inputs) == (cell.arm.plugin is not None and name == "probe:folds=3")
        assert cell.arm.ref.supervision == "trust_set" and cell.arm.ref.coverage is None
    assert (sizes["prompt_hash"], sizes["rank_average"]) == (24, 24)
    assert 11 <= sizes["probe:folds=3"] <= 13, "a half, and groups are whole"


@pytest.mark.slow
def test_a_function_that_learns_nothing_scores_the_pool_as_it_ever_did(toy: Any) -> None:
    planned, outcomes, _ = toy
    for name in ("prompt_hash", "rank_average"):
        top, sure = (
            next(c for c in planned.cells if c.arm.ref.selection == how and name in c.arm.ref.name).stages[0].scores
            for how in ("top", LTT)
        )
        one, other = (dict(Scores.read(folder(outcomes, stage)).items()) for stage in (top, sure))
        assert one.keys() == other.keys()
        if name == "prompt_hash":
            assert one == other


@pytest.mark.slow
def test_gold_behind_scores_and_rows_is_the_trust_set_s_at_most(toy: Any) -> None:
    """And scores of a function that learns nothing have none behind them but the teacher's."""
    planned, _, _ = toy

    def gold(stage: Any) -> set[str]:
        return {one.params["split"] for one in walk([stage]) if one.name == "gold"}

    sure = [cell for cell in planned.cells if cell.arm.ref.guarantee and cell.stages[0].scores is not None]
    assert len(sure) == 6
    for cell in sure:
        own, learns = cell.stages[0], "probe" in cell.arm.ref.name
        assert gold(own.scores) == ({"weak_train", "trust"} if learns else {"weak_train"}), cell.row
        assert gold(own.kept) == gold(own.student.predictions) == {"weak_train", "trust"}, cell.row


@pytest.mark.slow
def test_a_board_says_what_was_certified_who_abstained_and_where_it_is_not_applicable(toy: Any, tmp_path: Path) -> None:
    planned, outcomes, store = toy
    results = Results(outcomes, store)
    cells = {cell.arm.ref.name: cell_of(cell, results) for cell in planned.cells}
    for cell in cells.values():
        cell.write(tmp_path)
    (tmp_path / "suite.yaml").write_text(planned.suite.to_yaml())
    strict = cells["ltt(purity=0.99):probe:folds=3"].body.seeds[0]
    assert (strict.kept, strict.purity, strict.coverage) == (0, None, 0.0)
    assert str(strict.abstained).startswith("ltt keeps nothing at a purity of 0.99: it takes 437 rows")
    base = cells["base"].body.seeds[0]
    assert (strict.correct, strict.accuracy) == (base.correct, base.accuracy), "nothing was there to train on"
    loose = cells["ltt(purity=0.05):probe:folds=3"].body.seeds[0]
    assert loose.abstained is None and loose.kept and loose.diagnostics["certified_purity"] == 0.05
    refused = cells["ltt(purity=0.05):verifier"].body.seeds[0]
    assert "not applicable: selection `ltt` of verifier: its verifier.choice_probs" in str(refused.error)
    board = write_leaderboard(tmp_path)
    rows = {row.arm: row for row in board.other_selections}
    assert rows["ltt(purity=0.99):probe:folds=3"].entries["w2s-bench-toy/largest"].abstained == 1
    page = (tmp_path / "README.md").read_text()
    table = page.partition("## Other selections")[2].partition("\n## ")[0]
    (line,) = (text for text in table.splitlines() if "0.99" in text and "probe" in text)
    assert "abstained" in line and "1 of 1" in line and "trust set" in line
    body = cells["ltt(purity=0.99):probe:folds=3"].body
    forged = body.model_copy(update={"arm": body.arm.model_copy(update={"selection": "stratified"})})
    with pytest.raises(CellError):
        Cell.of(forged, {}).write(tmp_path)
        write_leaderboard(tmp_path)
