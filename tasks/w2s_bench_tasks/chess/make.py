"""Rebuild `items.jsonl`, byte for byte (development only): `python -m w2s_bench_tasks.chess.make [--out FILE]`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench_tasks.chess.board import EMPTY, PIECES, Boards, play, random_boards, white_moves
from w2s_bench_tasks.chess.facts import QUESTIONS, answers
from w2s_bench_tasks.chess.symmetry import canonical
from w2s_bench_tasks.chess.words import SQUARES, VERBS, VERDICTS

SEED = 20261123
PER_VERDICT = 225  # items a question and verdict: 8 questions x 4 verdicts x 225 = 7,200
CHUNK = 6000  # draws at a time

Item = dict[str, Any]


def fen(codes: list[int], squares: list[int]) -> str:
    """The position in Forsyth–Edwards notation, White to move."""
    on = {square: PIECES[code] for code, square in zip(codes, squares, strict=True)}
    ranks = []
    for rank in range(7, -1, -1):
        text, gap = "", 0
        for file in range(8):
            piece = on.get(rank * 8 + file)
            if piece is None:
                gap += 1
                continue
            text += (str(gap) if gap else "") + piece
            gap = 0
        ranks.append(text + (str(gap) if gap else ""))
    return "/".join(ranks) + " w - - 0 1"


def draw_moves(rng: np.random.Generator) -> tuple[Boards, Boards, Any, Any]:
    """Positions, what they are after one legal move each, the mover's slot and its target."""
    boards = random_boards(rng, CHUNK)
    moves = white_moves(boards).reshape(len(boards), -1)
    drawn = np.argmax(np.where(moves, rng.random(moves.shape), -1.0), axis=1)
    slot, to = drawn // 64, drawn % 64
    after, _, legal = play(boards, slot, to)
    legal &= moves.any(axis=1)
    return boards[legal], after[legal], slot[legal], to[legal]


def make() -> list[Item]:
    """All items, sorted by id: equally many of every question and verdict, one question a position."""
    rng = np.random.default_rng(SEED)
    missing = {(question, verdict): PER_VERDICT for question in QUESTIONS for verdict in VERDICTS[question].values()}
    seen: set[str] = set()
    items: list[Item] = []
    while any(missing.values()):
        boards, after, slots, targets = draw_moves(rng)
        found = answers(after, slots)
        asked = rng.integers(len(QUESTIONS), size=len(boards))
        for row in range(len(boards)):
            question = QUESTIONS[asked[row]]
            answer = int(found[question][row])
            verdict = VERDICTS[question]["" if answer == EMPTY else PIECES[after.codes[row, answer]]]
            if not missing[question, verdict]:
                continue
            codes, squares = boards.codes[row].tolist(), boards.squares[row].tolist()
            slot, to = int(slots[row]), int(targets[row])
            group, key = canonical(codes, squares, codes[slot], to)
            if group in seen:
                continue
            seen.add(group)
            missing[question, verdict] -= 1
            count = missing[question, verdict]
            options = sorted(set(VERDICTS[question].values()))
            options = [options[place] for place in rng.permutation(len(options))]
            # the gold option stands at every place equally often
            options.remove(verdict)
            options.insert(count % 4, verdict)
            items.append(
                {
                    "id": "chess-" + hashlib.sha256(f"{key} {question}".encode()).hexdigest()[:12],
                    "group": group,
                    "key": f"{key} {question}",
                    "stratum": question,
                    "fen": fen(codes, squares),
                    "position": " ".join(PIECES[c] + SQUARES[s] for c, s in zip(codes, squares, strict=True)),
                    "move": f"{PIECES[codes[slot]]}-{SQUARES[to]}",
                    "verb": VERBS[question][count // 4 % 4],
                    "options": options,
                    "answer": options.index(verdict),
                }
            )
    return sorted(items, key=lambda item: str(item["id"]))


def dump(items: list[Item]) -> str:
    return "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("items.jsonl"))
    out: Path = parser.parse_args().out
    items = make()
    out.write_text(dump(items), encoding="utf-8")
    print(f"{len(items)} items -> {out}")


if __name__ == "__main__":
    main()
