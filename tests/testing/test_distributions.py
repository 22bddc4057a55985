"""What `check-plugin` says of a distribution: every rule of every entry, and which is broken by what."""

from __future__ import annotations

import json
import os
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from w2s_bench._cli import check_plugin as verb
from w2s_bench._cli.app import app
from w2s_bench.errors import UnknownNameError
from w2s_bench.plugins.entries import Plugin, Problem, Registered
from w2s_bench.plugins.registry import Registry
from w2s_bench.testing import distributions, trust_function_checks
from w2s_bench.testing.distributions import Verdict, distribution_verdicts
from w2s_bench.types import Need


class Likely:
    """Mean log-probability of the label."""

    supervision: Any = "none"
    needs: Any = (Need("teacher", "label_logprobs"),)
    scope: Any = "row"

    def fit(self, evidence: Any, correct: Any, *, rng: Any) -> None:
        raise AssertionError("never called")

    def score(self, evidence: Any, *, rng: Any) -> Any:
        return np.array([row.mean() for row in evidence.label_logprobs()])


class Drawing(Likely):
    """It draws from a generator that is not its own."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        return super().score(evidence, rng=rng) + random.random()


class Quitting(Likely):
    """It leaves."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        raise SystemExit(3)


class Marked:
    """A reading whose twin has a row too few."""

    form = "array"

    def read(self, model: Any, rows: Any, *, rng: Any) -> Any:
        return np.zeros(len(rows))

    def synthetic(self, made_up: Any, *, rng: Any) -> Any:
        return np.zeros(len(made_up.rows) - 1)


def registered(name: str, kind: Any, factory: Callable[..., Any]) -> Registered:
    return Registered(f"acme/{name}", kind, factory, "acme", "2.0", "acme", __name__)


@pytest.fixture(scope="module")
def verdicts() -> list[Verdict]:
    entries = [
        registered("likely", "trust_function", Likely),
        registered("drawing", "trust_function", Drawing),
        registered("quitting", "trust_function", Quitting),
        registered("marked", "reading", Marked),
    ]
    problem = Problem("acme", "acme", "2.0", "w2s_domains raised ValueError: no data")
    plugin = Plugin("acme", "acme", "2.0", "broken", tuple(entries), problem)
    return list(distribution_verdicts("Acme", registry=Registry.of([plugin])))


def test_every_rule_is_tried_on_every_entry(verdicts: list[Verdict]) -> None:
    checks = trust_function_checks()
    rules = [str(check) for check in checks if not check.is_last]
    rules += ["cost", *(str(check) for check in checks if check.is_last)]
    of_functions = [(v.name, v.rule) for v in verdicts if v.entry_kind == "trust function"]
    assert of_functions == [(f"acme/{name}", rule) for name in ("likely", "drawing", "quitting") for rule in rules]
    assert [(v.name, v.rule) for v in verdicts if v.entry_kind == "reading"] == [("acme/marked", "reading")]


def test_a_broken_rule_is_named_with_what_broke_it(verdicts: list[Verdict]) -> None:
    broken = {(v.name, v.rule): v.fault for v in verdicts if v.fault}
    assert broken["acme", "loads"] == "w2s_domains raised ValueError: no data"
    assert "take all randomness from `rng`" in broken["acme/drawing", "same_every_time-choice"]
    assert broken["acme/quitting", "scores_are_finite-generate"] == "raised SystemExit: 3"
    assert "shape (29," in broken["acme/marked", "reading"]
    assert not [name for name, _ in broken if name == "acme/likely"]


def test_the_verb(verdicts: list[Verdict], monkeypatch: pytest.MonkeyPatch) -> None:
    assert verb
    monkeypatch.setattr(
        distributions, "distribution_verdicts", lambda name, names, tell, awaits: (tell(v.rule) or v for v in verdicts)
    )
    told = CliRunner().invoke(app, ["check-plugin", "acme"])
    assert told.exit_code == 1
    assert "checking scores_are_finite-choice" in told.stderr and "checking" not in told.stdout, "what is checked now"
    assert "BROKEN  entry point acme: loads: w2s_domains raised ValueError: no data" in told.stdout
    assert "kept    trust function acme/likely: contract, scores_are_finite" in told.stdout
    assert re.search(
        rf"^{len([v for v in verdicts if v.fault])} of {len(verdicts)} rules are broken, by 4 of 5 entries of acme",
        told.stdout,
        re.M,
    )
    rows = json.loads(CliRunner().invoke(app, ["check-plugin", "acme", "--json"]).stdout)
    assert [row["fault"] for row in rows] == [v.fault for v in verdicts]


def test_a_score_that_tells_no_rows_apart_is_a_note() -> None:
    class Constant(Likely):
        def score(self, evidence: Any, *, rng: Any) -> Any:
            return np.full(len(evidence), 0.5)

    entries = [registered("constant", "trust_function", Constant), registered("likely", "trust_function", Likely)]
    plugin = Plugin("acme", "acme", "2.0", "", tuple(entries), None)
    found = list(distribution_verdicts("acme", registry=Registry.of([plugin])))
    assert not [verdict for verdict in found if verdict.fault]
    said = {(v.name, remark) for v in found for remark in v.remarks if "one score" in remark}
    same = "all 400 made-up rows have one score; rows of equal score are kept by lot, as `random` does"
    assert said == {("acme/constant", f"{kind}: {same}") for kind in ("choice", "generate")}


def test_an_entry_is_checked_with_the_parameters_that_it_is_named_with() -> None:
    class Scaled(Likely):
        def __init__(self, by: float = 1.0) -> None:
            if by < 0:
                raise ValueError(f"by must be 0 or more, got {by!r}")
            self.by = by

        def score(self, evidence: Any, *, rng: Any) -> Any:
            return self.by * super().score(evidence, rng=rng) / (self.by != 2)

    registry = Registry.of([Plugin("acme", "acme", "2.0", "ok", (registered("scaled", "trust_function", Scaled),))])
    said: list[str] = []
    names = ["scaled", "acme/scaled:by=0.5", "scaled:by=2"]
    with np.errstate(divide="ignore"):
        found = list(distribution_verdicts("acme", names=names, registry=registry, tell=said.append))
    faults = {
        name: [v.rule for v in found if v.name == name and v.fault] for name in dict.fromkeys(v.name for v in found)
    }
    assert (
        faults["acme/scaled"] == faults["acme/scaled:by=0.5"] == []
        and "scores_are_finite-choice" in faults["acme/scaled:by=2"]
    )
    assert said[0] == "trust function acme/scaled: contract-choice" and len(said) == len(found) - 1


def test_names_that_nobody_has() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown plugin 'acme'.*install it first"):
        list(distribution_verdicts("acme"))
    with pytest.raises(UnknownNameError, match="did you mean w2s-bench/confidence"):
        list(distribution_verdicts("w2s-bench", names=["confidense"]))


def test_some_of_our_own_keep_every_rule() -> None:
    found = list(distribution_verdicts("w2s-bench", names=["confidence", "w2s-bench/mass_mean"]))
    assert {v.name for v in found if v.entry_kind == "trust function"} == {
        "w2s-bench/confidence",
        "w2s-bench/mass_mean",
    }
    assert [v for v in found if v.fault] == []


class Leaving(Likely):
    """It leaves without a word."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        os._exit(0)


class Doubting(Likely):
    """It changes what torch computes by."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        import torch

        torch.set_default_dtype(torch.float64)
        return super().score(evidence, rng=rng)


class Trusting(Likely):
    """It needs torch to be as it was."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        import torch

        assert torch.zeros(1).dtype == torch.float32
        return super().score(evidence, rng=rng)


class Crowding(Likely):
    """It leaves a trace where rows are many."""

    def score(self, evidence: Any, *, rng: Any) -> Any:
        if len(evidence) > 100:
            np.seterr(divide="ignore")
        return super().score(evidence, rng=rng)


def set_torch_and_fail() -> Any:
    import torch

    torch.set_default_dtype(torch.float64)
    raise ValueError("no objective")


def test_an_entry_that_changes_the_process_or_ends_it_breaks_its_own_rules_alone() -> None:
    kinds: list[tuple[str, Any, Any]] = [("odd", "objective", set_torch_and_fail)]
    functions = (Leaving, Doubting, Trusting, Crowding)
    kinds += [(made.__name__.lower(), "trust_function", made) for made in functions]
    plugin = Plugin("acme", "acme", "2.0", "ok", tuple(registered(*each) for each in kinds), None)
    found = list(distribution_verdicts("acme", registry=Registry.of([plugin])))
    broken = {(v.name.partition("/")[2], v.rule): v.fault for v in found if v.fault}
    assert "it called os._exit(0)" in broken["leaving", "scores_are_finite-choice"]
    others = {key: fault for key, fault in broken.items() if key[0] not in ("leaving", "odd")}
    left = [f"process_left_as_found-{kind}" for kind in ("choice", "generate")]
    assert list(others) == [("doubting", left[0]), ("doubting", left[1]), ("crowding", left[0])]
    assert "what numpy does on errors" in others["crowding", left[0]]
    assert os._exit.__name__ == "_exit", "it is Python's own again"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import os\nos._exit(0)", "ended the process with exit code 0"),
        ("import time\ntime.sleep(1000)", "took longer than"),
    ],
)
def test_a_plugin_that_ends_or_hangs_who_imports_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    (tmp_path / "w2s_leaving.py").write_text(body)
    info = tmp_path / "w2s_leaving-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: w2s-leaving\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[w2s_bench]\nleaving = w2s_leaving\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    monkeypatch.setenv("W2S_BENCH_IMPORT_TIMEOUT", "2")
    began = time.monotonic()
    told = CliRunner().invoke(app, ["check-plugin", "w2s-leaving", "--name", "anything"])
    assert told.exit_code == 1 and time.monotonic() - began < 60
    assert "BROKEN  entry point leaving: loads: importing w2s_leaving" in told.stdout and said in told.stdout
    assert "1 of 1 rules are broken, by 1 of 1 entry of w2s-leaving." in told.stdout
