"""One name for a position and all its mirror images."""

from __future__ import annotations

from w2s_bench_tasks.chess.making.board import PIECES
from w2s_bench_tasks.chess.making.words import SQUARES


def image(square: int, mirror: bool, flip: bool, transpose: bool) -> int:
    """Where a square goes when left and right, top and bottom, and files and ranks are exchanged, in this order."""
    file, rank = square % 8, square // 8
    if mirror:
        file = 7 - file
    if flip:
        rank = 7 - rank
    if transpose:
        file, rank = rank, file
    return rank * 8 + file


def symmetries(codes: list[int]) -> list[tuple[bool, bool, bool]]:
    """The exchanges that keep every answer: left and right (nobody castles); without pawns, which have a direction, all eight."""
    other = (False, True) if "p" not in {PIECES[code] for code in codes} else (False,)
    return [(mirror, flip, transpose) for mirror in (False, True) for flip in other for transpose in other]


def canonical(codes: list[int], squares: list[int], a: int, b: int) -> tuple[str, str]:
    """(group, key): the least image of the position, and of the position with the pieces in slots `a` and `b` named.

    The order in which two equal pieces are listed means nothing.
    """
    positions, pairs = [], []
    for exchange in symmetries(codes):
        placed = [(code, image(square, *exchange)) for code, square in zip(codes, squares, strict=True)]
        named = [PIECES[code] + SQUARES[square] for code, square in placed]
        position = " ".join(PIECES[code] + SQUARES[square] for code, square in sorted(placed))
        positions.append(position)
        pairs.append(f"{position} : {named[a]} {named[b]}")
    return min(positions), min(pairs)
