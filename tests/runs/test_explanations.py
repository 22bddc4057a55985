"""Controls that explain others, from plan to page: those made of an arm, the inverted and the noisy oracle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cell_builder import TRUST_SET, change, make_cells, suite_of, write_cells
from support import run_inline, toy_registry, toy_suite
from w2s_bench._cli.board_table import print_board
from w2s_bench.arm_facts import FLIPPED
from w2s_bench.controls import MADE_OF_ARM, OWN_ARMS, TRUST_FIRST, TRUST_LAST, explaining
from w2s_bench.domains.documents import Documents
from w2s_bench.errors import CellError, UnknownNameError
from w2s_bench.names import of_arm, short
from w2s_bench.protocol.arms import explanations, own_arms
from w2s_bench.record import digest_of, pack_bits
from w2s_bench.results import noise
from w2s_bench.results.belief import read_results
from w2s_bench.results.cells import Cell
from w2s_bench.results.comparison import Comparison
from w2s_bench.results.consent import _wanted
from w2s_bench.results.gains import PARTS
from w2s_bench.results.leaderboard import build, pages, write_leaderboard
from w2s_bench.results.pages.data import board_as_json
from w2s_bench.results.pages.standing import gain_in_words
from w2s_bench.results.references import ArmRef
from w2s_bench.results.statistics import Estimate
from w2s_bench.runs import submit
from w2s_bench.runs.collect import cell_of
from w2s_bench.runs.outcomes import Results
from w2s_bench.runs.plan import plan
from w2s_bench.runs.verify import _planned
from w2s_bench.store import Store

HASH = "w2s-bench-toy/prompt_hash"
TRUST = [HASH, "probe:folds=3"]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A decomposed run of the toy domain with options, its cells, and the plan of both toy domains."""
    with pytest.MonkeyPatch.context() as patch:
        registry, shared = toy_registry(patch), tmp_path_factory.getbasetemp()
        # Rows kept with gold beside, over this coverage, are no whole number.
        suite = toy_suite(shared / "toy-models", coverage=0.35)
        usual = plan(suite, registry, trust=TRUST)
        both = plan(suite, registry, trust=TRUST, decompose=True)
        planned = plan(suite, registry, domains=["largest"], trust=TRUST[:1], decompose=True)
        store = Store(shared / "toy-store")
        results = Results(run_inline(planned.targets(), store, registry), store)
        cells = {cell.arm.ref.name: cell_of(cell, results) for cell in planned.cells}
        yield SimpleNamespace(usual=usual, both=both, plan=planned, cells=cells, registry=registry)


@pytest.mark.slow
def test_a_usual_run_has_none_of_them_and_a_decomposed_one_adds_their_students_alone(ran: Any) -> None:
    assert not any(cell.arm.ref.explains for cell in ran.usual.cells)
    added = [cell for cell in ran.both.cells if cell.arm.ref.explains]
    expected = {name for name, arm in OWN_ARMS.items() if arm.explains}
    expected |= {of_arm(word, arm) for word in MADE_OF_ARM for arm in ("w2s-bench-toy/prompt_hash", "probe:folds=3")}
    assert {cell.arm.ref.name for cell in added} == expected
    assert len(added) == len(ran.both.cells) - len(ran.usual.cells) == 2 * 14 + 1, "options stand in one domain alone"
    before, after = {s.node for s in ran.usual.stages()}, {s.node: s.name for s in ran.both.stages()}
    assert before < after.keys()
    drawn = {name: {s.params["seed"] for s in ran.both.stages() if s.name == name} for name in ("alike", "random")}
    assert drawn["alike"] == drawn["random"] and len(drawn["random"]) == 4, (
        "drawn as `random` is, so that the two are paired"
    )
    names = {name for node, name in after.items() if node not in before}
    drawn_by = {"alike", "wrong", "noisy", "first", "easiest"}
    assert names - drawn_by == {
        *("weak_rows", "rows_by_trust", "gold_rows", "joined_rows", "train", "predict", "grade"),
        *("difficulty", "gold_as_labels", "fold_others", "fold_labels", "read", "join_readings"),
    }
    assert drawn_by <= names


def test_an_arm_of_all_rows_has_none() -> None:
    whole = [arm for arm in own_arms(0.5) if arm.ref.name in ("naive", "ceiling", "weak", "gold_trust_set")]
    assert len(whole) == 4 and not any(explanations(arm, MADE_OF_ARM) for arm in whole)


def test_a_run_may_be_asked_for_one_of_them_alone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = toy_suite(tmp_path_factory.getbasetemp() / "toy-models", seeds=1)

    def arms_of(decompose: bool | list[str]) -> list[str]:
        planned = plan(suite, toy_registry(monkeypatch), domains=["largest"], trust=[HASH], decompose=decompose)
        return [short(cell.arm.ref.name) for cell in planned.cells]

    usual, every = arms_of(False), arms_of(True)
    assert sorted(arms_of(["kept_plus_gold"])) == sorted([*usual, f"kept_plus_gold:{HASH}"])
    assert sorted(arms_of(["noisy_oracle"])) == sorted([*usual, "noisy_oracle"])
    one = plan(suite, toy_registry(monkeypatch), domains=["largest"], trust=[HASH], decompose=["kept_plus_gold"])
    again = submit._planned(json.loads(json.dumps(submit._request(one, Path("out")))))
    assert [stage.node for stage in again.targets()] == [stage.node for stage in one.targets()], "a cluster's last job"
    assert sorted(arms_of(list(explaining()))) == sorted(every)
    with pytest.raises(UnknownNameError, match=r"'gold_kep'; did you mean gold_kept\?"):
        arms_of(["gold_kep"])
    with pytest.raises(UnknownNameError, match=r"'naive'.*Every run has it"):
        arms_of(["naive"])


@pytest.mark.slow
def test_the_last_job_of_a_cluster_and_a_verifier_plan_the_same_again(ran: Any) -> None:
    request = json.loads(json.dumps(submit._request(ran.both, Path("out"))))
    assert [s.node for s in submit._planned(request).targets()] == [s.node for s in ran.both.targets()]
    by_row = {cell.row: cell for cell in ran.plan.cells}
    for name in ("noisy_oracle", *(of_arm(word, HASH) for word in MADE_OF_ARM)):
        cell = ran.cells[name]
        again = _planned(cell, ran.plan.suite, ran.registry, Documents(), {})
        assert [s.node for s in again.targets()] == [s.node for s in by_row[cell.row].targets()]  # type: ignore[union-attr]


@pytest.mark.slow
def test_cells_say_what_the_arms_kept(ran: Any) -> None:
    arm, gold, alike = (ran.cells[name].body for name in (HASH, f"gold_kept:{HASH}", f"matched_random:{HASH}"))
    assert (gold.arm.role, gold.arm.supervision, gold.arm.made_of, gold.arm.trusts) == (
        "control",
        "privileged",
        HASH,
        HASH,
    )
    assert (alike.arm.role, alike.arm.supervision, alike.arm.made_of) == ("control", arm.arm.supervision, HASH)
    assert gold.plugin == alike.plugin == arm.plugin
    ordered = [ran.cells[of_arm(word, HASH)].body for word in (TRUST_FIRST, TRUST_LAST)]
    for first, last, kept in zip(*(body.seeds for body in (*ordered, arm)), strict=True):
        assert first.digests["kept"] == last.digests["kept"] == kept.digests["kept"] and first.purity == kept.purity
        assert len({one.digests["student"] for one in (first, last, kept)}) == 3, "each is another student"
    for kept, same, other in zip(arm.seeds, gold.seeds, alike.seeds, strict=True):
        assert kept.kept == same.kept == other.kept == 35
        assert kept.digests["kept"] == same.digests["kept"] != other.digests["kept"]
        assert kept.digests["weak_labels"] == same.digests["weak_labels"] == other.digests["weak_labels"]
        for one in (same, other):
            assert one.diagnostics["kept_by_stratum"] == kept.diagnostics["kept_by_stratum"]
        assert same.purity == 1.0 and other.purity is not None and other.purity < 1
    plus = ran.cells[f"kept_plus_gold:{HASH}"].body
    assert (plus.arm.role, plus.arm.supervision, plus.arm.made_of) == ("control", "trust_set", HASH)
    trust = ran.plan.suite.domains[0].sizes.trust
    for kept, both in zip(arm.seeds, plus.seeds, strict=True):
        assert both.kept == kept.kept + trust and both.coverage == kept.coverage
        assert both.purity == pytest.approx((kept.purity * kept.kept + trust) / both.kept), "gold is right"
        assert both.diagnostics["kept_by_stratum"] == kept.diagnostics["kept_by_stratum"]
        assert both.digests["weak_labels"] == kept.digests["weak_labels"]
    right = [s.diagnostics["label_accuracy"] for s in ran.cells["weak"].body.seeds]
    for seed, accuracy in zip(ran.cells["inverted_oracle"].body.seeds, right, strict=True):
        assert seed.purity == 0.0 and seed.kept + seed.shortfall == 35
        assert seed.shortfall == max(0, 35 - round(100 * (1 - accuracy)))
    for seed in ran.cells["noisy_oracle"].body.seeds:
        assert 0 < seed.purity < 1


@pytest.mark.slow
def test_the_page_of_a_run_says_what_gains_are_made_of(ran: Any, tmp_path: Path) -> None:
    for cell in ran.cells.values():
        cell.write(tmp_path / "toy")
    (tmp_path / "toy" / "suite.yaml").write_text(ran.plan.suite.to_yaml())
    board = write_leaderboard(tmp_path / "toy")
    assert (
        tmp_path / "toy" / "results" / "w2s-bench-toy.largest" / "gold_kept@w2s-bench-toy.prompt_hash.json"
    ).is_file()
    assert [gain.arm for gain in board.gains] == [HASH]
    assert [row.arm for row in board.explaining] == sorted(of_arm(word, HASH) for word in MADE_OF_ARM)
    assert not {row.arm for row in board.explaining} & {row.arm for row in board.rows}
    page = (tmp_path / "toy" / "README.md").read_text()
    assert "## What the gains are made of" in page and "\n| `noisy_oracle` " in page


#: Of 300 items, the first so many are right, in every seed: PGR differences are hundredths of the counts' differences.
PLANTED = {
    "weak": 100,
    "ceiling": 200,
    "naive": 120,
    "random": 110,
    "gold_random": 160,
    "w2s-bench/confidence": 150,
    "matched_random:confidence": 125,
    "gold_kept:confidence": 180,
    "kept_plus_gold:confidence": 190,
    "naive_plus_gold": 145,
    "gold_trust_set": 170,
}
PARTED = {
    "gain": 0.30,
    "budget": -0.10,
    "mix": 0.15,
    "choice": 0.25,
    "noise": 0.30,
    "items": 0.20,
    "gold": 0.40,
    "trust": 0.45,
    "labels": 0.20,
}


def made(cells: dict[str, Cell], word: str, arm: str = "w2s-bench/confidence", **of_seed: Any) -> Cell:
    """The control that is made of an arm, with the rows that it must have."""
    of, facts = cells[arm].body, MADE_OF_ARM[word]
    own = {"name": of_arm(word, arm), "kind": "control", "supervision": facts.track(of.arm.supervision)}
    seeds = []
    for seed in of.seeds:
        told = {"diagnostics": {"kept_by_stratum": seed.diagnostics["kept_by_stratum"]}}
        told |= {"purity": 1.0} if facts.all_right else {}
        if facts.with_trust_set:
            both = seed.kept + TRUST_SET
            told |= {"kept": both, "purity": (round(seed.purity * seed.kept) + TRUST_SET) / both}
            told["digests"] = {**seed.digests, "kept": digest_of([of.arm.name, "and gold"])}
        seeds.append(seed.model_copy(update=told | of_seed))
    return change(cells[arm], arm=ArmRef.model_validate({**of.arm.model_dump(), **own}), seeds=tuple(seeds))


@pytest.fixture
def cells() -> dict[str, Cell]:
    found = make_cells()
    found |= {of_arm(word, "w2s-bench/confidence"): made(found, word) for word in MADE_OF_ARM}
    return found


def planted(cell: Cell, count: int) -> Cell:
    """Seeds differ in a few items at the ends, so that there is noise, and by as many to either side."""
    seeds = []
    for seed in cell.body.seeds:
        correct = np.arange(300) < count + 2 * (seed.seed - 1)
        told = {"correct": pack_bits(correct), "accuracy": float(correct.mean()), "by_stratum": {}}
        seeds.append(seed.model_copy(update=told))
    return change(cell, seeds=tuple(seeds))


def test_parts_of_a_planted_gain_are_what_was_planted_and_add_up(
    cells: dict[str, Cell], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, count in PLANTED.items():
        cells[name] = planted(cells[name], count)
    board = build(cells.values(), Path("somewhere"))
    (gain,) = board.gains
    assert gain.arm == "confidence" and set(PARTED) == {part.name for part in PARTS}
    for found in (gain.mean, gain.in_domains["math"]):
        for name, value in PARTED.items():
            part = found[name]
            assert isinstance(part, Estimate) and part.value == pytest.approx(value), name
            assert part.low <= part.value <= part.high and part.adjusted is not None and part.adjusted >= (part.p or 0)
    assert sum(PARTED[part.name] for part in PARTS if part.adds_up) == pytest.approx(PARTED["gain"])
    assert {part.name for part in PARTS if part.adds_up} == {"budget", "mix", "choice"}
    whole = gain.mean["gain"]
    assert isinstance(whole, Estimate)
    assert gain_in_words(gain, str.upper) == (
        f"CONFIDENCE: +0.30 [{whole.low:.2f}, {whole.high:.2f}] PGR over naive = budget −0.10, label mix +0.15, item choice +0.25; "
        "label noise left +0.30, items alone +0.20, gold beside +0.40, trust beside gold +0.45, labels beside gold +0.20"
    )
    print_board(board)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"+0.30 [{whole.low:.2f}, {whole.high:.2f}] PGR over naive" in shown
    assert "The parts have intervals on the page, README.md." in shown


def test_of_a_run_with_one_control_a_board_tells_what_that_one_says_and_no_sum(tmp_path: Path) -> None:
    cells = make_cells()
    name = of_arm("kept_plus_gold", "w2s-bench/confidence")
    cells[name] = made(cells, "kept_plus_gold")
    for arm, count in PLANTED.items():
        if arm in cells:
            cells[arm] = planted(cells[arm], count)
    board = build(cells.values(), Path("somewhere"))
    (gain,) = board.gains
    assert list(gain.mean) == ["gain", "gold", "trust", "labels"], "a budget explains nothing by itself"
    for part in ("gold", "trust", "labels"):
        found = gain.mean[part]
        assert isinstance(found, Estimate) and found.value == pytest.approx(PARTED[part])
    said = gain_in_words(gain, str) or ""
    assert " PGR over naive; gold beside +0.40, trust beside gold +0.45, labels beside gold +0.20" in said
    write_leaderboard(write_cells(tmp_path, cells))
    page = (tmp_path / "README.md").read_text()
    assert "## What the gains are made of" in page and "add up to the gain" not in page and "label mix" not in page


def test_gains_add_up_whatever_the_cells_and_change_no_other_table(cells: dict[str, Cell], tmp_path: Path) -> None:
    chess = make_cells("w2s-bench/chess")
    chess |= {
        of_arm(word, "acme/verifier:layer=-1"): made(chess, word, "acme/verifier:layer=-1") for word in MADE_OF_ARM
    }
    board = build([*cells.values(), *chess.values()], tmp_path)
    usual = build([*make_cells().values(), *make_cells("w2s-bench/chess").values()], tmp_path)
    assert (board.rows, board.pairs, board.domains, board.detectable) == (
        usual.rows, usual.pairs, usual.domains, usual.detectable,
    )  # fmt: skip
    explained, plain_noise = (noise.measured({"math": Comparison(arms)}) for arms in (cells, make_cells()))
    assert explained == plain_noise, "what explains an arm is no arm that a plan is about"
    assert {gain.arm: tuple(gain.in_domains) for gain in board.gains} == {
        "acme/verifier:layer=-1": ("chess",),
        "confidence": ("math",),
    }
    for gain in board.gains:
        for found in gain.in_domains.values():
            values = {name: part.value for name, part in found.items() if isinstance(part, Estimate)}
            assert values["budget"] + values["mix"] + values["choice"] == pytest.approx(values["gain"])
    page, plain = pages(board), pages(usual)
    section = page["README.md"].partition("## What the gains are made of")[2].partition("\n## ")[0]
    assert "### Gains in math" in section and "### Gains in chess" in section
    assert "`matched_random` − `random`" in section
    assert "What the gains" not in plain["README.md"]
    assert all(page[name] == plain[name] for name in plain if name != "README.md")
    told = json.loads(json.dumps(board_as_json(board)))
    assert {gain["arm"] for gain in told["gains"]} == {"acme/verifier:layer=-1", "confidence"}
    assert {row["arm"] for row in told["explaining"]} >= {"gold_kept:confidence"}


# What is believed of such cells.

NOT_BELIEVED: list[tuple[str, dict[str, Any], str]] = [
    ("gold_kept", {"digests": {"kept": digest_of("others")}}, "digest of kept rows is not that of confidence"),
    (
        "matched_random",
        {"diagnostics": {"kept_by_stratum": {"easy": 0.375, "hard": 0.625}}},
        "kept_by_stratum is not that of confidence, which it is made of",
    ),
    (
        "kept_plus_gold",
        {"diagnostics": {"kept_by_stratum": {"easy": 0.375, "hard": 0.625}}},
        "kept_by_stratum is not that of confidence, which it is made of",
    ),
    ("kept_plus_gold", {"kept": 200, "purity": 0.9}, "coverage 0.5, with 140 of 400 rows kept"),
    ("gold_kept", {"purity": 0.9}, "purity 0.9, where every row is right"),
    ("matched_random", {"kept": 190, "shortfall": 10, "purity": 0.6, "coverage": 0.475}, "shortfall 10, which only"),
]


@pytest.mark.parametrize(("word", "of_seed", "said"), NOT_BELIEVED)
def test_a_control_that_did_not_keep_what_its_arm_kept_is_refused(
    tmp_path: Path, cells: dict[str, Cell], word: str, of_seed: dict[str, Any], said: str
) -> None:
    read_results(write_cells(tmp_path / "sound", cells))
    cells[of_arm(word, "w2s-bench/confidence")] = made(cells, word, **of_seed)
    with pytest.raises(CellError, match=said):
        read_results(write_cells(tmp_path / "unsound", cells))


@pytest.mark.parametrize("of_arm_too", [True, False])
def test_labels_kept_are_compared_where_both_cells_tell_of_them(
    tmp_path: Path, cells: dict[str, Cell], of_arm_too: bool
) -> None:
    """The arm's cell may be of a version that told of labels in fewer domains."""
    own, other = ({"kept_by_label": {"a": low, "b": 1 - low}} for low in (0.25, 0.375))
    name = of_arm("matched_random", "w2s-bench/confidence")

    def with_labels(cell: Cell, shares: Any) -> Cell:
        first, *rest = cell.body.seeds
        first = first.model_copy(update={"diagnostics": {**first.diagnostics, **shares}})
        return change(cell, seeds=(first, *rest))

    cells[name] = with_labels(cells[name], own)
    if of_arm_too:
        cells["w2s-bench/confidence"] = with_labels(cells["w2s-bench/confidence"], other)
        with pytest.raises(CellError, match="kept_by_label is not that of confidence"):
            read_results(write_cells(tmp_path / "board", cells))
    else:
        read_results(write_cells(tmp_path / "board", cells))


RENAMED: list[tuple[str, Callable[[ArmRef], dict[str, Any]], str]] = [
    ("gold_kept", lambda ref: {"name": "gold_kept:probe"}, "'gold_kept:probe' is said to be 'gold_kept:confidence'"),
    ("matched_random", lambda ref: {"supervision": "trust_set"}, "supervision 'trust_set', where that of"),
    ("kept_plus_gold", lambda ref: {"supervision": "privileged"}, "supervision 'privileged', where that of"),
    (
        "matched_random",
        lambda ref: {"selection": "balanced"},
        "is said to be 'matched_random:balanced:confidence'",
    ),
    (
        "matched_random",
        lambda ref: {"selection": "balanced", "name": "matched_random:balanced:confidence"},
        "it has selection 'balanced', the suite's are 'top'",
    ),
]


@pytest.mark.parametrize(("word", "changed", "said"), RENAMED)
def test_a_control_of_another_arm_or_track_than_it_says_is_refused(
    tmp_path: Path, cells: dict[str, Cell], word: str, changed: Callable[[ArmRef], dict[str, Any]], said: str
) -> None:
    name = of_arm(word, "w2s-bench/confidence")
    ref = cells[name].body.arm
    cells[name] = change(cells[name], arm=ref.model_copy(update=changed(ref)))
    with pytest.raises(CellError, match=said):
        read_results(write_cells(tmp_path, cells))


def test_an_arm_that_is_made_of_another_is_a_control_of_the_harness() -> None:
    made_by_hand = {"name": "gold_kept:confidence", "trust_function": "w2s-bench/confidence", "selection": "top"}
    with pytest.raises(
        ValueError, match=r"is of kind 'trust_function'; controls are .*, gold_kept:ARM, matched_random:ARM"
    ):
        ArmRef.model_validate({**made_by_hand, "kind": "trust_function", "supervision": "privileged"})
    with pytest.raises(ValueError, match="has supervision 'none', its is 'privileged'"):
        ArmRef.model_validate({**made_by_hand, "kind": "control", "supervision": "none"})
    plus = {**made_by_hand, "name": "kept_plus_gold:confidence", "kind": "control"}
    with pytest.raises(ValueError, match="has supervision 'none', its is 'trust_set'"):
        ArmRef.model_validate({**plus, "supervision": "none"})
    for own in ("trust_set", "privileged"):  # that of the arm where it is the higher one
        assert ArmRef.model_validate({**plus, "supervision": own}).supervision == own
    assert (
        ArmRef.model_validate({**made_by_hand, "kind": "control", "supervision": "privileged"}).made_of == "confidence"
    )


def test_a_strangers_parameters_are_asked_about_in_what_is_made_of_his_arm() -> None:
    found = make_cells()
    cell = made(found, "gold_kept", "acme/verifier:layer=-1")
    assert list(_wanted(suite_of(found.values()), [cell], {})) == ["trust function 'acme/verifier:layer=-1'"]


@pytest.mark.parametrize(
    ("arm", "right", "shortfall", "purity", "said"),
    [
        ("inverted_oracle", 220, 20, 0.0, None),  # 180 labels are wrong, 200 were asked for
        ("inverted_oracle", 220, 0, 0.0, "purity 0.0 of 200 rows, where 220 of 400 labels are right"),
        ("inverted_oracle", 220, 20, 0.5, "purity 0.5, where every row is wrong"),
        ("noisy_oracle", 220, 0, 0.9, None),
        ("noisy_oracle", 220, 61, 128 / 139, "shortfall 61 of 200 rows, where 220 of 400 labels are right"),
        ("noisy_oracle", 220, 60, 1.0, None),  # all 80 that it is mistaken about are right, and 140 are left
    ],
)
def test_an_oracle_falls_short_by_what_the_labels_allow(
    tmp_path: Path, arm: str, right: int, shortfall: int, purity: float, said: str | None
) -> None:
    assert FLIPPED == 0.2
    cells = make_cells(label_accuracy=right / 400)
    kept = 200 - shortfall
    told = {"kept": kept, "shortfall": shortfall, "coverage": kept / 400, "purity": purity}
    seeds = tuple(seed.model_copy(update=told) for seed in cells["random"].body.seeds)
    ref = ArmRef(name=arm, role="control", supervision="privileged", coverage=0.5)
    cells[arm] = change(cells["random"], arm=ref, seeds=seeds)
    results = write_cells(tmp_path, cells)
    if said is None:
        assert arm in {row.arm for row in write_leaderboard(results).rows}
        return
    with pytest.raises(CellError, match=said):
        read_results(results)
