"""Fine-tuning for a number of steps, by the engine, TRL's `SFTTrainer`, transformers' `Trainer` and a loop written by hand."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pairing import paired
from texts import model, size_of, tokenizer
from w2s_bench.models import finetuning
from w2s_bench.models.batching import batches, learning_rate_factor
from w2s_bench.models.encoding import Pair
from w2s_bench.models.onednn import fast_products
from w2s_bench.models.scoring import token_logprobs

TITLE = "Fine-tuning against TRL's `SFTTrainer`, transformers' `Trainer` and a hand-written loop"
TARGET = (
    "The same model, rows (token ids, so that nobody tokenizes), steps, batch size, optimizer, learning rates and precision "
    "(float32), on one thread; the loss is on completions alone. All pad a batch to its longest row; the trainers run as "
    "they come, and with their sampler that groups rows of like length; their construction is not timed. The hand-written "
    "loop is plain torch: the engine's own batches, `model(input_ids, labels)`, the same optimizer. `loss after` is that of "
    "the training rows, by one function for all, when each was seen once: the least and the most over rounds, each of which "
    "has the rows in another order. Target ≥ 1.5 × against trainers on rows of variable length, ≥ .97 × against the "
    "hand-written loop, the same loss within noise."
)
BATCH, RATE = 16, 5e-4
PEERS = ("SFTTrainer", "SFTTrainer, grouped", "Trainer", "Trainer, grouped", "hand-written loop")


SHAPES = {"1M": (128, 4, 16, 3), "5M": (256, 6, 8, 3), "26M": (512, 8, 4, 3)}  # width, layers, steps, rounds
HAND = "hand-written loop"


def run(quick: bool, sizes: tuple[str, ...] = ("1M", "5M")) -> list[dict[str, str | float]]:
    return measured(quick, sizes, PEERS)


def compare(quick: bool, size: str) -> list[dict[str, str | float]]:
    return measured(quick, (size,), ("Trainer, grouped", HAND))


def measured(quick: bool, sizes: tuple[str, ...], peers: tuple[str, ...]) -> list[dict[str, str | float]]:
    rows = []
    for size in sizes:
        width, layers, steps, rounds = SHAPES[size]
        if quick:
            steps, rounds = 4, 1
        made = model(width, layers)
        for what, shortest, longest in (("12–24 tokens", 12, 24), ("8–256 tokens", 8, 256)):
            pairs = some_pairs(shortest, longest, count=BATCH * steps)
            ours = Ours(made, pairs, steps)
            for peer in peers:
                name, _, grouped = peer.partition(", ")
                if shortest == 12 and grouped and name in peers:
                    continue  # nothing to win from grouping
                facts: dict[str, str | float] = {"rows": what, "model": size_of(made), "peer": peer}
                if needed := lacking(name):
                    rows.append({**facts, "ours, s": f"{needed} is not installed"})
                    continue
                theirs = Hand(made, pairs, steps) if name == HAND else Theirs(name, made, pairs, steps, bool(grouped))
                timed = paired(ours, theirs, rounds=rounds)
                losses = {"loss after, ours": span(ours.trained, pairs), "theirs": span(theirs.trained, pairs)}
                rows.append({**facts, **timed.row(), **losses})
    return rows


def lacking(peer: str) -> str | None:
    """The first package that this peer needs and that is not installed."""
    packages = {HAND: (), "Trainer": ("accelerate", "datasets"), "SFTTrainer": ("accelerate", "datasets", "trl")}[peer]
    return next((package for package in packages if importlib.util.find_spec(package) is None), None)


def some_pairs(shortest: int, longest: int, count: int) -> list[Pair]:
    """Rows with something to learn: completions repeat what their prompt begins with."""
    rng = np.random.default_rng(0)
    pairs = []
    for length in rng.integers(shortest, longest + 1, size=count).tolist():
        completion = max(2, length // 4)
        prompt = rng.integers(3, len(tokenizer()), size=length - completion).tolist()
        pairs.append(Pair(tuple(prompt), tuple((prompt * 2)[:completion])))
    return pairs


def span(trained: list[Any], pairs: list[Pair]) -> str:
    """The least and the greatest loss of these models, which are given up."""
    losses = [-float(np.concatenate(token_logprobs(made.eval(), pairs)).mean()) for made in trained]
    trained.clear()
    return f"{min(losses):.2f}–{max(losses):.2f}"


class Ours:
    """Each call trains a fresh copy, with the next seed."""

    def __init__(self, made: Any, pairs: list[Pair], steps: int) -> None:
        self.made, self.pairs, self.steps = made, pairs, steps
        self.trained: list[Any] = []

    def __call__(self) -> None:
        fresh, seed = copy.deepcopy(self.made), len(self.trained)
        with fast_products(fresh):
            finetuning.finetune(fresh, self.pairs, steps=self.steps, batch_size=BATCH, learning_rate=RATE, seed=seed)
        self.trained.append(fresh)


class Hand:
    """Each call trains a fresh copy, with the next seed, as one writes it down."""

    def __init__(self, made: Any, pairs: list[Pair], steps: int) -> None:
        self.made, self.pairs, self.steps = made, pairs, steps
        self.trained: list[Any] = []

    def __call__(self) -> None:
        fresh, seed = copy.deepcopy(self.made).train(), len(self.trained)
        optimizer, rates = optimizers(fresh, self.steps)
        lengths, rng = [len(pair) for pair in self.pairs], np.random.default_rng(seed)
        for rows in batches(lengths, steps=self.steps, batch_size=BATCH, rng=rng):
            longest = max(lengths[row] for row in rows)
            ids = torch.zeros(len(rows), longest, dtype=torch.int64)
            labels = torch.full((len(rows), longest), -100)
            for place, row in enumerate(rows):
                tokens = torch.tensor(self.pairs[row].prompt + self.pairs[row].completion)
                start = len(self.pairs[row].prompt)
                ids[place, : len(tokens)] = tokens
                labels[place, start : len(tokens)] = tokens[start:]
            fresh(input_ids=ids, labels=labels, use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(fresh.parameters(), 1.0)
            optimizer.step()
            rates.step()
            optimizer.zero_grad()
        self.trained.append(fresh)


class Theirs:
    """Each call trains a fresh copy, with the next seed; trainers are built ahead of the calls."""

    def __init__(self, name: str, made: Any, pairs: list[Pair], steps: int, grouped: bool) -> None:
        prepare = {"SFTTrainer": sft, "Trainer": plain}[name]
        settings = {
            "max_steps": steps,
            "per_device_train_batch_size": BATCH,
            "max_grad_norm": 1.0,
            "logging_strategy": "no",
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
            "bf16": False,
            **({"train_sampling_strategy": "group_by_length"} if grouped else {}),
        }
        self.trained: list[Any] = []
        self.trainers = []
        with tempfile.TemporaryDirectory() as place, quietly():
            for seed in range(5):
                fresh = copy.deepcopy(made)
                given = {**settings, "seed": seed, "output_dir": str(Path(place))}
                self.trainers.append(prepare(fresh, pairs, given, optimizers(fresh, steps)))

    def __call__(self) -> None:
        trainer = self.trainers.pop(0)
        with quietly():  # it prints what it measured
            trainer.train()
        self.trained.append(trainer.model)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def optimizers(made: Any, steps: int) -> tuple[Any, Any]:
    """The engine's optimizer and learning rates, as trainers take them."""
    optimizer = torch.optim.AdamW(made.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps))
    return optimizer, rates


def sft(made: Any, pairs: list[Pair], settings: dict[str, Any], optimizers: tuple[Any, Any]) -> Any:
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
    return SFTTrainer(made, config, train_dataset=rows, processing_class=tokenizer(), optimizers=optimizers)


def plain(made: Any, pairs: list[Pair], settings: dict[str, Any], optimizers: tuple[Any, Any]) -> Any:
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
    arguments = TrainingArguments(**settings)
    return Trainer(made, arguments, train_dataset=rows, data_collator=collator, optimizers=optimizers)


torch.set_num_threads(1)
