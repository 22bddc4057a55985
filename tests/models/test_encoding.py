"""Texts become the ids that lm-eval would make; nothing is cut silently."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from w2s_bench.errors import ModelError
from w2s_bench.models.encoding import (
    Pair,
    encode,
    encode_pairs,
    encode_prompts,
    length_batches,
    max_length_of,
    refuse_closing,
)

ALPHABET = "ab one 42 ,?\n\tßé東→"


def lm_eval_pair(tokenizer: Any, prompt: str, completion: str) -> tuple[list[int], list[int]]:
    """What `HFLM` makes of a request, without building a model around the tokenizer."""
    from lm_eval.models.huggingface import HFLM

    lm = HFLM.__new__(HFLM)
    lm.tokenizer, lm.add_bos_token, lm.custom_prefix_token_id, lm.backend = tokenizer, None, None, "causal"
    before, after = lm._encode_pair(prompt, completion)
    return before, after


@pytest.mark.parametrize("name", ["words", "bpe", "bos"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(ALPHABET, min_size=1, max_size=12), completion=st.text(ALPHABET, min_size=1, max_size=8))
def test_pairs_are_those_of_lm_eval(tokenizers: Any, name: str, prompt: str, completion: str) -> None:
    tokenizer = tokenizers[name]
    prompt = f"one{prompt}"  # a prompt of spaces alone is an error here and an assertion there
    before, after = lm_eval_pair(tokenizer, prompt, completion)
    if after:
        assert encode_pairs(tokenizer, [(prompt, completion)], max_length=99) == [Pair(tuple(before), tuple(after))]
    else:
        with pytest.raises(ModelError, match="neither may be empty"):
            encode_pairs(tokenizer, [(prompt, completion)], max_length=99)


def lm_eval_request(tokenizer: Any, prompt: str, completion: str) -> tuple[list[int], list[int]]:
    """What `HFLM.loglikelihood` asks its model for, which treats an empty prompt by itself."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    lm = HFLM.__new__(HFLM)
    lm.tokenizer, lm.add_bos_token, lm.custom_prefix_token_id, lm.backend = tokenizer, None, None, "causal"
    lm.enable_thinking = False
    asked: Any = {}
    lm._loglikelihood_tokens = lambda requests, **_: asked.update(requests=requests)  # type: ignore[method-assign,assignment]
    lm.loglikelihood([Instance("loglikelihood", {}, (prompt, completion), 0)])
    ((_, before, after),) = asked["requests"]
    return before, after


@pytest.mark.parametrize("name", ["words", "bpe", "bos"])
@pytest.mark.parametrize("completion", ["one two", " one two", "größe", "<s>one two"])
def test_an_empty_prompt_is_the_prefix_token_of_lm_eval(tokenizers: Any, name: str, completion: str) -> None:
    tokenizer = tokenizers[name]
    before, after = lm_eval_request(tokenizer, "", completion)
    assert encode_pairs(tokenizer, [("", completion)], max_length=99) == [Pair(tuple(before), tuple(after))]
    first = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    assert before == [first]
    # An answer is generated to what a student was trained after.
    assert encode_prompts(tokenizer, ["", "one two"]) == [[first], *encode(tokenizer, ["one two"])]


def test_an_empty_prompt_needs_a_token_that_stands_for_it(tokenizers: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    bare = make(tokenizer_object=tokenizers["words"].backend_tokenizer)
    with pytest.raises(
        ModelError, match=r"a prompt is empty, .*no beginning- or end-of-sequence token .*set bos_token"
    ):
        encode_pairs(bare, [("", "one")], max_length=99)
    with pytest.raises(ModelError, match="a prompt is empty"):
        encode_prompts(bare, [""])


@pytest.mark.parametrize(
    ("template", "closing"),
    [("<s> $A </s>", "</s>"), ("$A </s>", "</s>"), ("<s> $A <turn>", "<turn>"), ("<s> $A", None), ("$A", None)],
)
def test_a_tokenizer_that_closes_every_text_is_refused(template: str, closing: str | None) -> None:
    """As BERT's and T5's do: the answer would come after the end, and an option of one token would be the end alone."""
    from tokenizers import processors

    from conftest import bpe_tokenizer

    tokenizer = bpe_tokenizer(bos=True)
    raw = tokenizer.backend_tokenizer
    special = [(token, raw.token_to_id(token)) for token in template.split() if token != "$A"]
    raw.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    if closing is None:
        refuse_closing(tokenizer, "m")
        return
    with pytest.raises(ModelError, match=f"model 'm': its tokenizer ends every text with '{closing}' by itself"):
        refuse_closing(tokenizer, "m")


def test_a_text_that_starts_with_bos_gets_no_second_one_wherever_it_stands(tokenizers: Any) -> None:
    tokenizer = tokenizers["bos"]
    bos = tokenizer.bos_token_id
    for texts in (["one", "<s>one"], ["<s>one", "one"]):
        assert [ids.count(bos) for ids in encode(tokenizer, texts)] == [1, 1]
    (pair,) = encode_pairs(tokenizer, [("<s>one two", " three")], max_length=99)
    assert (pair.prompt, pair.completion) == tuple(map(tuple, lm_eval_pair(tokenizer, "<s>one two", " three")))
    assert encode(tokenizer, []) == []


def test_trailing_spaces_go_to_the_completion(tokenizers: Any) -> None:
    with_space, without = encode_pairs(tokenizers["bpe"], [("one two ", "three"), ("one two", " three")], max_length=99)
    assert with_space == without


def test_only_ended_rows_get_the_end_token(tokenizers: Any) -> None:
    tokenizer = tokenizers["words"]
    texts = [("one", "two"), ("one", "two"), ("one", "")]
    texts = [(f"{prompt} ", completion) for prompt, completion in texts]
    cut, ended, empty = encode_pairs(tokenizer, texts, max_length=99, ended=[False, True, True])
    assert ended.completion == (*cut.completion, tokenizer.eos_token_id)
    assert empty.completion == (tokenizer.eos_token_id,)


def test_a_missing_end_token_is_named(tokenizers: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    bare = make(tokenizer_object=tokenizers["words"].backend_tokenizer)
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        encode_pairs(bare, [("one", " two")], max_length=99, ended=[True])


def test_empty_completions_only_where_asked_for(tokenizers: Any) -> None:
    with pytest.raises(ModelError, match="neither may be empty"):
        encode_pairs(tokenizers["words"], [("one", " ")], max_length=99)
    (pair,) = encode_pairs(tokenizers["words"], [("one", " ")], max_length=99, may_be_empty=True)
    assert len(pair.prompt) == 1 and pair.completion == ()
    with pytest.raises(ModelError, match="neither may be empty"):
        encode_pairs(tokenizers["words"], [(" ", "one")], max_length=99, may_be_empty=True)


def test_too_long_is_an_error_not_a_cut(tokenizers: Any) -> None:
    texts = [("one two three", " four")]
    assert len(encode_pairs(tokenizers["words"], texts, max_length=4)[0]) == 4
    with pytest.raises(ModelError, match=r"take 4 tokens, the model reads 3: 'one two three'"):
        encode_pairs(tokenizers["words"], texts, max_length=3)
    with pytest.raises(ModelError, match="take 5 tokens"):
        encode_pairs(tokenizers["words"], texts, max_length=4, ended=[True])


def test_positions_a_model_reads(sources: Any) -> None:
    assert {max_length_of(sources[name].load()[0]) for name in ("words", "gpt2")} == {64}


def test_positions_of_a_model_inside_another() -> None:
    """Multimodal configurations keep the language model's in `text_config`."""
    from types import SimpleNamespace

    from transformers import Gemma3Config

    config = Gemma3Config(text_config={"max_position_embeddings": 77})
    assert max_length_of(SimpleNamespace(config=config)) == 77


@given(lengths=st.lists(st.integers(1, 30), max_size=40), most=st.integers(1, 60))
def test_length_batches_hold_every_row_once_and_stay_small(lengths: list[int], most: int) -> None:
    made = list(length_batches(lengths, max_tokens=most))
    assert sorted(row for batch in made for row in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= most for batch in made)


def test_a_tokenizer_that_remembers_gives_the_same_ids_and_asks_once(
    tokenizers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2s_bench.models import tokenizer_cache as remembering

    class Counting:
        def __init__(self, tokenizer: Any) -> None:
            self.tokenizer, self.asked = tokenizer, 0

        def __call__(self, texts: list[str], **settings: Any) -> Any:
            self.asked += len(texts)
            return self.tokenizer(texts, **settings)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.tokenizer, name)

    texts = ["one two", "<s>one two", "", "of Peru Lima", "one two"]
    for plain in tokenizers.values():
        counting = Counting(plain)
        known = remembering.Remembering(counting)
        expected = encode(plain, texts)
        for _ in range(3):
            given = encode(known, texts)
            assert given == expected
            for ids in given:
                ids.append(-1)  # what callers do with theirs is not remembered
        assert counting.asked == len(set(texts))
        assert known.decode(expected[0]) == plain.decode(expected[0]) and known.eos_token == plain.eos_token
    monkeypatch.setattr(remembering, "_MOST_TEXTS", 3)
    for _ in range(2):
        assert encode(known, texts) == expected, "one call may hold more texts than are remembered"
        assert encode(known, ["x y"]) == encode(plain, ["x y"])


def test_tokenizers_are_kept_by_fingerprint_the_last_used(tokenizers: Any) -> None:
    from w2s_bench.models import tokenizer_cache as remembering

    first = remembering.remembering(tokenizers["words"], ("m", "first"))
    for number in range(10):
        remembering.remembering(tokenizers["words"], ("m", f"other {number}"))
        assert remembering.remembering(tokenizers["bpe"], ("m", "first")) is first
    assert len(remembering._TOKENIZERS) == 4
