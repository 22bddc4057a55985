"""The words of the domain: one token a piece on its square, the signs of the pretraining text, the verbs and verdicts of the task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench_tasks.chess.board import PIECES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SQUARES = tuple(file + rank for rank in "12345678" for file in "abcdefgh")
BEGIN = ":"

#: The pretraining text's remarks on two pieces, `Qd4 ra8 via Nf3`, and their answers: a piece on its square or one of these.
VIA, THEN, IN = "via", "then", "in"
NO_LINE, OPEN, SAFE, UNREACHABLE = "-", "+", "=", "x"
COUNTS = tuple("1234567")

#: The task asks each question with one of four verbs; neither these nor the verdicts are in the pretraining text.
VERBS = {
    "strike": ("takes", "captures", "seizes", "grabs"),
    "screen": ("sees", "eyes", "views", "watches"),
    "duel": ("faces", "meets", "confronts", "duels"),
    "pace": ("reaches", "visits", "walks-to", "travels-to"),
}
VERDICTS = {
    "strike": ("idle", "stopped", "costly", "free"),
    "screen": ("blind", "clear", "friend", "foe"),
    "duel": ("neither", "former", "latter", "both"),
    "pace": ("never", "once", "twice", "long"),
}


def _vocabulary() -> list[str]:
    plain = ["<pad>", "<eos>", "<unk>", BEGIN, VIA, THEN, IN, NO_LINE, OPEN, SAFE, UNREACHABLE, *COUNTS]
    plain += [verb for verbs in VERBS.values() for verb in verbs]
    plain += [verdict for verdicts in VERDICTS.values() for verdict in verdicts]
    return plain + [piece + square for piece in PIECES for square in SQUARES]


VOCABULARY = _vocabulary()
TOKEN = {word: token for token, word in enumerate(VOCABULARY)}
#: The id of a piece on a square is this plus 64 × the piece's code plus the square.
FIRST_PLACED = TOKEN["Ka1"]
MAX_LENGTH = 64


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; a word outside the vocabulary is `<unk>`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    made = Tokenizer(models.WordLevel(TOKEN, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return wrap_tokenizer(made, max_length=MAX_LENGTH)
