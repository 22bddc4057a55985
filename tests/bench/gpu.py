"""The engine on a GPU: `PYTHONPATH=harness python tests/bench/gpu.py`. Three minutes; prints one JSON object a line.

Parity with plain transformers on random small models, then a LoRA step, scoring and generation at three sizes of Qwen3's
shape, weights made there in bfloat16. Needs torch, transformers, peft, lm-eval, tokenizers, numpy, pluggy and pydantic alone.
`--quick` is the same on a processor with tiny shapes: does it run, not what it says.
"""
# ruff: noqa: E402 - the harness need not be installed where a GPU is lent

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parents[2] / "harness")]

import numpy as np
import torch
from lm_eval.models.huggingface import HFLM

import architectures
from w2s_bench.models import finetuning, scoring
from w2s_bench.models.assumptions import verdict_of
from w2s_bench.models.encoding import Pair, encode_pairs
from w2s_bench.models.engine import Engine
from w2s_bench.models.fused import fused_layers
from w2s_bench.models.greedy import generate
from w2s_bench.models.options import option_logprobs
from w2s_bench.models.setup import Setup
from w2s_bench.types import Item

FAMILIES = ("llama", "smollm", "qwen2", "qwen3", "gemma3_text", "mistral", "phi3", "gpt2", "gpt_neox", "opt", "bloom",
            "falcon", "olmo2", "mamba")  # fmt: skip
#: Name → width, layers, inner width, heads; 8 heads of keys, 128 wide, 151,936 tokens.
SIZES = {"0.5 B": (1024, 28, 3072, 16), "1.7 B": (2048, 28, 6144, 16), "8 B": (4096, 36, 12288, 32)}
QUICK = {"tiny": (64, 2, 128, 4)}


class Said:
    """Lines, on the screen as they come and in a file."""

    def __init__(self, path: Path) -> None:
        self.file, self.begun = path.open("w", encoding="utf-8"), time.perf_counter()

    def __call__(self, part: str, **facts: Any) -> None:
        line = json.dumps({"part": part, "at": round(time.perf_counter() - self.begun, 1), **facts}, default=str)
        print(line, flush=True)
        self.file.write(line + "\n")
        self.file.flush()

    def guarded(self, part: str, call: Callable[[], dict[str, Any]]) -> None:
        try:
            self(part, **call())
        except Exception as error:  # noqa: BLE001 - one failure must not lose the rest
            self(part, failed=f"{type(error).__name__}: {error}"[:600], where=traceback.format_exc()[-900:])
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def parity(name: str, device: str) -> dict[str, Any]:
    """Largest difference of an option's log-likelihood (float32), and greedy answers that are others."""
    plain: Any = architectures.new(name).to(device)
    tokenizer = architectures.tokenizer()
    engine, items = Engine(plain, tokenizer), []
    for i, length in enumerate((3, 9, 9, 14, 22, 40)):
        choices = tuple(" " + architectures.text(1 + (i + 2 * j) % 6, 100 * i + j) for j in range(3))
        items.append(Item(str(i), "g", str(i), "s", architectures.text(length, i), choices))
    worst = 0.0
    for item, scores in zip(items, engine.choice_scores(items), strict=True):
        texts = [(item.prompt, choice) for choice in item.choices or ()]
        for pair, score in zip(encode_pairs(tokenizer, texts, max_length=256), scores, strict=True):
            ids = torch.tensor([[*pair.prompt, *pair.completion][:-1]], device=device)
            with torch.no_grad():
                table = plain(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)
            wanted = sum(float(table[len(pair.prompt) - 1 + i, t]) for i, t in enumerate(pair.completion))
            worst = max(worst, abs(wanted - float(score)) / max(1.0, abs(wanted)))
    others = 0
    for item, found in zip(items, engine.generate(items, max_new_tokens=14, until=[]), strict=True):
        ids = torch.tensor([tokenizer([item.prompt])["input_ids"][0]], device=device)
        out = plain.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=14, pad_token_id=0
        )
        others += found.text != tokenizer.decode(out[0, ids.shape[1] :].tolist(), skip_special_tokens=True)
    return {
        "largest difference": worst,
        "other answers": others,
        "notes": engine.notes(),
        "ok": worst < 1e-4 and not others,
    }


def peak(device: str, quick: bool) -> float:
    """FLOP/s of the fastest square product in bfloat16."""
    best = 0.0
    for size in (256,) if quick else (4096, 8192):
        one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
        best = max(best, 2 * size**3 / seconds(lambda: one @ other, device, 3 if quick else 20))  # noqa: B023
    return best


def wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str, rounds: int = 1, *, warm: bool = True) -> float:
    if warm:
        call()
    wait(device)
    begun = time.perf_counter()
    for _ in range(rounds):
        call()
    wait(device)
    return (time.perf_counter() - begun) / rounds


def made(shape: tuple[int, int, int, int], vocabulary: int, device: str) -> Any:
    from transformers import AutoModelForCausalLM, Qwen3Config

    width, layers, inner, heads = shape
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, intermediate_size=inner,
        num_attention_heads=heads, num_key_value_heads=min(8, heads), head_dim=128 if width > 64 else 16,
        max_position_embeddings=4096, tie_word_embeddings=width < 4096, eos_token_id=0, pad_token_id=0, bos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model.eval()


def pairs_of(count: int, prompt: int, completion: int, vocabulary: int, seed: int = 0) -> list[Pair]:
    ids = np.random.default_rng(seed).integers(1, vocabulary, (count, prompt + completion)).tolist()
    return [Pair(tuple(row[:prompt]), tuple(row[prompt:])) for row in ids]


def flops(model: Any, pairs: list[Pair], times: int) -> float:
    """Arithmetic that the model needs: `times` 1 to read, 2 for a LoRA step (nothing flows to frozen weights)."""
    config, total = model.config, 0.0
    inner = sum(p.numel() for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "lora" not in n)
    inner -= 0 if config.tie_word_embeddings else config.vocab_size * config.hidden_size
    attended = 2 * config.num_hidden_layers * config.num_attention_heads * config.head_dim
    for pair in pairs:
        length = len(pair) - 1
        total += times * (2 * inner * length + 2 * config.hidden_size * config.vocab_size * len(pair.completion))
        total += (1 if times == 1 else 3) * attended * length * length
    return total


def a_size(name: str, shape: tuple[int, int, int, int], device: str, top: float, quick: bool, said: Said) -> None:
    """Loading, scoring, generation and training of one size, each by itself."""
    vocabulary = 500 if quick else 151_936
    begun = time.perf_counter()
    model = made(shape, vocabulary, device)
    wait(device)
    count = sum(p.numel() for p in model.parameters())
    verdict = verdict_of(model)
    said(f"{name} model", parameters=count, seconds=time.perf_counter() - begun, notes=verdict.notes())
    reset = torch.cuda.reset_peak_memory_stats if device != "cpu" else (lambda: None)
    memory = (lambda: round(torch.cuda.max_memory_allocated() / 2**30, 2)) if device != "cpu" else (lambda: 0.0)

    def score() -> dict[str, Any]:
        reset()
        items = 4 if quick else 256
        prompts, options = pairs_of(items, 120, 8, vocabulary), pairs_of(4 * items, 1, 8, vocabulary, 1)
        asked = [[Pair(p.prompt, o.completion) for o in options[4 * i : 4 * i + 4]] for i, p in enumerate(prompts)]

        def ours() -> Any:
            with fused_layers(model):
                return option_logprobs(model, asked)

        flat = [pair for item in asked for pair in item]
        tokens = [(("", ""), list(pair.prompt), list(pair.completion)) for pair in flat]

        def peer(batch: int) -> list[float]:
            lm = HFLM(pretrained=model, tokenizer=architectures.tokenizer(), batch_size=batch)
            return [float(score) for score, _ in lm._loglikelihood_tokens(tokens, disable_tqdm=True)]

        found, expected = np.concatenate(ours()), np.array(peer(64))
        taken = seconds(ours, device, 3, warm=False)
        theirs, batch = min((seconds(lambda: peer(size), device), size) for size in ((4,) if quick else (32, 64, 128)))  # noqa: B023
        singles = seconds(lambda: scoring.token_logprobs(model, flat), device)
        return {
            "options/s": len(flat) / taken,
            "HFLM options/s": len(flat) / theirs,
            "HFLM's best batch": batch,
            "ratio": theirs / taken,
            "rows without shared prompts, options/s": len(flat) / singles,
            "MFU without shared prompts": flops(model, flat, 1) / singles / top,
            "largest difference of bfloat16": float(np.abs(found - expected).max()),
            "mean size": float(np.abs(expected).mean()),
            "peak GiB": memory(),
        }

    def answer() -> dict[str, Any]:
        reset()
        rows, new = (4, 8) if quick else (256, 64)
        tokenizer = _Numbers()
        prompts = [" ".join(map(str, pair.prompt)) for pair in pairs_of(rows, 100, 1, vocabulary)]

        def ours() -> Any:
            with fused_layers(model):
                return generate(model, tokenizer, prompts, max_new_tokens=new, until=[])

        taken = seconds(ours, device, 1 if quick else 3)
        ids = torch.tensor([list(map(int, prompt.split())) for prompt in prompts], device=device)
        theirs = seconds(
            lambda: model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, pad_token_id=0
            ),
            device,
            1 if quick else 3,
        )
        facts = {"rows": rows, "new": new, "tokens/s": rows * new / taken, "ratio": theirs / taken}
        return {**facts, "transformers' generate, same batch, tokens/s": rows * new / theirs, "peak GiB": memory()}

    def train() -> dict[str, Any]:
        reset()
        adapted = finetuning.add_lora(model, rank=16, seed=0, setup=Setup(dtype="bfloat16"))
        length = 32 if quick else 512
        rows = pairs_of(4 if quick else 32, length - 24, 24, vocabulary)

        def steps(count: int) -> float:
            def call() -> None:
                with fused_layers(adapted):
                    finetuning.finetune(adapted, rows, steps=count, batch_size=len(rows), learning_rate=1e-4, seed=0)

            return seconds(call, device, warm=False)

        steps(3)  # kernels are chosen, and memory is taken, in the first steps
        few, more = steps(1), steps(9)  # each ends with one more reading, and begins as it begins
        step = (more - few) / 8
        facts: dict[str, Any] = {"tokens/s": len(rows) * (length - 1) / step, "seconds a step": step}
        facts |= {"MFU": flops(model, rows, 2) / step / top, "peak GiB": memory(), "rows x tokens": [len(rows), length]}

        def plain() -> None:
            finetuning.finetune(adapted, rows, steps=1, batch_size=len(rows), learning_rate=1e-4, seed=0)

        facts["a whole step without fused layers, in times of one with"] = seconds(plain, device) / few
        return facts

    said.guarded(f"{name} scoring", score)
    said.guarded(f"{name} generation", answer)
    said.guarded(f"{name} lora", train)


class _Numbers:
    """A tokenizer whose text is its token ids, one that never ends."""

    bos_token, eos_token, pad_token_id, eos_token_id, bos_token_id = "<bos>", "<eos>", 0, None, None

    def __call__(self, texts: list[str], **settings: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [list(map(int, text.split())) for text in texts]}

    def decode(self, ids: list[int], **settings: Any) -> str:
        return " ".join(map(str, ids))


def processor() -> dict[str, Any]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    facts = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    flags = facts.get("flags", "").split()
    wanted = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "amx_bf16", "amx_int8")
    return {
        "name": facts.get("model name", "?").strip(),
        "flags": [f for f in wanted if f in flags],
        "count": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tests/bench/gpu.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny shapes on a processor: does it run")
    parser.add_argument("--seconds", type=float, default=360, help="no new part begins after so many (default: 360)")
    parser.add_argument("--out", type=Path, default=Path("gpu.jsonl"), help="the lines, in a file (default: gpu.jsonl)")
    given = parser.parse_args()
    if not given.quick and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device here; --quick runs the same with tiny shapes on the processor")
    device, said = "cpu" if given.quick else "cuda", Said(given.out)
    import peft
    import transformers

    card = platform.machine() if given.quick else torch.cuda.get_device_name()
    versions = {m.__name__: m.__version__ for m in (torch, transformers, peft)}
    said("machine", card=card, processor=processor(), python=platform.python_version(), **versions)
    top = peak(device, given.quick)
    said("peak", tflops=top / 1e12)
    for name in FAMILIES:
        if time.perf_counter() - said.begun > given.seconds / 3:
            said(f"parity {name}", skipped="a third of the time is over")
            continue
        said.guarded(f"parity {name}", lambda: parity(name, device))  # noqa: B023
    for name, shape in (QUICK if given.quick else SIZES).items():
        if time.perf_counter() - said.begun > given.seconds:
            said(name, skipped="the time is over")
            continue

        def measured() -> dict[str, Any]:
            a_size(name, shape, device, top, given.quick, said)  # noqa: B023
            return {}

        said.guarded(f"{name} done", measured)
    said("end")


if __name__ == "__main__":
    main()
