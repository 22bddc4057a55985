"""Pretraining of the bundled `tiny/…` models: one loop, fixed seeds, transformers' own Llama classes.

Each domain's `pretrain.py` supplies a tokenizer and a stream of token batches; this module supplies everything else.
Development only: a run of the benchmark loads the shipped weights and never comes here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

#: One batch: token ids `(rows, length)` and targets of the same shape, -100 where no loss is taken.
Batch = tuple["torch.Tensor", "torch.Tensor"]


def wrap_tokenizer(tokenizer: Any, *, max_length: int) -> PreTrainedTokenizerFast:
    """A `tokenizers.Tokenizer` with `<pad>`, `<eos>` and `<unk>` in it, as transformers loads it back from disk."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )


def new_model(
    *, vocab_size: int, width: int, layers: int, max_length: int, seed: int, eos_id: int, pad_id: int
) -> LlamaForCausalLM:
    """An untrained Llama: heads of 32 dimensions (at least two), SwiGLU of 8/3 width, tied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    heads = max(2, width // 32)
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        intermediate_size=int(width * 8 / 3 / 16 + 0.5) * 16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=eos_id,
        pad_token_id=pad_id,
    )
    return LlamaForCausalLM(config)


def pretrain(
    model: LlamaForCausalLM,
    batches: Iterator[Batch],
    *,
    steps: int,
    learning_rate: float,
    muon_learning_rate: float | None = None,
    weight_decay: float = 0.05,
    warmup: float = 0.05,
    log_every: int = 200,
    evaluate: Callable[[LlamaForCausalLM], str] | None = None,
    evaluate_every: int | None = None,
) -> None:
    """Train `model` in place for `steps` batches: AdamW, linear warm-up and decay, gradient norm clipped to 1.

    With `muon_learning_rate` the matrices inside the blocks take Muon and AdamW keeps embeddings and norms.
    """
    import torch
    import torch.nn.functional as F

    in_blocks = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "lm_head" not in n]
    muon_ids = {id(p) for p in in_blocks} if muon_learning_rate is not None else set()
    rest = [p for p in model.parameters() if id(p) not in muon_ids]
    optimizers: list[tuple[torch.optim.Optimizer, float]] = [
        (
            torch.optim.AdamW(rest, lr=learning_rate, weight_decay=weight_decay, betas=(0.9, 0.98), fused=True),
            learning_rate,
        )
    ]
    if muon_learning_rate is not None:
        muon = torch.optim.Muon(in_blocks, lr=muon_learning_rate, weight_decay=0.02, momentum=0.95)
        optimizers.append((muon, muon_learning_rate))

    model.train()
    started, running = time.perf_counter(), None
    for step in range(steps):
        ids, targets = next(batches)
        warm = max(1, int(steps * warmup))
        factor = (step + 1) / warm if step < warm else max(0.02, (steps - step) / (steps - warm))
        hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
        wanted = targets[:, 1:].ne(-100)
        loss = F.cross_entropy(model.lm_head(hidden[wanted]), targets[:, 1:][wanted])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, rate in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % log_every == 0 or step + 1 == steps:
            note = ""
            if evaluate and ((step + 1) % (evaluate_every or log_every) == 0 or step + 1 == steps):
                model.eval()
                with torch.no_grad():
                    note = "  " + evaluate(model)
                model.train()
            print(
                f"step {step + 1}/{steps}  loss {running:.4f}  {time.perf_counter() - started:.0f}s{note}", flush=True
            )
    model.eval()


def save(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, *, card: str, facts: dict[str, Any]
) -> None:
    """Write `config.json`, `model.safetensors` (float16: the shipped numbers are the model), tokenizer, card and facts.

    Loading casts to float32. `facts` (sizes, steps, seeds, what the model scored) becomes `training.json`.
    """
    import torch

    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(out)  # type: ignore[arg-type]  # nn.Module.to is typed for tensors
    model.to(torch.float32)  # type: ignore[arg-type]
    tokenizer.save_pretrained(out)
    (out / "README.md").write_text(card, encoding="utf-8")
    facts = {**facts, "parameters": sum(p.numel() for p in model.parameters())}
    (out / "training.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
