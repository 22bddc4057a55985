"""Chats are those of `lm_eval.evaluate(..., apply_chat_template=True)` with `HFLM`: prompts, token ids, scores, answers, grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from domains.test_lm_eval import ROWS, write, write_task
from protocol.test_lm_eval_parity import Protocol
from w2s_bench.models.encoding import encode_pairs, encode_prompts
from w2s_bench.models.origins import LocalModel
from w2s_bench.names import DATA_VARIABLE
from w2s_bench.plugins.registry import Registry

#: It writes the tokenizer's BOS itself, as the templates of Llama and Gemma do.
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m.role }}\n{{ m.content | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)
#: It writes none, so that the tokenizer adds its own.
WITHOUT_BOS = TEMPLATE.removeprefix("{{ bos_token }}")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
TEMPLATES = {"bos": TEMPLATE, "no_bos": WITHOUT_BOS, "no_system": NO_SYSTEM + TEMPLATE}


@pytest.fixture(scope="module")
def chatty(sources: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LocalModel]:
    """A random model whose tokenizer adds BOS, with room for examples, and each of the templates."""
    model, tokenizer = sources["bos"].load()
    model.config.max_position_embeddings = tokenizer.model_max_length = 2048
    out = {}
    for name, template in TEMPLATES.items():
        folder = tmp_path_factory.mktemp(name)
        tokenizer.chat_template = template
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        out[name] = LocalModel(f"local/{folder}", folder)
    return out


def by_lm_eval(source: LocalModel, domain: Any, system: str | None) -> list[dict[str, Any]]:
    """What lm-eval finds for the test documents, with the domain's examples before them."""
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks._yaml_loader import load_yaml

    from w2s_bench.domains.task_data import read_splits

    name = domain.facts.name
    dataset = read_splits(domain.files, "")
    keys = {k: v for k, v in load_yaml(domain.path).items() if k not in ("tag", "fewshot_split", "fewshot_config")}
    keys |= {"custom_dataset": lambda **_: dataset, "dataset_kwargs": {}, "num_fewshot": domain.given.num_fewshot}
    if examples := [dict(example) for example in domain.task().examples]:
        keys["fewshot_config"] = {"sampler": "first_n", "samples": examples}
    if domain.kind == "generate":
        keys["generation_kwargs"] = {**keys["generation_kwargs"], "max_gen_toks": domain.max_new_tokens}
    model, tokenizer = source.load()
    found: Any = evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1, device="cpu"),
        {name: ConfigurableTask(config=keys)},
        log_samples=True,
        bootstrap_iters=0,
        apply_chat_template=True,
        fewshot_as_multiturn=True,
        system_instruction=system,
    )
    return [sample for sample in found["samples"][name] if sample["filter"] in ("none", "strict-match")]


@pytest.mark.slow
@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize(
    ("task", "template", "system"),
    [
        ("arc_easy", "bos", None),
        ("arc_easy", "bos", "Answer in few words."),
        ("arc_easy", "no_bos", "Answer in few words."),
        ("mmlu_anatomy", "no_system", "Answer in few words."),
        ("gsm8k", "bos", "Answer in few words."),
    ],
)
def test_a_chat_is_the_one_of_lm_eval(
    shots: int,
    task: str,
    template: str,
    system: str | None,
    chatty: dict[str, LocalModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    write_task(tmp_path, task)
    if task == "mmlu_anatomy":  # its examples have a split of their own
        write(tmp_path, task, "dev", [ROWS[task](n) for n in range(30, 35)])
    source = chatty[template]
    asked: dict[str, Any] = {"num_fewshot": shots, "apply_chat_template": source.name}
    asked |= {"system_prompt": system} if system else {}
    asked |= {"max_new_tokens": 8} if task == "gsm8k" else {}
    asked |= {"train": "train"} if task == "mmlu_anatomy" else {}
    domain: Any = Registry.load().domain(f"lm-eval/{task}", **asked)
    ours = Protocol(domain, tmp_path / "out", source)
    items, labels = ({one.id: one for one in some} for some in (ours.items, ours.labels))
    samples = by_lm_eval(source, domain, system)
    assert len(samples) == 6
    _, tokenizer = source.load()
    for sample in samples:
        name = f"test-{sample['doc_id']}"
        item, label = items[name], labels[name]
        prompt = item.prompt
        assert prompt.count("<turn>user") == shots + 1 == prompt.count("<turn>assistant")
        assert prompt.startswith("<s>") is (template != "no_bos")
        assert bool(system and system in prompt) is (template != "no_system" and system is not None)
        if task == "gsm8k":
            assert prompt == sample["arguments"][0][0]
            assert label.answer == sample["resps"][0][0]
            assert ours.grades[name] == bool(sample["exact_match"])
            (read,) = encode_prompts(tokenizer, [prompt])
        else:
            assert [(prompt, option) for option in item.choices or ()] == sample["arguments"]
            assert label.choice_scores == pytest.approx([resp[0][0] for resp in sample["resps"]], abs=1e-4)
            assert ours.grades[name] == bool(sample["acc"])
            pairs = encode_pairs(tokenizer, sample["arguments"], max_length=2048)
            read = [*pairs[0].prompt, *pairs[0].completion]
        assert read[0] == tokenizer.bos_token_id and read.count(tokenizer.bos_token_id) == 1
