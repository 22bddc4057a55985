"""Greedy answers are transformers' own, token for token; stops and limits are told apart."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from support import ROOT
from w2s_bench.errors import ModelError
from w2s_bench.models import greedy as generation
from w2s_bench.models.assumptions import anatomy_of, verdict_of
from w2s_bench.models.encoding import encode
from w2s_bench.models.greedy import Stops, generate

PROMPTS = [
    "one two three",
    "Question: how much is 12 + 30 ?",
    "zero",
    "a b c d e f",
    "zero zero",
    "The capital",
    "x y z",
    "größe naïve",
]


def with_common_end(model: Any, tokenizer: Any) -> int:
    """Makes a token that these models often produce the end of sequence, so that rows end at different places."""
    stops = Stops([], tokenizer)
    answers = [generation._decode(model, encode(tokenizer, [p]), 10, set(), stops)[0] for p in PROMPTS]
    tokens = [token for answer in answers for token in answer[2:]]
    end = max(sorted(set(tokens)), key=tokens.count)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    model.generation_config.eos_token_id = model.config.eos_token_id = end
    return int(end)


def transformers_answer(model: Any, tokenizer: Any, prompt: str, limit: int) -> list[int]:
    import torch

    ids = torch.tensor(encode(tokenizer, [prompt]))
    mask = torch.ones_like(ids)
    out = model.generate(
        ids, attention_mask=mask, do_sample=False, max_new_tokens=limit, pad_token_id=tokenizer.pad_token_id
    )
    out = getattr(out, "sequences", out)
    return [int(token) for token in out[0, ids.shape[1] :]]


@pytest.mark.parametrize("name", ["words", "bpe", "bos", "gpt2"])
def test_answers_are_those_of_transformers(sources: Any, name: str) -> None:
    model, tokenizer = sources[name].load()
    end = with_common_end(model, tokenizer)
    answers = generate(model, tokenizer, PROMPTS * 2, max_new_tokens=12, until=[])
    assert answers[: len(PROMPTS)] == answers[len(PROMPTS) :]
    assert len({answer.ended for answer in answers}) == 2, "some end, some run into the limit"
    for prompt, answer in zip(PROMPTS, answers, strict=False):
        tokens = transformers_answer(model, tokenizer, prompt, 12)
        assert answer.ended == (end in tokens)
        assert answer.text == tokenizer.decode([t for t in tokens if t != end], skip_special_tokens=True)


def test_tokens_are_those_of_transformers(sources: Any) -> None:
    """Texts hide tokens that decode to nothing; ids do not."""
    model, tokenizer = sources["words"].load()
    end = with_common_end(model, tokenizer)
    for prompt in PROMPTS:
        ids = encode(tokenizer, [prompt] * 3)
        expected = [transformers_answer(model, tokenizer, prompt, 12)] * 3
        assert generation._decode(model, ids, 12, {end}, Stops([], tokenizer)) == expected
        assert generation._decode_padded(anatomy_of(model), model, ids, 12, {end}, Stops([], tokenizer)) == expected


def test_every_end_token_of_the_model_ends_an_answer(sources: Any) -> None:
    """Chat models name several in their generation settings; lm-eval stops at each."""
    model, tokenizer = sources["words"].load()
    (plain,) = generate(model, tokenizer, ["one two three"], max_new_tokens=12, until=[])
    second = plain.text.split()[3]
    place = plain.text.split().index(second)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(second)]
    (answer,) = generate(model, tokenizer, ["one two three"], max_new_tokens=12, until=[])
    tokens = transformers_answer(model, tokenizer, "one two three", 12)
    assert answer.ended and not plain.ended
    assert answer.text == tokenizer.decode(tokens) and len(answer.text.split()) == place + 1


def test_a_stop_text_ends_and_is_cut_off(sources: Any) -> None:
    model, tokenizer = sources["bpe"].load()
    plain = generate(model, tokenizer, PROMPTS, max_new_tokens=12, until=[])
    stop = plain[0].text[4:6]
    stopped = generate(model, tokenizer, PROMPTS, max_new_tokens=12, until=["", tokenizer.eos_token, stop])
    for before, after in zip(plain, stopped, strict=True):
        assert after.text == before.text.partition(stop)[0]
        assert after.ended == (stop in before.text)
    assert stopped[0].ended and stopped[0].text


def test_a_stop_text_ends_the_work_too(sources: Any) -> None:
    model, tokenizer = sources["words"].load()
    (ids,) = encode(tokenizer, ["one two three"])
    (whole,) = generation._decode(model, [ids], 12, set(), Stops([], tokenizer))
    stop = tokenizer.decode(whole[3])
    (cut,) = generation._decode(model, [ids], 12, set(), Stops([stop], tokenizer))
    assert cut == whole[: len(cut)] and len(cut) <= 4


def test_the_limit_does_not_count_as_an_end(sources: Any) -> None:
    model, tokenizer = sources["words"].load()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    (one,) = generate(model, tokenizer, ["one two three"], max_new_tokens=1, until=[])
    assert len(one.text.split()) == 1 and not one.ended


def test_an_answer_without_text_counts_as_ended(sources: Any) -> None:
    """A student could learn nothing else from it: there are no tokens to train on."""
    model, tokenizer = sources["words"].load()
    (plain,) = generate(model, tokenizer, ["one two three"], max_new_tokens=1, until=[])
    (empty,) = generate(model, tokenizer, ["one two three"], max_new_tokens=4, until=[plain.text])
    assert (empty.text, empty.ended) == ("", True)
    tokenizer.add_special_tokens({"additional_special_tokens": [plain.text]})
    (hidden,) = generate(model, tokenizer, ["one two three"], max_new_tokens=1, until=[])
    assert (hidden.text, hidden.ended) == ("", True)


def test_no_more_rows_are_decoded_at_once_than_have_room(sources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the longest of a batch; a model of which one row has no room is decoded row by row, and answers are what they were."""
    model, tokenizer = sources["words"].load()
    config = model.config
    width = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    lengths, a_token = [3] * 20 + [30] * 20, 2 * 4 * config.num_hidden_layers * width
    before = generate(model, tokenizer, PROMPTS, max_new_tokens=6, until=())
    for room, most in ((8, 8), (1, 1), (0, 1)):
        monkeypatch.setattr(generation, "_MAX_BYTES", room * a_token * (30 + 10 + 16) + 1)
        batches = [batch for _, batch in generation._batches(model, lengths, 10)]
        assert max(len(batch) for batch in batches if 39 in batch or 20 in batch) == most
        assert sorted(itertools.chain(*batches)) == list(range(40))
        assert (
            all(
                len(batch) * a_token * (max(lengths[i] for i in batch) + 26) <= generation._MAX_BYTES
                for batch in batches
            )
            or not room
        )
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=6, until=()) == before


def test_a_tokenizer_without_an_end_runs_to_the_limit(sources: Any, tokenizers: Any) -> None:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    model, _ = sources["words"].load()
    model.generation_config.eos_token_id = None
    bare = make(tokenizer_object=tokenizers["words"].backend_tokenizer)
    (answer,) = generate(model, bare, ["one two three"], max_new_tokens=5, until=["never said"])
    assert len(answer.text.split()) == 5 and not answer.ended


def test_no_room_for_an_answer_is_an_error(sources: Any) -> None:
    model, tokenizer = sources["words"].load()
    long = " ".join(["one"] * 60)
    assert len(generate(model, tokenizer, [long], max_new_tokens=4, until=[])) == 1
    with pytest.raises(ModelError, match="a prompt of 60 tokens leaves no room for 5 new ones in a context of 64"):
        generate(model, tokenizer, [long], max_new_tokens=5, until=[])


def settings_of(model: Any, **settings: Any) -> None:
    for name, value in settings.items():
        setattr(model.generation_config, name, value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 2},
        {"bad_words_ids": [[token] for token in range(0, 60, 2)]},
        {"suppress_tokens": [11, 20]},
        {"min_new_tokens": 9},
        {"min_length": 12},
        {"forced_eos_token_id": 7},
        {"sequence_bias": {(20,): -30.0}},
        {"exponential_decay_length_penalty": (3, 1.8)},
        {"repetition_penalty": 1.7, "return_dict_in_generate": True},
        {"repetition_penalty": 1.3, "do_sample": True, "temperature": 0.3, "top_p": 0.5, "top_k": 3},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_generation_settings_that_change_greedy_answers_are_obeyed(sources: Any, settings: dict[str, Any]) -> None:
    """As lm-eval obeys them: those of sampling say nothing, for nothing is sampled."""
    model, tokenizer = sources["words"].load()
    end = with_common_end(model, tokenizer)
    usual = generate(model, tokenizer, PROMPTS, max_new_tokens=12, until=[])
    settings_of(model, **settings)
    answers = generate(model, tokenizer, PROMPTS, max_new_tokens=12, until=[])
    assert answers != usual
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        tokens = transformers_answer(model, tokenizer, prompt, 12)
        assert answer.text == tokenizer.decode([t for t in tokens if t != end], skip_special_tokens=True)
        assert answer.ended == (end in tokens)


@pytest.mark.parametrize("settings", [{"do_sample": True, "temperature": 0.7, "top_k": 5}, {"repetition_penalty": 1.0}])
def test_settings_that_change_nothing_keep_the_fast_way(
    sources: Any, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = sources["words"].load()
    usual = generate(model, tokenizer, PROMPTS, max_new_tokens=6, until=[])
    settings_of(model, **settings)
    monkeypatch.setattr(type(model), "generate", None)
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=6, until=[]) == usual


@pytest.mark.parametrize(
    "settings",
    [
        {"num_beams": 4},
        {"penalty_alpha": 0.6, "top_k": 4},
        {"stop_strings": ["x"]},
        {"max_time": 1.0},
        {"cache_implementation": "quantized"},
    ],
    ids=str,
)
def test_settings_of_something_else_than_greedy_are_refused_before_training(
    sources: Any, settings: dict[str, Any]
) -> None:
    from w2s_bench.models.engine import Engine
    from w2s_bench.types import TrainingRow

    model, tokenizer = sources["words"].load()
    settings_of(model, **settings)
    name, value = next(iter(settings.items()))
    with pytest.raises(ModelError) as raised:
        generate(model, tokenizer, PROMPTS, max_new_tokens=6, until=[])
    assert f"{name}={value!r}, but answers are greedy" in str(raised.value)
    assert "take it out of the model's generation_config.json" in str(raised.value)
    how: Any = {"recipe": "full", "steps": 1, "batch_size": 1, "learning_rate": 1e-3, "lora_rank": 1, "seed": 0}
    with pytest.raises(ModelError, match="answers are greedy"):
        Engine(model, tokenizer).train([TrainingRow("a", "one", " two", True, None, None)], **how)
    Engine(model, tokenizer).train([TrainingRow("a", "one", " two", False, (" two", " a"), 0)], **how)


def test_a_stop_text_ends_a_plain_answer_too(sources: Any) -> None:
    model, tokenizer = sources["bpe"].load()
    settings_of(model, repetition_penalty=1.2)
    plain = generate(model, tokenizer, PROMPTS, max_new_tokens=12, until=[])
    stop = plain[0].text[4:6]
    for before, after in zip(plain, generate(model, tokenizer, PROMPTS, max_new_tokens=12, until=[stop]), strict=True):
        assert (after.text, after.ended) == (before.text.partition(stop)[0], stop in before.text or before.ended)


def test_logits_that_are_no_numbers_give_no_answer(sources: Any) -> None:
    import torch

    model, tokenizer = sources["words"].load()
    verdict_of(model)
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(ModelError, match=r"logits are no numbers \(NaN\).*its weights are damaged"):
        generate(model, tokenizer, PROMPTS, max_new_tokens=4, until=[])


def test_the_documentation_names_every_generation_setting() -> None:

    from w2s_bench.models import answering

    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    obeyed, refused = page.partition("- are **obeyed**")[2].partition("- are **refused**")[::2]
    assert [name for name in answering._OBEYED if f"`{name}`" not in obeyed] == []
    assert [name for name in answering._REFUSED if f"`{name}" not in refused] == []


def test_a_model_that_generates_without_its_cache_alone_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from w2s_bench.models import answering

    works = {"use_cache": False}

    def generated(*_: Any, **settings: Any) -> list[list[int]]:
        if settings != works:
            raise TypeError("no such memory")
        return [[7]]

    monkeypatch.setattr(answering, "_generated", generated)
    model: Any = SimpleNamespace(config=SimpleNamespace(name_or_path="odd"))
    with pytest.warns(UserWarning, match="model 'odd' generates without its cache: TypeError: no such memory"):
        assert answering.answers(model, None, [[1]], 1, bool) == [[7]]
    works.clear()
    works["never"] = True
    with (
        pytest.warns(UserWarning),
        pytest.raises(ModelError, match="model 'odd' cannot generate: TypeError: no such memory; take it for choice"),
    ):
        answering.answers(model, None, [[1]], 1, bool)
