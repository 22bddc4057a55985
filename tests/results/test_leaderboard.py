"""Cells → leaderboard: a pure function, honest about what is missing, inert whatever plugins call themselves."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cell_builder import CONTROLS, REFERENCES, TRUST, change, make_cells, write_cells
from support import TESTS
from w2s_bench.controls import of_role
from w2s_bench.errors import CellError
from w2s_bench.results import leaderboard
from w2s_bench.results.board import Leaderboard
from w2s_bench.results.cells import Cell
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.pages.blocks import escape, table
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.pages.markdown import render
from w2s_bench.results.pages.plots import draw
from w2s_bench.results.pages.style import figure, number
from w2s_bench.results.references import ArmRef
from w2s_bench.results.statistics import Estimate, Unresolved
from w2s_bench.text import one_line

GOLD = TESTS / "gold" / "leaderboard"
FAILED = "worker was killed (exit status 137) | <script>alert(1)</script>\n`rm`"


def board_of(*domains: dict[str, Cell]) -> Leaderboard:
    return leaderboard.build([cell for cells in domains for cell in cells.values()], Path("somewhere"))


def two_domains() -> tuple[dict[str, Cell], dict[str, Cell]]:
    """One sound domain with a failed seed, one whose gap is lost in noise and whose labels are fewer than the coverage."""
    math = make_cells("w2s-bench/math", failed={("acme/engine", 1): FAILED})
    flat = make_cells("acme/flat", accuracies={"ceiling": 0.51}, label_accuracy=0.4)
    return math, flat


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = write_cells(tmp_path_factory.mktemp("toy"), *two_domains())
    write_leaderboard(results)
    return results


def test_the_page_is_the_gold_page(written: Path) -> None:
    """After a change on purpose: W2S_BENCH_WRITE_GOLD=1 pytest tests/results/test_leaderboard.py, and read the difference."""
    found = (written / "README.md").read_text(encoding="utf-8")
    if os.environ.get("W2S_BENCH_WRITE_GOLD"):
        (GOLD / "README.md").write_text(found, encoding="utf-8")
    assert found == (GOLD / "README.md").read_text(encoding="utf-8")


def test_another_process_writes_the_same_bytes_and_imports_no_torch(written: Path, tmp_path: Path) -> None:
    again = write_cells(tmp_path, *(dict(reversed(cells.items())) for cells in reversed(two_domains())))
    script = (
        "import sys; from pathlib import Path; from w2s_bench.results.leaderboard import write_leaderboard\n"
        "write_leaderboard(Path(sys.argv[1])); assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    )
    path = os.pathsep.join(filter(None, sys.path))
    hashed = {**os.environ, "PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo", "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", script, str(again)], env=hashed, check=True)
    for name in ("README.md", "pgr.svg", "ties.svg"):
        assert (again / name).read_bytes() == (written / name).read_bytes()


def test_the_plot_names_every_arm_and_says_where_there_is_no_figure(written: Path) -> None:
    text = (written / "pgr.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert not {"date", "Date"} & set(text.split())
    for name in (*CONTROLS, "acme/margin", "probe", "math", "acme/flat", "gap unresolved", "weak", "ceiling"):
        assert f"<!-- {name} -->" in text


def test_rows_are_ranked_within_tracks_and_controls_stand_last(written: Path) -> None:
    board = write_leaderboard(written)
    assert [(row.arm, row.track, row.rank) for row in board.rows] == [
        ("confidence", "none", 1),
        ("acme/margin", "none", 2),
        ("acme/verifier:layer=-1", "trust_set", 1),
        ("probe", "trust_set", 2),
        ("acme/engine", "privileged", 1),
        *((name, "control", None) for name in CONTROLS),
    ]


def test_means_leave_out_a_domain_whose_gap_is_unresolved() -> None:
    board = board_of(*two_domains())
    assert board.mean_domains == ("math",)
    probe = next(row for row in board.rows if row.arm == "probe")
    assert isinstance(probe.entries["acme/flat"].pgr, Unresolved)
    assert isinstance(probe.mean_pgr, Estimate)
    page = render(board, "pgr.svg")
    assert "mean PGR (1 of 2 domains)" in page
    assert "**Gap unresolved in acme/flat:**" in page


def test_an_arm_that_lacks_a_domain_has_no_mean_and_is_ranked_last() -> None:
    math, chess = make_cells("w2s-bench/math"), make_cells("w2s-bench/chess")
    del chess["acme/verifier:layer=-1"]
    row = next(row for row in board_of(math, chess).rows if row.arm == "acme/verifier:layer=-1")
    assert row.mean_pgr == Unresolved("no figure in chess", "–")
    assert row.rank is None
    trusting = [r.arm for r in board_of(math, chess).rows if r.track == "trust_set"]
    assert trusting == ["probe", "acme/verifier:layer=-1"]


def test_only_seeds_that_all_needed_cells_have_are_used() -> None:
    cells = make_cells(failed={("ceiling", 0): "disk full", ("probe", 2): "x", ("w2s-bench/probe", 2): "disk full"})
    board = board_of(cells)
    seeds = {row.arm: row.entries["math"].seeds for row in board.rows}
    assert seeds["probe"] == (1,)
    assert seeds["oracle"] == (1, 2)
    assert board.domains[0].references["weak"].seeds == (0, 1, 2)
    one = next(row for row in board.rows if row.arm == "probe").entries["math"].pgr
    assert isinstance(one, Unresolved)
    assert one.brief == "one seed"
    page = render(board, "pgr.svg")
    assert "(2 of 3 seeds)" in page
    assert [(f.rows, f.seed, f.reason) for f in board.failures] == [
        (("math/ceiling",), 0, "disk full"),
        (("math/probe",), 2, "disk full"),
    ]


def test_one_reason_for_many_rows_is_told_once() -> None:
    board = board_of(make_cells(failed={(arm, 1): "teacher failed: OOM" for arm in (*CONTROLS, *REFERENCES)}))
    assert len(board.failures) == 1
    assert len(board.failures[0].rows) == len(CONTROLS) + len(REFERENCES)


def test_an_arm_whose_seeds_all_failed_is_shown() -> None:
    cells = make_cells(failed={("acme/margin", seed): "nan" for seed in range(3)})
    board = board_of(cells)
    row = next(row for row in board.rows if row.arm == "acme/margin")
    assert (row.entries["math"].seeds, row.rank) == ((), None)
    assert row.entries["math"].pgr == Unresolved("no seed that acme/margin, weak, ceiling all have", "no seeds")
    line = next(line for line in render(board, "p").splitlines() if line.startswith("| acme/margin"))
    assert "no seeds" in line


def test_what_is_not_applicable_is_no_failure() -> None:
    why = "not applicable: there are no others of other seeds"
    failed = {("acme/margin", seed): f"scores failed: {why}" for seed in range(3)}
    page = render(board_of(make_cells(failed=failed)), "p")
    assert "## Not applicable" in page and why in page
    assert "Failed seeds" not in page and "Seeds failed" not in page
    both = render(board_of(make_cells(failed={**failed, ("acme/engine", 1): "nan"})), "p")
    assert "**Seeds failed** (1 over all rows)" in both and "## Not applicable" in both
    assert both.index("nan", both.index("## Failed seeds")) > both.index(why)


def test_missing_references_and_controls_leave_gaps_not_errors() -> None:
    cells = make_cells(arms=["weak", "w2s-bench/probe"], diagnostics=False)
    board = board_of(cells)
    page = render(board, "pgr.svg")
    assert "**No PGR in math:** there is no cell of ceiling." in page
    assert not board.mean_domains
    assert all(check.shown is None for check in board.domains[0].checks.values())
    ElementTree.fromstring(draw(board))
    only = board_of(make_cells(arms=REFERENCES))
    assert not only.rows
    assert only.domains[0].resolved
    assert "ceiling − weak" in render(only, "pgr.svg")
    ElementTree.fromstring(draw(only))


def test_what_is_said_of_the_labels_is_the_weak_cells() -> None:
    domain = board_of(make_cells(arms=[*REFERENCES, *CONTROLS])).domains[0]
    assert domain.label_accuracy == pytest.approx(0.55)
    assert domain.checks["label_probability_auroc"].figure == pytest.approx(0.74)


def test_checks_tell_what_holds_and_what_does_not() -> None:
    math, flat = two_domains()
    sound, unsound = sorted(board_of(math, flat).domains, key=lambda d: d.name != "math")
    assert {name: check.shown for name, check in sound.checks.items()} == {
        "gap": True,
        "ceiling_over_base": True,
        "naive_pgr": True,
        "oracle_pgr": True,
        "oracle_minus_naive": True,
        "oracle_minus_gold_trust_set": True,
        "oracle_shortfall": True,
        "label_probability_auroc": True,
    }
    assert unsound.checks["gap"].shown is False
    assert unsound.checks["oracle_minus_naive"].shown is None
    assert unsound.checks["oracle_shortfall"].shown is False


def test_warnings() -> None:
    page = render(board_of(*two_domains()), "pgr.svg")
    assert "**Coverage exceeds the weak labels' accuracy in acme/flat** (0.400): oracle is short of 40 rows" in page
    assert "see [Failed seeds](#failed-seeds)" in page
    assert "DEV" not in page
    assert "seeds.**" not in page
    dev = render(board_of(make_cells(evaluate_on="dev", seeds=2)), "pgr.svg")
    assert "> **DEV FIGURES, NOT RESULTS.**" in dev
    assert "> **Fewer than 3 seeds.** With 2 the intervals are wide" in dev
    single = render(board_of(make_cells(seeds=1)), "pgr.svg")
    assert "With 1 the intervals are over test items alone" in single


def with_diagnostics(cell: Cell, **told: Any) -> Cell:
    seeds = [s.model_copy(update={"diagnostics": {**s.diagnostics, **told}}) for s in cell.body.seeds]
    return change(cell, seeds=tuple(seeds))


def test_what_scores_tell_within_labels_and_strata_is_shown_where_a_cell_has_it() -> None:
    cells, plain = make_cells(), render(board_of(make_cells()), "pgr.svg")
    assert "within label" not in plain and "within stratum" not in plain and "share kept of weak label" not in plain
    cells["acme/margin"] = with_diagnostics(
        cells["acme/margin"], auroc_within_label=0.52, auroc_within_stratum=0.61, kept_by_label={"no": 0.9, "yes": 0.1}
    )
    page = render(board_of(cells), "pgr.svg")
    (line,) = [
        line
        for line in page.partition("## Domain")[2].splitlines()
        if line.startswith("| acme/margin") and "0.52" in line
    ]
    assert "0.61" in line
    (shares,) = [line for line in page.splitlines() if line.startswith("| acme/margin") and "0.90" in line]
    assert "0.10" in shares and "share kept of weak label" in page


def test_an_arm_without_privilege_that_knows_all_is_flagged() -> None:
    cells = make_cells()
    assert board_of(cells).domains[0].suspects == {}, "the privileged arm may"
    cells["acme/margin"] = with_diagnostics(cells["acme/margin"], auroc=0.995)
    probe = cells["w2s-bench/probe"]
    pure = [s.model_copy(update={"purity": 1.0}) if s.seed == 1 else s for s in probe.body.seeds]
    cells["w2s-bench/probe"] = change(probe, seeds=tuple(pure))
    board = board_of(cells)
    assert board.domains[0].suspects == {
        "acme/margin": "AUROC is above 0.99 (seed 0, 1, 2)",
        "probe": "every row that it keeps is right (seed 1)",
    }
    page = render(board, "pgr.svg")
    assert "> **acme/margin knows too much in math:** AUROC is above 0.99" in page
    assert "`w2s-bench audit acme/margin --suite suite.yaml`" in page and "once it is asked" in page
    assert "oracle knows" not in page and "acme/engine knows" not in page
    chess = make_cells("w2s-bench/chess")
    chess["acme/margin"] = with_diagnostics(chess["acme/margin"], auroc=0.995)
    twice = render(board_of(cells, chess), "pgr.svg")
    (warned,) = (line for line in twice.splitlines() if line.startswith("> **acme/margin knows too much in "))
    assert "in math AUROC is above 0.99" in warned and "in chess AUROC is above 0.99" in warned
    cells["acme/margin"] = with_diagnostics(cells["acme/margin"], auroc=0.99)
    assert list(board_of(cells).domains[0].suspects) == ["probe"]
    cells["weak"] = with_diagnostics(cells["weak"], label_accuracy=1.0)
    assert board_of(cells).domains[0].suspects == {}, "where every label is right it is no sign to keep no wrong one"


def test_a_row_made_with_two_versions_of_its_plugin_is_warned_about() -> None:
    math, chess = make_cells("w2s-bench/math"), make_cells("w2s-bench/chess")
    plugin = chess["acme/engine"].body.plugin
    assert plugin is not None
    chess["acme/engine"] = change(chess["acme/engine"], plugin=plugin.model_copy(update={"version": "2.0"}))
    page = render(board_of(math, chess), "pgr.svg")
    assert "**Row acme/engine mixes versions of its plugin:** acme 1.2 (" in page


@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("items digest", {"items_digest": "0" * 64}),
        ("protocol", {"protocol": "w2s-0"}),
        ("domain version", {"domain": {"version": "2"}}),
        ("domain fingerprint", {"domain": {"fingerprint": "f"}}),
        ("teacher", {"teacher": {"fingerprint": "f"}}),
        ("student", {"student": {"name": "other"}}),
        ("weak labels of seed 1", {"seeds": {"weak_labels": "f" * 64}}),
    ],
)
def test_cells_that_cannot_be_compared_are_an_error_that_names_both_files(
    tmp_path: Path, what: str, fields: dict[str, str | dict[str, str]]
) -> None:
    cells = make_cells()
    body = cells["oracle"].body
    made: dict[str, object] = {}
    for name, value in fields.items():
        if name == "seeds":
            seeds = list(body.seeds)
            seeds[1] = seeds[1].model_copy(update={"digests": value})
            made[name] = tuple(seeds)
        else:
            made[name] = getattr(body, name).model_copy(update=value) if isinstance(value, dict) else value
    cells["oracle"] = change(cells["oracle"], **made)
    with pytest.raises(CellError, match=f"differ in {what}") as raised:
        leaderboard.build(cells.values(), tmp_path)
    assert str(tmp_path / "results" / "math" / "oracle.json") in str(raised.value)
    assert str(raised.value).count(str(tmp_path)) == 2
    write_cells(tmp_path, cells)
    with pytest.raises(CellError):  # the suite may contradict one of them first
        write_leaderboard(tmp_path)
    assert not (tmp_path / "README.md").exists()


def test_rows_of_two_machines_are_told_to_be_of_two_machines(tmp_path: Path) -> None:
    cells = make_cells()
    here, there = ({"machines": [name]} for name in ("AMD EPYC 1", "AMD EPYC 2"))
    oracle = cells["oracle"].body
    seeds = [s.model_copy(update={"digests": {"weak_labels": "f" * 64}}) for s in oracle.seeds]
    other = oracle.model_copy(update={"seeds": tuple(seeds)})
    alike = {name: Cell.of(cell.body, here) for name, cell in cells.items()}
    with pytest.raises(CellError) as raised:
        leaderboard.build({**alike, "oracle": Cell.of(other, there)}.values(), tmp_path)
    told = str(raised.value)
    assert (
        "other machines (AMD EPYC 1 against AMD EPYC 2)" in told
        or "other machines (AMD EPYC 2 against AMD EPYC 1)" in told
    )
    assert "run the whole board on it" in told and "one version of the suite" not in told
    assert re.search(r"differ in weak labels of seed 0 \([0-9a-f]{12} against [0-9a-f]{12}\)", told)
    with pytest.raises(CellError, match="run both rows again with one version of the suite"):
        leaderboard.build({**alike, "oracle": Cell.of(other, here)}.values(), tmp_path)


def test_two_files_of_one_row_are_an_error(tmp_path: Path) -> None:
    write_cells(tmp_path, make_cells())
    folder = tmp_path / "results" / "math"
    (folder / "copy.json").write_bytes((folder / "oracle.json").read_bytes())
    with pytest.raises(CellError, match=r"copy.json holds the cell of row math/oracle"):
        write_leaderboard(tmp_path)


def test_the_board_is_json() -> None:
    content = json.loads(json.dumps(board_as_json(board_of(*two_domains())), allow_nan=False))
    assert content["suite"]["name"] == "toy"
    first = content["rows"][0]
    assert set(first["entries"]["math"]["pgr"]) >= {"value", "low", "high", "seeds"}
    assert "reason" in first["entries"]["acme/flat"]["pgr"]


def test_a_long_word_is_read_once() -> None:
    assert escape("a" * 300_000) == "a" * 300_000  # for hours, if anew from each of its characters


def test_hostile_names_stay_text() -> None:
    hostile = "acme/a|b`c`<img src=x onerror=y>\n# big\n[x](javascript:y) **b** @all https://evil.example $x$ __i__"
    cells = make_cells()
    old = cells.pop("acme/engine")
    arm = ArmRef(name=hostile, role="trust_function", supervision="privileged", coverage=0.5)
    cells[hostile] = change(old, arm=arm)
    board = board_of(cells)
    page = render(board, "pgr.svg")
    body = [line for line in page.splitlines() if "big" in line]
    assert body
    for bad in ("<img", "# big\n", "[x](", " **b**", " @all", " https://", "$x$", " __i"):
        assert bad not in page
    tables = [line for line in page.splitlines() if line.startswith("|")]
    headline = tables[: len(TRUST) + len(CONTROLS) + 2]
    assert len({line.replace("\\|", "").count("|") for line in headline}) == 1
    assert "verify . --row math/confidence" in page
    ElementTree.fromstring(draw(board))


def shown(markdown: str) -> tuple[str, set[str]]:
    """What a reader sees of one table cell of markdown, and the kinds of markup in it."""
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").enable("table").parse(f"| a | b |\n|---|---|\n| {markdown} | x |\n")
    cells = [token for token in tokens if token.type == "inline"]
    assert [cell.content for cell in cells[:2]] == ["a", "b"] and len(cells) == 4, "one cell stays one cell"
    inner = cells[2].children or []
    return "".join(token.content for token in inner), {token.type for token in inner}


MARKS = st.sampled_from([*"|`*<>[]$~@\\&#!_", "&#64;", "://", "www.", "a@b.c", "\n", "\u202e", "\ud800", "<!--", "``"])


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(max_size=8) | MARKS, max_size=12).map("".join))
def test_escaped_text_is_shown_as_it_is_and_is_nothing_but_text(text: str) -> None:
    found, kinds = shown(escape(text))
    assert found == one_line(text)
    assert kinds <= {"text", "text_special", "code_inline"}
    assert len(escape(text).splitlines()) <= 1


@pytest.mark.parametrize(
    "text", ["hf/EleutherAI/pythia-70m@" + "a" * 40, "see https://x.y/z", "WWW.x.y", "mail a@b.c", "ping @all"]
)
def test_links_and_mentions_stand_in_code_as_they_are(text: str) -> None:
    found, kinds = shown(escape(text))
    assert found == text and "code_inline" in kinds
    outside = "".join(escape(text).split("`")[::2])
    assert not any(mark in outside.lower() for mark in ("@", "://", "www."))


def test_a_page_of_a_suite_with_folders_says_how_to_verify_it() -> None:
    assert "--model FINGERPRINT" not in render(board_of(make_cells()), "p")
    cells = make_cells()
    for arm, cell in cells.items():
        teacher = cell.body.teacher.model_copy(update={"name": "local//home/of/somebody/x"})
        cells[arm] = change(cell, teacher=teacher)
    assert "give `verify` each as `--model FINGERPRINT=FOLDER`" in render(board_of(cells), "p")


def test_every_control_is_explained() -> None:
    assert [arm.name for arm in of_role("control") if not arm.explains] == list(CONTROLS)
    assert [arm.name for arm in of_role("reference")] == list(REFERENCES)


def test_numbers_and_tables() -> None:
    assert number(-0.004) == "0.00"
    assert number(-0.126) == "−0.13"
    assert number(None) == "–"
    assert figure(Estimate(1.234, -0.5, 2.0, 3, 3, 10)) == "1.23 [−0.50, 2.00]"
    assert figure(Unresolved("why")) == "gap unresolved"
    assert table(["a", "b"], [["x", "long"]]) == "| a   |  b   |\n|:----|:----:|\n| x   | long |"


def test_a_figure_far_below_the_teacher_is_an_arrow_and_its_number() -> None:
    from matplotlib.figure import Figure

    from w2s_bench.results.pages.plots import _limits, far_out

    assert _limits([Estimate(-3.0, -4.0, -2.0, 10.0, 3, 100)]) == (-0.58, 1.08)
    axes = Figure().subplots()
    far_out(axes, "−3.00", 1.0, "#000000", (-0.58, 1.08), below=True)
    far_out(axes, "+2.00", 1.0, "#000000", (-0.58, 1.08), below=False, filled=False)
    assert [text.get_text() for text in axes.texts] == ["−3.00", "+2.00"]
    assert [(line.get_marker(), line.get_markerfacecolor()) for line in axes.lines] == [
        ("<", "#000000"),
        (">", "white"),
    ]
    assert [float(line.get_xdata()[0]) for line in axes.lines] == [-0.58, 1.08]


def test_a_panels_title_drops_its_distribution_where_there_is_no_room() -> None:
    from w2s_bench.results.pages.plots import panel_title

    long, other = "a-distribution-of-others/words", "a-distribution-of-mine-x/words"
    assert panel_title(long, [long, "knowledge"]) == "words"
    assert panel_title(long, [long, other]) == "a-distribution-of-others"
    assert panel_title("lm-eval/arc_easy", ["lm-eval/arc_easy"]) == "lm-eval/arc_easy"
