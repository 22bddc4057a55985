"""Items longer than a model's positions: found by its own tokens, and cut as lm-eval cuts them where the suite says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import TEXT, word_tokenizer
from w2s_bench.errors import ModelError
from w2s_bench.models.encoding import encode_pairs
from w2s_bench.models.engine import Engine
from w2s_bench.models.loading import load_engine
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.overflow import Overlong, overlong
from w2s_bench.models.setup import Setup
from w2s_bench.types import Item, TrainingRow

POSITIONS = 64  # of every model of `sources`
CUTS = Setup(overflow="truncate_left")
WORDS = " ".join(TEXT).split()


def text(length: int, start: int = 0) -> str:
    return " ".join(WORDS[(start + 7 * i) % len(WORDS)] for i in range(length))


def item(name: str, prompt: int, *options: int) -> Item:
    """Prompt and options of so many words."""
    choices = tuple(f" {text(length, 3 * number + 1)}" for number, length in enumerate(options))
    return Item(name, name, name, "all", text(prompt), choices or None)


#: With a word a token: shorter, as long as the positions, one longer (which lm-eval leaves whole), longer.
ITEMS = [
    item("short", 5, 2, 3),
    item("full", POSITIONS - 4, 4, 2, 3),
    item("by one", POSITIONS - 4, 5, 4),
    item("long", 2 * POSITIONS, 4, 4, 1),
    item("longest", 3 * POSITIONS, 1, 8, 5),
]


def hflm(engine: Engine) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=1, device="cpu")


@pytest.mark.parametrize("name", ["words", "bos", "gpt2"])
def test_scores_of_cut_prompts_are_those_of_lm_eval(sources: Any, name: str) -> None:
    from lm_eval.api.instance import Instance

    engine = load_engine(sources[name], setup=CUTS)
    requests = [
        Instance("loglikelihood", {}, (one.prompt, choice), number)
        for one in ITEMS
        for number, choice in enumerate(one.choices or ())
    ]
    theirs = [score for score, _ in hflm(engine).loglikelihood(requests, disable_tqdm=True)]
    ours = engine.choice_scores(ITEMS)
    np.testing.assert_allclose(np.concatenate(ours), theirs, atol=1e-4)
    rows = [TrainingRow(one.id, one.prompt, choice, False, None, None) for one in ITEMS for choice in one.choices or ()]
    np.testing.assert_allclose([row.sum() for row in engine.label_logprobs(rows)], theirs, atol=1e-4)
    sums, states = engine.option_readings(ITEMS, [-1])
    np.testing.assert_allclose(np.concatenate(sums), theirs, atol=1e-4)
    np.testing.assert_allclose(states, engine.option_states(ITEMS), atol=1e-5)
    np.testing.assert_allclose(states[:, 0], engine.hidden_states(rows, -1), atol=1e-5)


@pytest.mark.parametrize("name", ["words", "bos", "gpt2"])
def test_answers_to_cut_prompts_are_those_of_lm_eval(sources: Any, name: str) -> None:
    from lm_eval.api.instance import Instance

    engine = load_engine(sources[name], setup=CUTS)
    prompts = [item(f"{length}", length) for length in (6, POSITIONS - 9, POSITIONS - 8, POSITIONS, 3 * POSITIONS)]
    settings = {"max_gen_toks": 8, "until": [], "do_sample": False}
    asked = [Instance("generate_until", {}, (one.prompt, settings), 0) for one in prompts]
    theirs = hflm(engine).generate_until(asked, disable_tqdm=True)
    ours = engine.generate(prompts, max_new_tokens=8, until=())
    assert [answer.text for answer in ours] == theirs
    assert len(set(theirs)) > 1, "answers that hang on nothing would be equal whatever is cut"


def test_a_cut_student_trains_on_the_end_of_its_prompts(sources: Any) -> None:
    """One step on rows of which the ends alone differ from each other in what is left of them."""
    losses = []
    for beginning in (text(POSITIONS, 1), text(3 * POSITIONS, 2)):
        row = TrainingRow("a", f"{beginning} {text(POSITIONS, 5)}", " one two", True, None, None)
        engine = load_engine(sources["words"], setup=CUTS)
        settings: dict[str, Any] = {
            "recipe": "full",
            "steps": 2,
            "batch_size": 1,
            "learning_rate": 1e-3,
            "lora_rank": 2,
        }
        losses.append(engine.train([row], seed=0, **settings))
    assert losses[0] == losses[1]


def test_nothing_is_cut_unless_the_suite_says_so(sources: Any) -> None:
    engine = load_engine(sources["words"])
    with pytest.raises(
        ModelError, match=rf"take {2 * POSITIONS + 4} tokens, the model reads {POSITIONS}.*truncate_left"
    ):
        engine.choice_scores([ITEMS[0], ITEMS[3]])
    with pytest.raises(ModelError, match=r"leaves no room for 8 new ones.*allow fewer new tokens"):
        engine.generate([item("long", POSITIONS)], max_new_tokens=8, until=())


def test_where_nothing_is_too_long_nothing_changes(sources: Any) -> None:
    """Not by a bit: a suite may say `truncate_left` beforehand."""
    usual, cut = (load_engine(sources["bos"], setup=setup) for setup in (Setup(), CUTS))
    some = [item("a", 9, 2, 3), item("b", 4, 1, 2, 2)]
    for one, other in zip(usual.choice_scores(some), cut.choice_scores(some), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(usual.option_readings(some, [1])[1], cut.option_readings(some, [1])[1])


def test_what_follows_a_prompt_must_leave_some_of_it(sources: Any) -> None:
    engine = load_engine(sources["words"], setup=CUTS)
    for length, fits in ((POSITIONS, True), (POSITIONS + 1, False)):
        long = [item("a", 9, length)]
        if fits:  # its last token is predicted and never read
            assert np.isfinite(engine.choice_scores(long)[0]).all()
            continue
        with pytest.raises(ModelError, match=rf"a completion of {length} tokens leaves no room for its prompt"):
            engine.choice_scores(long)
    with pytest.raises(ModelError, match="leaves no room for its prompt"):
        engine.option_states([item("a", 9, POSITIONS)])
    with pytest.raises(ModelError, match="leaves no room for 64 new ones"):
        engine.generate([item("a", 9)], max_new_tokens=POSITIONS, until=())


def test_items_are_counted_by_the_models_own_tokens(sources: Any) -> None:
    engine = load_engine(sources["words"])
    found = engine.overlong(ITEMS, most_new=None, golds={})
    assert found == Overlong(3, 5, "longest", 3 * POSITIONS + 8, POSITIONS)
    assert engine.overlong(ITEMS[:2], most_new=None, golds={}) is None
    asked = [item("a", 10), item("b", POSITIONS - 8), item("c", POSITIONS - 7)]
    assert engine.overlong(asked, most_new=8, golds={}) == Overlong(1, 3, "c", POSITIONS + 1, POSITIONS)
    # A student is trained on the whole gold, with the token that ends it, however short its own answers must be.
    golds = {"a": f" {text(POSITIONS - 10)}", "b": " one"}
    assert engine.overlong(asked[:2], most_new=8, golds=golds) == Overlong(1, 2, "a", POSITIONS + 1, POSITIONS)
    golds = {"a": f" {text(POSITIONS - 1)}"}
    hopeless = engine.overlong(asked[:1], most_new=8, golds=golds)
    assert hopeless is not None and (hopeless.hopeless, hopeless.last) == (1, POSITIONS)


@given(
    prompts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    options=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_no_item_is_passed_over(prompts: list[int], options: list[int]) -> None:
    """What is taken to be short by its bytes is short by its tokens, whatever the limit."""
    tokenizer = TOKENIZER
    items = [item(f"{number}", length, *options) for number, length in enumerate(prompts)]
    for limit in (1, 8, 20, 200):
        pairs = {
            one.id: encode_pairs(tokenizer, [(one.prompt, c) for c in one.choices or ()], max_length=999)
            for one in items
        }
        expected = {name for name, those in pairs.items() if max(map(len, those)) > limit}
        found = overlong(tokenizer, items, limit=limit, most_new=None, golds={})
        assert (0 if found is None else found.count) == len(expected)


TOKENIZER = word_tokenizer()


def test_a_model_without_positions_reads_all(tmp_path: Path) -> None:
    """Mamba's configuration names no limit."""
    import architectures

    model, tokenizer = architectures.new("mamba"), architectures.tokenizer()
    del model.config.max_position_embeddings  # which the other architectures of these tests need
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = load_engine(LocalModel("m", tmp_path))
    long = Item("a", "a", "a", "all", " ".join(["w5"] * 3000), (" w6", " w7"))
    assert engine.overlong([long], most_new=None, golds={}) is None
