"""Pretrain the bundled models: `python -m w2s_bench_tasks.verbs.making.pretrain [s|m|l] --out DIR`. Development only.

All three share one tokenizer. `s` is the teacher: the smallest model on the smallest text, which leaves a half of the verbs out. `l` is the
student, and `m` stands between them for chains in which a student becomes the next teacher.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench_tasks.math.making.pretrain import MAX_LENGTH, ROW_LENGTH, SPECIAL, batches, greedy_right
from w2s_bench_tasks.verbs.making import corpus
from w2s_bench_tasks.verbs.making.lexicon import Draw, verbs

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

EVALUATION_SEED = 9
EVALUATION_STORIES = 1000


@dataclass(frozen=True)
class Recipe:
    """How one model is made. Its text has `stories` stories, in which the verb of rank r turns up as r^-alpha.

    `marked_stories` is the share of stories that end in `#### N`. Without any, a teacher tuned on a few hundred
    items sometimes never learns when to stop, and how often hangs on the draw of those items rather than on verbs.
    """

    width: int
    layers: int
    steps: int
    stories: int
    alpha: float
    story_share: float
    marked_stories: float
    batch: int = 24
    learning_rate: float = 3e-3
    muon_learning_rate: float = 0.02
    seed: int = 1

    def told(self) -> list[corpus.Told]:
        return corpus.stories(self.seed, self.stories, alpha=self.alpha, marked_share=self.marked_stories)


RECIPES = {
    "s": Recipe(width=64, layers=3, steps=1500, stories=4_000, alpha=1.0, story_share=0.65, marked_stories=0.2),
    "m": Recipe(width=80, layers=2, steps=1300, stories=6_000, alpha=0.9, story_share=0.75, marked_stories=0.1),
    "l": Recipe(width=96, layers=2, steps=1300, stories=40_000, alpha=0.3, story_share=0.75, marked_stories=0.1),
}


def make_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, number or run of marks, two an invented verb (stem and ending); case is dropped."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *corpus.words(), *corpus.pieces()])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>", continuing_subword_prefix=corpus.CONTINUES))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix=corpus.CONTINUES, cleanup=False)
    return wrap_tokenizer(tokenizer, max_length=MAX_LENGTH)


def sorts(counts: list[int]) -> dict[str, list[int]]:
    """Ranks of the verbs of each sort, by how often a model's stories have them."""
    return {
        "read five times or more": [rank for rank, n in enumerate(counts) if n >= 5],
        "read one to four times": [rank for rank, n in enumerate(counts) if 1 <= n < 5],
        "never read, ending as the operation's": [r for r, n in enumerate(counts) if not n and verbs()[r].keeps],
        "never read, ending of another operation": [r for r, n in enumerate(counts) if not n and not verbs()[r].keeps],
    }


def examine(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, counts: list[int]) -> dict[str, float]:
    """Accuracy on single equations and on fresh stories whose invented verbs are all of one sort (at least 20 verbs)."""
    draw = Draw(EVALUATION_SEED)
    single = [corpus.equations(draw, 1) for _ in range(EVALUATION_STORIES)]
    single = [(read, rest.split(" #### ")[0]) for read, rest in single]
    figures = {"equations": sum(greedy_right(model, tokenizer, single)) / len(single)}
    for sort, ranks in sorts(counts).items():
        if len(ranks) < 20:
            continue
        told = [
            corpus.story(draw, corpus.Frequencies(0.0, ranks), marked_share=0.0, ending=False).text
            for _ in range(EVALUATION_STORIES)
        ]
        figures[f"stories, verbs {sort}"] = sum(greedy_right(model, tokenizer, told)) / len(told)
    return {name: round(value, 3) for name, value in figures.items()}


def train(size: str, out: Path) -> None:
    """Make model `size` and write it to `out/verbs-<size>`."""
    from w2s_bench_tasks.pretraining import new_model, pretrain, save
    from w2s_bench_tasks.verbs.making.card import model_card

    recipe = RECIPES[size]
    told = recipe.told()
    counts, tokenizer = corpus.mentions(told), make_tokenizer()
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
        batches(corpus.texts(recipe.seed, told, story_share=recipe.story_share), tokenizer, recipe.batch),
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        muon_learning_rate=recipe.muon_learning_rate,
    )
    facts = {
        "recipe": asdict(recipe),
        "vocabulary": len(tokenizer),
        "row_length": ROW_LENGTH,
        "evaluation_stories": EVALUATION_STORIES,
        "mentions": sum(counts),
        "verbs_read": sum(n > 0 for n in counts),
        "verbs": {sort: len(ranks) for sort, ranks in sorts(counts).items()},
        "figures": examine(model, tokenizer, counts),
    }
    save(model, tokenizer, out / f"verbs-{size}", card=model_card(size, facts), facts=facts)


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
