"""What a board believes: no file of a stranger hangs it, and no figure that sizes, bits or other cells contradict is shown."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cell_builder import make_cells, write_cells
from support import ROOT
from w2s_bench.errors import CellError, SuiteError, W2SBenchError
from w2s_bench.record import digest_of
from w2s_bench.results.belief import read_results
from w2s_bench.results.files import LARGEST, read_cell
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.text import printable

COMMITTED = ROOT / "leaderboards" / "tiny"
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "toy", make_cells())


def altered(results: Path, row: str, change: Change) -> Path:
    """A cell changed, and its digest made anew, as who changes it on purpose does."""
    path = results / "results" / f"{row}.json"
    content = json.loads(path.read_text())
    change(content)
    content["digest"] = digest_of(content["body"])
    path.write_text(json.dumps(content))
    return path


def said_of(results: Path) -> str:
    """What both readers of a results folder say, the same; and nothing is written."""
    with pytest.raises(W2SBenchError) as caught:
        write_leaderboard(results)
    assert not (results / "README.md").exists()
    message = str(caught.value)
    assert caught.value.exit_code == 2 and "pydantic" not in message and "\x1b" not in message
    assert len(message) < 1500
    return message


def seed(**changes: Any) -> Change:
    return lambda cell: cell["body"]["seeds"][0].update(changes)


def told(**changes: Any) -> Change:
    return lambda cell: cell["body"]["seeds"][0]["diagnostics"].update(changes)


def body(**changes: Any) -> Change:
    return lambda cell: cell["body"].update(changes)


def of(part: str, **changes: Any) -> Change:
    return lambda cell: cell["body"][part].update(changes)


def other_name(cell: dict[str, Any]) -> None:
    cell["body"]["arm"].update(trust_function="w2s-bench/probe", parameters={"layer": 2})


@pytest.mark.parametrize(
    ("row", "change", "said"),
    [
        ("confidence", told(auroc=7.0), "auroc is 7.0, expected a number from 0 to 1"),
        ("confidence", told(auroc="0.9"), "auroc is '0.9', expected a number"),
        ("confidence", told(auroc=True), "auroc is True, expected a number"),
        ("confidence", told(kept_by_stratum=[1]), "kept_by_stratum is [1], expected"),
        ("confidence", told(kept_by_stratum=None), "kept_by_stratum is None, expected"),
        ("confidence", told(kept_by_stratum={"easy": 0.9, "hard": 0.8}), "coverage 0.5 lies outside its kept_by_stratum"),
        ("confidence", told(kept_by_stratum={"easy": 0.6, "hard": 0.3}), "kept_by_stratum fits no sizes of the strata"),
        ("confidence", told(kept_by_stratum={str(i): 0.5 for i in range(500)}), "has 500 parts, of 400 items"),
        ("weak", told(label_accuracy=1.5), "label_accuracy is 1.5"),
        ("weak", told(label_probability_auroc="0.7"), "label_probability_auroc is '0.7', expected a number"),
        ("weak", told(label_probability_auroc=0.654321), "label_probability_auroc 0.654321, where 220 of 400 labels are right"),
        ("naive", of("arm", coverage=0.5), "it has coverage 0.5, arm 'naive' 1.0"),
        ("gold_trust_set", of("arm", coverage=1.0), "it has coverage 1.0, arm 'gold_trust_set' None"),
        ("gold_random", seed(kept=150, shortfall=50, coverage=0.375), "shortfall 50, which only oracle, inverted_oracle,"),
        ("weak", told(label_accuracy=0.551), "label_accuracy 0.551 of 400 labels would be 220.400 labels"),
        ("confidence", told(auroc=0.654321), "auroc 0.654321, where 220 of 400 labels are right"),
        ("confidence", told(auroc=39000 / 39600), "with 131 of the 200 rows of highest score right"),
        ("confidence", told(auroc=1000 / 39600), "with 131 of the 200 rows of highest score right"),
        ("oracle", seed(kept=150, shortfall=50, coverage=0.375), "shortfall 50 of 200 rows, where 220 of 400 labels"),
        ("gold_trust_set", seed(coverage=0.0), "coverage 0.0, of gold that is not of the pool"),
        ("confidence", seed(kept=-5), "seeds.0.kept: Input should be greater than or equal to 0"),
        ("confidence", seed(kept=10**30), "it holds an integer of 100 bits"),
        ("random", seed(kept=100, coverage=0.25), "kept 100 and shortfall 0, where 200 rows were asked for"),
        ("confidence", seed(kept=200, coverage=0.4), "coverage 0.4, with 200 of 400 rows kept"),
        ("confidence", seed(coverage=0.47), "200 rows kept are coverage 0.47 of 425.532 rows"),
        ("confidence", seed(shortfall=1), "kept 200 and shortfall 1"),
        ("confidence", seed(purity=0.7777), "purity 0.7777 of 200 rows kept would be 155.540 rows"),
        ("confidence", seed(purity=1.5), "seeds.0.purity: Input should be less than or equal to 1"),
        ("confidence", seed(purity=None), "seed 0: it lacks purity"),
        ("confidence", seed(purity=0.05), "purity 0.05 of 200 rows, where 220 of 400 labels are right"),
        ("naive", seed(purity=0.75), "purity 0.75 of 400 rows, where 220 of 400 labels are right"),
        ("oracle", seed(purity=0.9), "purity 0.9, where every row is right"),
        ("gold_trust_set", seed(kept=61), "where 60 rows were asked for"),
        ("weak", seed(kept=10), "weak keeps no rows"),
        ("confidence", seed(accuracy=0.999), "and the bits of correct"),
        ("confidence", seed(by_stratum={"easy": 0.0, "hard": 0.1}), "lies outside its by_stratum"),
        ("confidence", seed(by_stratum={"easy": 0.123456789, "hard": 0.9}), "is no share of at most 300 items"),
        ("confidence", seed(by_stratum={"other": 0.5}), "lies outside its by_stratum"),
        ("confidence", seed(seed=7), "seeds are 0 to 2, in this order; got [7, 1, 2]"),
        ("confidence", seed(error="x", accuracy=None, correct=None), "seed 0 failed, and has figures all the same"),
        ("confidence", lambda c: c["body"]["seeds"].pop(), "it has 2 seeds, the suite 3"),
        ("confidence", body(seeds=[]), "body.seeds: Tuple should have at least 1 item"),
        ("confidence", body(seeds=[{"seed": i, "error": "x"} for i in range(1001)]), "should have at most 1000 items"),
        ("confidence", body(generation=2), "generation 2 of no chain"),
        ("confidence", body(items_digest="\x1b[2J\x1b]0;owned\x07"), "body.items_digest: String should match pattern"),
        ("confidence", body(protocol="w2s-9"), "it has protocol 'w2s-9', the suite 'w2s-1'"),
        ("confidence", of("arm", kind="reference"), "is of kind 'reference'; references are weak, base, ceiling"),
        ("confidence", of("arm", supervision="trust_set"), "supervision 'trust_set', where that of"),
        ("confidence", of("arm", coverage=0.25), "it has coverage 0.25, the suite 0.5"),
        ("confidence", of("arm", coverage=None), "it has coverage None, the suite 0.5"),
        ("confidence", other_name, "is said to be 'w2s-bench/probe:layer=2'"),
        ("confidence", of("arm", trust_function=None), "is said to be ''"),
        ("confidence", of("arm", selection=None), "it has selection None, the suite's are 'top'"),
        ("random", of("arm", parameters={"layer": 2}), "has a trust function, its parameters or its selection"),
        ("confidence", of("plugin", distribution="acme"), "is said to come from 'acme'"),
        ("confidence", body(plugin=None), "is said to come from nowhere"),
        ("base", of("suite", version="2"), "mixes cells of 2 suites"),
        ("confidence", of("domain", version="2"), "it has version '2', the suite's domain '1'"),
        ("confidence", of("teacher", name="tiny/math-s"), "it has teacher 'tiny/math-s', the suite's domain 'w2s-bench/small'"),
        ("random", of("arm", kind="trust_function"), "arm 'random' is of kind 'trust_function'; controls are"),
        ("oracle", of("arm", supervision="none"), "arm 'oracle' has supervision 'none', its is 'privileged'"),
        ("oracle", body(plugin={"distribution": "a", "version": "1", "source": "0" * 64}), "the harness's own"),
        ("confidence", lambda c: c["provenance"].update(packages=[1]), "packages is [1], expected a version as text"),
        ("confidence", lambda c: c["provenance"].update(packages=None), "packages is None, expected"),
        ("confidence", lambda c: c["provenance"].update(packages={"torch": 2}), "packages is {'torch': 2}"),
        ("confidence", lambda c: c["provenance"].update(packages={str(i): "1" for i in range(1001)}), "has 1001 names"),
    ],
)  # fmt: skip
def test_a_figure_that_cannot_be_is_refused_whatever_the_digest(
    results: Path, row: str, change: Change, said: str
) -> None:
    path = altered(results, f"math/{row}", change)
    message = said_of(results)
    assert said in message and str(path) in message


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"version": "2"}, "it has version '2', the suite '1'"),
        ({"evaluate_on": "dev"}, "it has evaluate_on 'dev', the suite 'test'"),
        ({"digest": "0" * 64}, "suite.yaml is not the suite its cells were made with"),
    ],
)
def test_cells_that_agree_on_another_suite_are_refused(results: Path, changes: dict[str, str], said: str) -> None:
    for path in (results / "results" / "math").iterdir():
        altered(results, f"math/{path.stem}", of("suite", **changes))
    assert said in said_of(results)


def test_bits_of_no_items_are_refused(results: Path) -> None:
    def none(cell: dict[str, Any]) -> None:
        cell["body"]["items"] = 0
        for one in cell["body"]["seeds"]:
            one.update(correct="", accuracy=0.0, by_stratum={})

    altered(results, "math/confidence", none)
    assert "seed 0 has an accuracy on 0 items; at least 2 are needed" in said_of(results)


def test_strata_must_fit_the_other_cells(results: Path) -> None:
    """Shares that are possible by themselves, of strata of other sizes than those of every other cell."""

    def resized(cell: dict[str, Any]) -> None:
        for one in cell["body"]["seeds"]:
            right = round(one["accuracy"] * 300)
            one["by_stratum"] = {"easy": 1.0, "hard": (right - 100) / 200}

    path = altered(results, "math/confidence", resized)
    assert read_cell(path)
    message = said_of(results)
    assert str(path) in message and "by_stratum fits no sizes of the strata" in message


def test_strata_have_one_size_of_whole_items(results: Path) -> None:
    """Few arms and more strata than they: shares that some sizes would give, though none of whole items."""
    shares = dict.fromkeys(("a", "b", "c", "d"), 0.5)
    for path in (results / "results" / "math").iterdir():
        cell = json.loads(path.read_text())
        for one in cell["body"]["seeds"]:
            one["diagnostics"].pop("kept_by_stratum", None)
        path.write_text(json.dumps({**cell, "digest": digest_of(cell["body"])}))
    altered(results, "math/random", told(kept_by_stratum=shares))
    altered(results, "math/confidence", told(kept_by_stratum={**shares, "a": 0.6, "b": 0.4}))
    assert write_leaderboard(results).rows
    (results / "README.md").unlink()
    altered(results, "math/oracle", told(kept_by_stratum={**shares, "a": 49 / 97, "b": 50 / 101}))
    assert "kept_by_stratum" in said_of(results)


def test_labels_are_told_by_naive_where_the_weak_labels_cell_does_not(results: Path) -> None:
    altered(results, "math/weak", seed(diagnostics={}))
    altered(results, "math/confidence", seed(purity=0.05))
    assert "purity 0.05 of 200 rows, where 220 of 400 labels are right" in said_of(results)


@pytest.mark.parametrize("name", ["x\noracle  identical.json", "\x1b[2J.json", "\u202egpj.json"])
def test_a_file_whose_name_would_part_or_steer_a_line_is_refused(results: Path, name: str) -> None:
    (results / "results" / "math" / name).write_text("{}")
    message = said_of(results)
    assert "has a name that no cell has" in message and printable(message) == message and "\n" not in message


@pytest.mark.parametrize("linked", ["results", "results/math", "results/none"])
def test_folders_that_are_links_lead_nowhere(results: Path, tmp_path: Path, linked: str) -> None:
    if (results / linked).exists():
        (results / linked).rename(tmp_path / "elsewhere")
    (results / linked).symlink_to(tmp_path / "elsewhere")
    assert f"{results / linked} is a link, where a folder of cells belongs" in said_of(results)


def test_a_suite_that_is_missing_or_another_is_refused(results: Path) -> None:
    suite = results / "suite.yaml"
    text = suite.read_text()
    suite.write_text(text.replace("seed: 0", "seed: 1"))
    assert "suite.yaml is not the suite its cells were made with" in said_of(results)
    suite.write_text("name: other\n")
    assert "version: Field required" in said_of(results)
    suite.unlink()
    with pytest.raises(SuiteError, match=r"cannot read suite file .*suite.yaml: No such file"):
        write_leaderboard(results)
    suite.write_text(text)
    assert write_leaderboard(results).rows


def planted(path: Path, how: str) -> None:
    if how == "pipe":
        os.mkfifo(path)
    elif how == "device":
        path.symlink_to("/dev/zero")
    elif how == "link":
        path.symlink_to(next(path.parent.glob("confidence.json")))
    elif how == "folder":
        path.mkdir()
    elif how == "large":
        with path.open("wb") as file:
            file.truncate(LARGEST + 1)
    else:
        path.write_bytes({"deep": b"[" * 90_000, "many": b"[" + b"[]," * 100_000, "bytes": b"\xff\xfe"}[how])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("pipe", "it is a named pipe, where a regular file belongs"),
        ("device", "it is a link, where a regular file belongs"),
        ("link", "it is a link, where a regular file belongs"),
        ("folder", "it is a folder, where a regular file belongs"),
        ("large", "it is larger than 32768 KiB"),
        ("deep", "it is nested deeper than 32 levels"),
        ("many", "it holds more than 100000 values"),
        ("bytes", "it is no UTF-8 text (byte 0)"),
    ],
)
def test_what_is_no_file_of_a_cell_is_neither_opened_nor_read_to_its_end(results: Path, how: str, said: str) -> None:
    path = results / "results" / "math" / "zz.json"
    planted(path, how)
    message = said_of(results)
    assert said in message and str(path) in message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"auroc": 0.', '"auroc": 1e9990, "x": 0.', "it holds the number inf"),
        ('"auroc": 0.', '"auroc": ' + "9" * 400 + ', "x": 0.', "an integer of 1329 bits"),
        ('"diagnostics": {', '"diagnostics": {"x": "\\ud800", ', "half of a character"),
        ('"packages": {', '"packages": {"\\udfff": "1", ', "half of a character"),
    ],
)
def test_values_that_no_file_should_hold_are_refused(results: Path, old: str, new: str, said: str) -> None:
    path = results / "results" / "math" / "confidence.json"
    path.write_text(path.read_text().replace(old, new, 1))
    assert said in said_of(results)


def test_what_may_be_is_taken(results: Path) -> None:
    """Failed seeds, further diagnostics and provenance, an arm that found too few rows."""
    altered(results, "math/confidence", seed(error="out of memory", accuracy=None, correct=None, kept=None, purity=None,
                                             coverage=None, by_stratum={}, diagnostics={}))  # fmt: skip
    altered(results, "math/probe", told(notes={"steps": [1, 2.5, None, "x"]}, auroc=None))
    altered(results, "math/weak", lambda cell: cell["provenance"].update(site={"rack": 7}))
    suite, cells = read_results(results)
    assert len(write_leaderboard(results).failures) == 1 and len(cells) == len(make_cells())
    few = write_cells(results.parent / "few", make_cells(label_accuracy=0.4))
    assert write_leaderboard(few).rows and suite.seeds == 3


def test_the_committed_leaderboard_is_sound() -> None:
    suite, cells = read_results(COMMITTED)
    assert suite.name == "tiny" and len(cells) > 30


def test_cells_of_two_domains_do_not_vouch_for_each_other(tmp_path: Path) -> None:
    results = write_cells(tmp_path / "toy", make_cells("w2s-bench/math"), make_cells("acme/chess", label_accuracy=0.6))
    assert len(write_leaderboard(results).domains) == 2
    (results / "README.md").unlink()
    altered(results, "acme.chess/naive", seed(purity=0.55))
    with pytest.raises(CellError, match="where 240 of 400 labels are right"):
        write_leaderboard(results)
