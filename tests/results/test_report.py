"""The report: figures are the board's, text from outside is inert, a bad cell costs itself alone."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cell_builder import CONTROLS, REFERENCES, TRUST, change, make_cells, suite_of, write_cells
from support import ROOT
from w2s_bench._cli.app import app
from w2s_bench.errors import CellError, W2SBenchError
from w2s_bench.names import PROGRESS, short
from w2s_bench.record import pack_bits
from w2s_bench.results.attestations import Attestation, Attested
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.leaderboard import build
from w2s_bench.results.pages.arm_words import arm_in_words
from w2s_bench.results.pages.style import figure, number
from w2s_bench.results.references import ArmRef
from w2s_bench.results.report import scripts
from w2s_bench.results.report.arms import arms_of
from w2s_bench.results.report.page import render
from w2s_bench.results.report.plots import forest
from w2s_bench.results.report.pool import Pool, examples
from w2s_bench.results.report.reading import Folder, read_folder
from w2s_bench.results.report.scripts import as_script
from w2s_bench.results.report.serving import Live, open_server
from w2s_bench.results.report.tables import main_table
from w2s_bench.results.seed_results import KeptRows
from w2s_bench.results.statistics import Estimate

EVIL = "</script><script>alert(1)</script><!--\u202e\x1b[31m\u2028'\"&"


class Parsed(HTMLParser):
    """What a browser would make of a page: elements with attributes, texts, the contents of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.texts: list[str] = []
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._within = tag if tag in self.raw else ""
        if self._within:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self.raw[self._within][-1] += data
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def folder_of(*domains: Mapping[str, Cell], faults: tuple[str, ...] = ()) -> Folder:
    """A folder without files."""
    cells = [cell for one in domains for cell in one.values()]
    board = build(cells, Path("results"))
    return Folder(Path("results"), suite_of(cells), tuple(cells), board, faults)


def with_seed(cell: Cell, **fields: Any) -> Cell:
    """The cell with fields of its first seed replaced."""
    first, *others = cell.body.seeds
    return change(cell, seeds=(first.model_copy(update=fields), *others))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cells(
        tmp_path_factory.mktemp("report") / "toy",
        make_cells("w2s-bench/math", failed={("w2s-bench/probe", 2): "disk full"}),
        make_cells("acme/flat", items=120, accuracies={"weak": 0.6, "ceiling": 0.6}),
    )


@pytest.fixture(scope="module")
def page(results: Path) -> Parsed:
    return Parsed(render([read_folder(results)]))


def test_the_same_cells_give_the_same_bytes(results: Path) -> None:
    folder = read_folder(results)
    again = Folder(Path("elsewhere"), folder.suite, tuple(reversed(folder.cells)), folder.board, ())
    assert render([folder]) == render([read_folder(results)])
    assert render([again]) == render([folder])


def test_figures_are_the_boards(results: Path, page: Parsed) -> None:
    board = read_folder(results).board
    for row in board.rows:
        assert figure(row.entries["math"].pgr) in page.text, row.arm
        assert figure(row.entries["math"].accuracy, 3) in page.text, row.arm
    assert "gap unresolved" in page.text
    assert "Gap unresolved in acme/flat:" in page.text
    assert "(2 of 3 seeds)" in page.text
    assert "disk full" in page.text


def test_every_arm_is_a_line_and_a_section_of_its_own(page: Parsed) -> None:
    names = {short(name) for name in (*TRUST, *CONTROLS, *REFERENCES)}
    lines = [attributes["data-name"] for attributes in page.all("tr") if "data-name" in attributes]
    assert sorted(map(str, lines)) == sorted(names)
    sections = [a for a in page.all("section") if a.get("data-view") == "row"]
    assert len(sections) == len(names)
    ids = [a["id"] for _, a in page.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    for attributes in page.all("a"):
        target = str(attributes["href"])
        assert target.startswith("#")
        if target.startswith("#row="):
            from urllib.parse import unquote

            assert unquote(target[1:]) in ids


def test_the_policy_lets_in_what_is_here_and_nothing_else(page: Parsed) -> None:
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    run = [text for text, a in zip(page.raw["script"], page.all("script"), strict=True) if "type" not in a]
    for content in (*run, *page.raw["style"]):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for _, attributes in page.elements:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style", "srcdoc")}
        assert str(attributes.get("href", "#")).startswith(("#", "data:,"))
    assert "fetch(" not in "".join(run)


def test_text_from_outside_is_inert(page: Parsed) -> None:
    cells = make_cells()
    probe = with_seed(cells["w2s-bench/probe"], diagnostics={"auroc": 0.9, EVIL: EVIL, "kept_by_label": {EVIL: 0.5}})
    probe = with_seed(probe, by_stratum={EVIL: 0.5, "hard": 0.9}, digests={EVIL: "0" * 64})
    cells["w2s-bench/probe"] = Cell.of(probe.body, {EVIL: {EVIL: [EVIL]}, "packages": {EVIL: EVIL}})
    cells["acme/engine"] = with_seed(
        cells["acme/engine"], error=EVIL, accuracy=None, correct=None, kept=None, purity=None, coverage=None,
        by_stratum={}, diagnostics={},
    )  # fmt: skip
    text = render([folder_of(cells, faults=(EVIL,))])
    hostile = Parsed(text)
    kinds = {tag for tag, _ in page.elements} | {"li", "dl"}
    assert {tag for tag, _ in hostile.elements} <= kinds
    assert len(hostile.all("script")) == len(page.all("script"))
    assert not any(c in text for c in "\u202e\x1b\u2028")
    assert "\\u202e" in hostile.text
    data = json.loads(hostile.raw["script"][0])
    strata = data["boards"][0]["domains"][0]["strata"]
    assert any("</script>" in name and "\\u202e" in name for name in strata)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists, max_leaves=8
    )
)
def test_json_in_a_script_comes_back_and_ends_nothing(value: Any) -> None:
    written = str(as_script({"x": value}))
    assert not set(written) & set("<>&\u2028\u2029")
    assert json.loads(written).keys() == {"x"}


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=15, deadline=None)
@given(st.dictionaries(st.text(max_size=8), anything, max_size=4), anything)
def test_whatever_a_cell_says_beside_its_figures_is_shown_or_passed_over(diagnostics: Any, cost: Any) -> None:
    cells = make_cells(arms=["weak", "base", "ceiling", "naive", "random", "oracle"], items=20, seeds=1)
    told = {n: v for n, v in diagnostics.items() if n not in ("auroc", "label_accuracy")}
    cells["oracle"] = Cell.of(with_seed(cells["oracle"], diagnostics=told).body, {"cost": cost, "of the future": cost})
    assert "oracle" in Parsed(render([folder_of(cells)])).text


def test_arms_beside_the_ranking_and_cells_of_other_kinds_are_shown() -> None:
    cells = make_cells()
    confidence = cells["w2s-bench/confidence"]
    ref = confidence.body.arm.model_copy(update={"name": "balanced:confidence", "selection": "balanced"})
    cells["balanced:confidence"] = change(confidence, arm=ref)
    folder = folder_of(cells)
    arms = {arm.name: arm for arm in arms_of(folder)}
    assert arms["balanced:confidence"].badge == "track none, selection balanced"
    assert arms["balanced:confidence"].cells["math"].body.arm.name == "balanced:confidence"
    later = change(confidence, arm=ref.model_copy(update={"name": "of_the_future:confidence"}))
    shown = Parsed(render([replace(folder, cells=(*folder.cells, later))]))
    assert "Further cells" in shown.text
    assert later.row in shown.text
    assert "Further cells" not in Parsed(render([folder])).text


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        (
            "confidence",
            {},
            "trains on 50 % of the teacher's labels of the pool, chosen by the trust scores of `confidence`",
        ),
        ("balanced:confidence", {"selection": "balanced"}, "of each class of weak labels, equally many of each"),
        ("weighted:confidence", {"selection": "weighted"}, "every row, with a weight in proportion to the rank"),
        (
            "gold_kept:confidence",
            {"kind": "control", "supervision": "privileged"},
            "gold labels on the rows that the arm keeps",
        ),
        ("matched_random:confidence", {"kind": "control"}, "random rows, as many of each weak label in each stratum"),
        (
            "trust_first:confidence",
            {"kind": "control"},
            "keeps, in every pass the most trusted first instead of shuffled",
        ),
        ("soft:confidence", {"objective": "soft"}, "The rows of the arm `confidence`, learned by the objective `soft`"),
    ],
)
def test_every_kind_of_arm_says_what_it_trains_on(name: str, fields: dict[str, Any], said: str) -> None:
    plain = make_cells()["w2s-bench/confidence"].body.arm
    ref = ArmRef.model_validate({**plain.model_dump(), "name": name, **fields})
    told = arm_in_words(ref)
    assert said in told
    assert "`confidence`" in told
    assert told == arm_in_words(ArmRef.model_validate(ref.model_dump()))


def test_references_and_controls_say_what_they_are() -> None:
    told = {short(name): arm_in_words(cell.body.arm) for name, cell in make_cells().items()}
    assert told["ceiling"] == "The student trained on the gold labels of the pool"
    assert told["naive"] == "A student that trains on all weak labels"
    assert all(told.values())


def test_generations_of_chains_stand_in_a_table_and_are_said_in_words() -> None:
    folder = read_folder(ROOT / "leaderboards" / "tiny-chain")
    shown = Parsed(render([folder]))
    assert "Generation 1 of 2 of the chain of naive : tiny/" in shown.text
    for domain in folder.board.chains:
        for chain in domain.arms:
            for entry in chain.generations:
                assert entry is not None and entry.accuracy is not None
                assert f"{number(entry.accuracy.value, 3)}, PGR {figure(entry.pgr)}" in shown.text
    rows = {a["data-row"] for _, a in shown.elements if "data-row" in a}
    assert rows == {cell.row for cell in folder.cells}  # each can be linked to


def test_what_others_say_of_cells_is_shown(tmp_path: Path) -> None:
    folder = write_cells(tmp_path / "toy", make_cells())
    digest = next(cell.digest for cell in read_folder(folder).cells if cell.row == "math/probe")
    told = (Attested(row="math/probe", digest=digest, tier="identical elsewhere"),)
    Attestation(made="2026-01-01T00:00:00Z", suite="0" * 64, platform="p", rows=told).write(folder)
    shown = Parsed(render([read_folder(folder)]))
    assert "computed again: identical elsewhere" in shown.text
    assert "Computed again: 1 of" in shown.text
    (folder / "attestations" / "x.json").write_text("{}")
    broken = read_folder(folder)
    assert len(broken.faults) == 1 and "x.json is no attestation" in broken.faults[0]
    assert "probe" in Parsed(render([broken])).text


def test_a_list_of_numbers_is_a_curve(page: Parsed) -> None:
    cells = make_cells()
    cells["w2s-bench/probe"] = with_seed(
        cells["w2s-bench/probe"], diagnostics={"loss_by_step": [3.0, 2.0, 1.5], "wild": [-1e308, 1e308]}
    )
    drawn = Parsed(render([folder_of(cells)]))
    assert len(drawn.all("polyline")) == 1
    assert "loss by step: 3 values, 1.5 to 3" in drawn.text
    assert not page.all("polyline")


def with_full_diagnostics(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    """Made-up cells of a suite that asks for full diagnostics: which 200 of 400 rows three arms keep, and curves of one of them."""
    first = {"w2s-bench/confidence": 0, "w2s-bench/probe": 100, "random": 200}
    out = dict(cells)
    for arm, begin in first.items():
        bits = np.zeros(400, dtype=np.bool_)
        bits[begin : begin + 200] = True
        seeds = [
            seed.model_copy(update={"kept_rows": KeptRows(pool=400, bits=pack_bits(bits))})
            for seed in cells[arm].body.seeds
        ]
        out[arm] = change(cells[arm], seeds=tuple(seeds))
    told = {"purity_at": {"0.5": 0.9, "1.0": 0.55}, "reliability": [{"rows": 400, "score": 0.6, "right": 0.55}]}
    arm = "w2s-bench/confidence"
    return {**out, arm: with_seed(out[arm], diagnostics={**out[arm].body.seeds[0].diagnostics, **told})}


def test_full_diagnostics_are_drawn_and_arms_agree_as_much_as_their_rows_do(tmp_path: Path) -> None:
    cells = with_full_diagnostics(make_cells())
    results = write_cells(tmp_path / "toy", cells)
    folder = read_folder(results)
    assert folder.faults == ()
    page = Parsed(render([folder]))
    drawn = {element.get("aria-label") for element in page.all("svg")}
    assert "Risk by coverage, means over seeds: 0.10 at 0.5, 0.45 at 1" in drawn
    assert "Share of right labels by score, seed by seed: 0.55 at 0.60" in drawn
    # Of confidence's rows 0 to 199, probe keeps 100 to 199, and random, which keeps 200 to 399, none.
    told = page.text[page.text.index("Arms that keep the most of the rows of confidence in math") :]
    assert re.search(r"of the rows of both probe 0\.50 0\.33 random 0\.00 0\.00 The share", told)
    (data,) = (json.loads(raw) for raw in page.raw["script"] if raw.startswith("{"))
    board = data["boards"][0]
    at = next(i for i, arm in enumerate(board["arms"]) if arm["name"] == "probe")
    cell = board["domains"][0]["cells"][str(at)]
    assert cell["pool"] == 400
    assert base64.b64decode(cell["kept"]["0"]).hex() == cells["w2s-bench/probe"].body.seeds[0].kept_rows.bits  # type: ignore[union-attr]
    naive = next(i for i, arm in enumerate(board["arms"]) if arm["name"] == "naive")
    assert "kept" not in board["domains"][0]["cells"][str(naive)]


def test_rows_of_the_pool_are_shown_where_somebody_has_read_the_store() -> None:
    folder = folder_of(make_cells())
    lines = [
        {
            "id": f"{at:03}",
            "stratum": "s",
            "weak_label": f"label {at}",
            "weak_right": at % 4 != 0,
            "score": at / 100,
            "kept": at >= 50,
        }
        | {"prompt": EVIL if at == 99 else f"question {at}"}
        for at in range(100)
    ]
    pool = Pool.of(lines[::-1])
    assert pool.ids[0] == "000" and pool.kept is not None and pool.kept.sum() == 50
    shown = examples(pool)
    assert [(one.place, one.kept) for one in shown[:2]] == [("1", "kept"), ("6", "kept")]
    assert (shown[9].place, shown[9].kept, shown[10].place, shown[10].kept) == ("50", "kept", "51", "dropped")
    assert len(shown) == 20 and shown[-1].place == "100" and shown[-1].right == "wrong"
    page = Parsed(render([replace(folder, pools={"math/confidence": {0: pool}})]))
    assert "Rows kept and dropped: 20 examples of seed 0" in page.text and "question 0" in page.text
    assert "img" not in {name for name, _ in page.elements} and "Risk by coverage" in page.text
    assert "\u202e" not in page.text


def test_rows_without_scores_or_all_kept_have_their_examples_too() -> None:
    line = {"stratum": "s", "weak_label": "a", "weak_right": True, "score": None, "prompt": "q"}
    blind = Pool.of([{**line, "id": str(at), "kept": at < 3} for at in range(6)])
    assert [(one.place, one.score, one.kept) for one in examples(blind)] == [("–", "–", "kept")] * 3 + [
        ("–", "–", "dropped")
    ] * 3
    untold = Pool.of([{**line, "id": "1", "kept": None}])
    assert examples(untold) == () and untold.kept is None


def test_a_bad_cell_costs_itself_alone(tmp_path: Path) -> None:
    folder = write_cells(tmp_path / "toy", make_cells(), make_cells("w2s-bench/chess"))
    cells = folder / "results" / "math"
    faults = {
        "naive": '{"schema": "w2s-bench/cell/1"}',
        "random": "[" * 100_000,
        "oracle": (cells / "oracle.json").read_text().replace('"accuracy": 0.', '"accuracy": NaN, "x": 0.', 1),
        "gold_random": (cells / "gold_random.json").read_text().replace('"digest": "', '"digest": "0', 1),
        "base": (cells / "base.json").read_text().replace("w2s-bench/cell/1", "w2s-bench/cell/9"),
    }
    for name, text in faults.items():
        (cells / f"{name}.json").write_text(text)
    (cells / "confidence.json").unlink()
    (cells / "confidence.json").symlink_to(cells / "probe.json")
    (cells / "naïve.json").write_text("{}")
    (folder / "results" / "linked").symlink_to(folder / "results" / "chess")
    read = read_folder(folder)
    told = {name: [f for f in read.faults if f"/{name}" in f] for name in (*faults, "confidence", "linked")}
    assert {name: len(found) for name, found in told.items()} == dict.fromkeys(told, 1)
    assert len(read.faults) == len(told) + 1
    assert "body: Field required" in told["naive"][0]
    assert "nested deeper" in told["random"][0] or "values" in told["random"][0]
    assert "schema" in told["base"][0]
    shown = Parsed(render([read]))
    assert "8 files are left out" in shown.text
    assert "results/math/naive.json is no cell" in shown.text
    assert str(tmp_path) not in shown.text
    assert "acme/engine" in shown.text
    run = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "x.html")])
    assert run.exit_code == 1
    assert "left out:" in run.stderr
    assert "Wrote" in run.stdout


def test_cells_that_contradict_the_suite_or_each_other_are_left_out(tmp_path: Path) -> None:
    math = make_cells()
    folder = write_cells(tmp_path / "toy", math)
    suite = read_folder(folder).cells[0].body.suite
    change(with_seed(math["oracle"], purity=0.5), suite=suite).write(folder)  # not all right
    other = math["random"].body.domain.model_copy(update={"fingerprint": "f" * 64})
    change(math["random"], suite=suite, domain=other).write(folder)  # other items
    math["naive"].write(folder)  # of another suite
    read = read_folder(folder)
    assert {short(c.body.arm.name) for c in read.cells} == {short(n) for n in math} - {"oracle", "random", "naive"}
    assert [f for f in read.faults if "oracle.json" in f and "purity" in f]
    assert [f for f in read.faults if "random.json" in f and "fingerprint" in f]
    assert [f for f in read.faults if "naive.json" in f and "another suite" in f]


def test_a_folder_that_shows_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CellError, match="no folder"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(CellError, match="no cell files"):
        read_folder(tmp_path)
    folder = write_cells(tmp_path / "toy", make_cells(arms=["weak"]))
    (folder / "results" / "math" / "weak.json").write_text("{}")
    with pytest.raises(CellError, match=r"no cell of .* can be shown\. .*weak\.json"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "-o", "x.html"], "no folder nowhere"),
        (["toy", "-o", "."], "is a folder"),
        (["toy", "-o", "no/x.html"], "folder that does not exist"),
    ],
)
def test_mistakes_in_the_call_are_told(
    arguments: list[str], said: str, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    run = CliRunner().invoke(app, ["report", *arguments])
    assert (run.exit_code, said in run.stderr) == (2, True), run.output


def test_pairs_have_the_boards_differences_and_bits(results: Path) -> None:
    folder = read_folder(results)
    arms = arms_of(folder)
    domains = {
        "math": Comparison({short(c.body.arm.name): c for c in folder.cells if "math" in c.body.domain.name}),
    }
    data = scripts.board_data("toy", folder.board, arms, domains, {})
    at = {arm.name: i for i, arm in enumerate(arms)}
    i, j = sorted((at["confidence"], at["naive"]))
    accuracy, pgr = data["domains"][0]["pairs"][f"{i},{j}"]
    expected = domains["math"].difference(arms[i].name, arms[j].name)
    assert isinstance(expected, Estimate)
    assert pgr[:3] == [round(v, 4) for v in (expected.value, expected.low, expected.high)]
    row = next(row for row in folder.board.rows if row.arm == "confidence")
    minus = row.entries["math"].minus["naive"]
    assert isinstance(minus, Estimate)
    assert expected.value == minus.value
    naive = domains["math"].cells["naive"].body
    assert data["domains"][0]["cells"][str(at["naive"])]["bits"] == {
        str(s.seed): scripts.packed(s.correct or "") for s in naive.seeds
    }
    assert abs(accuracy[0] - (domains["math"].accuracy_difference(arms[i].name, arms[j].name) or expected).value) < 1e-4


def test_a_large_board_keeps_the_pairs_that_are_asked_for_first(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = read_folder(results)
    arms = arms_of(folder)
    own = {i for i, arm in enumerate(arms) if arm.group in ("control", "reference")}
    wanted = [(i, j) for j in sorted(own) for i in range(j)]
    monkeypatch.setattr(scripts, "MOST_PAIRS", 2 * len(wanted))
    data = scripts.board_data("toy", folder.board, arms, {"math": Comparison({})}, {})
    assert not data["complete"]
    assert sorted(data["domains"][0]["pairs"]) == sorted(f"{i},{j}" for i, j in wanted)


def test_marks_lie_within_their_panel_and_name_their_figure(results: Path) -> None:
    folder = read_folder(results)
    panels = forest(folder.board, arms_of(folder))
    assert [panel.title for panel in panels] == ["acme/flat", "math"]  # the mean of one domain is that domain
    for panel in panels:
        for mark in panel.marks:
            assert mark.x is None or panel.left <= mark.low <= mark.x <= mark.high <= panel.right
    unresolved = {mark.words for mark in panels[0].marks}
    assert unresolved == {"gap unresolved"}


def test_missing_figures_sort_last_and_are_words() -> None:
    math, chess = make_cells(), make_cells("w2s-bench/chess")
    del chess["acme/engine"]
    math["acme/margin"] = make_cells(failed={("acme/margin", s): "nan" for s in range(3)})["acme/margin"]
    folder = folder_of(math, chess)
    lines = {line.arm.name: line for line in main_table(folder.board, arms_of(folder)).lines}
    engine = [v for v in lines["acme/engine"].values if v.domain == "chess"]
    assert {(v.text, v.sort) for v in engine} == {("no cell", None)}
    margin = [v for v in lines["acme/margin"].values if v.domain == "math"]
    assert {(v.text, v.sort) for v in margin} == {("all seeds failed", None)}


@pytest.fixture
def served(results: Path) -> Iterator[tuple[str, int]]:
    with open_server(results, None) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield str(server.server_address[0]), server.server_port
        server.shutdown()
        thread.join(30)


def ask(address: tuple[str, int], path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*address, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_server_gives_the_page_and_its_state_to_this_machine_alone(served: tuple[str, int]) -> None:
    assert served[0] == "127.0.0.1"
    status, text = ask(served, "/")
    shown = Parsed(text)
    assert status == 200
    state = json.loads(ask(served, "/state")[1])
    assert state["version"] == json.loads(shown.raw["script"][1])["version"]
    assert any("connect-src 'self'" in str(a.get("content")) for a in shown.all("meta"))
    assert ask(served, "/", "HEAD")[1] == ""
    for path in ("/../../etc/passwd", "/results/math/naive.json", "/state/x"):
        assert ask(served, path)[0] == 404
    assert ask(served, "/", Host="evil.example:80")[0] == 403
    assert ask(served, "/", "POST")[0] == 501
    with pytest.raises(W2SBenchError, match=f"cannot listen on port {served[1]}"):
        open_server(Path(), served[1])


def test_a_live_page_follows_its_folder_but_not_at_every_file(tmp_path: Path) -> None:
    now = [0.0]
    live = Live(tmp_path / "toy", lambda: now[0])
    assert "no folder" in live.page()
    first = live.version()
    write_cells(tmp_path / "toy", make_cells(items=20, seeds=1))
    assert live.version() == first  # the last page was made just now
    now[0] += 100
    assert live.version() != first
    assert "confidence" in live.page()
    assert live.state() == {"version": live.version(), "told": ""}
    (tmp_path / "toy" / PROGRESS).write_text(json.dumps("tiny: 3 of 9 stages\x1b[31m"))
    assert live.state()["told"] == "tiny: 3 of 9 stages\\x1b[31m"
    (tmp_path / "toy" / PROGRESS).write_text("{")
    assert live.state()["told"] == ""


def test_two_boards_have_addresses_of_their_own(results: Path) -> None:
    folder = read_folder(results)
    both = Parsed(render([folder, folder]))
    boards = [a["data-board"] for a in both.all("div") if a.get("class") == "board"]
    assert boards == ["toy", "toy-2"]
    ids = [a["id"] for _, a in both.elements if a.get("id")]
    assert len(ids) == len(set(ids))
    assert all(re.match(r"#(board=|main|m-|compare|hatch)", str(a["href"])) for t, a in both.elements if t == "a")
