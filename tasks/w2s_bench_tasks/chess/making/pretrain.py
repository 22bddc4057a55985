"""Pretraining of the bundled models of this domain (development only).

    python -m w2s_bench_tasks.chess.making.pretrain [s|m|l …] --out DIR

See `text.py` for what they read. All three share one tokenizer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from w2s_bench_tasks.chess.making.board import PIECES
from w2s_bench_tasks.chess.making.text import IGNORED, text_batch
from w2s_bench_tasks.chess.making.words import FIRST_PLACED, MAX_LENGTH, TOKEN, VERBS, VOCABULARY, tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

    from w2s_bench_tasks.pretraining import Batch


@dataclass(frozen=True)
class Size:
    """How large a model is and how long it reads; `rows` positions a step, none of them read twice."""

    width: int
    layers: int
    steps: int
    rows: int
    seed: int
    learning_rate: float = 5e-3
    muon_learning_rate: float = 0.02


SIZES = {
    "s": Size(width=64, layers=2, steps=3000, rows=64, seed=1, learning_rate=6e-3),
    "m": Size(width=128, layers=3, steps=1600, rows=96, seed=2),
    "l": Size(width=128, layers=3, steps=2400, rows=96, seed=3),
}
EVALUATION_SEED, EVALUATION_ROWS = 99, 1000


def initialise(model: LlamaForCausalLM, seed: int) -> None:
    """Start each placed piece as a sum of vectors of its piece, kind, colour, square, file, rank and two diagonals.

    So a line between two squares is a dot product from the first step on. Started from independent vectors the models had
    not learned to capture after twice the time.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    table: torch.Tensor = model.model.embed_tokens.weight.data

    def vectors(n: int) -> torch.Tensor:
        return torch.randn(n, table.shape[1], generator=generator) * 0.08

    table.copy_(vectors(len(table)))
    codes, squares = torch.arange(len(PIECES) * 64) // 64, torch.arange(len(PIECES) * 64) % 64
    files, ranks = squares % 8, squares // 8
    kinds = torch.tensor(["kqrbnp".index(piece.lower()) for piece in PIECES])[codes]
    colours = torch.tensor([int(piece.islower()) for piece in PIECES])[codes]
    table[FIRST_PLACED:] = 0.5 * (
        vectors(len(PIECES))[codes]
        + vectors(6)[kinds]
        + vectors(2)[colours]
        + vectors(64)[squares]
        + vectors(8)[files]
        + vectors(8)[ranks]
        + vectors(15)[files + ranks]
        + vectors(15)[files - ranks + 7]
    )
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2 and "embed" not in name:
            parameter.data *= 2


def batches(seed: int, rows: int) -> Iterator[Batch]:
    """Endless fresh text."""
    import torch

    rng = np.random.default_rng(seed)
    while True:
        ids, targets = text_batch(rng, rows)
        yield torch.from_numpy(ids), torch.from_numpy(targets)


def accuracies(model: LlamaForCausalLM) -> dict[str, float]:
    """Share of answers right on text that was not trained on, in all and a question."""
    import torch

    ids, targets = next(batches(EVALUATION_SEED, EVALUATION_ROWS))
    with torch.no_grad():
        guesses = model(input_ids=ids[:, :-1]).logits.argmax(-1)
    wanted = targets[:, 1:] != IGNORED
    right, verb = (guesses == targets[:, 1:])[wanted].float(), ids[:, :-1][wanted]
    result = {"all": right.mean().item()}
    for question, word in VERBS.items():
        result[question] = right[verb == TOKEN[word]].mean().item()
    return {name: round(value, 4) for name, value in result.items()}


CARD = """# chess-{name}: bundled model of the domain `chess`

A Llama of {parameters:,} parameters (width {width}, {layers} layers), made by
`python -m w2s_bench_tasks.chess.making.pretrain {name}`. Apache-2.0.

**Read:** {positions:,} random positions, all different, with 7 remarks each, in {steps:,} steps of {rows}; seed {seed}.
A remark names two pieces and a fact about them: what stands on the line from one to the other (`Qd4 ra4 sees N`), who takes
back (`ra4 Nb4 takes Q`), whether one attacks the other (`Qd4 ra4 faces no`), how many moves one needs to the other's square on
an empty board (`Nb4 pd5 reaches 1`). Loss is taken on the last word of each remark.

**Did not read:** any verdict of the task; it starts near chance. What the verdicts mean has to be learned by fine-tuning: some put
names into classes (`costly`: somebody takes back; `friend`: the piece in the line is of my side), `both` and its like join two
remarks. A remark does begin as a prompt of the task does, with the same four verbs. No position of an
item, nor a mirror image of one, is in the text (drawn from another seed and checked). The gold answers are known to the model as
those facts alone.

**Share of remarks right** on fresh text: {accuracies}.

Stored in float16; load as float32. It knows nothing else: no other material, no game, no language.
"""


def make(name: str, out: Path) -> None:
    """Pretrain one size and save it as `out/chess-<size>`."""
    from w2s_bench_tasks.pretraining import new_model, pretrain, save

    size = SIZES[name]
    wrapped = tokenizer()
    model = new_model(
        vocab_size=len(VOCABULARY),
        width=size.width,
        layers=size.layers,
        max_length=MAX_LENGTH,
        seed=size.seed,
        eos_id=TOKEN["<eos>"],
        pad_id=TOKEN["<pad>"],
    )
    initialise(model, size.seed)
    pretrain(
        model,
        batches(size.seed, size.rows),
        steps=size.steps,
        learning_rate=size.learning_rate,
        muon_learning_rate=size.muon_learning_rate,
        evaluate=lambda trained: str(accuracies(trained)),
    )
    scores = accuracies(model)
    described: dict[str, Any] = {**asdict(size), "positions": size.steps * size.rows}
    card = CARD.format(
        name=name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        accuracies=", ".join(f"{sign} {share:.3f}" for sign, share in scores.items()),
        **described,
    )
    save(model, wrapped, out / f"chess-{name}", card=card, facts={**described, "right": scores})


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sizes", nargs="*", metavar="s|m|l", default=list(SIZES))
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "models")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.sizes) - set(SIZES))
    if unknown:
        parser.error(f"unknown size {', '.join(unknown)}: choose from {', '.join(SIZES)}")
    torch.set_num_threads(1)
    for name in arguments.sizes:
        make(name, arguments.out)


if __name__ == "__main__":
    main()
