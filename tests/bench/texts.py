"""What the benchmarks of the engine read: models of the bundled ones' shapes, untrained, and texts of given lengths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.encoding import encode
from w2s_bench.types import Item


@cache
def tokenizer() -> Any:
    """The bundled tokenizer of the domain knowledge: byte-pair encoding, 1,500 tokens."""
    return bundled("knowledge-l")[1]


def bundled(name: str) -> tuple[Any, Any]:
    """(model, tokenizer) of this name in the wheel; found without entry points, so that a `PYTHONPATH` will do."""
    from w2s_bench_tasks import w2s_models

    loaded: tuple[Any, Any] = w2s_models()[name]().load()
    return loaded


def bundled_domain(name: str) -> Any:
    from w2s_bench_tasks import w2s_domains

    return w2s_domains()[name]()


def model(width: int, layers: int, vocabulary: int | None = None) -> Any:
    """An untrained Llama of this shape, a fixed one; 512 positions; `vocabulary` beyond the tokenizer's is never said."""
    from w2s_bench_tasks.pretraining import new_model

    made = new_model(
        vocab_size=vocabulary or len(tokenizer()),
        width=width,
        layers=layers,
        max_length=512,
        seed=0,
        eos_id=tokenizer().eos_token_id,
        pad_id=tokenizer().pad_token_id,
    )
    for parameter in made.parameters():  # answers that depend on every token: the usual small weights hardly do
        if parameter.dim() > 1:
            parameter.data *= 4
    verdict_of(made.eval())  # the engine asks this as it loads a model
    return made


def size_of(made: Any) -> str:
    return f"{sum(p.numel() for p in made.parameters()) / 1e6:.1f} M parameters"


def texts(lengths: Sequence[int], seed: int) -> list[str]:
    """One text a length, about so many tokens long, of the words of the domain knowledge's items."""
    words = knowledge_words()
    tokens = np.array([len(ids) for ids in encode(tokenizer(), [f" {word}" for word in words])])
    rng = np.random.default_rng(seed)
    out = []
    for length in lengths:
        chosen = rng.integers(len(words), size=length)
        count = int(np.searchsorted(np.cumsum(tokens[chosen]), length)) + 1
        out.append(" ".join(words[i] for i in chosen[:count]))
    return out


@cache
def knowledge_words() -> list[str]:
    task = bundled_domain("knowledge").task()
    return sorted({word for document in task.eval_docs for word in task.doc_to_text(document).split()})


def choice_items(
    lengths: Sequence[int], *, options: int = 4, seed: int = 0, of_options: tuple[int, int] = (1, 5)
) -> list[Item]:
    """Items whose prompts are of these lengths in tokens, options of so many (least, most)."""
    rng = np.random.default_rng(seed)
    least, most = of_options
    answers = texts(rng.integers(least, most + 1, size=options * len(lengths)).tolist(), seed + 1)
    items = []
    for number, prompt in enumerate(texts(lengths, seed + 2)):
        own = tuple(f" {text}" for text in answers[options * number : options * (number + 1)])
        items.append(Item(f"{number:05d}", str(number), str(number), "all", prompt, own))
    return items


def saved(made: Any, folder: Path) -> Path:
    """The model and the tokenizer on disk, as transformers loads them."""
    made.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
