"""The conformance checks pass what is sound and catch each fault that they promise to catch."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from w2s_bench.domains.task import TaskDomain
from w2s_bench.errors import EvidenceError
from w2s_bench.isolation.surroundings import current_umask
from w2s_bench.testing import check_domain, check_model, check_trust_function, synthetic_evidence, trust_function_checks
from w2s_bench.testing.smallest import moved, smallest
from w2s_bench.types import IntArray, Kind, Need

PROBS, LOGPROBS = Need("teacher", "choice_probs"), Need("teacher", "label_logprobs")
STATES, VERIFIED = Need("teacher", "hidden_states", -1), Need("verifier", "label_logprobs")
KINDS: tuple[Kind, ...] = ("choice", "generate")


class Sound:
    """Mean log-probability of the label; the faulty ones below change one thing."""

    supervision: Any = "trust_set"
    needs: Any = (LOGPROBS,)
    scope: Any = "row"

    def fit(self, evidence: Any, correct: Any, *, rng: Any) -> None:
        self.prior = correct.mean()

    def score(self, evidence: Any, *, rng: Any) -> Any:
        return np.array([row.mean() for row in evidence.label_logprobs()])


def faulty(**changes: Any) -> Callable[[], Any]:
    return type("Faulty", (Sound,), changes)


def undeclared(self: Any, evidence: Any, *, rng: Any) -> Any:
    return evidence.hidden_states(layer=-1)[:, 0]


def ranks(self: Any, evidence: Any, *, rng: Any) -> Any:
    return np.argsort(np.argsort(Sound.score(self, evidence, rng=rng))) / len(evidence)


def counts_calls(self: Any, evidence: Any, *, rng: Any) -> Any:
    self.calls = getattr(self, "calls", 0) + 1
    return np.full(len(evidence), float(self.calls))


def reseeds(self: Any, evidence: Any, *, rng: Any) -> Any:
    np.random.seed(0)
    return Sound.score(self, evidence, rng=rng)


def writes(self: Any, evidence: Any, *, rng: Any) -> Any:
    values = evidence.label_logprobs().values
    values *= 2
    return values[: len(evidence)]


def writes_correct(self: Any, evidence: Any, correct: Any, *, rng: Any) -> None:
    correct[0] = True


def position(self: Any, evidence: Any, *, rng: Any) -> Any:
    return evidence.label_index.astype(float)


def needs_both(self: Any, evidence: Any, correct: Any, *, rng: Any) -> None:
    states = evidence.hidden_states()
    self.direction = states[correct].mean(axis=0) - states[~correct].mean(axis=0)


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "supervision": (faulty(supervision="gold"), "supervision must be one of"),
    "kinds": (faulty(kinds="choice"), "kinds must be a tuple"),
    "needs raises": (faulty(needs=property(lambda self: 1 / 0)), "needs raised ZeroDivisionError"),
    "parameters": (lambda depth: Sound(), "needs a value for depth"),  # type: ignore[dict-item]
    "verifier": (faulty(supervision="none", needs=(VERIFIED,)), "trained on the trust set's gold"),
    "undeclared": (faulty(score=undeclared), "which it did not declare"),
    "verifier in fit": (
        faulty(needs=(VERIFIED,), fit=lambda s, e, c, *, rng: e.label_logprobs("verifier")),
        "trained on these very rows",
    ),
    "list": (faulty(score=lambda s, e, *, rng: [0.0] * len(e)), "returned list"),
    "shape": (faulty(score=lambda s, e, *, rng: np.zeros((len(e), 1))), r"returned shape \(40, 1\)"),
    "nan": (faulty(score=lambda s, e, *, rng: np.full(len(e), np.nan)), "40 scores that are not finite"),
    "text": (faulty(score=lambda s, e, *, rng: np.array(e.labels)), "array of <U"),
    "global rng": (faulty(score=lambda s, e, *, rng: np.random.random(len(e))), "take all randomness from `rng`"),
    "reseeds": (faulty(score=reseeds), "in score it changed numpy's global generator"),
    "pool scope": (faulty(score=ranks), 'declare scope = "pool"'),
    "row order": (faulty(score=lambda s, e, *, rng: rng.random(len(e))), 'declare scope = "pool"'),
    "ids": (faulty(score=lambda s, e, *, rng: np.array([float(int(i[:6], 16)) for i in e.ids])), "rows' ids"),
    "position": (faulty(score=position), "order of the options"),
    "state": (faulty(score=counts_calls), "a second call of score"),
    "gold of the pool": (
        faulty(score=lambda s, e, *, rng: np.array([float(len(g)) for g in e._evidence.answers])),
        r"the gold of the pool; .*smallest counter-example: row \d+ alone",
    ),
    "answers": (faulty(score=lambda s, e, *, rng: np.array([len(g) for g in e.answers])), "evidence has no 'answers'"),
    "take": (faulty(score=lambda s, e, *, rng: np.zeros(len(e.take([0])))), "evidence has no 'take'"),
    "sets": (faulty(score=lambda s, e, *, rng: setattr(e, "cache", {})), "set 'cache' of the evidence"),
    "replaces": (faulty(fit=lambda s, e, c, *, rng: setattr(e, "prompts", ())), "set 'prompts' of the evidence"),
    "deletes": (faulty(score=lambda s, e, *, rng: delattr(e, "ids")), "deleted 'ids' of the evidence"),
    "unlocks": (
        faulty(score=lambda s, e, *, rng: e.label_index.setflags(write=True)),
        "cannot set WRITEABLE flag to True",
    ),
    "order of the pool": (
        faulty(scope="pool", score=lambda s, e, *, rng: np.cumsum([float(len(t)) for t in e.labels])),
        r"order of the rows .*smallest counter-example: 2 rows",
    ),
    "writes evidence": (faulty(score=writes), "work on copies"),
    "writes correct": (faulty(fit=writes_correct), "work on copies"),
    "gold": (faulty(score=lambda s, e, *, rng: np.array([len(g) for g in e.gold])), "privileged track alone"),
    "one-sided": (
        faulty(needs=(STATES,), fit=needs_both, score=lambda s, e, *, rng: e.hidden_states() @ s.direction),
        "trust set with all labels right",
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning", "ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_caught_and_named(name: str) -> None:
    factory, message = FAULTS[name]
    with pytest.raises(AssertionError, match=message):
        check_trust_function(factory, ("choice",))


def counter_example(factory: Callable[[], Any]) -> str:
    with pytest.raises(AssertionError) as caught:
        check_trust_function(factory, ("choice",))
    return str(caught.value).partition("smallest counter-example: ")[2]


def test_a_failure_shows_the_fewest_rows_on_which_the_rule_is_broken() -> None:
    def two_ambers(self: Any, evidence: Any, *, rng: Any) -> Any:
        """Every score but that of a first label of amber, which hangs on whether there is a second."""
        ambers = [row for row, label in enumerate(evidence.labels) if "amber" in label]
        scores = np.array([float(len(label)) for label in evidence.labels])
        if len(ambers) > 1:
            scores[ambers[0]] += 10 + rng.random()
        return scores

    shown = counter_example(
        faulty(scope="pool", score=lambda s, e, *, rng: two_ambers(s, e, rng=np.random.default_rng()))
    )
    assert shown.startswith("2 rows (") and "amber" in shown and "at first" in shown
    ids = counter_example(faulty(score=lambda s, e, *, rng: np.array([float(int(i[:6], 16)) for i in e.ids])))
    assert ids.startswith("row ") and " alone; " in ids and "in disguise" in ids
    one_nan = faulty(score=lambda s, e, *, rng: np.array([np.nan if "amber" in t else 0.0 for t in e.labels]))
    assert "alone, the first label ' amber" in counter_example(one_nan)

    few = faulty(fit=lambda s, e, c, *, rng: 1 / (len(c) < 5))
    assert counter_example(few).startswith("5 rows (")


def test_the_smallest_rows_are_found() -> None:
    asked: list[int] = []

    def broken(rows: IntArray) -> bool:
        asked.append(len(rows))
        if 5 in rows and 6 not in rows:
            raise AssertionError("of another kind")
        return {11, 30} <= set(rows.tolist())

    assert smallest(np.arange(40), broken).tolist() == [11, 30]
    assert smallest(np.arange(40), lambda rows: True).tolist() == [39]
    assert len(asked) <= 120


def test_what_draws_from_its_generator_may_hang_on_the_order_of_the_pool() -> None:
    check_trust_function(faulty(scope="pool", score=lambda s, e, *, rng: rng.random(len(e))))


def test_sound_functions_pass() -> None:
    check_trust_function(Sound)
    check_trust_function(faulty(score=ranks, scope="pool"))
    gold = faulty(
        supervision="privileged",
        needs=(),
        score=lambda s, e, *, rng: np.array([float(g == t) for g, t in zip(e.gold, e.labels, strict=True)]),
    )
    check_trust_function(gold)


def test_fit_is_never_called_for_supervision_none() -> None:
    check_trust_function(faulty(supervision="none", fit=lambda *_, **__: pytest.fail("fit was called")))


def test_a_function_for_one_kind_of_domain() -> None:
    choice_only = faulty(needs=(PROBS,), score=lambda s, e, *, rng: np.array([p.max() for p in e.choice_probs()]))
    check_trust_function(choice_only, ("choice",))
    with pytest.raises(AssertionError, match="`choices` is None"):
        check_trust_function(choice_only)
    said_so = faulty(kinds=("choice",), needs=choice_only().needs, score=choice_only().score.__func__)
    check_trust_function(said_so)


def test_a_need_of_one_kind_of_domain() -> None:
    needs = (Need("teacher", "choice_probs", when="choice"), Need("teacher", "label_logprobs", when="generate"))

    def score(self: Any, evidence: Any, *, rng: Any) -> Any:
        rows = evidence.label_logprobs() if evidence.choices is None else evidence.choice_probs()
        return np.array([row.max() for row in rows])

    check_trust_function(faulty(needs=needs, score=score))
    with pytest.raises(AssertionError, match="declared it for generate domains alone"):
        check_trust_function(faulty(needs=needs), ("choice",))


def test_checks_have_names_for_pytest() -> None:
    names = [str(check) for check in trust_function_checks()]
    assert len(set(names)) == len(names)
    assert "rows_are_scored_alone-generate" in names


@pytest.mark.parametrize("kind", KINDS)
def test_synthetic_evidence(kind: Kind) -> None:
    evidence, correct = synthetic_evidence(kind, 400, 3, accuracy=0.7)
    again, _ = synthetic_evidence(kind, 400, 3, accuracy=0.7)
    assert evidence.ids == again.ids == tuple(sorted(set(evidence.ids))) and evidence.labels == again.labels
    assert 0.6 < correct.mean() < 0.8
    assert [g == t for g, t in zip(evidence.answers, evidence.labels, strict=True)] == correct.tolist()
    logprobs = np.array([row.mean() for row in evidence.label_logprobs("verifier")])
    assert (evidence.label_logprobs().values <= 0).all()
    assert logprobs[correct].mean() > logprobs[~correct].mean()
    assert evidence.hidden_states("student", "all").shape == (400, 3, 6)
    np.testing.assert_array_equal(evidence.hidden_states(), evidence.hidden_states(layer="all")[:, -1])
    with pytest.raises(EvidenceError, match="layer 3 of 3"):
        evidence.hidden_states(layer=3)
    if kind == "choice":
        assert evidence.choices is not None and evidence.label_index is not None
        for row, options, at, label in zip(
            evidence.choice_probs(), evidence.choices, evidence.label_index, evidence.labels, strict=True
        ):
            assert row.sum() == pytest.approx(1) and row.argmax() == at and options[at] == label
    else:
        with pytest.raises(EvidenceError, match="label_logprobs"):
            evidence.choice_probs()


def test_disguise_and_subset_keep_rows_together() -> None:
    evidence, _ = synthetic_evidence("choice", 50, 0)
    for other, rows in ((evidence.disguised(1), range(50)), (evidence.take([9, 2]), [9, 2])):
        assert other.choices is not None and other.label_index is not None
        for i, row in enumerate(rows):
            assert other.choices[i][other.label_index[i]] == evidence.labels[row] == other.labels[i]
            assert other.choice_probs()[i].max() == evidence.choice_probs()[row].max()
            assert other.choice_probs()[i].argmax() == other.label_index[i]
    assert set(evidence.disguised(1).ids).isdisjoint(evidence.ids)


YAML = """
task: made_up
custom_dataset: !function loader.load
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
num_fewshot: 0
metric_list:
  - metric: acc
"""
GENERATE = """
task: made_up
custom_dataset: !function loader.load
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "#### {{answer}}"
num_fewshot: 0
generation_kwargs: {until: ["\\n"], do_sample: false, max_gen_toks: 4}
filter_list:
  - name: number
    filter:
      - function: regex
        regex_pattern: "#### ([0-9]+)"
      - function: take_first
metric_list:
  - metric: exact_match
"""
LOADER = """
import json, pathlib
def load(**_):
    from datasets import Dataset
    return {"test": Dataset.from_list(json.loads(pathlib.Path(__file__).with_name("items.json").read_text()))}
"""


def made_up_domain(folder: Path, change: Callable[[list[dict[str, Any]]], None] = lambda _: None) -> TaskDomain:
    items = [
        dict.fromkeys(("id", "group", "key", "stratum"), str(i))
        | {"question": f"{i}?", "choices": ["a", "b"], "answer": i % 2}
        for i in range(8)
    ]
    change(items)
    (folder / "items.json").write_text(json.dumps(items))
    (folder / "loader.py").write_text(LOADER)
    (folder / "made_up.yaml").write_text(YAML)
    return TaskDomain(name="made-up", version="1", kind="choice", yaml=folder / "made_up.yaml", task_name="made_up")


def made_up_sums(folder: Path, gold: Callable[[int], str], limit: int = 4) -> TaskDomain:
    """A domain that generates: eight questions, each with this gold."""
    domain = made_up_domain(
        folder, lambda items: [item.update(answer=gold(n)) for n, item in enumerate(items)] and None
    )
    text = GENERATE.replace("#### {{answer}}", "{{answer}}").replace("max_gen_toks: 4", f"max_gen_toks: {limit}")
    text = text.replace('function: regex\n        regex_pattern: "#### ([0-9]+)"', "function: remove_whitespace")
    domain.yaml.write_text(text)
    return replace(domain, kind="generate", max_new_tokens=limit)


def test_gold_that_an_answer_has_no_room_for(tmp_path: Path, sources: Any) -> None:
    check_domain(made_up_sums(tmp_path, str), models=[sources["words"], sources["bos"]])
    for long in ("one two three four five", "one\ntwo"):
        with pytest.raises(AssertionError, match=r"1 of 8 items cannot be answered right, .*[(]3[)]; take that"):
            check_domain(made_up_sums(tmp_path, lambda n, long=long: long if n == 3 else str(n)))
    # One word, of which a tokenizer of words has one token, and one of letters more.
    domain = made_up_sums(tmp_path, lambda n: "façadenaïve" if n == 3 else str(n))
    check_domain(domain, models=[sources["words"]])
    with pytest.raises(AssertionError, match="the gold of 1 of 8 items takes more tokens than an answer may have"):
        check_domain(domain, models=[sources["words"], sources["bpe"]])


def test_a_tokenizer_that_closes_every_text(tmp_path: Path, tokenizers: Any) -> None:
    from tokenizers import processors

    from conftest import bpe_tokenizer, random_model
    from w2s_bench.models.origins import LocalModel

    tokenizer = bpe_tokenizer()
    raw = tokenizer.backend_tokenizer
    raw.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", raw.token_to_id("</s>"))]
    )
    random_model(tokenizer).save_pretrained(tmp_path / "closing")
    tokenizer.save_pretrained(tmp_path / "closing")
    model = LocalModel("closing", tmp_path / "closing")
    with pytest.raises(AssertionError, match="its tokenizer ends every text with '</s>' by itself"):
        check_model(model)
    with pytest.raises(AssertionError, match="its tokenizer ends every text with '</s>' by itself"):
        check_domain(made_up_domain(tmp_path), models=[model])


def test_a_sound_domain_passes(tmp_path: Path) -> None:
    check_domain(made_up_domain(tmp_path))


def test_of_a_large_domain_a_part_is_looked_at_and_its_task_loaded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "domain"  # what lies in it is what the domain is
    folder.mkdir()
    domain = made_up_domain(folder, lambda items: items[5].update(choices=["a", " "]))
    counted = f"def load(**_):\n    open({str(tmp_path / 'loads')!r}, 'a').write('x')\n"
    (folder / "loader.py").write_text(LOADER.replace("def load(**_):\n", counted))
    with pytest.raises(AssertionError, match="option 2 of item '5' is empty"):
        check_domain(domain)
    (tmp_path / "loads").unlink()
    monkeypatch.setattr("w2s_bench.testing.domains._MOST_MADE", 4)
    said: list[str] = []
    check_domain(domain, tell=said.append)
    assert said[:3] == [
        "its task is loaded",
        "items, of one in 2 of 8 documents",
        "items, the task loaded anew, of one in 2 of 8 documents",
    ]
    assert len((tmp_path / "loads").read_text()) == 2, "once, and anew to see whether it comes again"


DOMAIN_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "id": ({"id": "1"}, "two items have the id '1'"),
    "empty option": ({"choices": ["a", " "]}, "option 2 of item '3' is empty"),
    "missing option": ({"choices": [None, "b"]}, "option 1 of item '3' is empty"),
    "contrary": (
        {"question": "2?"},
        "items '2' and '3' ask the same, '2[?]', under the keys '2' and '3', and their golds",
    ),
    "key": ({"key": "1"}, "same question .key '1'. in two groups"),
    "gold": ({"answer": 5}, "is none of the options"),
    "stratum": ({"stratum": ""}, "stratum of a document must be a non-empty string"),
}


@pytest.mark.parametrize("name", DOMAIN_FAULTS)
def test_faults_of_a_domain_are_caught(tmp_path: Path, name: str) -> None:
    change, message = DOMAIN_FAULTS[name]
    with pytest.raises(AssertionError, match=message):
        check_domain(made_up_domain(tmp_path, lambda items: items[3].update(change)))


def test_an_item_with_two_equal_options_is_left_out_and_told(tmp_path: Path) -> None:
    domain = made_up_domain(tmp_path, lambda items: items[3].update(choices=["a", "a"]))
    with pytest.warns(UserWarning, match="made-up: 1 of 8 items were left out, as they have two equal options .3.$"):
        check_domain(domain)


@pytest.mark.parametrize("options", [["a"], []])
def test_an_item_with_fewer_than_two_options_is_left_out_and_told(tmp_path: Path, options: list[str]) -> None:
    domain = made_up_domain(tmp_path, lambda items: items[3].update(choices=options))
    with pytest.warns(
        UserWarning, match="made-up: 1 of 8 items were left out, as they have fewer than two options .3.$"
    ):
        check_domain(domain)


def test_one_question_under_one_key_with_contrary_golds_is_told(tmp_path: Path) -> None:
    same = dict.fromkeys(("group", "key"), "2") | {"question": "2?"}
    domain = made_up_domain(tmp_path, lambda items: items[3].update(same))
    with pytest.warns(UserWarning, match="made-up: 1 question .2 items. has contrary golds, such as '2[?]': "):
        check_domain(domain)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_domain_of_too_few_groups_cannot_be_split(tmp_path: Path, groups: int) -> None:
    def share(items: list[dict[str, Any]]) -> None:
        for n, item in enumerate(items):
            item["group"] = str(n % groups)

    with pytest.raises(AssertionError, match=rf"made-up: its 8 items are of {groups} groups?, and cannot be split"):
        check_domain(made_up_domain(tmp_path, share))


def test_splits_are_cut_as_a_run_would(tmp_path: Path) -> None:
    def alone(items: list[dict[str, Any]]) -> None:
        del items[3:]

    with pytest.raises(AssertionError, match=r"splits of a seed failed: .* 3 items in 3 groups, too few for sizes"):
        check_domain(made_up_domain(tmp_path, alone))


def test_numbers_are_taken_as_ids(tmp_path: Path) -> None:
    check_domain(made_up_domain(tmp_path, lambda items: [item.update(id=n, group=n) for n, item in enumerate(items)]))


def test_a_domain_that_cannot_be_loaded(tmp_path: Path) -> None:
    domain = made_up_domain(tmp_path)
    (tmp_path / "loader.py").write_text("def load(**_): 1 / 0")
    with pytest.raises(AssertionError, match=r"making the domain.s items raised ZeroDivisionError"):
        check_domain(domain)


def test_a_restless_fingerprint(tmp_path: Path) -> None:
    domain = made_up_domain(tmp_path)
    prints = iter("ab")
    same = ("name", "version", "kind", "max_new_tokens", "task", "fields")
    restless: Any = SimpleNamespace(**{k: getattr(domain, k) for k in same}, fingerprint=lambda: next(prints))
    with pytest.raises(AssertionError, match="fingerprint"):
        check_domain(restless)


def test_a_generate_domain_whose_gold_is_graded_wrong(tmp_path: Path) -> None:
    domain = replace(made_up_domain(tmp_path), kind="generate", max_new_tokens=4)
    # The filter keeps the number alone, the target has the mark too: nothing could ever be right.
    domain.yaml.write_text(GENERATE)
    with pytest.raises(AssertionError, match="its own gold is not right by its task's filter and metric 'exact_match'"):
        check_domain(domain)
    domain.yaml.write_text(GENERATE.replace("exact_match", 'exact_match\n    regexes_to_ignore: ["#### "]'))
    check_domain(domain)


def test_a_metric_between_right_and_wrong(tmp_path: Path) -> None:
    domain = made_up_sums(tmp_path, lambda n: f"{n} apples")
    check_domain(domain)
    (tmp_path / "loader.py").write_text(f"{LOADER}\ndef half(document, results):\n    return {{'exact_match': HALF}}\n")
    loader = (tmp_path / "loader.py").read_text()
    (tmp_path / "loader.py").write_text(
        loader.replace("HALF", "1.0 if results[0].strip() == document['answer'] else 0.5")
    )
    domain.yaml.write_text(domain.yaml.read_text() + "process_results: !function loader.half\n")
    with pytest.raises(AssertionError, match=r"domain 'made-up': item 0, answer '': metric 'exact_match' gave 0\.5"):
        check_domain(domain)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(["<unk>", "<eos>", "a", "b"])}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="<eos>").save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=4, **sizes)).save_pretrained(folder)
    return folder


def test_models(model_folder: Path, tmp_path: Path) -> None:
    from w2s_bench.models.origins import LocalModel

    check_model(LocalModel("made-up", model_folder))
    copy = tmp_path / "copy"
    shutil.copytree(model_folder, copy)
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("eos_token")
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    (copy / "special_tokens_map.json").unlink(missing_ok=True)
    with pytest.raises(AssertionError, match="end-of-sequence"):
        check_model(LocalModel("made-up", copy))


def test_a_model_that_tells_its_size_must_tell_it_rightly(model_folder: Path) -> None:
    from w2s_bench.models.origins import LocalModel
    from w2s_bench.types import ModelSize

    class Telling(LocalModel):
        told: object = ModelSize(parameters=7)

        def size(self) -> Any:
            return self.told

    with pytest.raises(AssertionError, match=r"tells 7 parameters, it has \d+; count tied ones once"):
        check_model(Telling("made-up", model_folder))
    Telling.told = {"parameters": 7}
    with pytest.raises(AssertionError, match=r"size\(\) gave a dict; give a w2s_bench.ModelSize"):
        check_model(Telling("made-up", model_folder))
    Telling.told = None
    check_model(Telling("made-up", model_folder))


class Rounding(Sound):
    """As a network in float32: the last digits of a row depend on how many rows stand beside it. `by` of the range."""

    scope = "row"

    def __init__(self, by: float) -> None:
        self.by = by

    def score(self, evidence: Any, *, rng: np.random.Generator) -> Any:
        scores = np.array([len(label) + float(sum(map(ord, label)) % 97) for label in evidence.labels])
        return 1000 * scores + self.by * 1000 * 90 * np.sin(len(scores) + np.arange(len(scores)))


def row_check() -> Callable[[Any], None]:
    return next(check for check in trust_function_checks() if str(check) == "rows_are_scored_alone-choice")


def test_rounding_is_no_broken_scope_and_what_is_more_is() -> None:
    row_check()(lambda: Rounding(2e-5))
    with pytest.raises(
        AssertionError, match=r"other rows or their order \(by up to .*, where half of all scores lie within"
    ):
        row_check()(lambda: Rounding(5e-3))


def check_of(name: str) -> Callable[[Any], None]:
    return next(check for check in trust_function_checks() if str(check) == f"{name}-choice")


def abstaining(of: Callable[[Any], Any], rows: slice, scope: str = "row", by: float = -1e9) -> Callable[[], Any]:
    """A function that gives `rows` of the ids' order one score far from all others; ids come in their order but in subsets."""
    chosen = set(synthetic_evidence("choice", 40, 1)[0].labels[rows])

    def score(self: Any, evidence: Any, *, rng: Any) -> Any:
        scores = np.asarray(of(evidence), dtype=np.float64)
        return np.where([label in chosen for label in evidence.labels], by, scores)

    return faulty(score=score, scope=scope, supervision="none")


def likely(evidence: Any) -> Any:
    return Sound.score(None, evidence, rng=None)  # type: ignore[arg-type]


BLINDED: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "the pool's mean": ("rows_are_scored_alone", lambda e: likely(e) - likely(e).mean(), "row"),
    "order": ("row_order_means_nothing", lambda e: likely(e) + np.arange(len(e)), "pool"),
    "ids": ("ids_and_option_order_mean_nothing", lambda e: [int(i[:4].encode().hex(), 16) / 1e9 for i in e.ids], "row"),
    "options": ("ids_and_option_order_mean_nothing", lambda e: e.label_index, "row"),
}


@pytest.mark.parametrize("rows", [slice(0, 1), slice(0, 15), slice(0, 34)], ids=["one", "some", "most"])
@pytest.mark.parametrize("name", BLINDED)
def test_rows_that_a_function_abstains_from_hide_nothing_of_the_others(name: str, rows: slice) -> None:
    rule, of, scope = BLINDED[name]
    with pytest.raises(AssertionError, match="scores change with"):
        check_of(rule)(abstaining(of, rows, scope))
    check_trust_function(abstaining(likely, rows), ("choice",))


def test_rounding_of_float32_is_no_fault_wherever_the_scores_lie() -> None:
    among = np.random.default_rng(0)
    noise = 4e-6 * among.uniform(-1, 1, 40)
    spread = among.normal(size=40)
    lone = np.where(np.arange(40) == 7, 5.0, 0.0)
    halves = np.where(np.arange(40) < 20, 0.0, 1.0)
    for scores in (
        spread,
        1000 + spread,
        np.exp(60 * spread),
        np.full(40, 0.3),
        np.where(np.arange(40) == 7, 5.0, 0.3),
        lone,
        halves,
        np.where(np.arange(40) == 7, -1e9, spread),
        np.zeros(40),
    ):
        assert moved(scores, scores * (1 + noise), scores) is None
    assert moved(lone, lone + 1e-7 * noise / 4e-6, lone) is None
    with_one = np.where(np.arange(40) == 7, -1e9, spread)
    assert moved(with_one, with_one + 0.01, with_one) is not None
    assert moved(np.full(40, 0.5), np.full(40, 0.501), np.full(40, 0.5)) is not None


def test_scores_that_are_all_equal_may_differ_by_rounding_alone() -> None:
    class Constant(Rounding):
        def score(self, evidence: Any, *, rng: np.random.Generator) -> Any:
            return np.full(len(evidence.labels), 0.5 + self.by * len(evidence.labels))

    row_check()(lambda: Constant(1e-10))
    with pytest.raises(AssertionError, match="other rows"):
        row_check()(lambda: Constant(1e-3))


def test_a_function_that_remembers_the_first_pool_it_saw_is_found() -> None:
    class Remembers(Rounding):
        def score(self, evidence: Any, *, rng: np.random.Generator) -> Any:
            lengths = np.array([float(len(label)) for label in evidence.labels])
            self.mean = getattr(self, "mean", lengths.mean())
            return lengths - self.mean

    with pytest.raises(AssertionError, match="other rows"):
        row_check()(lambda: Remembers(0))


def test_all_checks_fit_and_score_few_rows_few_times() -> None:
    """So that a network of a second's training is checked in seconds."""
    fits: list[int] = []
    scored: list[int] = []

    class Counted(Sound):
        supervision = "trust_set"

        def fit(self, evidence: Any, correct: Any, *, rng: np.random.Generator) -> None:
            fits.append(len(correct))

        def score(self, evidence: Any, *, rng: np.random.Generator) -> Any:
            scored.append(len(evidence.labels))
            return super().score(evidence, rng=rng)

    check_trust_function(Counted)
    assert len(fits) <= 16 and max(fits) <= 32
    assert len(scored) <= 36 and max(scored) <= 40


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
    "variable": (lambda: os.environ.update(W2S_MADE_UP="1"), lambda: "W2S_MADE_UP" in os.environ, "the environment"),
    "numpy": (lambda: np.seterr(divide="ignore"), lambda: np.geterr()["divide"], "what numpy does on errors"),
    "folder": (lambda: os.chdir("/"), os.getcwd, "the working directory"),
    "umask": (lambda: os.umask(0o070), current_umask, "the umask"),
    "signal": (
        lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGUSR1),
        "the handlers of signals",
    ),
    "generator": (lambda: random.seed(0), random.getstate, "the generator of Python's `random`"),
}


@pytest.mark.parametrize("method", ["fit", "score"])
@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_function_changes_for_good_is_told_by_its_own_rule_and_put_back(name: str, method: str) -> None:
    change, state, told = SETTINGS[name]
    done: list[bool] = []

    def spoilt(self: Any, *given: Any, rng: Any) -> Any:
        if not done:  # as a library's first use does
            change()
        done.append(True)
        return getattr(Sound, method)(self, *given, rng=rng)

    before, broken = state(), {}
    for check in trust_function_checks(("choice",)):
        try:
            check(faulty_of(spoilt, method))
        except AssertionError as error:
            broken[check.name] = str(error)
        assert state() == before, check.name
    assert list(broken) == ["process_left_as_found"], broken
    assert f"in {method} it changed {told}" in broken["process_left_as_found"]


@functools.cache
def faulty_of(method: Callable[..., Any], name: str) -> Callable[[], Any]:
    return faulty(**{name: method})


def test_what_building_a_function_sets_is_put_back_and_no_fault() -> None:
    def set_variable(self: Any) -> None:
        os.environ["W2S_MADE_UP"] = "1"

    check_trust_function(faulty(__init__=set_variable), ("choice",))
    assert "W2S_MADE_UP" not in os.environ


DTYPE = """
import sys
import numpy as np
from w2s_bench import Need
from w2s_bench.testing import trust_function_checks

class Doubling:
    supervision, scope, needs = "none", "row", (Need("teacher", "label_logprobs"),)
    def score(self, evidence, *, rng):
        import torch
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(3)
        return np.array([row.mean() for row in evidence.label_logprobs()])

assert "torch" not in sys.modules
for check in trust_function_checks(("choice",)):
    try:
        check(Doubling)
    except AssertionError as error:
        print(check.name, error)
import torch
print(torch.get_default_dtype())
"""


def test_what_is_changed_of_torch_by_whoever_first_loads_it_is_told() -> None:
    told = subprocess.run([sys.executable, "-c", DTYPE], capture_output=True, text=True, check=True).stdout
    rule, dtype = told.strip().splitlines()
    assert rule.startswith("process_left_as_found ") and "set_default_dtype from torch.float32 to torch.float64" in rule
    assert "torch's global generator" in rule and dtype == "torch.float32"
