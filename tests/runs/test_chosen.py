"""Which trust functions a run takes: the suite's own list, all, or those named; and that no result hangs on the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from support import toy_registry, toy_suite
from w2s_bench.errors import SuiteError, UnknownNameError, W2SBenchError
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.registry import Registry
from w2s_bench.runs.chosen import chosen_trust_functions
from w2s_bench.runs.execute import make_plan
from w2s_bench.runs.plan import plan
from w2s_bench.suite import Suite
from w2s_bench.suite_files import load_suite

#: The trust functions on the committed board of `tiny`.
SHORT = ["confidence", "probe", "student_probe", "verifier"]


@pytest.fixture(scope="module")
def tiny() -> Suite:
    return load_suite("tiny")


@pytest.fixture(scope="module")
def built_in() -> Registry:
    return Registry.load([])


def listing(suite: Suite, *names: str) -> Suite:
    return suite.model_copy(update={"trust_functions": names})


def specs(registry: Registry, suite: Suite, trust: list[str] | None) -> list[str]:
    return [one.spec for one in chosen_trust_functions(registry, suite, trust)]


def test_the_default_run_of_tiny_is_what_its_board_shows(tiny: Suite, built_in: Registry) -> None:
    planned = plan(tiny, built_in)
    board = Path(__file__).parents[2] / "leaderboards" / "tiny" / "results"
    rows = {f"{path.parent.name}/{path.stem}" for path in board.glob("*/*.json")}
    trust = [cell.row for cell in planned.cells if cell.arm.ref.role == "trust_function"]
    assert trust == [f"{domain}/{name}" for domain in ("knowledge", "math", "chess") for name in SHORT]
    assert set(trust) <= rows
    assert {
        row for row in rows if row.partition("/")[2] not in {cell.row.partition("/")[2] for cell in planned.cells}
    } == set()


def test_the_list_changes_no_digest_and_no_stage(tiny: Suite, built_in: Registry) -> None:
    other = listing(tiny, "verifier", "confidence")
    bare = Suite.model_validate({k: v for k, v in tiny.model_dump().items() if k != "trust_functions"})
    assert bare.trust_functions is None
    assert tiny.digest == other.digest == bare.digest
    keys = [
        [
            stage.params
            for cell in plan(suite, built_in, domains=["math"], trust=["probe"]).cells
            for stage in cell.targets()
        ]
        for suite in (tiny, other, bare)
    ]
    assert keys[0] == keys[1] == keys[2]


def test_tiny_full_has_every_built_in_function_and_shares_every_stage_of_tiny(tiny: Suite, built_in: Registry) -> None:
    full = load_suite("tiny-full")
    assert specs(built_in, full, None) == sorted(built_in.trust_functions)
    nodes = [{stage.node for stage in plan(suite, built_in, domains=["math"]).stages()} for suite in (tiny, full)]
    assert nodes[0] < nodes[1]


def test_a_suite_without_a_list_is_written_as_ever_and_takes_every_function(tiny: Suite, built_in: Registry) -> None:
    bare = tiny.model_copy(update={"trust_functions": None})
    assert "trust_functions" not in bare.to_yaml()
    assert specs(built_in, bare, None) == sorted(built_in.trust_functions)
    assert set(SHORT) < {name.partition("/")[2] for name in built_in.trust_functions}


def test_a_list_survives_being_written(tiny: Suite) -> None:
    other = listing(tiny, "probe:layer=-1,l2=1e-2", "confidence")
    assert Suite.model_validate(yaml.safe_load(other.to_yaml())) == other


def test_named_functions_replace_the_list_and_all_is_all(tiny: Suite, built_in: Registry) -> None:
    assert specs(built_in, tiny, ["probe:layer=-1"]) == ["probe:layer=-1"]
    assert specs(built_in, tiny, []) == []
    assert specs(built_in, tiny, ["all"]) == sorted(built_in.trust_functions)
    both = chosen_trust_functions(built_in, tiny, ["all", "probe", "probe:l2=1"])
    assert len(both) == len(built_in.trust_functions) + 1
    assert [one.spec for one in both if one.must_apply] == ["probe", "probe:l2=1"]


def test_one_function_by_two_names_is_one_arm(tiny: Suite, built_in: Registry) -> None:
    assert specs(built_in, tiny, ["probe", "w2s-bench/probe", "probe"]) == ["probe"]


def test_installed_plugins_run_beside_the_list(tiny: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = toy_registry(monkeypatch)
    theirs = sorted(n for n, r in registry.trust_functions.items() if r.distribution != BUILT_IN)
    assert theirs
    assert specs(registry, tiny, None) == [*SHORT, *theirs]
    assert specs(registry, listing(tiny, theirs[0]), None) == theirs, "the listed one is there once"
    assert specs(registry, listing(tiny), None) == theirs


def test_what_the_list_names_need_not_apply_to_the_domains_of_a_run(tiny: Suite, built_in: Registry) -> None:
    """Unlike what is asked for by name."""
    generate = "arithmetic_steps"
    planned = plan(listing(tiny, generate, "confidence"), built_in, domains=["chess"])
    assert [c.row for c in planned.cells if c.arm.ref.role == "trust_function"] == ["chess/confidence"]
    with pytest.raises(W2SBenchError, match="is for generate domains alone"):
        plan(tiny, built_in, domains=["chess"], trust=[generate])
    assert plan(tiny, built_in, domains=["chess"], trust=["all"]).cells


def test_a_listed_function_that_is_not_there_says_whose_list_it_is(tiny: Suite, built_in: Registry) -> None:
    with pytest.raises(
        SuiteError, match=r"suite 'tiny' runs trust function 'acme/depth:k=3' by default.*--trust says what"
    ):
        make_plan(listing(tiny, "acme/depth:k=3"))
    with pytest.raises(UnknownNameError, match="unknown trust function 'depth'"):
        plan(tiny, built_in, trust=["all", "depth"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["probe", "probe"], "may stand once in a suite; twice here: probe"),
        ("probe", "tuple"),
        ([""], "at least 1 character"),
        (["a\nb"], "one line"),
    ],
)
def test_lists_that_are_none(tiny: Suite, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Suite.model_validate({**tiny.model_dump(), "trust_functions": value})


def test_a_spec_that_cannot_be_read_is_a_fault_of_the_suite(tiny: Suite, built_in: Registry) -> None:
    with pytest.raises(SuiteError, match=r"suite 'tiny'.*'probe:layer' has 'layer' where key=value belongs"):
        plan(listing(tiny, "probe:layer"), built_in)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("naive", "'naive' is a control of the harness's own and no trust function: every run has it"),
        ("ceiling", "'ceiling' is a reference of the harness's own"),
        (
            "noisy_oracle",
            "'noisy_oracle' is a control of the harness's own and no trust function: a run with --control noisy_oracle or "
            "--decompose has it",
        ),
        (
            "gold_kept:confidence",
            "name the trust function, --trust confidence, and give --control gold_kept or --decompose",
        ),
        (
            "w2s-bench/matched_random:probe:folds=3",
            "name the trust function, --trust probe:folds=3, and give --control matched_random or --decompose",
        ),
        (
            "gold_kept",
            "'gold_kept' is a control that is made of a trust function's arm; name the trust function and give",
        ),
    ],
)
def test_who_asks_for_a_control_is_told_how_to_have_it(tiny: Suite, built_in: Registry, text: str, said: str) -> None:
    with pytest.raises(W2SBenchError, match=said):
        plan(tiny, built_in, trust=[text])


def test_what_has_no_cell_in_a_domain_is_said_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite, registry = toy_suite(tmp_path / "models"), toy_registry(monkeypatch)
    planned = plan(suite, registry, trust=["energy", "token_spread", "self_consistency", "confidence"])
    assert planned.passed_over == (
        "not applicable to w2s-bench-toy/largest, a choice domain: self_consistency, token_spread are for generate domains alone",
        "not applicable to w2s-bench-toy/sums, a generate domain: energy is for choice domains alone",
    )
    rows = {cell.row for cell in planned.cells}
    assert len([row for row in rows if row.endswith(("energy", "token_spread", "self_consistency"))]) == 3
    assert plan(suite, registry, trust=["confidence"]).passed_over == ()
