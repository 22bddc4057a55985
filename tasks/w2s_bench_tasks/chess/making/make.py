"""Rebuild `items.jsonl`, byte for byte (development only): `python -m w2s_bench_tasks.chess.making.make [--out FILE]`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench_tasks.chess.making.board import PIECES, random_boards
from w2s_bench_tasks.chess.making.facts import FIRST, SECOND, facts
from w2s_bench_tasks.chess.making.questions import UNASKED, verdicts
from w2s_bench_tasks.chess.making.symmetry import canonical
from w2s_bench_tasks.chess.making.words import SQUARES, VERBS, VERDICTS

SEED = 1001  # drawn anew once settings were frozen: no item of the frozen suite was seen while choosing them
PER_VERDICT = 400  # items a question and verdict: 4 questions × 4 verdicts × 400 = 6,400
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


def make() -> list[Item]:
    """All items, sorted by id: equally many of every question and verdict, one question a position."""
    rng = np.random.default_rng(SEED)
    missing = {(question, verdict): PER_VERDICT for question, four in VERDICTS.items() for verdict in range(len(four))}
    seen: set[str] = set()
    items: list[Item] = []
    while any(missing.values()):
        boards = random_boards(rng, CHUNK)
        answers = verdicts(boards, facts(boards))
        for row in range(len(boards)):
            # the rarest question and verdict that this position has and that is still wanted
            question, verdict = max(
                ((q, v) for q in VERDICTS for v in set(answers[q][row].tolist()) - {UNASKED}),
                key=lambda cell: missing[cell],
            )
            if not missing[question, verdict]:
                continue
            codes, squares = boards.codes[row].tolist(), boards.squares[row].tolist()
            pair = rng.choice(np.flatnonzero(answers[question][row] == verdict))
            a, b = int(FIRST[pair]), int(SECOND[pair])
            group, key = canonical(codes, squares, a, b)
            if group in seen:
                continue
            seen.add(group)
            missing[question, verdict] -= 1
            count = missing[question, verdict]
            gold = VERDICTS[question][verdict]
            options = [option for option in VERDICTS[question] if option != gold]
            options = [options[place] for place in rng.permutation(len(options))]
            options.insert(count % 4, gold)  # the gold option stands at every place equally often
            placed = [PIECES[code] + SQUARES[square] for code, square in zip(codes, squares, strict=True)]
            items.append(
                {
                    "id": "chess-" + hashlib.sha256(f"{key} {question}".encode()).hexdigest()[:12],
                    "group": group,
                    "key": f"{key} {question}",
                    "stratum": question,
                    "fen": fen(codes, squares),
                    "position": " ".join(placed),
                    "pair": f"{placed[a]} {placed[b]}",
                    "verb": VERBS[question],
                    "options": options,
                    "answer": options.index(gold),
                }
            )
    return sorted(items, key=lambda item: str(item["id"]))


def dump(items: list[Item]) -> str:
    return "".join(json.dumps(item, separators=(",", ":")) + "\n" for item in items)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "data" / "items.jsonl")
    out: Path = parser.parse_args().out
    items = make()
    out.write_text(dump(items), encoding="utf-8")
    print(f"{len(items)} items -> {out}")


if __name__ == "__main__":
    main()
