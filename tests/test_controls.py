"""The harness's own arms: the facts in the table are those of their graphs, and nothing else knows them by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cell_builder import TRUST_SET, change, make_cells, write_cells
from support import ROOT, reads_pool_gold, run_inline, toy_registry, toy_suite
from w2s_bench import arms_page, controls
from w2s_bench.arm_facts import OwnArm, Rows
from w2s_bench.controls import GOLD_TRUST_SET, OWN_ARMS, TRUST_FUNCTION
from w2s_bench.errors import CellError
from w2s_bench.executors import Done
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.files import ROWS
from w2s_bench.protocol.training import parts_of
from w2s_bench.record import digest_of, read_rows, write_rows
from w2s_bench.results.cells import Cell
from w2s_bench.results.leaderboard import build, write_leaderboard
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.pages.markdown import render
from w2s_bench.results.references import ArmRef
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import Plan, plan
from w2s_bench.store import Store
from w2s_bench.store.stage import Stage, walk

HARNESS = ROOT / "harness" / "w2s_bench"
#: Where the words mean something else: stages and a module are named so, and one stage is shown so.
OTHER_MEANINGS = {
    ("protocol/draws.py", "random"),
    ("protocol/draws.py", "oracle"),
    ("protocol/majority.py", "majority"),
    ("protocol/generation.py", "gold_trust_set"),
    ("protocol/generation.py", "weak"),  # whose labels a cross-fitted student learns from
    ("arm_facts.py", "weak"),  # whose labels the rows of an arm have
    # A label source, named after what it takes: the commonest of a model's answers to one item.
    ("suite_label_source.py", "majority"),
    ("suite_domain.py", "majority"),
    ("protocol/generation.py", "majority"),
    ("runs/crossed.py", "majority"),
    # The untuned student's distribution, which an objective may need; a module of that name.
    ("models/objectives.py", "base"),
    ("protocol/recipes/tuned.py", "base"),
    ("protocol/evidence/readings/__init__.py", "base"),
}
MIXED = OwnArm(
    name="naive_and_gold",
    role="control",
    supervision="trust_set",
    rows=(Rows("transfer", "weak"), Rows("trust", "gold")),
    words="all weak labels and the gold labels of the trust set",
    rival=True,
)


def literals(folder: Path) -> Iterator[tuple[str, int, str]]:
    """Every whole string in the code below a folder: file, line, string."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.relative_to(HARNESS).as_posix(), node.lineno, node.value


def test_no_module_knows_an_arm_of_the_harness_by_name() -> None:
    named = {(file, line, text) for file, line, text in literals(HARNESS) if text in OWN_ARMS}
    assert {file for file, _, _ in named} >= {"controls.py", "protocol/arms.py"}, "the test finds nothing at all"
    others = {(file, text) for file, _, text in named} - OTHER_MEANINGS
    assert {file for file, _ in others} == {"controls.py", "protocol/arms.py"}, "ask the arm's facts (controls.py)"


@pytest.mark.parametrize("room", ["results", "_cli"])
def test_no_board_knows_a_plugin_by_name(room: str) -> None:
    plugins = Registry.load(restrict=()).trust_functions
    names = {*plugins, *(name.partition("/")[2] for name in plugins)}
    assert "confidence" in names
    assert [found for found in literals(HARNESS / room) if found[2] in names] == []


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plan]:
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        suite = toy_suite(tmp_path_factory.getbasetemp() / "toy-models", coverage=0.4)
        yield plan(suite, registry, trust=["confidence", "probe"], domains=["largest"])


def behind(stage: Stage | None) -> set[str]:
    return {one.node for one in walk([stage] if stage else [])}


def test_facts_are_those_of_the_graph(planned: Plan) -> None:
    for cell in planned.cells:
        facts, coverage = cell.arm.ref.facts, planned.suite.coverage
        assert cell.arm.ref.coverage == facts.coverage(coverage)
        for graph, own in zip(cell.graphs, cell.stages, strict=True):
            labels, pool_gold, trust_gold = graph.weak_labels("transfer"), graph.gold("transfer"), graph.gold("trust")
            nodes = behind(own.rows)
            assert (own.rows is not None) == bool(facts.rows), cell.row
            assert (own.student.weights == graph.teacher.weights) == (facts.answers == "teacher")
            if cell.arm.ref.role == "trust_function":
                assert facts == TRUST_FUNCTION and labels.node in nodes and pool_gold.node not in nodes
                continue
            parts = parts_of(own.rows) if own.rows else ()
            direct = {one.node for part in parts for one in part.inputs.values()}
            assert (labels.node in direct) == any(rows.labels == "weak" for rows in facts.rows), cell.row
            assert (pool_gold.node in nodes) == reads_pool_gold(facts), cell.row
            assert (trust_gold.node in nodes) == facts.with_trust_set, cell.row
            assert (own.kept is not None) == bool(facts.of_pool and facts.of_pool.share == "coverage"), cell.row


def test_a_track_is_no_lower_than_what_an_arm_trains_on() -> None:
    for arm in OWN_ARMS.values():
        least = "privileged" if reads_pool_gold(arm) else "trust_set" if arm.with_trust_set else "none"
        assert arm.supervision == least, arm.name
    oracles = {"oracle", "inverted_oracle", "noisy_oracle"}
    assert {arm.name for arm in OWN_ARMS.values() if arm.may_fall_short} == oracles
    assert {arm.name for arm in OWN_ARMS.values() if not arm.rows} == {"weak", "base", "majority"}
    assert controls.rivals() == ("naive", "random", "gold_trust_set", "naive_plus_gold")


@pytest.mark.parametrize("page", arms_page.BLOCKS)
def test_documentation_lists_the_arms_as_the_table_has_them(page: str) -> None:
    """After a change on purpose: python -m w2s_bench.arms_page docs."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert arms_page.current(page, text) == text
    with pytest.raises(ValueError, match=f"{page} has 0 blocks"):
        arms_page.current(page, "# A page without")


# One row more in the table, and everything else follows.


@pytest.fixture
def with_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(controls._BY_NAME, MIXED.name, MIXED)


def mixed_cell(naive: Cell, **of_seed: Any) -> Cell:
    """The cell of naive as if it had trained on the trust set's gold besides."""
    seeds = []
    for seed in naive.body.seeds:
        assert seed.kept is not None and seed.purity is not None
        kept = seed.kept + TRUST_SET
        told = {"kept": kept, "purity": round(seed.purity * seed.kept + TRUST_SET) / kept, **of_seed}
        seeds.append(seed.model_copy(update=told))
    arm = ArmRef(name=MIXED.name, role="control", supervision="trust_set", coverage=1.0)
    return change(naive, arm=arm, seeds=tuple(seeds))


@pytest.mark.usefixtures("with_one_more")
def test_a_board_shows_one_more_control(tmp_path: Path) -> None:
    cells = make_cells()
    cells[MIXED.name] = mixed_cell(cells["naive"])
    board = write_leaderboard(write_cells(tmp_path, cells))
    assert [row.arm for row in board.rows if row.is_control] == [
        arm.name for arm in controls.of_role("control") if not arm.explains
    ]
    page = render(board, "pgr.svg")
    (line,) = (line for line in page.splitlines() if line.startswith(f"| `{MIXED.name}`"))
    assert [cell.strip() for cell in line.strip("|").split("|")] == [f"`{MIXED.name}`", MIXED.words]
    assert f"− {MIXED.name}" in page
    probe = next(row for row in board_as_json(board)["rows"] if row["arm"] == "probe")
    assert MIXED.name in probe["entries"]["math"]["minus"]


@pytest.mark.usefixtures("with_one_more")
@pytest.mark.parametrize(
    ("of_seed", "said"),
    [
        ({"kept": 400, "purity": 0.5}, "coverage 1.0, with 340 of 400 rows kept"),
        ({"coverage": 0.5}, "coverage 0.5, with 400 of 400 rows kept"),
        ({"purity": 1.0}, "purity 1.0 of 460 rows, where 220 of 400 labels are right"),
        ({"purity": 40 / 460}, "rows, where 220 of 400 labels are right"),
    ],
)
def test_no_figure_of_one_more_control_is_believed_against_the_sizes(
    tmp_path: Path, of_seed: dict[str, Any], said: str
) -> None:
    cells = make_cells()
    cells[MIXED.name] = mixed_cell(cells["naive"], **of_seed)
    with pytest.raises(CellError, match=said):
        write_leaderboard(write_cells(tmp_path, cells))


def test_an_arm_that_is_in_no_table_is_no_control() -> None:
    with pytest.raises(ValueError, match="arm 'naive_and_gold' is of kind 'control'; controls are naive, random"):
        ArmRef(name=MIXED.name, role="control", supervision="trust_set", coverage=1.0)
    cells = make_cells()
    assert build(cells.values(), Path("somewhere")).rows


@pytest.fixture
def ran(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    registry, shared = toy_registry(monkeypatch), tmp_path_factory.getbasetemp()
    suite = toy_suite(shared / "toy-models", coverage=0.4)
    rows = [f"w2s-bench-toy.largest/{arm}" for arm in ("naive", GOLD_TRUST_SET)]
    found = plan(suite, registry, domains=["largest"], trust=[], rows=rows)
    store = Store(shared / "toy-store")
    return SimpleNamespace(plan=found, store=store, outcomes=run_inline(found.targets(), store, registry))


def test_a_cell_of_one_more_control_is_collected_by_its_facts(
    ran: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are those of two other arms, one file after the other."""
    monkeypatch.setitem(controls._BY_NAME, MIXED.name, MIXED)
    naive, gold = ran.plan.cells
    outcomes = dict(ran.outcomes)
    for place, (weak, of_trust) in enumerate(zip(naive.stages, gold.stages, strict=True)):
        folder = tmp_path / str(place)
        folder.mkdir()
        parts = [outcomes[stage.node].result.path for stage in (weak.rows, of_trust.rows)]
        write_rows(folder / ROWS, [row for part in parts for row in read_rows(part / ROWS)])
        done = outcomes[weak.rows.node]
        assert isinstance(done, Done)
        outcomes[weak.rows.node] = Done(replace(done.result, path=folder))
    ref = ArmRef(name=MIXED.name, role="control", supervision="trust_set", coverage=1.0)
    mixed = replace(naive, arm=replace(naive.arm, ref=ref))
    cell, plain = cell_of(mixed, Results(outcomes, ran.store)), cell_of(naive, Results(ran.outcomes, ran.store))
    for found, alone in zip(cell.body.seeds, plain.body.seeds, strict=True):
        assert alone.purity is not None
        assert (found.kept, found.coverage) == (124, 1.0)
        assert found.purity == pytest.approx((100 * alone.purity + 24) / 124)
        assert found.diagnostics["kept_by_stratum"] == {"high": 1.0, "low": 1.0}
        assert found.digests["weak_labels"] == alone.digests["weak_labels"]
        assert (
            found.digests["kept"]
            != alone.digests["kept"]
            == digest_of(
                [row["id"] for row in read_rows(ran.outcomes[naive.stages[found.seed].rows.node].result.path / ROWS)]
            )
        )
