"""One name for a position and all its mirror images."""

from __future__ import annotations

from w2s_bench_tasks.chess.board import PIECES
from w2s_bench_tasks.chess.words import SQUARES


def _image(square: int, *, mirror: bool, flip: bool, transpose: bool) -> int:
    file, rank = square % 8, square // 8
    if mirror:
        file = 7 - file
    if flip:
        rank = 7 - rank
    if transpose:
        file, rank = rank, file
    return rank * 8 + file


def canonical(codes: list[int], squares: list[int], mover: int, to: int) -> tuple[str, str]:
    """(group, key): the least image of the position, and of the position with the move.

    Left and right may always be exchanged (nobody castles). Without pawns all eight symmetries of the board keep every
    answer; a pawn fixes up and down. The order in which two equal pieces are listed means nothing.
    """
    free = "p" not in {PIECES[code] for code in codes}
    positions: list[str] = []
    moves: list[str] = []
    for mirror in (False, True):
        for flip in (False, True) if free else (False,):
            for transpose in (False, True) if free else (False,):

                def image(square: int, m: bool = mirror, f: bool = flip, t: bool = transpose) -> int:
                    return _image(square, mirror=m, flip=f, transpose=t)

                placed = sorted((code, image(square)) for code, square in zip(codes, squares, strict=True))
                position = " ".join(PIECES[code] + SQUARES[square] for code, square in placed)
                positions.append(position)
                moves.append(f"{position} {PIECES[mover]}-{SQUARES[image(to)]}")
    return min(positions), min(moves)
