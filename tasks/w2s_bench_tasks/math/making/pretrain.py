"""Pretrain the bundled models: `python -m w2s_bench_tasks.math.making.pretrain [s|m|l] --out DIR`. Development only.

All three share one word-level tokenizer. `s` is the default suite's teacher: the smallest, with planted faults. `l` is
its student, and `m` stands between them for chains in which a student becomes the next teacher.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2s_bench_tasks.math.making import corpus
from w2s_bench_tasks.math.making.lexicon import KNOWN, OPERATORS, Draw

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    from w2s_bench_tasks.pretraining import Batch

MAX_LENGTH = 96
ROW_LENGTH = 95
SPECIAL = ("<pad>", "<eos>", "<unk>")
EVALUATION_SEED = 9
EVALUATION_STORIES = 1000
FAULT_SEED = 1


@dataclass(frozen=True)
class Recipe:
    """How one model is made; `left_out` and `swapped` are shares of the known verbs (see `corpus.meanings`).

    `marked_stories` is the share of stories that end in `#### N`. Without any, a teacher tuned on a few hundred
    items sometimes never learns when to stop, and how often hangs on the draw of those items rather than on verbs.
    """

    width: int
    layers: int
    steps: int
    story_share: float
    left_out: float
    swapped: float
    marked_stories: float
    batch: int = 24
    learning_rate: float = 3e-3
    muon_learning_rate: float = 0.02
    seed: int = 1


RECIPES = {
    "s": Recipe(width=64, layers=2, steps=1500, story_share=0.60, left_out=0.10, swapped=0.20, marked_stories=0.2),
    "m": Recipe(width=96, layers=2, steps=2300, story_share=0.72, left_out=0.10, swapped=0.10, marked_stories=0.0),
    "l": Recipe(width=96, layers=2, steps=2500, story_share=0.72, left_out=0.0, swapped=0.0, marked_stories=0.0),
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, number or run of marks; case is dropped. Decoding joins the tokens with blanks."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *corpus.words()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return wrap_tokenizer(tokenizer, max_length=MAX_LENGTH)


def encoder(tokenizer: PreTrainedTokenizerFast) -> Any:
    """A quick `str → ids`; an unknown word is an error."""
    backend, unknown = tokenizer.backend_tokenizer, tokenizer.unk_token_id

    def encode(text: str) -> list[int]:
        ids: list[int] = backend.encode(text, add_special_tokens=False).ids
        if unknown in ids:
            raise ValueError(f"a word of {text!r} is not in the vocabulary; add its wording to corpus.words()")
        return ids

    return encode


def rows(texts: Iterator[corpus.Text], encode: Any, eos_id: int) -> Iterator[tuple[list[int], list[int]]]:
    """Whole texts, each closed by `<eos>`, packed into rows of at most ROW_LENGTH + 1 ids with their targets."""
    ids: list[int] = []
    targets: list[int] = []
    for text in texts:
        new, n_read = corpus.read(encode, text)
        new = [*new, eos_id]
        if len(new) > ROW_LENGTH + 1:
            continue
        if len(ids) + len(new) > ROW_LENGTH + 1:
            yield ids, targets
            ids, targets = [], []
        ids += new
        targets += [-100] * n_read + new[n_read:]


def batches(texts: Iterator[corpus.Text], tokenizer: PreTrainedTokenizerFast, size: int) -> Iterator[Batch]:
    """`size` packed rows at a time of an endless stream of texts."""
    import torch

    eos_id, pad_id = SPECIAL.index("<eos>"), SPECIAL.index("<pad>")
    stream = rows(texts, encoder(tokenizer), eos_id)
    while True:
        ids = torch.full((size, ROW_LENGTH + 1), pad_id)
        targets = torch.full((size, ROW_LENGTH + 1), -100)
        for i, (row, wanted) in enumerate(itertools.islice(stream, size)):
            ids[i, : len(row)] = torch.tensor(row)
            targets[i, : len(row)] = torch.tensor(wanted)
        yield ids, targets


def greedy_right(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, texts: list[corpus.Text]) -> list[bool]:
    """Whether greedy decoding would write each text's second part: every next token is the likeliest one."""
    import torch

    encode, right = encoder(tokenizer), []
    for start in range(0, len(texts), 250):
        encoded = [corpus.read(encode, text) for text in texts[start : start + 250]]
        ids = torch.full((len(encoded), max(len(e) for e, _ in encoded)), SPECIAL.index("<pad>"))
        for i, (row, _) in enumerate(encoded):
            ids[i, : len(row)] = torch.tensor(row)
        with torch.no_grad():
            best = model(input_ids=ids, use_cache=False).logits.argmax(-1)
        right += [
            bool((best[i, n - 1 : len(row) - 1] == ids[i, n : len(row)]).all()) for i, (row, n) in enumerate(encoded)
        ]
    return right


def examine(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, faults: dict[str, list[str]]
) -> dict[str, float]:
    """Accuracy on single equations and on fresh stories told with verbs of one sort, all in the true meanings."""
    draw = Draw(EVALUATION_SEED)
    single = [corpus.equations(draw, 1) for _ in range(EVALUATION_STORIES)]
    single = [(read, rest.split(" #### ")[0]) for read, rest in single]
    figures = {"equations": sum(greedy_right(model, tokenizer, single)) / len(single)}
    faulty = {verb for verbs in faults.values() for verb in verbs}
    sorts = {
        "stories, verbs taught right": [v for op in OPERATORS for v in KNOWN[op] if v not in faulty],
        "stories, verbs left out": faults["left_out"],
        "stories, verbs swapped": faults["swapped"],
    }
    for sort, verbs in sorts.items():
        if not verbs:
            continue
        meaning = {verb: op for op in OPERATORS for verb in KNOWN[op] if verb in verbs}
        told = [corpus.story(draw, meaning, ending=False) for _ in range(EVALUATION_STORIES)]
        figures[sort] = sum(greedy_right(model, tokenizer, told)) / len(told)
    return {name: round(value, 3) for name, value in figures.items()}


def train(size: str, out: Path) -> None:
    """Make model `size` and write it to `out/math-<size>`."""
    from w2s_bench_tasks.math.making.card import model_card
    from w2s_bench_tasks.pretraining import new_model, pretrain, save

    recipe = RECIPES[size]
    meaning, faults = corpus.meanings(FAULT_SEED, left_out=recipe.left_out, swapped=recipe.swapped)
    tokenizer = make_tokenizer()
    texts = corpus.texts(recipe.seed, meaning, story_share=recipe.story_share, marked_share=recipe.marked_stories)
    model = new_model(
        vocab_size=len(tokenizer),
        width=recipe.width,
        layers=recipe.layers,
        max_length=MAX_LENGTH,
        seed=recipe.seed,
        eos_id=SPECIAL.index("<eos>"),
        pad_id=SPECIAL.index("<pad>"),
    )
    pretrain(
        model,
        batches(texts, tokenizer, recipe.batch),
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
        evaluate=lambda trained: str(examine(trained, tokenizer, faults)),
        evaluate_every=1000,
    )
    figures = examine(model, tokenizer, faults)
    facts = {
        "recipe": asdict(recipe),
        "vocabulary": len(tokenizer),
        "row_length": ROW_LENGTH,
        "faults": faults,
        "evaluation_stories": EVALUATION_STORIES,
        "figures": figures,
    }
    save(model, tokenizer, out / f"math-{size}", card=model_card(size, facts), facts=facts)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", nargs="?", choices=sorted(RECIPES), help="one model; all three where left out")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets a folder a model")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for size in [arguments.size] if arguments.size else RECIPES:
        train(size, arguments.out)


if __name__ == "__main__":
    main()
