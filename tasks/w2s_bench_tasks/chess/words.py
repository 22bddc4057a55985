"""The words of the domain: one token a piece on a square, one a move, and the two vocabularies of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from w2s_bench_tasks.chess.board import PIECES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SQUARES = tuple(file + rank for rank in "12345678" for file in "abcdefgh")
WHITE, BLACK = PIECES[:5], PIECES[5:]

#: In the pretraining text a remark's sign stands between the move and the piece, on its square, that answers it.
REMARKS = {
    "risk": "x=",
    "drop": "x!",
    "taker": "by=",
    "guard": "own=",
    "threat": "att=",
    "prey": "att!",
    "target": "to=",
    "loose": "un!",
}
NONE = "--"  # the pretraining text's "no piece"
BEGIN, NEXT = ":", ";"

#: In the task each question is asked with one of four verbs, none of which is in the pretraining text.
VERBS = {
    "risk": ("exposes", "endangers", "risks", "offers"),
    "drop": ("drops", "loses", "hangs", "blunders"),
    "taker": ("falls-to", "allows", "invites", "permits"),
    "guard": ("relies-on", "trusts", "leans-on", "needs"),
    "threat": ("threatens", "menaces", "harasses", "pressures"),
    "prey": ("wins", "hunts", "catches", "nets"),
    "target": ("hits", "strikes", "eyes", "pokes"),
    "loose": ("leaves", "finds", "spots", "forsakes"),
}
ASK = "?"

_MATERIAL = {"": "nothing", "p": "pawn", "n": "minor", "b": "minor", "r": "rook"}
_WHITE_MATERIAL = {"": "nothing", "N": "minor", "B": "minor", "R": "rook", "Q": "queen"}
#: question → (piece, "" for none) → verdict. Four verdicts a question; these words are not in the pretraining text either.
VERDICTS = {
    "risk": _WHITE_MATERIAL,
    "drop": _WHITE_MATERIAL,
    "taker": {"": "nobody", "p": "footman", "n": "officer", "b": "officer", "r": "officer", "k": "monarch"},
    "guard": {"": "nobody", "N": "minor", "B": "minor", "R": "major", "Q": "major", "K": "monarch"},
    "threat": _MATERIAL,
    "prey": _MATERIAL,
    "target": {"": "nothing", "p": "footman", "n": "officer", "b": "officer", "r": "officer", "k": "monarch"},
    "loose": _MATERIAL,
}


def _vocabulary() -> list[str]:
    verdicts = sorted({verdict for options in VERDICTS.values() for verdict in options.values()})
    plain = ["<pad>", "<eos>", "<unk>", BEGIN, NEXT, NONE, *REMARKS.values(), ASK]
    plain += [verb for verbs in VERBS.values() for verb in verbs] + verdicts
    placed = [piece + square for piece in PIECES for square in SQUARES]
    moves = [f"{piece}-{square}" for piece in WHITE for square in SQUARES]
    return plain + placed + moves


VOCABULARY = _vocabulary()
TOKEN = {word: token for token, word in enumerate(VOCABULARY)}
#: Ids of `Ka1` and `K-a1`: a piece's or move's id is the first one's plus 64 × piece code plus square.
FIRST_PLACED, FIRST_MOVE = TOKEN["Ka1"], TOKEN["K-a1"]
MAX_LENGTH = 64


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a word; a word outside the vocabulary is `<unk>`."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    from w2s_bench_tasks.pretraining import wrap_tokenizer

    made = Tokenizer(models.WordLevel(TOKEN, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return wrap_tokenizer(made, max_length=MAX_LENGTH)
