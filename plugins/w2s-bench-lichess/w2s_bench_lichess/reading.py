"""Lines of a Lichess file → documents. The position is the one after the opponent's move; its answer the move that follows."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from w2s_bench import PluginError

if TYPE_CHECKING:
    import chess

#: How Lichess calls its file.
FILE: Final = "lichess_db_puzzle.csv"
#: No position of chess has more legal moves.
MOST_OPTIONS: Final = 218
SMALLEST: Final = 10
_COLUMNS: Final = ("FEN", "Moves", "Rating")
#: Upper bounds of Lichess ratings, by which strata are named.
_BANDS: Final = (1200, 1600, 2000)


@dataclass(frozen=True)
class Puzzle:
    """One line. `name` is Lichess's, else of the position; `where` names the line in errors."""

    name: str
    fen: str
    moves: tuple[str, ...]
    rating: int
    where: str


def questions(lines: Iterable[str], file: str, *, most: int, options: int) -> list[dict[str, Any]]:
    """Documents of at most `most` puzzles, sorted by id; of puzzles with one position, the first by digest alone."""
    chosen = sorted(puzzles(lines, file), key=lambda puzzle: _drawn(puzzle.fen, *puzzle.moves))
    made: dict[str, dict[str, Any]] = {}
    for puzzle in chosen:
        if len(made) == most:
            break
        if (document := _document(puzzle, options)) is not None:
            made.setdefault(document["key"], document)
    if len(made) < SMALLEST:
        raise PluginError(f"{file} holds {len(made)} puzzles that can be asked; expected at least {SMALLEST}")
    return sorted(made.values(), key=lambda document: str(document["id"]))


def puzzles(lines: Iterable[str], file: str) -> Iterator[Puzzle]:
    """Of a file with Lichess's header, or of three columns without one: FEN, moves, rating."""
    rows = csv.reader(lines)
    names: tuple[str, ...] = _COLUMNS
    for number, row in enumerate(rows, 1):
        if number == 1 and "FEN" in row:
            names = tuple(row)
            if missing := [name for name in _COLUMNS if name not in names]:
                raise PluginError(f"{file} has no column {', '.join(missing)}; its columns are {', '.join(names)}")
            continue
        where = f"{file}, line {number}"
        values = dict(zip(names, row, strict=False))
        if len(row) != len(names) or not values["Rating"].strip().isdigit():
            raise PluginError(f"{where}: expected {', '.join(names)}, got {','.join(row)[:200]!r}")
        name = values.get("PuzzleId") or _drawn(values["FEN"], values["Moves"])[:16]
        yield Puzzle(name, values["FEN"], tuple(values["Moves"].split()), int(values["Rating"]), where)


def _document(puzzle: Puzzle, options: int) -> dict[str, Any] | None:
    """None where there is nothing to choose: one legal move, or only one that does not give mate as well."""
    import chess

    try:
        board = chess.Board(puzzle.fen)
        board.push_uci(puzzle.moves[0])
        best = board.parse_uci(puzzle.moves[1])
    except (ValueError, IndexError) as error:
        raise PluginError(f"{puzzle.where}: no puzzle that can be played ({error}); remove the line") from error
    others = _others(board, best)
    if not others:
        return None
    others.sort(key=lambda move: _drawn(puzzle.name, move.uci()))
    offered = sorted(
        [best, *others[: options - 1 if options else None]], key=lambda move: _drawn("place", puzzle.name, move.uci())
    )
    return {
        "id": puzzle.name,
        "group": board.board_fen(),
        "key": board.epd(),
        "stratum": _band(puzzle.rating),
        "position": board.fen(),
        "side": "White" if board.turn else "Black",
        "choices": [board.san(move) for move in offered],
        "answer": offered.index(best),
        "best": best.uci(),
    }


def _others(board: chess.Board, best: chess.Move) -> list[chess.Move]:
    """The legal moves that are wrong: where the best one gives mate, every other that does is as right, and left out."""
    others = [move for move in board.legal_moves if move != best]
    return [move for move in others if not _mates(board, move)] if _mates(board, best) else others


def _mates(board: chess.Board, move: chess.Move) -> bool:
    board.push(move)
    mates = board.is_checkmate()
    board.pop()
    return mates


def _band(rating: int) -> str:
    above = [bound for bound in _BANDS if rating >= bound]
    below = [bound for bound in _BANDS if rating < bound]
    if not above:
        return f"below {below[0]}"
    return f"{above[-1]} to {below[0] - 1}" if below else f"{above[-1]} and above"


def _drawn(*of: str) -> str:
    """Where a hash puts a thing."""
    return hashlib.sha256("\0".join(of).encode()).hexdigest()
