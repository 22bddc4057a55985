"""A trust function is guarded and validated, learns from rows joined by id, and sees no more than its track may."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import FunctionType, GeneratorType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stage_functions import named
from support import run_stage, toy_registry, toy_suite
from w2s_bench.errors import EvidenceError, ModelError, NotApplicableError, TrustFunctionError, W2SBenchError
from w2s_bench.executors.local.worker import reason_of
from w2s_bench.isolation.process_state import generators_kept
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol import trust
from w2s_bench.protocol.evidence.view import EvidenceView
from w2s_bench.protocol.files import ANSWERS, GRADES, ITEMS, PREDICTIONS, SCORES
from w2s_bench.protocol.scores import Scores
from w2s_bench.protocol.trust import guarded, validated
from w2s_bench.record import read_records, write_json, write_records
from w2s_bench.types import Answer, Item, Need, Prediction

NAME = "acme/liar"


# --- guarding and validating ----------------------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[[], Any]:
    def score() -> Any:
        raise error

    return score


@pytest.mark.parametrize(
    "error", [RuntimeError("no scores today"), SystemExit("no scores today"), AssertionError("no scores today"),
              MemoryError("no scores today"), GeneratorExit("no scores today")],
)  # fmt: skip
def test_whatever_a_trust_function_raises_is_its_own_error_with_the_line(error: BaseException) -> None:
    said = rf"trust function 'acme/liar' raised {type(error).__name__} in score: no scores today \(test_trust.py:\d+ in score\)"
    with pytest.raises(TrustFunctionError, match=said) as caught:
        guarded(NAME, "score", raising(error))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [NotApplicableError("today"), ValueError("not applicable: today"),
                                   EvidenceError("failed: not applicable: today")])  # fmt: skip
def test_no_trust_function_says_of_itself_that_nothing_is_broken(error: Exception) -> None:
    with pytest.raises((TrustFunctionError, EvidenceError), match="not applicable: today") as caught:
        guarded(NAME, "score", raising(error))
    assert not NotApplicableError.is_reason(str(caught.value))
    assert not NotApplicableError.is_behind(f"math · seed 0 · scores of {NAME} failed: {caught.value}")
    assert NotApplicableError.is_reason(str(copy.copy(NotApplicableError("today")))), "as it is sent to another process"


@pytest.mark.parametrize("kind", [ModelError, EvidenceError, W2SBenchError])
def test_no_error_is_made_not_applicable_by_its_words(kind: type[W2SBenchError]) -> None:
    """A plugin's reading or model may raise any of the harness's own."""
    said = reason_of(kind("not applicable: today"), named("read"))
    assert said == f"{kind.__name__}: not applicable: today" and not NotApplicableError.is_reason(said)
    assert NotApplicableError.is_reason(reason_of(NotApplicableError("today"), named("read")))


def test_an_interruption_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        guarded(NAME, "fit", raising(KeyboardInterrupt()))


def test_an_evidence_error_stays_one_and_gets_the_name() -> None:
    with pytest.raises(EvidenceError, match="trust function 'acme/liar' read gold"):
        guarded(NAME, "score", raising(EvidenceError("read gold")))


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        (np.array([1.0, np.nan, 2.0, np.nan]), "returned 2 scores that are not finite, the first nan in row 1"),
        (np.array([1.0, 0.0, 2.0, np.inf]), "the first inf in row 3"),
        (np.array([-np.inf, 0.0, 2.0, 1.0]), "the first -inf in row 0"),
        (np.zeros(3), r"returned shape \(3,\)"),
        (np.zeros((4, 1)), r"returned shape \(4, 1\)"),
        (np.float64(1.0), "returned float64"),
        (np.array(1.0), r"returned shape \(\)"),
        ([0.0] * 4, "returned list"),
        (None, "returned NoneType"),
        (np.ones(4, dtype=bool), "returned an array of bool"),
        (np.array([0.0, 1.0, 2.0, None]), "returned an array of object"),
        (np.array(["1", "2", "3", "4"]), "returned an array of <U1"),
        (np.ones(4, dtype=complex), "returned an array of complex128"),
        (np.ma.masked_invalid([1.0, np.nan, 2.0, 3.0]), "returned MaskedArray"),
        (np.array([1, 2, 3, np.longdouble("1e4000")]), "the first inf in row 3"),
    ],
)
def test_scores_that_are_not_one_finite_number_a_row_are_refused(scores: Any, fault: str) -> None:
    expected = r"expected a numpy array of shape \(4,\) of finite floats, higher = more trusted"
    with pytest.raises(TrustFunctionError, match=f"trust function 'acme/liar' .*{fault}.*{expected}"):
        validated(NAME, scores, 4)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int8", "uint64"])
def test_numbers_of_any_width_become_doubles(dtype: str) -> None:
    scores = validated(NAME, np.array([3, 0, 1, 2], dtype=dtype), 4)
    assert scores.dtype == np.float64
    assert scores.tolist() == [3.0, 0.0, 1.0, 2.0]


# --- the stage ------------------------------------------------------------------------------------------------------


class Recording:
    """Keeps what it was given; scores by what the labels say."""

    supervision: Any = "trust_set"
    needs: tuple[Any, ...] = ()
    scope: Any = "row"

    def __init__(self) -> None:
        self.fitted: list[tuple[Any, Any]] = []
        self.scored: list[Any] = []
        self.drawn: list[float] = []

    def fit(self, evidence: Any, correct: Any, *, rng: Any) -> None:
        self.fitted.append((evidence, correct))
        self.drawn.append(rng.random())

    def score(self, evidence: Any, *, rng: Any) -> Any:
        self.scored.append(evidence)
        self.drawn.append(rng.random())
        return np.array([float(label) for label in evidence.labels])


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """Labels of a trust set and a pool: items, labels, grades and gold each lie in an order of their own.

    Item i of a split is labelled `i`; the label is right where i is a multiple of 3.
    """
    inputs = {}
    for split, count in (("trust", 30), ("pool", 20)):
        ids = [f"{split}-{i:02d}" for i in range(count)]
        for what in ("items", "labels", "grades", "gold"):
            inputs[f"{split}:{what}"] = tmp_path / split / what
            inputs[f"{split}:{what}"].mkdir(parents=True)
        write_records(inputs[f"{split}:items"] / ITEMS, [Item(i, i, i, "s", f"prompt {i}", None) for i in ids])
        labels = [Prediction(i, f"{int(i[-2:])}", f" {int(i[-2:])}", True) for i in ids[::-1]]
        write_records(inputs[f"{split}:labels"] / PREDICTIONS, labels)
        write_json(inputs[f"{split}:grades"] / GRADES, {i: int(i[-2:]) % 3 == 0 for i in ids})
        gold = [Answer(i, {}, f" gold {int(i[-2:])}", None, "") for i in ids[::2] + ids[1::2]]
        write_records(inputs[f"{split}:gold"] / ANSWERS, gold)
    return inputs


def scored_by(
    function: Any, out: Path, inputs: dict[str, Path], *, seed: int = 5, sources: Sequence[str] = ("planned",) * 2
) -> dict[str, float]:
    digests = iter(sources)
    planned = {"name": NAME, "parameters": {}, "supervision": function.supervision, "plugin": {"source": "planned"}}
    params = {"function": planned, "salt": "toy 0", "seed": seed}
    registry: Any = SimpleNamespace(
        trust_function=lambda name: function, resolve=lambda kind, name: name, source_digest=lambda one: next(digests)
    )
    return dict(Scores.read(run_stage(trust.run_score, out, params, registry=registry, **inputs)).items())


def visible(inputs: dict[str, Path], *names: str) -> dict[str, Path]:
    return {name: path for name, path in inputs.items() if name in names}


UNSUPERVISED = ("pool:items", "pool:labels")
SUPERVISED = (*UNSUPERVISED, "trust:items", "trust:labels", "trust:grades")


def test_fit_gets_correctness_in_the_order_of_the_rows_it_sees(folders: dict[str, Path], tmp_path: Path) -> None:
    function = Recording()
    scores = scored_by(function, tmp_path / "out", visible(folders, *SUPERVISED))
    ((evidence, correct),) = function.fitted
    assert correct.dtype == np.bool_ and correct.shape == (30,)
    assert [int(label) % 3 == 0 for label in evidence.labels] == correct.tolist()
    assert list(evidence.labels) != sorted(evidence.labels, key=int)
    # Scores go back to the items whose labels they were made from, whatever order the rows were shown in.
    assert scores == {f"pool-{i:02d}": float(i) for i in range(20)}


def test_a_function_without_supervision_is_never_fitted(folders: dict[str, Path], tmp_path: Path) -> None:
    function = Recording()
    function.supervision = "none"
    scored_by(function, tmp_path / "out", visible(folders, *UNSUPERVISED))
    assert function.fitted == [] and len(function.scored) == 1


@pytest.mark.parametrize("rows", [1, 7, 19, 20, 21])
def test_rows_that_are_scored_alone_may_come_in_any_number_of_calls(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(trust, "ROWS_AT_ONCE", rows)
    function = Recording()
    scores = scored_by(function, tmp_path / "out", visible(folders, *SUPERVISED))
    assert scores == {f"pool-{i:02d}": float(i) for i in range(20)}
    assert [len(evidence) for evidence in function.scored] == [rows] * (20 // rows) + [20 % rows] * bool(20 % rows)
    assert [len(evidence) for evidence, _ in function.fitted] == [30], "the trust set is seen whole"
    assert len(set(function.drawn)) == 1 + len(function.scored), "one generator goes on from call to call"
    again = Recording()
    scored_by(again, tmp_path / "again", visible(folders, *SUPERVISED))
    assert again.drawn == function.drawn


def test_a_function_of_scope_pool_sees_the_pool_whole(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "ROWS_AT_ONCE", 7)
    function = Recording()
    function.scope = "pool"
    scored_by(function, tmp_path / "out", visible(folders, *SUPERVISED))
    assert [len(evidence) for evidence in function.scored] == [20]


def test_current_suites_fit_into_one_call() -> None:
    """So that their published scores do not depend on where a pool is cut."""
    from w2s_bench.suite_files import load_suite

    assert max(domain.sizes.transfer for domain in load_suite("tiny").domains) <= trust.ROWS_AT_ONCE


@pytest.mark.parametrize("sources", [["edited"], ["planned", "edited"]], ids=["before", "meanwhile"])
def test_scores_of_code_that_changed_during_the_run_are_refused(
    folders: dict[str, Path], tmp_path: Path, sources: list[str]
) -> None:
    with pytest.raises(TrustFunctionError, match="changed on disk since the run began; run again"):
        scored_by(Recording(), tmp_path / "out", visible(folders, *SUPERVISED), sources=sources)
    assert not (tmp_path / "out" / SCORES).exists()


def test_trust_set_and_pool_are_shown_under_unrelated_ids(folders: dict[str, Path], tmp_path: Path) -> None:
    function = Recording()
    scored_by(function, tmp_path / "out", visible(folders, *SUPERVISED))
    fitted, scored = function.fitted[0][0], function.scored[0]
    assert not set(fitted.ids) & set(scored.ids)
    assert {prompt.partition("-")[0] for prompt in fitted.prompts} == {"prompt trust"}


class Searching(Recording):
    """Goes through all that it can reach from its evidence and from the frames of its callers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def _search(self, evidence: Any) -> None:
        waiting: list[Any] = [evidence, vars(evidence)]
        frame, known = sys._getframe(1), set[int]()
        while frame.f_back is not None and frame.f_code.co_name != "run_score":
            frame = frame.f_back
            waiting += frame.f_locals.values()
        while waiting:
            now = waiting.pop()
            if id(now) in known:
                continue
            known.add(id(now))
            if isinstance(now, str):
                self.found |= {now} & ITEM_IDS
            elif isinstance(now, dict):
                waiting += [*now, *now.values()]
            elif isinstance(now, list | tuple | set | frozenset):
                waiting += now
            elif isinstance(now, GeneratorType) and now.gi_frame is not None:
                waiting += now.gi_frame.f_locals.values()
            elif isinstance(now, FunctionType):
                for cell in now.__closure__ or ():
                    with suppress(ValueError):  # an empty one
                        waiting.append(cell.cell_contents)
            elif type(now).__module__.startswith(("w2s_bench.protocol", "w2s_bench.types")):
                waiting += list(getattr(now, "__dict__", {}).values())

    def fit(self, evidence: Any, correct: Any, *, rng: Any) -> None:
        super().fit(evidence, correct, rng=rng)
        self._search(evidence)

    def score(self, evidence: Any, *, rng: Any) -> Any:
        self._search(evidence)
        return super().score(evidence, rng=rng)


ITEM_IDS = {f"{split}-{i:02d}" for split, count in (("trust", 30), ("pool", 20)) for i in range(count)}


@pytest.mark.parametrize("rows", [7, 4096])
def test_no_id_of_an_item_can_be_reached_while_a_plugin_runs(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    """With an id gold can be had from a public data set, or from the store."""
    monkeypatch.setattr(trust, "ROWS_AT_ONCE", rows)
    for split in ("trust", "pool"):  # in the order of the labels, as a run writes them: none waits for its label
        items = read_records(folders[f"{split}:items"] / ITEMS, Item)
        write_records(folders[f"{split}:items"] / ITEMS, items[::-1])
    function = Searching()
    assert scored_by(function, tmp_path / "out", visible(folders, *SUPERVISED)).keys() <= ITEM_IDS
    assert len(function.scored) == -(-20 // rows) and len(function.fitted) == 1
    assert function.found == set()
    seen = Searching()
    seen._search(SimpleNamespace(kept=[{"a": ("pool-03",)}]))
    assert seen.found >= {"pool-03"}, "the search must find one that is there"


def test_a_view_holds_no_order_of_options() -> None:
    """In many a data set the right option stands at one place."""
    options = (" right", " wrong", " worse", " worst")
    items = [Item(f"i{n}", "g", "k", "s", f"p{n}", options) for n in range(400)]
    labels = [Prediction(item.id, " right", " right", False, 0, (0.0, -1.0, -2.0, -3.0)) for item in items]
    stored = {"values": np.arange(1600.0), "offsets": np.arange(0, 1601, 4)}
    need = Need("student", "choice_scores")
    evidence = EvidenceView(items, labels, salt="s", declared=[need], arrays={need: stored}, fitting=False)
    held = [np.array([label.index for label in evidence._labels])]
    held += [np.array([np.argmax(label.choice_scores or ()) for label in evidence._labels])]
    held += [np.array(evidence._arrays[need]["values"]).reshape(-1, 4).argmin(axis=1)]
    for places in held:
        np.testing.assert_array_equal(places, evidence.label_index)
        assert abs(np.bincount(places, minlength=4) - 100).max() < 44, "100 each expected, standard deviation 8.7; five"
    assert set(vars(evidence)) == {
        *("ids", "prompts", "labels", "choices", "label_index"),
        *("_needs", "_fitting", "_shown_as", "_labels", "_arrays", "_complete"),
    }


def test_gold_is_there_for_the_privileged_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    function = Recording()
    scored_by(function, tmp_path / "blind", visible(folders, *SUPERVISED))
    for evidence in (function.fitted[0][0], function.scored[0]):
        with pytest.raises(EvidenceError, match="privileged"):
            _ = evidence.gold
    privileged = Recording()
    privileged.supervision = "privileged"
    scored_by(privileged, tmp_path / "sighted", visible(folders, *SUPERVISED, "trust:gold", "pool:gold"))
    for evidence in (privileged.fitted[0][0], privileged.scored[0]):
        assert evidence.gold == tuple(f" gold{label}" for label in evidence.labels)


def test_randomness_comes_from_the_seed_alone_and_differs_between_fit_and_score(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    drawn = []
    for run, seed in enumerate((5, 5, 6)):
        function = Recording()
        scored_by(function, tmp_path / str(run), visible(folders, *SUPERVISED), seed=seed)
        drawn.append(tuple(function.drawn))
    assert drawn[0] == drawn[1]
    assert len({drawn[0][0], drawn[0][1], drawn[2][0], drawn[2][1]}) == 4
    unfitted = Recording()
    unfitted.supervision = "none"
    scored_by(unfitted, tmp_path / "none", visible(folders, *UNSUPERVISED))
    assert unfitted.drawn == [drawn[0][1]]


def reseeds(evidence: Any, correct: Any) -> None:
    np.random.seed(0)


def sets_labels(evidence: Any, correct: Any) -> None:
    evidence.labels = ("1",) * len(evidence)


def forces_correct(evidence: Any, correct: Any) -> None:
    correct.base.flags.writeable = True
    correct.base[:] = True


@pytest.mark.parametrize(
    ("mischief", "error", "said"),
    [
        (reseeds, TrustFunctionError, "'acme/liar' did not leave .*: in fit it changed numpy's global generator"),
        (sets_labels, EvidenceError, "'acme/liar' set 'labels' of the evidence, which is read-only"),
        (lambda evidence, correct: correct.fill(True), TrustFunctionError, "raised ValueError in fit: .*read-only"),
        (forces_correct, TrustFunctionError, "'acme/liar' changed correct in fit, the first row . from False to True"),
        (lambda evidence, correct: os.fork(), TrustFunctionError, "'acme/liar' tried to fork its process"),
    ],
)
def test_what_a_function_may_not_change_fails_its_stage(
    folders: dict[str, Path], tmp_path: Path, mischief: Callable[[Any, Any], None], error: type[Exception], said: str
) -> None:
    def fit(evidence: Any, correct: Any, *, rng: Any) -> None:
        mischief(evidence, correct)

    function = Recording()
    function.fit = fit  # type: ignore[method-assign]
    with generators_kept(20_240_601), pytest.raises(error, match=said):
        scored_by(function, tmp_path / "out", visible(folders, *SUPERVISED))
    assert function.scored == []


def test_scoring_has_a_time_limit_of_its_own() -> None:
    labelled = trust.Labelled(named("subset"), named("predict"), {})
    assert (
        trust.score({"name": "a/b", "supervision": "none"}, labelled, None, salt="", seed=0, libraries=()).seconds
        == 3600
    )


# --- inputs of the stage, and broken functions of a real plugin -----------------------------------------------------

BROKEN = {
    "raises": "raised RuntimeError in score: no scores today (__init__.py:",
    "exits": "raised SystemExit in score: 0",
    "gives_nan": "returned 1 scores that are not finite, the first nan in row 3; expected a numpy array of shape (100,)",
    "wrong_length": "returned shape (99,); expected a numpy array of shape (100,)",
    "wrong_type": "returned list; expected",
    "undeclared": "read teacher.hidden_states[-1], which it did not declare (declared: nothing); add it to `needs`",
    "wants_gold": "gold is seen by the privileged track alone",
    "reads_verifier_in_fit": "read verifier.label_logprobs in fit: the verifier was trained on the trust set",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Registry]]:
    """The toy suite and a registry with the broken trust functions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("W2S_TOY_BROKEN", ",".join(BROKEN))
        registry = toy_registry(patch)
        yield toy_suite(tmp_path_factory.getbasetemp() / "toy-models"), registry


def planned_cells(toy: tuple[Any, Registry], names: Sequence[str]) -> dict[str, Any]:
    from w2s_bench.runs.plan import plan

    suite, registry = toy
    cells = plan(suite, registry, domains=["largest"], trust=[f"w2s-bench-toy/{name}" for name in names]).cells
    return {c.arm.ref.name.rpartition("/")[2]: c for c in cells if c.arm.ref.role == "trust_function"}


def test_a_track_decides_which_gold_reaches_a_trust_function(toy: tuple[Any, Registry]) -> None:
    from w2s_bench.store.stage import walk

    cells = planned_cells(toy, ["prompt_hash", "reads_verifier_in_fit", "privileged"])
    scores = {name: cell.stages[0].scores for name, cell in cells.items()}
    assert set(scores["prompt_hash"].inputs) == {"pool:items", "pool:labels"}
    supervised = {"pool:items", "pool:labels", "trust:items", "trust:labels", "trust:grades"}
    assert set(scores["reads_verifier_in_fit"].inputs) == supervised | {"pool:verifier.label_logprobs"}
    assert set(scores["privileged"].inputs) == supervised | {"pool:gold", "trust:gold"}
    # Nothing before an unprivileged score has read the pool's gold.
    for name in ("prompt_hash", "reads_verifier_in_fit"):
        gold = {stage.params["split"] for stage in walk([scores[name]]) if stage.name == "gold"}
        assert "transfer" not in gold and "test" not in gold
    assert "trust" not in {s.params["split"] for s in walk([scores["prompt_hash"]]) if s.name == "gold"}


def test_a_reading_is_staged_only_where_it_applies(toy: tuple[Any, Registry]) -> None:
    from w2s_bench.runs.plan import plan

    suite, registry = toy
    staged = {}
    for cell in plan(suite, registry, trust=["confidence", "verifier"]).cells:
        if cell.arm.ref.role == "trust_function":
            scores = cell.stages[0].scores
            assert scores is not None
            readings = {name.partition(":")[2] for name in scores.inputs if "." in name}
            staged[cell.task.domain.short_name.rpartition("/")[2], cell.arm.ref.name.rpartition("/")[2]] = readings
    assert staged == {
        ("largest", "confidence"): set(),  # the teacher's option probabilities come with its labels
        ("largest", "verifier"): {"verifier.choice_probs"},
        ("sums", "confidence"): {"teacher.label_logprobs"},
        ("sums", "verifier"): {"verifier.label_logprobs"},
    }


def test_a_trust_function_runs_on_its_own_kinds_of_domain(
    toy: tuple[Any, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.runs import plan as pipeline
    from w2s_bench.runs.plan import plan

    suite, registry = toy
    told = pipeline.declarations
    monkeypatch.setattr(pipeline, "declarations", lambda *a: [replace(one, kinds=("choice",)) for one in told(*a)])
    one = "w2s-bench-toy/prompt_hash"

    def rows(**chosen: Any) -> set[str]:
        return {c.task.domain.name for c in plan(suite, registry, **chosen).cells if c.arm.ref.name == one}

    assert rows() == rows(trust=[one]) == {"w2s-bench-toy/largest"}
    assert rows(domains=["w2s-bench-toy/sums"]) == set()
    said = r"'w2s-bench-toy/prompt_hash' is for choice domains alone, .*chosen is one: w2s-bench-toy/sums \(generate\)"
    with pytest.raises(W2SBenchError, match=said):
        plan(suite, registry, domains=["w2s-bench-toy/sums"], trust=[one])


def test_the_harness_owns_the_arms_that_its_table_lists() -> None:
    from w2s_bench.controls import OWN_ARMS
    from w2s_bench.protocol import arms

    usual = [name for name, arm in OWN_ARMS.items() if not arm.explains]
    assert [arm.ref.name for arm in arms.own_arms(0.5)] == usual


def test_broken_trust_functions_fail_alone_and_say_what_is_wrong(
    toy: tuple[Any, Registry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    from support import run_inline
    from w2s_bench.executors import Done, Failed
    from w2s_bench.store import Store

    cells = planned_cells(toy, [*BROKEN, "prompt_hash", "privileged"])
    scores = {name: cell.stages[0].scores for name, cell in cells.items()}
    outcomes = run_inline(list(scores.values()), Store(tmp_path_factory.getbasetemp() / "toy-store"), toy[1])
    for name, said in BROKEN.items():
        failed = outcomes[scores[name].node]
        assert isinstance(failed, Failed)
        assert failed.cause_node == scores[name].node
        assert failed.reason.startswith(f"trust function 'w2s-bench-toy/{name}' {said}")
    for name in ("prompt_hash", "privileged"):
        assert isinstance(outcomes[scores[name].node], Done)
