"""The words of the domain: one token a piece on its square, the verbs, and two vocabularies of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench_tasks.chess.making.board import PIECES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SQUARES = tuple(file + rank for rank in "12345678" for file in "abcdefgh")
BEGIN = ":"

#: The four questions, each with its verb. In the pretraining text a verb is answered with a piece (its letter), a number or one of
#: the words below; in the task with a verdict.
VERBS = {"strike": "takes", "screen": "sees", "duel": "faces", "pace": "reaches"}
NO_LINE, OPEN, STOPPED, SAFE, UNREACHABLE = "no", "yes", "held", "safe", "off"
COUNTS = tuple("1234567")

#: The task's own words: no verdict is in the pretraining text.
VERDICTS = {
    "strike": ("idle", "stopped", "costly", "free"),
    "screen": ("blind", "clear", "friend", "foe"),
    "duel": ("neither", "former", "latter", "both"),
    "pace": ("never", "once", "twice", "long"),
}


def _vocabulary() -> list[str]:
    plain = [
        "<pad>",
        "<eos>",
        "<unk>",
        BEGIN,
        NO_LINE,
        OPEN,
        STOPPED,
        SAFE,
        UNREACHABLE,
        *COUNTS,
        *VERBS.values(),
        *PIECES,
    ]
    plain += [verdict for verdicts in VERDICTS.values() for verdict in verdicts]
    return plain + [piece + square for piece in PIECES for square in SQUARES]


VOCABULARY = _vocabulary()
TOKEN = {word: token for token, word in enumerate(VOCABULARY)}
#: The id of a piece's letter is this plus the piece's code,
FIRST_LETTER = TOKEN[PIECES[0]]
#: and that of a piece on a square is this plus 64 × the piece's code plus the square.
FIRST_PLACED = TOKEN["Ka1"]
MAX_LENGTH = 64


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; a word outside the vocabulary is `<unk>`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    made = Tokenizer(models.WordLevel(TOKEN, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return wrap_tokenizer(made, max_length=MAX_LENGTH)
