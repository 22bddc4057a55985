"""Chains on a board: paired with the one hop, believed as far as the suite allows, shown generation by generation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from cell_builder import change, make_cells, suite_of
from w2s_bench._cli.report import print_leaderboard
from w2s_bench.controls import facts_of
from w2s_bench.errors import CellError
from w2s_bench.names import file_name, row_name
from w2s_bench.record import digest_of
from w2s_bench.results import leaderboard, planning, statistics
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.leaderboard import pages, write_leaderboard
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.references import ChainRef, ModelRef, Spent
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.results.statistics import Estimate, Unresolved
from w2s_bench.suite import Suite

MIDDLE = ModelRef(name="w2s-bench/middle", fingerprint=digest_of("middle"))
SPENT = {"spent": Spent(steps=30, gold_labels=100), "one_hop": Spent(steps=20, gold_labels=100)}
#: How much harder the test is for who learns in each generation: the one between is worse, the last better than the one hop.
SHIFTS = (0.08, -0.04)
Change = Callable[[dict[str, Any]], Any]


def chained(domain: str = "w2s-bench/math", **how: Any) -> list[Cell]:
    """Cells of a domain's one hops, and of chains of two generations of all arms that have one."""
    cells = make_cells(domain, **how)
    out = list(cells.values())
    for number, shift in enumerate(SHIFTS, 1):
        for arm, cell in make_cells(domain, shift=shift, **how).items():
            if not facts_of(arm).chains:
                continue
            seeds = tuple(_with_labels(seed) for seed in cell.body.seeds) if arm != "ceiling" else cell.body.seeds
            models = {"student": MIDDLE} if number == 1 else {"teacher": MIDDLE}
            step = ChainRef(generations=len(SHIFTS), pool="same", **SPENT)
            out.append(change(cell, generation=number, chain=step, seeds=seeds, **models))
    return out


def _with_labels(seed: SeedResult) -> SeedResult:
    if seed.error is not None:
        return seed
    return seed.model_copy(update={"diagnostics": {**seed.diagnostics, "label_accuracy": 0.55}})


def suite_with_chain(cells: list[Cell], **domain: Any) -> Suite:
    content = suite_of([cell for cell in cells if not cell.body.chain]).model_dump(mode="json")
    for spec in content["domains"]:
        spec |= {"chain": [{"model": MIDDLE.name, "steps": 10, "learning_rate": 1e-3}], **domain}
    return Suite.model_validate(content)


def written(results: Path, cells: list[Cell], **domain: Any) -> Path:
    suite = suite_with_chain(cells, **domain)
    results.mkdir(parents=True)
    (results / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    for cell in cells:
        change(cell, suite=cell.body.suite.model_copy(update={"digest": suite.digest})).write(results)
    return results


def board_of(cells: list[Cell]) -> Leaderboard:
    return leaderboard.build(cells, Path("somewhere"))


def test_a_chain_is_compared_with_the_one_hop_seed_by_seed_and_item_by_item() -> None:
    cells = chained()
    (chains,) = board_of(cells).chains
    by_key = {(c.body.arm.name, c.body.step): c for c in cells}

    def bits(arm: str, step: int | None) -> Any:
        return np.stack(list(by_key[arm, step].body.correctness().values()))

    weak, ceiling = bits("weak", None), bits("ceiling", None)
    for chain in chains.arms:
        name = chain.arm if "/" in chain.arm or (chain.arm, None) in by_key else f"w2s-bench/{chain.arm}"
        expected = statistics.pgr_difference(bits(name, 2), bits(name, None), weak, ceiling)
        assert isinstance(expected, Estimate) and isinstance(chain.minus_one_hop, Estimate)
        assert (chain.minus_one_hop.value, chain.minus_one_hop.low) == (expected.value, expected.low)
        assert chain.minus_one_hop.adjusted is not None and expected.p is not None
        assert chain.minus_one_hop.adjusted >= expected.p, "all arms of the table are tested"
        for number, entry in enumerate(chain.generations, 1):
            assert entry is not None
            assert entry.pgr == statistics.pgr(bits(name, number), weak, ceiling), "one scale for all generations"
    naive = next(chain for chain in chains.arms if chain.arm == "naive")
    assert naive.minus_naive is None
    oracle = next(chain for chain in chains.arms if chain.arm == "oracle")
    assert isinstance(oracle.minus_naive, Estimate)
    to_naive = statistics.pgr_difference(bits("oracle", 2), bits("naive", 2), weak, ceiling)
    assert isinstance(to_naive, Estimate) and oracle.minus_naive.value == to_naive.value


def test_nothing_else_of_a_board_is_about_chains() -> None:
    cells = chained()
    plain = board_of([cell for cell in cells if not cell.body.chain])
    whole = board_of(cells)
    assert (whole.rows, whole.domains, whole.pairs) == (plain.rows, plain.domains, plain.pairs)
    assert not plain.chains and not plain.mean_chains
    assert "Chains" not in pages(plain)["README.md"] and "chains.svg" not in pages(plain)


def test_means_are_over_domains_that_have_a_chain() -> None:
    one, two = chained(), chained("w2s-bench/chess")
    board = board_of([*one, *two])
    assert [chain.arm for chain in board.mean_chains] == [chain.arm for chain in board.chains[0].arms]
    for mean in board.mean_chains:
        values = []
        for chains in board.chains:
            (chain,) = [c for c in chains.arms if c.arm == mean.arm]
            assert isinstance(chain.minus_one_hop, Estimate)
            values.append(chain.minus_one_hop.value)
        assert isinstance(mean.minus_one_hop, Estimate)
        assert mean.minus_one_hop.value == pytest.approx(sum(values) / 2)
    unchained = [cell for cell in two if not cell.body.chain]
    assert not board_of([*one, *unchained]).mean_chains


def test_planning_measures_the_noise_of_one_hops(tmp_path: Path) -> None:
    cells = chained()
    with_chains = planning.measured(written(tmp_path / "toy", cells)).noise
    plain = [cell for cell in cells if not cell.body.chain]
    assert with_chains == planning.measured(written(tmp_path / "plain", plain)).noise


def test_a_page_shows_chains_beside_one_hops(tmp_path: Path) -> None:
    results = written(tmp_path / "toy", [*chained(), *chained("w2s-bench/chess")])
    board = write_leaderboard(results)
    page = (results / "README.md").read_text(encoding="utf-8")
    assert "## Chains" in page and "![PGR of every arm's chain, generation by generation](chains.svg)" in page
    assert "generation 1: middle" in page and "generation 2: large" in page
    assert "w2s-bench/small" in page and MIDDLE.fingerprint[:12] in page, "models between are named as others are"
    assert "| 30 (20) " in " ".join(page.split("whole chain (one hop)")[1].split()), "steps of the chain and of one hop"
    (naive,) = [chain for chain in board.chains[0].arms if chain.arm == "naive"]
    assert naive.generations[1] is not None and naive.generations[1].accuracy is not None
    assert f"{naive.generations[1].accuracy.value:.3f}" in page
    plot = (results / "chains.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(plot).tag.endswith("svg") and "prefers-color-scheme: dark" in plot
    again = write_leaderboard(results)
    assert again == board and (results / "chains.svg").read_text(encoding="utf-8") == plot
    content = json.loads(json.dumps(board_as_json(board)))
    assert content["chains"][0]["arms"][0]["generations"][1]["accuracy"]["value"] > 0


def test_a_generation_without_a_cell_or_a_seed_is_a_dash() -> None:
    cells = [
        cell
        for cell in chained(failed={("oracle", 1): "killed"})
        if (cell.body.arm.name, cell.body.step) not in {("naive", 2), ("random", None)}
    ]
    (chains,) = board_of(cells).chains
    by_arm = {chain.arm: chain for chain in chains.arms}
    assert by_arm["naive"].generations[1] is None and isinstance(by_arm["naive"].minus_one_hop, Unresolved)
    assert by_arm["random"].one_hop is None and isinstance(by_arm["random"].minus_one_hop, Unresolved)
    page = pages(board_of(cells))["README.md"]
    assert "(2 of 3 seeds)" in page


@pytest.mark.parametrize("width", [60, 100])
def test_a_terminal_shows_what_a_chain_adds(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    board = board_of(chained())
    print_leaderboard(board, as_json=False)
    said = capsys.readouterr().out
    told = said.split("math: chains")[1]
    assert max(len(line.rstrip()) for line in said.splitlines()) <= width
    for chain in board.chains[0].arms:
        assert isinstance(chain.minus_one_hop, Estimate)
        assert chain.arm in told or width < 80, "an arm's name is folded where there is no room at all"
        assert f"+{chain.minus_one_hop.value:.2f} [" in told
    print_leaderboard(board_of([cell for cell in chained() if not cell.body.chain]), as_json=False)
    assert "chains" not in capsys.readouterr().out


def test_names_of_models_are_inert_on_the_page() -> None:
    evil = MIDDLE.model_copy(update={"name": "a/<script>|`x"})
    cells = [
        change(cell, **{role: evil for role in ("teacher", "student") if getattr(cell.body, role) == MIDDLE})
        for cell in chained()
    ]
    page = pages(board_of(cells))["README.md"]
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_rows_of_generations_have_names_of_their_own() -> None:
    arms = ["naive", "w2s-bench/probe", "acme/margin", "acme/margin:layer=2", "acme/generation2", "balanced:probe"]
    named = [row_name("w2s-bench/math", arm, step) for arm in arms for step in (None, 1, 2, 12)]
    assert len(set(named)) == len(named)
    assert row_name("w2s-bench/math", "naive") == "math/naive"
    assert (
        row_name("w2s-bench/math", "acme/margin:layer=2", 2) == f"math/generation2@{file_name('acme/margin:layer=2')}"
    )


def altered(results: Path, row: str, alter: Change) -> None:
    path = results / "results" / f"{row}.json"
    content = json.loads(path.read_text())
    alter(content["body"])
    content["digest"] = digest_of(content["body"])
    path.write_text(json.dumps(content))


def step(**fields: Any) -> Change:
    return lambda body: body["chain"].update(fields)


def seed(**fields: Any) -> Change:
    return lambda body: body["seeds"][0].update(fields)


def without_chain(body: dict[str, Any]) -> None:
    del body["chain"]


def labels(share: float) -> Change:
    return lambda body: body["seeds"][0]["diagnostics"].update(label_accuracy=share)


@pytest.mark.parametrize(
    ("row", "alter", "said"),
    [
        ("generation2@naive", lambda body: body.update(generation=3), "generation 3 of a chain of 2"),
        ("generation2@naive", without_chain, "generation 2 of no chain"),
        (
            "generation2@naive",
            step(generations=3),
            "its chain has 3 generations with pool 'same', the suite's domain 2",
        ),
        (
            "generation2@naive",
            step(pool="fresh"),
            "generations with pool 'fresh', the suite's domain 2 with pool 'same'",
        ),
        ("generation2@naive", lambda body: body.update(generation=1), "belongs in"),
        (
            "generation2@naive",
            lambda body: body["teacher"].update(name="w2s-bench/small"),
            "has teacher 'w2s-bench/small'",
        ),
        (
            "generation1@naive",
            lambda body: body["student"].update(name="w2s-bench/large"),
            "has student 'w2s-bench/large'",
        ),
        (
            "generation2@naive",
            lambda body: body["teacher"].update(fingerprint="f" * 64),
            "differ in model of generation 1",
        ),
        (
            "generation1@naive",
            step(spent={"steps": 9, "gold_labels": 1}),
            "took 9 steps, its last student alone takes 10",
        ),
        (
            "generation1@naive",
            step(one_hop={"steps": 20, "gold_labels": 561}),
            "one hop had 561 gold labels, of 560 items",
        ),
        ("generation1@naive", labels(0.5501), "label_accuracy 0.5501 of 400 labels would be"),
        ("generation1@naive", labels(0.6), "purity 0.55 of 400 rows, where 240 of 400 labels are right"),
        ("generation2@oracle", labels(0.4), "where 160 of 400 labels are right"),
        ("generation2@naive", seed(coverage=0.5), "seed 0: coverage 0.5"),
        ("generation2@naive", seed(by_stratum={"easy": 0.5, "hard": 1.0}), "by_stratum"),
    ],
)
def test_a_generation_that_cannot_be_is_refused(tmp_path: Path, row: str, alter: Change, said: str) -> None:
    results = written(tmp_path / "toy", chained())
    altered(results, f"math/{row}", alter)
    with pytest.raises(CellError) as caught:
        write_leaderboard(results)
    assert said in str(caught.value) and row in str(caught.value)


def test_an_arm_without_a_chain_has_no_generation(tmp_path: Path) -> None:
    results = written(tmp_path / "toy", chained())
    folder = results / "results" / "math"
    (folder / "generation2@ceiling.json").rename(folder / "generation2@gold_random.json")
    altered(results, "math/generation2@gold_random", as_gold_random_control)
    with pytest.raises(CellError, match="arm 'gold_random' has no chain"):
        write_leaderboard(results)


def as_gold_random_control(body: dict[str, Any]) -> None:
    body["arm"].update(name="gold_random", kind="control", coverage=0.5)


def test_a_generation_where_the_suite_has_no_chain_is_refused(tmp_path: Path) -> None:
    cells = chained()
    suite = suite_of([cell for cell in cells if not cell.body.chain])
    results = tmp_path / "toy"
    results.mkdir()
    (results / "suite.yaml").write_text(suite.to_yaml(), encoding="utf-8")
    for cell in cells:
        change(cell, suite=cell.body.suite.model_copy(update={"digest": suite.digest})).write(results)
    with pytest.raises(CellError, match="it is a generation of a chain, and the suite has none"):
        write_leaderboard(results)


def test_what_a_strangers_file_says_of_its_cost_is_a_figure_or_nothing() -> None:
    said: list[Any] = [90.0, "much", float("inf"), 10**400, True]
    arms = ["naive", "random", "oracle", "ceiling", "acme/margin"]
    costs: dict[str, Any] = {arm: {"cpu_seconds": value} for arm, value in zip(arms, said, strict=True)}
    costs["acme/engine"] = []
    cells = [Cell.of(cell.body, {"cost": costs.get(cell.body.arm.name, {})}) for cell in chained()]
    shown = {chain.arm: chain.spent.cpu_seconds for chain in board_of(cells).chains[0].arms}
    assert shown.pop("naive") == 90.0
    assert set(shown.values()) == {None}
