"""Sampled answers: of the distribution that the model has, whoever else is in the batch; and what they come to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from support import run_inline, toy_model, toy_registry, toy_suite
from w2s_bench.errors import ModelError, NotApplicableError, PluginError
from w2s_bench.executors import Done
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.sampling import Sampling
from w2s_bench.plugins.registry import Registry
from w2s_bench.protocol.evidence.readings.p_true import ANSWERS, PTrue
from w2s_bench.protocol.evidence.readings.samples import classes, final_answer
from w2s_bench.protocol.files import READING
from w2s_bench.protocol.needs import planned_needs
from w2s_bench.record import read_arrays
from w2s_bench.runs.plan import plan
from w2s_bench.store import Store
from w2s_bench.types import Item, Need, TrainingRow


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    folder = toy_model(tmp_path_factory.mktemp("model"))
    source = Registry.of(()).model(str(folder))
    return load_engine(source, None, device="cpu", precision="float32", recipe="full", lora_rank=8)


def items(*prompts: str) -> list[Item]:
    return [Item(f"i{n}", f"g{n}", "k", "s", prompt, None) for n, prompt in enumerate(prompts)]


def test_tokens_are_drawn_by_their_probabilities() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.0, 0.5, 0.3], [1.0, 0.0, 0.0, 0.0]]))
    numbers = np.array([[0.0, 0.19], [0.5, 0.9999999]])
    sampling = Sampling(1.0, numbers)
    assert sampling.drawn(logits, [0, 1], 0).tolist() == [0, 0]
    more = Sampling(1.0, np.array([[0.21], [0.71], [0.69], [0.99]]))
    assert more.drawn(logits[:1].repeat(4, 1), [0, 1, 2, 3], 0).tolist() == [2, 3, 2, 3]
    hot = torch.tensor([[0.0, np.log(2.0)]])
    # At temperature ½ the odds are squared: 1 to 4.
    assert Sampling(0.5, np.array([[0.19], [0.21]])).drawn(hot.repeat(2, 1), [0, 1], 0).tolist() == [0, 1]
    assert sampling.drawn(torch.tensor([[0.0, torch.nan, 1.0, 0.0]]), [0], 0).tolist() == [-1]


def test_of_low_temperature_they_are_the_greedy_answers(engine: Engine) -> None:
    asked = items("largest of 3 4 is", "2 + 2 =", "7", "1 + 1 + 3 =")
    greedy = [one.text for one in engine.generate(asked, max_new_tokens=5, until=["####"])]
    drawn = engine.samples(asked, 2, 1e-6, max_new_tokens=5, until=["####"], rng=np.random.default_rng(0))
    assert drawn == [[text, text] for text in greedy]


def test_no_neighbour_changes_a_sample(engine: Engine) -> None:
    asked = items("largest of 3 4 is", "2 + 2 =", "7", "1 + 1 + 3 =")
    numbers = np.random.default_rng(4)
    together = engine.samples(asked, 3, 1.0, max_new_tokens=6, rng=numbers)
    assert together == engine.samples(asked, 3, 1.0, max_new_tokens=6, rng=np.random.default_rng(4))
    again = np.random.default_rng(4)
    assert [engine.samples([one], 3, 1.0, max_new_tokens=6, rng=again)[0] for one in asked] == together
    assert len({text for row in together for text in row}) > 6


def test_frequencies_are_the_models(engine: Engine) -> None:
    asked = TrainingRow("a", "2 + 2 =", "", False, None, None)
    words = ["4", "is", "="]
    told = engine.label_logprobs([replace(asked, completion=f" {word}") for word in words])
    drawn = engine.samples([asked], 4000, 1.0, max_new_tokens=1, rng=np.random.default_rng(1))[0]
    for word, logprobs in zip(words, told, strict=True):
        expected, share = float(np.exp(logprobs[0])), np.mean([text.strip() == word for text in drawn])
        assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / 4000) + 1e-3


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7 #### 7", "7"),
        (" 3 + 4 = 7 ; #### 12 #### 8 ", "8"),
        ("It costs 1,250.50 dollars.", "1250.50"),
        ("minus -3", "-3"),
        ("  The  Seine. ", "the seine"),
        ("####", ""),
        ("#### 1,000", "1000"),
        ("1,000 #### 999 #### $1,000.", "1000"),
        ("#### 1000 dollars", "1000"),
        ("#### **5**", "5"),
        ("#### the answer is -2.5", "-2.5"),
        ("#### 3/4", "3/4"),
        ("#### 2x", "2x"),
        ("#### 4 x", "4 x"),
        ("#### x = 4", "x = 4"),
        ("#### 2 + 2", "2 + 2"),
        ("#### 5 or 6", "5 or 6"),
        ("#### Paris, 1,000 times", "paris, 1000 times"),
    ],
)
def test_what_an_answer_comes_to(text: str, answer: str) -> None:
    assert final_answer(text) == answer


def test_samples_are_told_by_what_they_come_to() -> None:
    assert classes("1 + 1 = 2 #### 2", ["#### 3", "0 + 2 #### 2", "#### 4", "#### 3", "2"]).tolist() == [1, 0, 2, 1, 0]


def test_from_the_plan_to_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teacher's samples are drawn by its own weights, once for all who want them."""
    registry = toy_registry(monkeypatch)
    trust = ["self_consistency:k=4", "semantic_entropy:k=4"]
    planned = plan(toy_suite(tmp_path / "models", seeds=1), registry, domains=["sums"], trust=trust)
    scores = {
        cell.arm.ref.trust_function: own.scores
        for cell in planned.cells
        for own in cell.stages
        if own.scores is not None
    }
    outcomes = run_inline([*scores.values()], Store(tmp_path / "store"), registry)
    stage = scores["w2s-bench/self_consistency"]
    same = scores["w2s-bench/semantic_entropy"]
    drawn = stage.inputs["pool:teacher.samples[k=4,temperature=1.0]"]
    assert drawn.node == same.inputs["pool:teacher.samples[k=4,temperature=1.0]"].node, "drawn once for both"
    assert set(drawn.inputs) == {"subset", "labels", "weights"} and drawn.params["max_new_tokens"] > 0
    done = outcomes[drawn.node]
    assert isinstance(done, Done)
    found = read_arrays(done.result.path / READING)["states"]
    assert found.shape == (100, 4) and found.min() >= 0 and (found == found.astype(int)).all() and found.max() > 0
    assert all(isinstance(outcomes[one.node], Done) for one in (stage, same))


def test_p_true_names_a_model_that_lacks_its_words(engine: Engine) -> None:
    with pytest.raises(
        NotApplicableError,
        match=r"^not applicable: p_true asks for ' true' or ' false', which the vocab.* of model 'local/.*model0'",
    ):
        PTrue().read(engine, [TrainingRow("a", "2 + 2 =", " 4", True, None, None)])


def test_p_true_compares_two_answers_to_one_question() -> None:
    class Told:
        tokenizer = staticmethod(lambda text, add_special_tokens: {"input_ids": [len(text)]})

        def choice_scores(self, rows: list[TrainingRow]) -> list[Any]:
            self.rows = rows
            return [np.array([-1.0, -3.5])]

    model = Told()
    row = TrainingRow("a", "What is 2 + 2?", " 4", True, ("3", "4"), 1)
    found = PTrue("\nTrue?").read(cast(Any, model), [row])
    assert np.asarray(found).tolist() == [2.5]
    assert (model.rows[0].prompt, model.rows[0].choices) == ("What is 2 + 2? 4\nTrue?", ANSWERS)


@pytest.mark.parametrize(
    ("need", "said"),
    [
        (Need("teacher", "samples", k=0), "k must be a whole number from 1 to 1000, got 0"),
        (Need("teacher", "samples", temperature=0), "temperature must be above 0 and below 100, got 0"),
        (Need("teacher", "samples", when="choice"), "samples is read in generate domains alone"),
        (Need("student", "p_true", question=""), "question must be a text that ends before ' true'"),
    ],
)
def test_what_cannot_be_asked(need: Need, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        planned_needs(Registry.of(()), [need], "who")


def test_a_model_of_greedy_search_alone_draws_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from w2s_bench.models import greedy

    monkeypatch.setattr(greedy, "obeys_more", lambda model: True)
    with pytest.raises(ModelError, match="no answers can be drawn of it"):
        engine.samples(items("7"), 1, 1.0, max_new_tokens=2, rng=np.random.default_rng(0))
