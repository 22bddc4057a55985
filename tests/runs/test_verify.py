"""Verdicts of `verify`: identical, within the suite's tolerance, or not."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cell_builder import make_cells, write_cells
from support import toy_registry, toy_suite
from w2s_bench import machine
from w2s_bench._cli.report import print_verdicts
from w2s_bench.errors import ModelError, SuiteError, UnknownNameError
from w2s_bench.machine import elsewhere
from w2s_bench.plugins.entries import Plugin, Problem
from w2s_bench.plugins.spec import parse_spec
from w2s_bench.record import pack_bits
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell, CellBody
from w2s_bench.results.compared import Verified, compare
from w2s_bench.results.consent import refuse_unasked
from w2s_bench.results.files import read_cells
from w2s_bench.results.leaderboard import write_leaderboard
from w2s_bench.results.references import ArmRef, ChainRef, DomainRef, ModelRef, PluginRef, Spent, SuiteRef
from w2s_bench.results.republished import compare_pages
from w2s_bench.results.seed_results import SeedResult
from w2s_bench.runs import execute as api
from w2s_bench.runs.plan import Plan, PlannedCell, plan
from w2s_bench.runs.verify import _verdict, verify
from w2s_bench.store.stage import walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import read_results_suite

ITEMS = 100
SPENT = Spent(steps=10, gold_labels=5)
CHAIN = ChainRef(generations=2, pool="same", spent=SPENT, one_hop=SPENT)


def seed_result(seed: int = 0, right: int = 60, **changes: Any) -> SeedResult:
    correct = np.arange(ITEMS) < right
    digests = {"student": "a" * 64, "kept": "b" * 64}
    fields = {"seed": seed, "accuracy": right / ITEMS, "correct": pack_bits(correct), "digests": digests}
    return SeedResult(**(fields | changes))


def cell(*seeds: SeedResult, **changes: Any) -> Cell:
    fields: dict[str, Any] = {
        "suite": SuiteRef(name="s", version="1", digest="0" * 64, evaluate_on="test"),
        "protocol": "w2s-1",
        "domain": DomainRef(name="w2s-bench/math", version="1", fingerprint="1" * 64),
        "teacher": ModelRef(name="t", fingerprint="2" * 64),
        "student": ModelRef(name="u", fingerprint="3" * 64),
        "arm": ArmRef(name="w2s-bench/probe", role="trust_function", supervision="trust_set"),
        "plugin": PluginRef(distribution="w2s-bench", version="0.1", source="4" * 64),
        "items": ITEMS,
        "items_digest": "5" * 64,
        "seeds": seeds or (seed_result(0), seed_result(1)),
    }
    return Cell.of(CellBody(**(fields | changes)), {"platform": "here"})


def test_equal_bodies_are_identical_wherever_they_were_made() -> None:
    other = Cell.of(cell().body, {"platform": "elsewhere"})
    assert compare(cell(), other, 0.02).verdict == "identical"


def test_accuracies_within_the_tolerance_are_so_said_with_what_differs() -> None:
    verified = compare(cell(), cell(seed_result(0, 61), seed_result(1)), 0.02)
    assert verified.verdict == "within tolerance"
    assert verified.why.startswith(
        "seed 0: accuracy 0.6000 before, 0.6100 now; seed 0: 1 of 100 items are answered right in one and wrong in the other; "
        "seed 0: departs at answers ("
    )


def test_other_weights_with_the_same_answers_are_within_tolerance() -> None:
    verified = compare(
        cell(), cell(seed_result(0, digests={"student": "c" * 64, "kept": "b" * 64}), seed_result(1)), 0.0
    )
    assert verified.verdict == "within tolerance"
    assert verified.why == "seed 0: departs at student (aaaaaaaaaaaa before, cccccccccccc now)"


def test_the_first_stage_that_departs_is_told_with_both_digests() -> None:
    old = {"kept": "b" * 64, "student": "a" * 64, "weak_labels": "d" * 64}
    new = {"student": "c" * 64, "kept": "e" * 64, "weak_labels": "d" * 64}
    verified = compare(first(digests=old), first(digests=new), 0.0)
    assert verified.why == "seed 0: departs at kept (bbbbbbbbbbbb before, eeeeeeeeeeee now), and so do student"


def flipped(count: int) -> SeedResult:
    """As many items right as by default, but `count` of them others."""
    correct = np.arange(ITEMS) < 60
    correct[: count // 2] = False
    correct[60 : 60 + count // 2] = True
    return seed_result(0, correct=pack_bits(correct))


def first(**changes: Any) -> Cell:
    """The cell with changes in its first seed."""
    return cell(seed_result(0, **changes), seed_result(1))


BEFORE = {
    "kept": 50,
    "coverage": 0.5,
    "purity": 0.7,
    "by_stratum": {"easy": 0.8, "hard": 0.4},
    "diagnostics": {"auroc": 0.9, "kept_by_stratum": {"easy": 0.6, "hard": 0.4}, "loss": [0.5, 0.4]},
}
ARM = ArmRef(name="w2s-bench/probe", role="trust_function", supervision="trust_set")


def replace_error(seed: SeedResult, error: str) -> SeedResult:
    return seed.model_copy(update={"error": error})


@pytest.mark.parametrize(
    "changed",
    [
        {"purity": 0.78},
        {"by_stratum": {"easy": 0.72, "hard": 0.48}},
        {"diagnostics": {"auroc": 0.81, "kept_by_stratum": {"easy": 0.68, "hard": 0.32}, "loss": [0.45, 0.4]}},
    ],
)
def test_finer_figures_may_be_a_few_tolerances_apart(changed: dict[str, Any]) -> None:
    verified = compare(first(**BEFORE), first(**(BEFORE | changed)), 0.02)
    assert verified.verdict == "within tolerance"
    assert "before" in verified.why
    assert compare(first(**BEFORE), first(**(BEFORE | changed)), 0.01).verdict == "DIFFERS"


def test_bins_of_scores_may_hold_other_rows_elsewhere() -> None:
    bins = [{"rows": 50, "score": 0.4, "right": 0.5}, {"rows": 50, "score": 0.6, "right": 0.7}]
    moved = [{"rows": 51, "score": 0.41, "right": 0.51}, {"rows": 49, "score": 0.61, "right": 0.69}]
    before, after = (first(diagnostics={"ece": 0.1, "reliability": one}) for one in (bins, moved))
    assert compare(before, after, 0.0).verdict == "within tolerance"
    assert compare(before, after, 0.0, exact=True).verdict == "DIFFERS"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"kept": 40, "coverage": 0.4}, "kept 50 before, 40 now"),
        ({"shortfall": 1}, "shortfall 0 before, 1 now"),
        ({"coverage": 0.4}, "coverage 0.5 before, 0.4 now"),
        ({"purity": None}, "purity 0.7 before, None now"),
        ({"by_stratum": {"other": 0.6}}, "by_stratum.easy 0.8 before, None now"),
        ({"diagnostics": {"auroc": 0.9}}, "kept_by_stratum.easy 0.6 before, None now"),
        ({"digests": {"student": "a" * 64}}, "departs at kept (bbbbbbbbbbbb before, none now)"),
    ],
)
def test_what_was_kept_and_told_must_agree(changed: dict[str, Any], why: str) -> None:
    verified = compare(first(**BEFORE), first(**(BEFORE | changed)), 0.02)
    assert verified.verdict == "DIFFERS"
    assert why in verified.why


def test_an_accuracy_exactly_at_the_tolerance_is_within_it() -> None:
    assert compare(cell(), first(right=62), 0.02).verdict == "within tolerance"


def test_the_same_accuracy_of_other_answers_differs() -> None:
    assert compare(cell(), cell(flipped(10), seed_result(1)), 0.02).verdict == "within tolerance"
    verified = compare(cell(), cell(flipped(12), seed_result(1)), 0.02)
    assert verified.verdict == "DIFFERS"
    assert verified.why.startswith("seed 0: 12 of 100 items are answered right in one and wrong in the other; ")


def test_a_row_that_failed_says_so_and_is_never_well() -> None:
    broken = seed_result(0, accuracy=None, correct=None, error="it broke", digests={})
    again = compare(cell(broken, seed_result(1)), cell(broken, seed_result(1)), 0.02)
    assert (again.verdict, again.failed, again.ok) == ("identical", True, False)
    assert again.why == "seed 0 failed both times: it broke"
    close = compare(cell(broken, seed_result(1)), cell(broken, seed_result(1, 61)), 0.02)
    assert (close.verdict, close.failed) == ("within tolerance", True)
    assert "failed both times" in close.why
    # A run looks at models first, `verify` meets them where they are used.
    early, late = (replace_error(broken, f"{stage} failed: no room") for stage in ("model", "answers of base"))
    assert "failed both times" in compare(cell(early, seed_result(1)), cell(late, seed_result(1)), 0.05).why
    other = replace_error(broken, "model failed: no layers")
    assert compare(cell(early, seed_result(1)), cell(other, seed_result(1)), 0.05).verdict == "DIFFERS"
    other = compare(
        cell(broken, seed_result(1)), cell(broken.model_copy(update={"error": "else"}), seed_result(1)), 0.02
    )
    assert other.verdict == "DIFFERS"
    assert compare(cell(), cell(), 0.0).ok


def test_bodies_that_only_look_equal_are_not_passed_over_in_silence() -> None:
    one, other = (first(diagnostics={"rank": rank}) for rank in (1, 1.0))
    assert one.digest != other.digest
    assert compare(one, other, 0.0).why == "equal figures, written otherwise"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (cell(seed_result(0, 63), seed_result(1)), "accuracy 0.6000 before, 0.6300 now"),
        (cell(seed_result(0, accuracy=None, correct=None, error="it broke"), seed_result(1)), "it broke now"),
        (cell(plugin=PluginRef(distribution="w2s-bench", version="0.2", source="4" * 64)), "plugin was"),
        (cell(items_digest="6" * 64), "items was"),
        (cell(domain=DomainRef(name="w2s-bench/math", version="2", fingerprint="1" * 64)), "domain was"),
        (cell(seed_result(0)), "seeds were 0, 1, are 0"),
        (cell(generation=2, chain=CHAIN), "generation was 1, is 2; chain was none, is {"),
        (cell(chain=CHAIN), "chain was none, is {"),
        (cell(arm=ARM.model_copy(update={"coverage": 0.25})), '"coverage":0.25'),
        (cell(arm=ARM.model_copy(update={"supervision": "none"})), '"supervision":"none"'),
        (cell(protocol="w2s-2"), "protocol was"),
    ],
)
def test_anything_more_differs(changed: Cell, why: str) -> None:
    verified = compare(cell(), changed, 0.02)
    assert verified.verdict == "DIFFERS"
    assert why in verified.why


def told(**diagnostics: Any) -> Cell:
    return cell(seed_result(0, diagnostics={"auroc": 0.7, **diagnostics}), seed_result(1))


def test_diagnostics_that_a_cell_was_made_before_are_not_compared() -> None:
    """Which labels are classes was told of fewer domains once; the cells of that time are still reproduced."""
    more = {"auroc_within_label": 0.6, "kept_by_label": {"duel: both": 0.5}}
    assert compare(told(), told(**more), 0.0, exact=True).verdict == "identical"
    assert compare(told(), told(aurc=0.3), 0.02).verdict == "DIFFERS", "others are"
    assert compare(told(**more), told(**more | {"auroc_within_label": 0.9}), 0.02).verdict == "DIFFERS"
    assert compare(told(**more), told(), 0.02).verdict == "DIFFERS", "what it has must come again"


def test_a_plugin_left_out_is_a_problem_of_every_plan(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    problem = Problem("bad", "w2s-broken", "0.1", "could not be imported")
    broken = replace(
        registry, plugins=(*registry.plugins, Plugin("bad", "w2s-broken", "0.1", "broken", problem=problem))
    )
    problems = plan(toy_suite(models), broken, trust=()).problems
    assert problems == ("entry point 'bad' of w2s-broken 0.1: could not be imported",)
    board: Any = None
    assert not api.RunReport(toy_suite(models), models, (), board, problems).ok


@pytest.mark.parametrize(
    ("reason", "fine"),
    [
        ("read failed: not applicable: no dropout", True),
        ("score failed: 1 / 0", False),
        (
            "score failed: trust function 'acme/odd' raised ValueError in score: failed: not applicable: no dropout",
            False,
        ),
    ],
)
def test_an_arm_that_is_not_applicable_breaks_no_run(models: Path, reason: str, fine: bool) -> None:
    board: Any = None
    report = api.RunReport(toy_suite(models), models, (cell(SeedResult(seed=0, error=reason), items=0),), board, ())
    assert report.ok is fine and len(report.failures) == 1


# Rows planned one by one.


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "toy-models"


def cell_for(planned: PlannedCell, suite: Suite) -> Cell:
    """A made-up cell with the identity of a planned one; its seeds failed, so that it needs no figures."""
    ref = SuiteRef(name=suite.name, version=suite.version, digest=suite.digest, evaluate_on=suite.evaluate_on)
    failed = [SeedResult(seed=seed, error="it broke") for seed in range(suite.seeds)]
    return cell(
        *failed,
        items=0,
        suite=ref,
        domain=planned.domain.model_copy(update={"version": suite.domain(planned.domain.name).version}),
        teacher=planned.teacher,
        student=planned.student,
        arm=planned.arm.ref,
        plugin=planned.arm.plugin,
    )


def bare_named(suite: Suite) -> Suite:
    return suite.with_full_names(lambda name: name.partition("/")[2])


def test_bare_and_full_names_give_one_plan(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    full = toy_suite(models)
    one, other = plan(full, registry), plan(bare_named(full), registry, domains=["largest", "w2s-bench-toy/sums"])
    assert bare_named(full).digest != full.digest == one.suite.digest == other.suite.digest
    assert [c.row for c in one.cells] == [c.row for c in other.cells]
    assert [s.node for s in one.targets()] == [s.node for s in other.targets()]
    assert "w2s-bench-toy.largest/naive" in [c.row for c in one.cells]
    with pytest.raises(UnknownNameError, match="results/DOMAIN/ARM"):
        plan(full, registry, rows=["largest/naive"])
    controls = plan(full, registry, trust=())
    assert {c.arm.ref.role for c in controls.cells} == {"reference", "control"}


def test_rows_that_cannot_be_run_differ_and_the_others_are_verified(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = toy_registry(monkeypatch)
    written = toy_suite(models)
    content = written.model_dump()
    content["domains"][1]["version"] = "0"  # of `sums`, installed as 1
    suite = Suite.model_validate(content)
    planned = [
        *plan(suite, registry, domains=["largest"]).cells,
        *plan(written, registry, domains=["sums"], trust=()).cells,
    ]
    cells = [
        cell_for(one, suite) for one in planned if one.arm.ref.name in {"naive", "weak", "w2s-bench-toy/prompt_hash"}
    ]
    named = {"name": "acme/gone", "trust_function": "acme/gone", "selection": "top", "coverage": suite.coverage}
    gone = ARM.model_copy(update=named)
    plugin = PluginRef(distribution="acme", version="1", source="4" * 64)
    cells.append(Cell.of(cell_for(planned[0], suite).body.model_copy(update={"arm": gone, "plugin": plugin}), {}))
    for one in cells:
        one.write(tmp_path)
    (tmp_path / "suite.yaml").write_text(bare_named(suite).to_yaml())
    asked: list[Plan] = []

    def compute(planned: Plan, **_: object) -> tuple[Cell, ...]:
        asked.append(planned)
        return tuple(cell_for(one, suite) for one in planned.cells)

    monkeypatch.setattr(api, "compute", compute)
    found = {one.row: one for one in verify(tmp_path, trust_folder=True)}
    assert len(asked) == 1, "one run for all rows"
    assert {one.row for one in asked[0].cells} == {
        f"w2s-bench-toy.largest/{arm}" for arm in ("naive", "weak", "w2s-bench-toy.prompt_hash")
    }
    assert found["w2s-bench-toy.largest/naive"].verdict == "identical"
    assert found["w2s-bench-toy.largest/w2s-bench-toy.prompt_hash"].verdict == "identical"
    assert "cannot be run: unknown trust function 'acme/gone'" in found["w2s-bench-toy.largest/acme.gone"].why
    assert "cannot be run: the suite was made for domain" in found["w2s-bench-toy.sums/naive"].why
    assert found["w2s-bench-toy.sums/naive"].verdict == "DIFFERS"


def test_splits_that_cannot_be_filled_end_a_run_before_anything_is_written(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And items that cannot be made do not: those cells fail by themselves."""
    from w2s_bench.executors import Done, Failed
    from w2s_bench.store import Result, open_store

    planned = plan(toy_suite(models), toy_registry(monkeypatch), trust=())
    splits = planned.splits()
    assert len(splits) == 4 and {stage.name for stage in splits} == {"splits"}
    asked: list[list[str]] = []
    causes = {stage.node: stage.inputs["held_out"].inputs["items"].node for stage in splits}
    done = Done(Result(tmp_path, "0" * 64, "content", {}, 1.0, 1.0, "2026-01-01T00:00:00Z"))

    class Fails:
        def run(self, targets: Any, *_: object) -> dict[str, Any]:
            asked.append([stage.name for stage in targets])
            failed = {node: Failed("items", "no loader", cause) for node, cause in causes.items()}
            return {stage.node: failed.get(stage.node, done) for stage in walk(targets)}

    settings: Any = {"store": tmp_path / "store", "executor": Fails(), "events": lambda event: None}
    api.check_first(planned, **{**settings, "store": open_store(tmp_path / "store")})
    causes[splits[1].node] = splits[1].node
    with pytest.raises(SuiteError, match=r"^no loader$"):
        api.execute(planned, out=tmp_path / "out", **settings)
    assert asked == [["splits"] * 4 + ["answers", "contradictions", "usable", "usable"] * 2] * 2
    assert not (tmp_path / "out").exists()


# What is demanded of whom.


def test_the_tolerance_is_for_other_machines_alone() -> None:
    close = cell(seed_result(0, 61), seed_result(1))
    assert compare(cell(), close, 0.02).verdict == "within tolerance"
    verified = compare(cell(), close, 0.02, exact=True)
    assert verified.verdict == "DIFFERS"
    assert verified.why.startswith("made with the same packages on no other machine, where a rerun is identical")
    assert "accuracy 0.6000 before, 0.6100 now" in verified.why
    assert compare(cell(), cell(), 0.02, exact=True).verdict == "identical"


HERE = {
    "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
    "python": "3.11.7",
    "machines": ["A 01ab, x86_64, glibc 2.36, Python 3.11"],
    "threads_per_worker": 1,
    "device": "cpu",
    "visible_cpus": 2,
}


def test_a_machine_is_another_where_its_packages_or_its_kind_are_said_to_be_others() -> None:
    assert elsewhere(HERE, {**HERE, "visible_cpus": 64, "git": None, "python": "3.11.9"}) is None
    a, b = HERE["machines"][0], "B 23cd, aarch64, glibc 2.40, Python 3.12"
    for other, said in (
        ({"packages": {"torch": "2.13.1", "numpy": "2.4.6"}}, "torch 2.13.0, here 2.13.1"),
        ({"machines": [b]}, f"machine {a}; here {b}"),
        ({"machines": [a, b]}, f"machine {a}; here {a} and {b}"),
        ({"device": "cuda"}, "device cuda"),
    ):
        assert elsewhere(HERE, {**HERE, **other}) == said
    several = {**HERE, "machines": [a, b]}
    assert elsewhere(several, several) is not None, "which of them made what is not known"
    assert elsewhere({**HERE, "device": "cuda"}, {**HERE, "device": "cuda"}) == "device cuda"


@pytest.mark.parametrize("fact", [*HERE, None])
def test_a_file_that_leaves_unsaid_where_it_was_made_gains_nothing_by_it(fact: str | None) -> None:
    unsaid = {} if fact is None else {name: value for name, value in HERE.items() if name != fact}
    assert elsewhere(unsaid, HERE) is None


def test_what_makes_a_machine_another_is_said_beside_the_tolerance() -> None:
    theirs, here = (replaced(one, HERE) for one in (cell(), cell(seed_result(0, 61), seed_result(1))))
    assert _verdict(theirs, here, 0.02).verdict == "DIFFERS"
    elsewhere_made = replaced(theirs, {**HERE, "machines": ["B"]})
    verified = _verdict(elsewhere_made, here, 0.02)
    assert verified.verdict == "within tolerance"
    assert verified.why.startswith(
        f"made with machine B; here {HERE['machines'][0]}, so that accuracies may be 0.02 apart; seed 0: accuracy 0.6000 before"
    )


def test_a_verdict_is_one_line_whatever_a_file_says(capsys: pytest.CaptureFixture[str]) -> None:
    why = "seed 0 failed both times: x\nmath/oracle  identical\x1b[1A" + "y" * 9000
    print_verdicts([Verified("math/naive", "DIFFERS", why)], as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("\n") == 1 and "\x1b" not in shown and len(shown) < 2500


def replaced(one: Cell, provenance: dict[str, Any]) -> Cell:
    return Cell.of(one.body, provenance)


CPU = "processor\t: 0\nvendor_id\t: X\nmodel name\t: Y 1\ncpu MHz\t\t: {mhz}\nflags\t\t: {flags}\n\nprocessor\t: 1\n"


def test_a_processor_is_known_by_its_kind_and_not_by_its_clock(tmp_path: Path) -> None:
    def facts(mhz: str, flags: str) -> Any:
        (tmp_path / "cpuinfo").write_text(CPU.format(mhz=mhz, flags=flags))
        return machine._cpuinfo(tmp_path / "cpuinfo")

    assert facts("2000.1", "sse avx") == facts("3100.9", "avx sse") != facts("2000.1", "sse avx amx")
    assert facts("1", "avx")["model name"] == "Y 1"
    assert machine._cpuinfo(tmp_path / "none") == {}
    assert len(machine.described().splitlines()) == 1 and "Python 3." in machine.described()


def test_the_pages_are_compared_with_the_cells(tmp_path: Path) -> None:
    results = write_cells(tmp_path, make_cells())
    write_leaderboard(results)
    cells = read_cells(results)

    def verdicts() -> dict[str, str]:
        return {one.row: one.verdict for one in compare_pages(results, cells)}

    plots = ("pgr.svg", "pgr-auroc.svg", "pgr-purity.svg", "ties.svg")
    identical = dict.fromkeys(("README.md", *plots), "identical")
    assert verdicts() == identical
    readme, plot = results / "README.md", results / "pgr.svg"
    readme.write_text(readme.read_text().replace("0.55", "0.99", 1))
    text = plot.read_text()
    number = re.search(r"\d+\.\d{4,}", text)
    assert number
    plot.write_text(text.replace(number[0], f"{float(number[0]) + 1e-5:.6f}", 1))
    assert verdicts() == identical | {"README.md": "DIFFERS", "pgr.svg": "within tolerance"}
    plot.write_text(text.replace(number[0], f"{float(number[0]) + 5:.6f}", 1))
    readme.unlink()
    assert verdicts() == identical | {"README.md": "DIFFERS", "pgr.svg": "DIFFERS"}
    said = {one.row: one.why for one in compare_pages(results, cells)}
    assert "cannot be read: No such file" in said["README.md"]
    assert (
        "is not what the cells give" in said["pgr.svg"] and "`w2s-bench leaderboard` writes it anew" in said["pgr.svg"]
    )
    plot.write_text("1" * 1_000_000)  # hours, if a number were looked for from each digit
    assert verdicts()["pgr.svg"] == "DIFFERS"
    readme.symlink_to("/dev/zero")
    assert "it is a link" in compare_pages(results, cells)[0].why


# What a folder of somebody else may ask for.


@pytest.fixture
def theirs(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder of a suite whose models are folders; what is computed is made up, and noted in `ASKED`."""
    registry = toy_registry(monkeypatch)
    suite = toy_suite(models)
    ASKED.clear()
    for one in plan(suite, registry, domains=["largest"]).cells:
        if one.arm.ref.name in {"naive", "w2s-bench/confidence", "w2s-bench-toy/prompt_hash"}:
            cell_for(one, suite).write(tmp_path / "theirs")
    (tmp_path / "theirs" / "suite.yaml").write_text(suite.to_yaml())

    def compute(planned: Plan, **_: object) -> tuple[Cell, ...]:
        ASKED.append(planned)
        return tuple(cell_for(one, planned.suite) for one in planned.cells)

    monkeypatch.setattr(api, "compute", compute)
    return tmp_path / "theirs"


ASKED: list[Plan] = []


def rows_of(verdicts: list[Verified]) -> dict[str, Verified]:
    return {one.row.rpartition("/")[2]: one for one in verdicts if "/" in one.row}


def test_folders_that_a_suite_names_are_opened_with_the_users_word_alone(theirs: Path, models: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        verify(theirs)
    said = str(caught.value)
    assert f"model '{models / 'teacher'}', teacher of w2s-bench-toy/largest" in said
    assert f"model '{models / 'student'}', student of" in said
    assert "--trust-folder" in said and "--model NAME=FOLDER" in said and "sums" not in said
    assert not ASKED
    found = rows_of(verify(theirs, trust_folder=True))
    assert {one.verdict for one in found.values()} == {"identical"} and len(found) == 3


def test_a_model_that_lies_elsewhere_is_known_by_its_fingerprint(theirs: Path, models: Path, tmp_path: Path) -> None:
    for name in ("teacher", "student"):
        shutil.copytree(models / name, tmp_path / "mine" / name)
    fingerprint = read_cells(theirs)[0].body.teacher.fingerprint
    places = {fingerprint[:12]: str(tmp_path / "mine/teacher"), str(models / "student"): str(tmp_path / "mine/student")}
    found = rows_of(verify(theirs, models=places))
    assert {one.verdict for one in found.values()} == {"identical"}
    used = ASKED[0].cells[0].task.spec
    assert (used.teacher.model, used.student.model) == (
        f"local/{tmp_path / 'mine/teacher'}", f"local/{tmp_path / 'mine/student'}",
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"holds another model than .*teacher was \(fingerprint"):
        verify(theirs, models={**places, fingerprint[:12]: str(tmp_path / "mine/student")})
    for key in (fingerprint[:4], "0" * 12, "tiny/math-s"):
        with pytest.raises(UnknownNameError, match=f"unknown model '{key}'"):
            verify(theirs, models={key: str(tmp_path)})
    with pytest.raises(ModelError, match="there is no folder"):
        verify(theirs, models={fingerprint[:12]: str(tmp_path / "none")})
    with pytest.raises(SuiteError, match="student of"):
        verify(theirs, models={fingerprint[:12]: str(tmp_path / "mine/teacher")})


def test_a_model_that_is_not_here_is_said_with_what_to_do(theirs: Path, tmp_path: Path) -> None:
    suite, cells = read_results(theirs)
    text = suite.to_yaml().replace(str(suite.domains[0].teacher.model), "/home/of/somebody/teacher")
    (theirs / "suite.yaml").write_text(text)
    moved = read_results_suite(theirs)
    for one in cells:
        ref = one.body.suite.model_copy(update={"digest": moved.digest})
        teacher = one.body.teacher.model_copy(update={"name": "/home/of/somebody/teacher"})
        Cell.of(one.body.model_copy(update={"suite": ref, "teacher": teacher}), {}).write(theirs)
    found = rows_of(verify(theirs, trust_folder=True))
    assert {one.verdict for one in found.values()} == {"DIFFERS"}
    why = found["naive"].why
    assert "there is no folder '/home/of/somebody/teacher'" in why
    assert f"--model {cells[0].body.teacher.fingerprint[:12]}=FOLDER" in why


@pytest.mark.parametrize(
    ("arm", "asks"),
    [
        ("w2s-bench-toy/prompt_hash:path='/etc/passwd'", True),
        ("w2s-bench-toy/prompt_hash", False),
        ("w2s-bench/confidence:x=1", False),
    ],
)
def test_a_plugin_gets_a_strangers_parameters_with_the_users_word_alone(
    theirs: Path, models: Path, arm: str, asks: bool
) -> None:
    suite, cells = read_results(theirs)
    placed = {str(models / name): "x" for name in ("teacher", "student")}
    one = next(c for c in cells if c.body.arm.role == "trust_function")
    function, parameters = parse_spec(arm)
    said = {"name": arm, "trust_function": function, "parameters": parameters}
    chosen = [Cell.of(one.body.model_copy(update={"arm": one.body.arm.model_copy(update=said)}), {})]
    if asks:
        with pytest.raises(SuiteError, match=r"trust function .*passwd"):
            refuse_unasked(suite, chosen, theirs, placed)
    else:
        refuse_unasked(suite, chosen, theirs, placed)
    spec = suite.domains[0].model_copy(update={"parameters": {"path": "/etc/passwd"}})
    asking = suite.model_copy(update={"domains": (spec, *suite.domains[1:])})
    with pytest.raises(SuiteError, match="domain 'w2s-bench-toy/largest' with parameters 'path'"):
        refuse_unasked(asking, chosen, theirs, placed)
