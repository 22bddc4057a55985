"""Greedy answers, decoded by the engine, by transformers' `generate` on left-padded batches, and by CTranslate2."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pairing import best_batch, paired
from texts import bundled, bundled_domain, model, size_of, texts, tokenizer
from w2s_bench.models import greedy as generation
from w2s_bench.models.encoding import encode
from w2s_bench.models.onednn import fast_products

TITLE = "Generation: greedy answers against left-padded `model.generate`"
TARGET = (
    "From prompts to texts, the same model on one thread, both in batches of like length; the same answers, text for text "
    "(checked in every run). `generate` has the batch size that is fastest for it, found by a search over 8, 16, 32, 64, "
    "128 and 256, and stops when every row of a batch has ended. `math` are the domain's own prompts and its student, which "
    "ends its answers; the others are prompts of 20 to 60 tokens and untrained models, which run to the limit or, with a "
    "few more end tokens, end anywhere. Target ≥ 1.5 ×. CTranslate2, where installed, has float32 and its best batch of the "
    "same search; `faster than CTranslate2` is the engine against it, `its texts` how many of its answers are the engine's, and "
    "`its conversion`, which every newly trained model needs, is not in its time."
)
BATCHES = (8, 16, 32, 64, 128, 256)
SHAPES = {"1M": (128, 4), "5M": (256, 6), "11M": (384, 6), "26M": (512, 8)}


def run(quick: bool, sizes: tuple[str, ...] = ("math", "1M", "5M")) -> list[dict[str, str | float]]:
    rounds, rows = 1 if quick else 3, []
    if "math" in sizes:
        domain = bundled_domain("math")
        task = domain.task()
        math = [task.doc_to_text(document) for document in list(task.eval_docs)[: 60 if quick else 1000]]
        trained, words = bundled("math-l")
        rows.append({"prompts": "math", **compared(trained, words, math, int(domain.max_new_tokens or 0), rounds)})
    lengths = np.random.default_rng(0).integers(20, 61, size=16 if quick else 128).tolist()
    prompts = texts(lengths, 3)
    for size in sizes:
        if size not in SHAPES:
            continue
        made = model(*SHAPES[size])
        rows.append({"prompts": "to the limit", **compared(made, tokenizer(), prompts, 32, rounds)})
        made.generation_config.eos_token_id = made.config.eos_token_id = ends_of(made, prompts)
        rows.append({"prompts": "ending anywhere", **compared(made, tokenizer(), prompts, 32, rounds)})
    return rows


def compare(quick: bool, size: str) -> list[dict[str, str | float]]:
    return run(quick, (size,))


def ends_of(made: Any, prompts: list[str]) -> list[int]:
    """Tokens that an untrained model says now and then, one answer in twenty a step: answers end at all lengths."""
    from collections import Counter

    answers = generation.generate(made, tokenizer(), prompts, max_new_tokens=32, until=[])
    said = Counter(token for one in answers for token in encode(tokenizer(), [one.text])[0])
    chosen: list[int] = []
    while sum(said[token] for token in chosen) < sum(said.values()) / 20:
        chosen = [token for token, _ in said.most_common()[5 : 6 + len(chosen)]]
    return [*chosen, tokenizer().eos_token_id]


def compared(made: Any, words: Any, prompts: list[str], limit: int, rounds: int) -> dict[str, str | float]:
    words.padding_side = "left"

    def theirs(size: int) -> list[str]:
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        out = [""] * len(prompts)
        for start in range(0, len(prompts), size):
            batch = order[start : start + size]
            inputs = words([prompts[i] for i in batch], return_tensors="pt", padding=True)
            ids = made.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                do_sample=False,
                max_new_tokens=limit,
                pad_token_id=words.pad_token_id,
            )
            new = ids[:, inputs["input_ids"].shape[1] :]
            for i, text in zip(batch, words.batch_decode(new, skip_special_tokens=True), strict=True):
                out[i] = text
        return out

    def ours() -> list[str]:
        with fast_products(made):
            return [one.text for one in generation.generate(made, words, prompts, max_new_tokens=limit, until=[])]

    best = best_batch(theirs, BATCHES, start=32)
    differing = sum(a != b for a, b in zip(ours(), theirs(best), strict=True))
    if differing:
        raise SystemExit(f"{differing} of {len(prompts)} answers differ")
    lengths = [len(ids) for ids in encode(words, prompts)]
    facts = {"answers": len(prompts), "tokens": f"{min(lengths)}–{max(lengths)} + {limit}", "model": size_of(made)}
    row = {**facts, **paired(ours, lambda: theirs(best), rounds=rounds).row(), "their batch": best}
    if importlib.util.find_spec("ctranslate2") is None:
        return row
    begun = time.process_time()
    by_it = by_ctranslate2(made, words, prompts, limit)
    conversion = time.process_time() - begun
    best = best_batch(by_it, BATCHES, start=64)
    alike = sum(a == b for a, b in zip(ours(), by_it(best), strict=True))
    timed = paired(ours, lambda: by_it(best), rounds=rounds)
    of_it = {"faster than CTranslate2": round(timed.ratio, 2), "its batch": best, "its texts": alike}
    return {**row, **of_it, "its conversion, s": round(conversion, 2)}


def by_ctranslate2(made: Any, words: Any, prompts: list[str], limit: int) -> Callable[[int], list[str]]:
    """Texts by batch size. The conversion is not timed."""
    import ctranslate2

    with tempfile.TemporaryDirectory() as place:
        saved, converted = Path(place) / "saved", Path(place) / "converted"
        made.save_pretrained(saved)
        words.save_pretrained(saved)
        ctranslate2.converters.TransformersConverter(str(saved)).convert(str(converted))
        named = (
            converted / "config.json"
        )  # it writes null for a special token that there is not, and refuses to read that
        settings = json.loads(named.read_text())
        named.write_text(json.dumps({name: words.eos_token if it is None else it for name, it in settings.items()}))
        engine = ctranslate2.Generator(
            str(converted), device="cpu", compute_type="float32", inter_threads=1, intra_threads=1
        )
    named_ends = made.generation_config.eos_token_id
    ends = named_ends if isinstance(named_ends, list) else [named_ends]

    def texts_of(size: int) -> list[str]:
        tokens = [words.convert_ids_to_tokens(ids) for ids in encode(words, prompts)]
        done = engine.generate_batch(
            tokens, max_batch_size=size, max_length=limit, include_prompt_in_result=False, end_token=ends
        )
        return [words.decode(one.sequences_ids[0], skip_special_tokens=True) for one in done]

    return texts_of
