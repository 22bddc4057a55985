"""Recipe `head`: heads in numpy are AdamW's own, learn what can be separated, and hang on states computed once a split."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage_functions import named
from support import run_stage, toy_registry, toy_suite
from w2s_bench.errors import ModelError
from w2s_bench.models.batching import batches, learning_rate_factor
from w2s_bench.models.head import Head, train_head
from w2s_bench.models.weights import WEIGHTS
from w2s_bench.protocol.ask import Ask
from w2s_bench.protocol.evidence.readings.base import to_arrays
from w2s_bench.protocol.files import FORMAT, ITEMS, LOSSES, PREDICTIONS, READING, ROWS
from w2s_bench.protocol.planned import PlannedModel
from w2s_bench.protocol.prediction import choose
from w2s_bench.protocol.recipes import head as heads
from w2s_bench.protocol.recipes.head import Head as Recipe
from w2s_bench.protocol.recipes.tuned import as_params, reading_of
from w2s_bench.protocol.training import parts_of
from w2s_bench.record import read_arrays, read_records, write_arrays, write_json, write_records
from w2s_bench.runs.plan import plan
from w2s_bench.types import Item, Need, Prediction, TrainingRow

SETTINGS: dict[str, Any] = {"steps": 60, "batch_size": 4, "learning_rate": 0.05, "seed": 1}
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def ragged_problem(seed: int, *, items: int = 120, width: int = 6) -> tuple[Any, Any, Any]:
    """States, offsets and labels of items of two to four options; one dimension tells the labels, its mean is far off."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(2, 5, items)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    labels = np.array([rng.integers(count) for count in counts], dtype=np.int64)
    states = rng.normal(size=(offsets[-1], width)).astype(np.float32) * 5 + 100
    states[offsets[:-1] + labels, 2] += 40
    return states, offsets, labels


def with_torch(states: Any, offsets: Any, labels: Any, *, seed: int, **s: Any) -> tuple[Any, list[float]]:
    """The same head by torch: its own cross-entropy, gradients and AdamW."""
    import torch
    import torch.nn.functional as F

    double = states.astype(np.float64)
    mean = double.mean(0).astype(np.float32)
    scale = (double.std(0) + 1e-6).astype(np.float32)
    x = torch.from_numpy((double - mean) / scale)
    weight = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.AdamW([weight], lr=s["learning_rate"], betas=(0.9, 0.98), weight_decay=0.01)
    counts, losses = np.diff(offsets).tolist(), []
    order = batches(counts, steps=s["steps"], batch_size=s["batch_size"], rng=np.random.default_rng(seed))
    for step, rows in enumerate(order):
        parts = [x[offsets[i] : offsets[i + 1]] @ weight for i in rows]
        loss: Any = torch.stack([F.cross_entropy(p, torch.tensor(labels[i])) for p, i in zip(parts, rows)]).mean()  # noqa: B905
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = s["learning_rate"] * learning_rate_factor(step, s["steps"])
        optimizer.step()
        losses.append(loss.item())
    return weight.detach().numpy(), losses


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 99),
    items=st.integers(1, 40),
    steps=st.integers(1, 80),
    batch_size=st.integers(1, 9),
    learning_rate=st.sampled_from([1e-3, 0.05, 0.5]),
)
def test_a_head_is_trained_as_torch_trains_it(seed: int, items: int, **own: Any) -> None:
    states, offsets, labels = ragged_problem(seed, items=items)
    head, losses = train_head(states, offsets, labels, seed=seed, **own)
    weight, expected = with_torch(states, offsets, labels, seed=seed, **own)
    np.testing.assert_allclose(head.weight, weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-7)


def test_a_head_learns_what_can_be_separated() -> None:
    states, offsets, labels = ragged_problem(0)
    own: dict[str, Any] = {"steps": 150, "batch_size": 16, "learning_rate": 0.05}
    head, losses = train_head(states, offsets, labels, seed=0, **own)
    scores = head.scores(states)
    chosen = [int(np.argmax(scores[a:b])) for a, b in pairwise(offsets.tolist())]
    assert np.mean(np.array(chosen) == labels) > 0.97
    assert len(losses) == 150 and losses[-1] < 0.3 < losses[0]
    again, other = (train_head(states, offsets, labels, seed=seed, **own)[0] for seed in (0, 1))
    assert np.array_equal(head.weight, again.weight) and not np.array_equal(head.weight, other.weight)


@pytest.mark.parametrize(("learning_rate", "step"), [(1e40, 1), (3e38, 2), (1e300, 1)])
def test_a_head_that_diverges_is_named_with_its_step_and_rate(learning_rate: float, step: int) -> None:
    """Beyond what single precision holds, in which heads are stored, it would choose among infinite scores."""
    with pytest.raises(ModelError) as raised:
        train_head(*ragged_problem(0), **{**SETTINGS, "learning_rate": learning_rate})
    assert f"training diverged at step {step} of 60: loss " in str(raised.value)
    assert f"(learning_rate {learning_rate:g}); lower learning_rate" in str(raised.value)


def test_a_head_on_disk_is_safetensors_and_comes_back_as_it_was(tmp_path: Path) -> None:
    head, _ = train_head(*ragged_problem(0), **SETTINGS)
    head.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [WEIGHTS]
    again = Head.load(tmp_path)
    for name in ("weight", "mean", "scale"):
        assert np.array_equal(getattr(head, name), getattr(again, name))
        assert getattr(again, name).dtype == np.float32


def test_what_is_no_head_of_these_states_is_refused(tmp_path: Path) -> None:
    head, _ = train_head(*ragged_problem(0), **SETTINGS)
    with pytest.raises(ModelError, match="a head of width 6 cannot read states of shape"):
        head.scores(np.zeros((3, 7), dtype=np.float32))
    for wrong in ({"lm_head.weight": head.weight}, {**vars_of(head), "head.mean": head.mean[:-1]}):
        write_arrays(tmp_path / WEIGHTS, wrong)
        with pytest.raises(ModelError, match=r"are no head: head\.mean, head\.scale, head\.weight"):
            Head.load(tmp_path)


def vars_of(head: Head) -> dict[str, Any]:
    return {"head.weight": head.weight, "head.mean": head.mean, "head.scale": head.scale}


class Split:
    """A split of ten questions on disk, its `states` by a model of words, and the stages of a head on it."""

    def __init__(self, folder: Path, source: Any) -> None:
        rng = np.random.default_rng(0)
        names = (" Paris", " Lima", " ten")
        self.items = []
        for number in rng.permutation(10).tolist():
            options = tuple(names[i] for i in rng.permutation(3))
            self.items.append(
                Item(f"i{number}", "g", str(number), "all", f"The capital of {WORDS[number]} is", options)
            )
        self.folder, self.source = folder, source
        (folder / "subset").mkdir()
        write_records(folder / "subset" / ITEMS, self.items)
        write_json(folder / "subset" / FORMAT, {"kind": "choice", "until": [], "delimiter": " "})
        self.rows = [self.row(item) for item in sorted(self.items, key=lambda item: item.id)]
        (folder / "rows").mkdir()
        write_records(folder / "rows" / ROWS, self.rows)
        model = {"name": "words", "fingerprint": source.fingerprint(), "precision": "float32", "device": "cpu"}
        self.stage("states", heads.states, {"model": model}, "subset")

    @staticmethod
    def row(item: Item, completion: str = " Lima") -> TrainingRow:
        assert item.choices is not None
        return TrainingRow(item.id, item.prompt, completion, False, item.choices, item.choices.index(completion))

    def stage(self, out: str, function: Any, params: dict[str, Any], *inputs: str) -> Path:
        registry: Any = SimpleNamespace(model=lambda name: self.source)
        return run_stage(
            function, self.folder / out, params, registry=registry, **{name: self.folder / name for name in inputs}
        )


@pytest.fixture(scope="module")
def split(sources: Any, tmp_path_factory: pytest.TempPathFactory) -> Split:
    made = Split(tmp_path_factory.mktemp("split"), sources["words"])
    made.stage("weights", heads.train_head, SETTINGS, "rows", "states")
    made.stage("labels", heads.predict_head, {}, "subset", "states", "weights")
    return made


def test_a_head_learns_over_frozen_states(split: Split) -> None:
    """The option towards which the rows point wins on every item, wherever it stands."""
    answers = read_records(split.folder / "labels" / PREDICTIONS, Prediction)
    assert [answer.id for answer in answers] == [item.id for item in split.items]
    assert {answer.answer for answer in answers} == {" Lima"}
    assert len({answer.index for answer in answers}) > 1
    losses = json.loads((split.folder / "weights" / LOSSES).read_text())
    assert len(losses) == SETTINGS["steps"] and losses[-1] < 0.1 < losses[0]


def test_scores_are_the_heads_logits_of_the_language_models_own_states(split: Split) -> None:
    from w2s_bench.models.loading import load_engine

    engine, head = load_engine(split.source), Head.load(split.folder / "weights")
    for item, answer in zip(split.items, read_records(split.folder / "labels" / PREDICTIONS, Prediction), strict=True):
        rows = [Split.row(item, choice) for choice in item.choices or ()]
        (zero_shot,) = engine.choice_scores([item])
        expected = head.scores(engine.hidden_states(rows, 1), zero_shot)  # two thirds of two layers, rounded
        np.testing.assert_allclose(answer.choice_scores, expected, atol=1e-4)
        assert answer == choose(item, np.array(answer.choice_scores))


def test_an_untrained_head_predicts_what_the_untuned_model_does(split: Split, tmp_path: Path) -> None:
    from w2s_bench.models.loading import load_engine

    trained_one = Head.load(split.folder / "weights")
    replace(trained_one, weight=np.zeros_like(trained_one.weight)).save(tmp_path)
    ids = [item.id for item in split.items]
    untuned = load_engine(split.source).choice_scores(split.items)
    for item, found, wanted in zip(
        split.items, heads.scores(split.folder / "states", tmp_path, ids), untuned, strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        assert choose(item, found).index == choose(item, wanted).index


def test_the_first_loss_is_the_untuned_models(split: Split) -> None:
    known = heads.OptionStates.read(split.folder / "states")
    values, zero_shot, offsets = known.of([row.id for row in split.rows])
    labels = np.array([row.index for row in split.rows])
    _, losses = train_head(values, offsets, labels, zero_shot=zero_shot, **{**SETTINGS, "batch_size": len(labels)})
    expected = [
        np.logaddexp.reduce(zero_shot[a:b]) - zero_shot[a + label]
        for (a, b), label in zip(pairwise(offsets.tolist()), labels, strict=True)
    ]
    assert losses[0] == pytest.approx(np.mean(expected), rel=1e-9)


def test_items_are_found_by_id_in_any_order(split: Split) -> None:
    folder, weights = split.folder / "states", split.folder / "weights"
    ids = [item.id for item in split.items]
    whole = dict(zip(ids, heads.scores(folder, weights, ids), strict=True))
    some = ids[7:2:-2]
    for item, scores in zip(some, heads.scores(folder, weights, some), strict=True):
        np.testing.assert_allclose(scores, whole[item], rtol=1e-12)


def test_a_head_on_some_rows_is_as_if_there_were_no_others(split: Split, tmp_path: Path) -> None:
    some = split.rows[2:7]
    known = heads.OptionStates.read(split.folder / "states")
    values, zero_shot, offsets = known.of([row.id for row in some])
    labels = np.array([row.index for row in some])
    expected, _ = train_head(values, offsets, labels, zero_shot=zero_shot, **SETTINGS)
    head, _ = heads.trained([split.folder / "states"], some, **SETTINGS)
    assert np.array_equal(head.weight, expected.weight) and np.array_equal(head.mean, expected.mean)
    assert not np.array_equal(head.mean, Head.load(split.folder / "weights").mean)


def test_copies_of_a_row_are_held_out_together(split: Split, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels in which there is nothing to learn take the strongest penalty, however often each row stands there."""
    options = [(" Paris", " Lima", " ten")[number % 3] for number in range(len(split.items))]
    rows = [split.row(item, option) for item, option in zip(split.items, options, strict=True)]
    grid = {"grid": [1e-4, 1e-2, 1.0, 100.0]}
    heads.trained([split.folder / "states"], sorted(rows * 4, key=lambda row: row.id), **grid, **SETTINGS)
    often = capsys.readouterr().out
    heads.trained([split.folder / "states"], sorted(rows, key=lambda row: row.id), **grid, **SETTINGS)
    assert often == capsys.readouterr().out and "ridge 100 chosen between 0.0001 and 100" in often


@pytest.mark.parametrize(("steps", "said"), [(2, True), (500, False)])
def test_a_head_that_stops_before_it_has_converged_says_so(
    split: Split, capsys: pytest.CaptureFixture[str], steps: int, said: bool
) -> None:
    heads.trained([split.folder / "states"], split.rows, grid=[1e-3], **{**SETTINGS, "steps": steps})
    assert (f"stopped after {steps} iterations before it had converged; raise steps" in capsys.readouterr().out) == said


def test_items_of_one_group_are_held_out_together(split: Split, capsys: pytest.CaptureFixture[str]) -> None:
    """As the domain's items say, which the stage reads: where all are of one group, nothing can be held out."""
    folder = split.folder / "alike"
    folder.mkdir()
    for part, group in (("each", None), ("all", "one")):
        (folder / part).mkdir()
        items = [replace(item, group=group or item.id) for item in split.items]
        write_records(folder / part / ITEMS, items)
        params = {**SETTINGS, "ridge": [1e-4, 1e-2, 1.0], "folds": 5, "draws": 2}
        inputs = {"rows": split.folder / "rows", "states": split.folder / "states", "subset": folder / part}
        run_stage(heads.train_head, folder / f"{part} weights", params, registry=None, **inputs)
    each, whole = (line for line in capsys.readouterr().out.splitlines() if line.startswith("ridge"))
    assert whole == "ridge 1 chosen between 0.0001 and 1" and not each.startswith("ridge 1 chosen")


def test_of_a_split_without_labels_nothing_is_read(split: Split) -> None:
    """Cross-fitting over few groups leaves folds empty."""
    registry: Any = SimpleNamespace(model=lambda name: split.source)
    (split.folder / "none").mkdir()
    write_records(split.folder / "none" / PREDICTIONS, [])
    inputs = {name: split.folder / name for name in ("subset", "states", "weights")} | {"labels": split.folder / "none"}
    for need in (
        Need("verifier", "choice_probs"),
        Need("verifier", "choice_scores"),
        Need("verifier", "label_logprobs"),
    ):
        out = split.folder / f"nothing of {need.read}"
        read = read_arrays(
            run_stage(heads.read_head, out, as_params(need, None), registry=registry, **inputs) / READING
        )
        assert read["offsets"].tolist() == [0]


@pytest.mark.parametrize(
    "wanted",
    [
        Need("verifier", "choice_probs"),
        Need("student", "choice_probs"),
        Need("teacher", "hidden_states", -1),
        Need("student", "hidden_states", "middle"),
        Need("student", "option_states", layers="middle"),
        Need("student", "option_states", layers=-1),
    ],
    ids=str,
)
def test_readings_of_labels_come_from_the_states(split: Split, wanted: Need) -> None:
    from w2s_bench.models.loading import load_engine

    params, given = as_params(wanted, None), ["subset", "labels", "states"]
    given += ["weights"] if wanted.of == "verifier" else []
    arrays = read_arrays(split.stage(str(wanted), heads.read_head, params, *given) / READING)
    answers = read_records(split.folder / "labels" / PREDICTIONS, Prediction)
    if wanted.of == "verifier":
        np.testing.assert_allclose(arrays["values"], np.concatenate([a.choice_scores for a in answers]), rtol=1e-12)
        assert arrays["offsets"].tolist() == list(range(0, 31, 3))
        return
    rows = [Split.row(item, answer.answer) for item, answer in zip(split.items, answers, strict=True)]
    reading = reading_of(params)
    read = to_arrays(reading.form, reading.read(load_engine(split.source), rows))
    assert set(arrays) == set(read)
    for name, found in arrays.items():
        assert found.dtype == read[name].dtype and found.shape == read[name].shape
        np.testing.assert_allclose(found, read[name], atol=1e-4)


def test_a_head_needs_neither_torch_nor_lm_eval(split: Split) -> None:
    """Trains, predicts and reads in a process of its own, and gives the same bytes."""
    code = """
import sys
from pathlib import Path
from w2s_bench.protocol.recipes.head import predict_head, read_head, train_head
from w2s_bench.store.stage import StageContext
folder, settings = Path(sys.argv[1]), {}
def stage(out, function, params, *inputs):
    (folder / out).mkdir()
    function(StageContext(params, {name.split()[0]: folder / name for name in inputs}, folder / out, None))
stage("weights again", train_head, SETTINGS, "rows", "states")
stage("labels again", predict_head, {}, "subset", "states", "weights again")
stage("reading again", read_head, {"read": "hidden_states", "layer": -1}, "subset", "labels again", "states", "weights again")
print(sorted({"torch", "transformers", "lm_eval", "datasets", "peft"} & set(sys.modules)))
""".replace("SETTINGS", repr(SETTINGS))
    done = subprocess.run([sys.executable, "-c", code, str(split.folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    for name, file in (("weights", WEIGHTS), ("labels", PREDICTIONS)):
        assert (split.folder / f"{name} again" / file).read_bytes() == (split.folder / name / file).read_bytes()


def test_states_that_cannot_be_are_refused(split: Split, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no rows to train on"):
        heads.trained([split.folder / "states"], [], **SETTINGS)
    write_records(tmp_path / ITEMS, [Item("a", "g", "k", "s", "one", None)])
    with pytest.raises(ModelError, match="this domain generates its answers: take 'full' or 'lora'"):
        run_stage(heads.states, tmp_path / "out", {}, subset=tmp_path)


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A suite whose teacher and student are heads, with trust functions that read the states."""
    with pytest.MonkeyPatch.context() as patch:
        registry = toy_registry(patch)
        suite = toy_suite(tmp_path_factory.mktemp("models"), seeds=1).model_dump(mode="json")
        suite["domains"] = suite["domains"][:1]
        for role in ("teacher", "student"):
            suite["domains"][0][role]["recipe"] = "head"
        from w2s_bench.suite import Suite

        yield plan(Suite.model_validate(suite), registry, trust=["probe", "student_probe", "verifier", "confidence"])


def test_the_graph_shows_states_once_a_model_and_split(planned: Any) -> None:
    found = [stage for stage in planned.stages() if stage.name == "states"]
    shown = {
        (stage.params["model"]["name"].rpartition("/")[2], stage.inputs["subset"].params["split"]) for stage in found
    }
    assert shown == {
        *(("teacher", split) for split in ("weak_train", "trust", "transfer", "test")),
        *(("student", split) for split in ("trust", "transfer", "test")),
    }
    assert len(found) == len(shown), "shared by all arms"
    assert all(stage.label for stage in found)


def test_what_hangs_on_states_takes_no_model_and_no_gpu(planned: Any) -> None:
    on_states = [stage for stage in planned.stages() if "states" in stage.inputs]
    assert {stage.name for stage in on_states} == {"train_head", "predict_head", "read_head"}
    for stage in on_states:
        assert stage.libraries == (("numpy", "scipy") if stage.name == "train_head" else ("numpy",))
        if (
            stage.name == "train_head"
        ):  # the ridge's strength is chosen by these alone: gold of the pool is none of them
            assert {name.partition(" ")[0] for name in stage.inputs} == {"rows", "states", "subset"}
            assert stage.params["ridge"] == [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0]
            assert stage.params["folds"] == stage.params["draws"] == 5
            of = [part.inputs["subset"] for part in parts_of(stage.inputs["rows"])]
            assert [stage.inputs[name] for name in stage.inputs if name.startswith("subset")] == of
        assert "model" not in stage.params and stage.device == "cpu"
    trained = [stage for stage in planned.stages() if stage.name.startswith("train")]
    assert trained and all("states" in stage.inputs for stage in trained)
    # Of the language models there are left the untuned student's readings in other layers; the base is a head without weights.
    others = [stage for stage in planned.stages() if "states" not in stage.inputs and "model" in stage.params]
    assert {stage.name for stage in others} == {"states", "read"}
    assert all(s.params["model"]["recipe"] == "full" and "weights" not in s.inputs for s in others if s.name == "read")
    without = [s for s in on_states if s.name == "predict_head" and "weights" not in s.inputs]
    assert [s.label.rpartition(" · ")[2] for s in without] == ["answers of base"]


MODEL = PlannedModel("m", "f", "head")


def test_how_a_model_is_tuned_does_not_part_its_states() -> None:
    subset = named("subset", {"split": "test"})
    nodes = {heads.states_of(replace(MODEL, lora_rank=rank), subset).node for rank in (4, 8)}
    assert len(nodes) == 1
    assert heads.states_of(replace(MODEL, device="cuda"), subset).node not in nodes
    assert heads.states_of(replace(MODEL, fingerprint="g"), subset).node not in nodes


def test_inner_layers_of_a_head_are_read_from_the_untuned_model() -> None:
    subset, labels, weights = (named(name, {"split": "test"}) for name in ("subset", "predict", "train"))
    inner = Recipe().read(Ask(Need("teacher", "hidden_states", "all"), Recipe(), MODEL, weights, labels, subset))
    assert inner.params["model"]["recipe"] == "full" and set(inner.inputs) == {"subset", "labels"}
    # The layers that are kept are read of states that are there anyway, whether there is a head or not.
    for need in (Need("teacher", "hidden_states", -1), Need("student", "option_states", layers="middle")):
        for head in (weights, None):
            kept = Recipe().read(Ask(need, Recipe(), MODEL, head, labels, subset))
            assert set(kept.inputs) == {"subset", "labels", "states"}, "the head itself says nothing of the states"
            assert kept.inputs["states"].node == heads.states_of(MODEL, subset).node
    zero_shot = Recipe().read(Ask(Need("student", "choice_probs"), Recipe(), MODEL, None, labels, subset))
    assert set(zero_shot.inputs) == {"subset", "labels", "states"}
    probs = Recipe().read(Ask(Need("verifier", "choice_probs"), Recipe(), MODEL, weights, labels, subset))
    assert set(probs.inputs) == {"subset", "labels", "states", "weights"}
    with pytest.raises(
        ModelError, match="tuned by recipe 'head' gives no label_logprobs: it scores options, not tokens"
    ):
        Recipe().read(Ask(Need("teacher", "label_logprobs"), Recipe(), MODEL, weights, labels, subset))
