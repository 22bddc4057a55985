"""Fine-tuning for a number of steps, by the engine, TRL's `SFTTrainer` and transformers' `Trainer`."""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairing import paired
from texts import model, size_of, tokenizer
from w2s_bench.models import finetuning
from w2s_bench.models.encoding import Pair
from w2s_bench.models.products import fast_products
from w2s_bench.models.scoring import token_logprobs

TITLE = "Fine-tuning against TRL's `SFTTrainer` and transformers' `Trainer`"
TARGET = (
    "The same model, rows (token ids, so that nobody tokenizes), steps, batch size, optimizer and precision (float32), on one"
    " thread; the loss is on completions alone. Both peers pad a batch to its longest row; they run as they come, and with"
    " their sampler that groups rows of like length. Their construction is not timed. `loss after` is that of the training"
    " rows, by one function for all, before any batch was seen twice. Target ≥ 1.5 × on rows of variable length, never slower."
)
BATCH, RATE = 16, 5e-4


def run(quick: bool) -> list[dict[str, str | float]]:
    rows = []
    for width, layers, steps, rounds in ((128, 4, 16, 3), (256, 6, 8, 2)):
        if quick:
            steps, rounds = 4, 1
        made = model(width, layers)
        for what, shortest, longest in (("12–24 tokens", 12, 24), ("8–256 tokens", 8, 256)):
            pairs = some_pairs(shortest, longest, count=BATCH * steps)
            ours, ours_loss = ours_on(made, pairs, steps)
            for name, prepare in (("SFTTrainer", sft), ("Trainer", plain)):
                for grouped in (False, True):
                    if what == "12–24 tokens" and grouped:
                        continue  # nothing to win from grouping
                    theirs, their_loss = theirs_on(prepare, made, pairs, steps, grouped)
                    timed = paired(ours, theirs, rounds=rounds)
                    facts = {"rows": what, "model": size_of(made), "peer": name + (", grouped" if grouped else "")}
                    losses = f"{ours_loss():.3f} / {their_loss():.3f}"
                    rows.append({**facts, **timed.row(), "loss after, ours / theirs": losses})
    return rows


def some_pairs(shortest: int, longest: int, count: int) -> list[Pair]:
    """Rows with something to learn: completions repeat what their prompt begins with."""
    rng = np.random.default_rng(0)
    pairs = []
    for length in rng.integers(shortest, longest + 1, size=count).tolist():
        completion = max(2, length // 4)
        prompt = rng.integers(3, len(tokenizer()), size=length - completion).tolist()
        pairs.append(Pair(tuple(prompt), tuple((prompt * 2)[:completion])))
    return pairs


def loss_of(made: Any, pairs: list[Pair]) -> float:
    made.eval()
    return -float(np.concatenate(token_logprobs(made, pairs)).mean())


def ours_on(made: Any, pairs: list[Pair], steps: int) -> tuple[Callable[[], None], Callable[[], float]]:
    trained: list[Any] = []

    def call() -> None:
        fresh = copy.deepcopy(made)
        with fast_products(fresh):
            finetuning.finetune(fresh, pairs, steps=steps, batch_size=BATCH, learning_rate=RATE, seed=0)
        trained[:] = [fresh]

    return call, lambda: loss_of(trained[0], pairs)


def theirs_on(
    prepare: Callable[..., Any], made: Any, pairs: list[Pair], steps: int, grouped: bool
) -> tuple[Callable[[], None], Callable[[], float]]:
    """A call trains a fresh copy; trainers are built ahead of it, one a call."""
    trained: list[Any] = []
    with tempfile.TemporaryDirectory() as place:
        settings = {
            "output_dir": str(Path(place)),
            "max_steps": steps,
            "per_device_train_batch_size": BATCH,
            "learning_rate": RATE,
            "adam_beta2": 0.98,
            "warmup_steps": 0,  # with one, `Trainer` takes its first step at a rate of 0; ours takes it at the whole rate
            "lr_scheduler_type": "linear",
            "max_grad_norm": 1.0,
            "weight_decay": 0.0,
            "optim": "adamw_torch_fused",
            "logging_strategy": "no",
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
            "bf16": False,
            "seed": 0,
            **({"train_sampling_strategy": "group_by_length"} if grouped else {}),
        }
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            trainers = [prepare(copy.deepcopy(made), pairs, settings) for _ in range(5)]

    def call() -> None:
        trainer = trainers.pop()
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it measured
            trainer.train()
        trained[:] = [trainer.model]

    return call, lambda: loss_of(trained[0], pairs)


def sft(made: Any, pairs: list[Pair], settings: dict[str, Any]) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = Dataset.from_list(
        [
            {
                "input_ids": [*pair.prompt, *pair.completion],
                "completion_mask": [0] * len(pair.prompt) + [1] * len(pair.completion),
            }
            for pair in pairs
        ]
    )
    config = SFTConfig(**settings, max_length=512, gradient_checkpointing=False, completion_only_loss=True)
    return SFTTrainer(made, config, train_dataset=rows, processing_class=tokenizer())


def plain(made: Any, pairs: list[Pair], settings: dict[str, Any]) -> Any:
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    rows = Dataset.from_list(
        [
            {
                "input_ids": [*pair.prompt, *pair.completion],
                "labels": [-100] * len(pair.prompt) + list(pair.completion),
                "attention_mask": [1] * len(pair),
            }
            for pair in pairs
        ]
    )
    collator = DataCollatorForSeq2Seq(tokenizer(), padding=True)
    return Trainer(made, TrainingArguments(**settings), train_dataset=rows, data_collator=collator)


torch.set_num_threads(1)
