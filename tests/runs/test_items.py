"""`items`: what a row is made of, item by item, agrees with its cell; and it comes out of the store of its run alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import w2s_bench
from support import run_inline, toy_registry, toy_suite
from w2s_bench import machine
from w2s_bench._cli.app import app
from w2s_bench.errors import StoreError, SuiteError, UnknownNameError, W2SBenchError
from w2s_bench.record import digest_of, pack_bits, unpack_bits
from w2s_bench.results.cells import Cell
from w2s_bench.results.files import read_cells
from w2s_bench.results.report.pool import over_coverages
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.finished import FinishedRun
from w2s_bench.runs.items import item_lines, pools
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.suite_files import load_suite

ROWS = [
    f"w2s-bench-toy.largest/{arm}"
    for arm in ("weak", "base", "naive", "oracle", "gold_random", "w2s-bench-toy.prompt_hash")
]
HASH = ROWS[-1]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        # Shared with other files of this test run, as in test_collect.py.
        shared = tmp_path_factory.getbasetemp()
        suite = toy_suite(shared / "toy-models", coverage=0.4, diagnostics="full")
        planned = plan(suite, registry, domains=["largest"], trust=["w2s-bench-toy/prompt_hash"], rows=ROWS)
        store = Store(shared / "toy-store")
        outcomes = run_inline(planned.targets(), store, registry)
        results = Results(outcomes, store)
        folder = tmp_path_factory.mktemp("items") / "toy"
        folder.mkdir()
        (folder / "suite.yaml").write_text(planned.suite.to_yaml())
        for cell in planned.cells:
            cell_of(cell, results).write(folder)
        yield SimpleNamespace(folder=folder, store=store.root, cells={c.row: c for c in read_cells(folder)})


def lines(ran: Any, row: str, **more: Any) -> list[dict[str, Any]]:
    return item_lines(ran.folder, [row], ran.store, trust_folder=True, **more)


def of(told: list[dict[str, Any]], seed: int, split: str) -> list[dict[str, Any]]:
    return [line for line in told if line["seed"] == seed and line["split"] == split]


@pytest.mark.parametrize("imitated", [[], ["bfloat16"]])
def test_what_a_run_computed_in_float32_is_looked_for_under_the_keys_it_has(
    ran: Any, imitated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the processor of whoever looks has instructions for: rows by `items`, a whole board by `analyse`."""
    planned_for = list[frozenset[str]]()

    def noted(*_: Any, **__: Any) -> Any:
        planned_for.append(machine.multiplied())
        raise W2SBenchError("on purpose")

    cell = ran.cells[HASH]
    told = Cell.of(cell.body, {**cell.provenance, **({machine.IMITATED: imitated} if imitated else {})})
    told.write(tmp_path)
    shutil.copy(ran.folder / "suite.yaml", tmp_path)
    monkeypatch.setenv(machine.MULTIPLIES_VARIABLE, "float16")
    monkeypatch.setattr("w2s_bench.runs.plan.plan", noted)
    with pytest.raises(W2SBenchError, match="on purpose"):
        item_lines(tmp_path, [HASH], ran.store, trust_folder=True)
    with pytest.raises(W2SBenchError, match="on purpose"):
        FinishedRun(tmp_path, load_suite(tmp_path / "suite.yaml"), [told], Store(ran.store))._plan(lambda event: None)
    assert planned_for == 2 * [frozenset({"bfloat16", "float16"} - set(imitated))]
    assert machine.multiplied() == {"float16"}


@pytest.mark.parametrize("row", ROWS)
def test_lines_give_the_figures_of_the_cell(ran: Any, row: str) -> None:
    cell: Cell = ran.cells[row]
    told = lines(ran, row)
    for seed in cell.body.seeds:
        tested, pool = of(told, seed.seed, "test"), of(told, seed.seed, "transfer")
        assert [line["id"] for line in tested] == sorted(line["id"] for line in tested)
        assert [line["answer_right"] for line in tested] == list(unpack_bits(seed.correct or "", cell.body.items))
        assert digest_of([line["id"] for line in tested]) == cell.body.items_digest
        assert all(line["kept"] is None and line["score"] is None for line in tested)
        kept = [line for line in pool if line["kept"]]
        assert bool(pool) == (seed.kept is not None)
        if seed.kept is None:
            continue
        assert len(kept) == seed.kept and all(line["weight"] == 1.0 for line in kept)
        if cell.body.arm.facts.hangs_on_weak_labels:
            assert np.mean([line["weak_right"] for line in kept]) == pytest.approx(seed.purity)


def test_the_rows_of_highest_score_are_the_kept_ones(ran: Any) -> None:
    pool = of(lines(ran, HASH), 1, "transfer")
    kept = [line["score"] for line in pool if line["kept"]]
    assert min(kept) >= max(line["score"] for line in pool if not line["kept"])
    assert of(lines(ran, ROWS[2]), 1, "transfer")[0]["score"] is None


def test_the_pool_has_the_rows_that_a_cell_says_are_kept(ran: Any) -> None:
    told, refused = pools(ran.folder, list(ran.cells.values()), ran.store, trust_folder=True)
    assert set(told) == {row for row, cell in ran.cells.items() if cell.body.arm.coverage is not None} and not refused
    for seed in ran.cells[HASH].body.seeds:
        pool = told[HASH][seed.seed]
        assert pool.kept is not None and pool.scores is not None and seed.kept_rows is not None
        assert (pool.kept == seed.kept_rows.array()).all()
        assert pool.scores[pool.kept].min() >= pool.scores[~pool.kept].max()
        assert pool.right[pool.kept].mean() == pytest.approx(seed.purity)
        made = over_coverages(seed.model_copy(update={"diagnostics": {}}), pool)
        assert made == over_coverages(seed, None), "the store's scores give what the cell says"
        assert made[0]["1.0"] == pytest.approx(pool.right.mean())


def test_the_report_shows_them_where_it_is_asked_to(ran: Any, tmp_path: Path) -> None:
    out = tmp_path / "toy.html"
    call = ["report", str(ran.folder), "--out", str(out), "--items", "--store", str(ran.store), "--trust-folder"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    assert "Rows kept and dropped: 20 examples of seed 0" in out.read_text()
    for options, code, said in (
        (["--items", "--store", str(tmp_path / "empty")], 2, "--trust-folder"),
        (["--items", "--store", str(tmp_path / "empty"), "--trust-folder"], 1, "is in this store"),
        (["--store", str(ran.store)], 2, "add --items"),
    ):
        done = CliRunner().invoke(app, ["report", str(ran.folder), "--out", str(out), *options])
        assert done.exit_code == code and said in " ".join(done.output.split())


def test_gold_and_prompts_are_shown_where_they_are_asked_for(ran: Any) -> None:
    plain = lines(ran, HASH)[0]
    assert "gold" not in plain and "prompt" not in plain
    told = lines(ran, HASH, gold=True, prompts=True)
    assert all(line["prompt"] for line in told)
    # A weak label is right where it is the gold answer: this domain's options are distinct.
    assert all((line["weak_label"].strip() == line["gold"]) == line["weak_right"] for line in told)


def test_python_and_the_command_give_the_same_and_datasets_load_it(ran: Any, tmp_path: Path) -> None:
    import datasets

    out = tmp_path / "items.jsonl"
    asked = ["items", str(ran.folder), "--row", HASH, "--store", str(ran.store), "--trust-folder", "--gold"]
    assert CliRunner().invoke(app, [*asked, "--out", str(out)]).exit_code == 0
    frame = w2s_bench.items(ran.folder, [HASH], store=ran.store, trust_folder=True, gold=True)
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(frame) == len(written) and list(frame["id"]) == [line["id"] for line in written]
    loaded = datasets.load_dataset("json", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == len(written) and set(loaded.column_names) == set(written[0])
    table = tmp_path / "items.parquet"
    assert CliRunner().invoke(app, [*asked, "--out", str(table)]).exit_code == 0
    import pandas

    assert pandas.read_parquet(table)["score"].dtype == "Float64"


def test_what_cannot_be_shown_is_said(ran: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"lack.* stages of it .*w2s-bench run"):
        item_lines(ran.folder, [HASH], tmp_path / "empty", trust_folder=True)
    assert not (tmp_path / "empty").exists()
    with pytest.raises(SuiteError, match="--trust-folder"):
        item_lines(ran.folder, [HASH], ran.store)
    with pytest.raises(UnknownNameError, match="unknown row 'math/x'"):
        item_lines(ran.folder, ["math/x"], ran.store, trust_folder=True)
    with pytest.raises(W2SBenchError, match="name the rows"):
        item_lines(ran.folder, [], ran.store, trust_folder=True)


def test_a_store_of_another_outcome_is_refused(ran: Any, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ran.folder, tmp_path / "toy"))
    cell = ran.cells[ROWS[1]]
    first = cell.body.seeds[0]
    bits = unpack_bits(first.correct, cell.body.items)[::-1]
    if (bits == bits[::-1]).all():
        bits = ~bits
    told = first.model_copy(
        update={"correct": pack_bits(bits), "accuracy": float(bits.mean()), "by_stratum": {}},
    )
    Cell.of(cell.body.model_copy(update={"seeds": (told, *cell.body.seeds[1:])}), {}).write(folder)
    with pytest.raises(StoreError, match="the answers in this store are not those of the cell"):
        item_lines(folder, [ROWS[1]], ran.store, trust_folder=True)
