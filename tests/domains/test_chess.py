"""The domain `chess`: its solver against python-chess, its items' invariants, lm-eval's grading, the bundled models."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from w2s_bench_tasks.chess.data.loader import load
from w2s_bench_tasks.chess.domain import domain
from w2s_bench_tasks.chess.making import words
from w2s_bench_tasks.chess.making.board import PIECES, Boards, random_boards
from w2s_bench_tasks.chess.making.facts import FIRST, NOBODY, SECOND, facts
from w2s_bench_tasks.chess.making.make import dump, fen, make
from w2s_bench_tasks.chess.making.pretrain import SIZES, text_batch
from w2s_bench_tasks.chess.making.questions import UNASKED, verdicts
from w2s_bench_tasks.chess.making.symmetry import canonical, image, symmetries
from w2s_bench_tasks.chess.making.text import IGNORED

FOLDER = Path(words.__file__).parents[1]
PAIRS = {(int(a), int(b)): column for column, (a, b) in enumerate(zip(FIRST, SECOND, strict=True))}


@cache
def documents() -> list[dict[str, Any]]:
    return list(load(metadata="ignored")["test"])


def parse(position: str) -> tuple[list[int], list[int]]:
    placed = position.split()
    return [PIECES.index(word[0]) for word in placed], [words.SQUARES.index(word[1:]) for word in placed]


def boards_of(*positions: str) -> Boards:
    parsed = [parse(position) for position in positions]
    return Boards(np.array([codes for codes, _ in parsed]), np.array([squares for _, squares in parsed]))


def asked(position: str, pair: str) -> dict[str, str]:
    """Question → verdict on one pair, by the domain's solver; questions that are not asked of it are left out."""
    boards = boards_of(position)
    a, b = (position.split().index(piece) for piece in pair.split())
    found = {question: int(given[0, PAIRS[a, b]]) for question, given in verdicts(boards, facts(boards)).items()}
    return {question: words.VERDICTS[question][verdict] for question, verdict in found.items() if verdict != UNASKED}


def by_python_chess(position_fen: str, pair: str, question: str) -> str:
    """The verdict by python-chess, written apart from the domain's own solver."""
    import chess

    board = chess.Board(position_fen)
    assert board.is_valid() and not board.is_check()
    a, b = (chess.parse_square(piece[1:]) for piece in pair.split())
    mine = board.color_at(a)
    empty = chess.Board(None)
    empty.set_piece_at(a, board.piece_at(a))
    line = b in empty.attacks(a)
    if question == "pace":
        piece, reached, frontier, count = board.piece_at(a), {a}, {a}, 0
        while b not in reached and frontier:
            count += 1
            step = set()
            for square in frontier:
                empty = chess.Board(None)
                empty.set_piece_at(square, piece)
                step |= set(empty.attacks(square))
            frontier = step - reached
            reached |= frontier
        return ("never", "once", "twice", "long")[min(count, 3)] if b in reached else "never"
    if question == "duel":
        return words.VERDICTS["duel"][int(b in board.attacks(a)) + 2 * int(a in board.attacks(b))]
    if question == "screen":
        if not line or b in board.attacks(a):
            return "clear" if line else "blind"
        between = [s for s in chess.SquareSet(chess.between(a, b)) if board.piece_at(s)]
        nearest = min(between, key=lambda s: chess.square_distance(a, s))
        return "friend" if board.color_at(nearest) == mine else "foe"
    if not line:
        return "idle"
    if b not in board.attacks(a):
        return "stopped"
    board.turn = bool(mine)
    moves = [move for move in board.legal_moves if (move.from_square, move.to_square) == (a, b)]
    assert moves, "the capture is illegal: not a question"
    board.push(moves[0])
    return "costly" if any(move.to_square == b for move in board.legal_moves) else "free"


def test_known_verdicts() -> None:
    position = "Ka1 Qd4 Nf4 kg8 rd8 pe6"
    assert asked(position, "Qd4 rd8") == {"strike": "free", "screen": "clear", "duel": "both", "pace": "once"}
    assert asked(position, "Nf4 pe6") == {"strike": "free", "screen": "clear", "duel": "former", "pace": "once"}
    assert asked(position, "pe6 Nf4") == {"strike": "idle", "screen": "blind", "duel": "latter"}
    assert asked(position, "Ka1 rd8") == {"strike": "idle", "screen": "blind", "pace": "long"}
    # the king guards the rook; the pawn stands in the way; a piece of the other side does
    assert asked("Ka1 Qd4 Nf3 ke8 rd8 ph5", "Qd4 rd8")["strike"] == "costly"
    assert asked("Ka1 Qd4 Nd6 kg8 rd8 ph5", "Qd4 rd8") == {
        "strike": "stopped",
        "screen": "friend",
        "duel": "neither",
        "pace": "once",
    }
    assert asked("Ka1 Qd4 Nd6 kg8 rd8 ph5", "rd8 Qd4")["screen"] == "foe"
    # a bishop never leaves its colour
    assert asked("Ka1 Bc1 Nd6 kg8 rd8 ph5", "Bc1 ph5")["pace"] == "never"


def test_the_examples_in_the_data_card_hold() -> None:
    position = "Ke1 Qd4 Nb4 ke8 ra4 pd5"
    assert asked(position, "Qd4 pd5")["strike"] == "free"
    assert asked(position, "Qd4 ra4") == {"strike": "stopped", "screen": "friend", "duel": "neither", "pace": "once"}
    assert asked(position, "ra4 Nb4")["strike"] == "costly"
    assert asked(position, "Nb4 pd5")["pace"] == "once"


def test_legality_counts() -> None:
    # the knight is pinned to its king: whether it takes is not asked
    assert "strike" not in asked("Kc1 Qh1 Nc4 kh8 rc8 pd6", "Nc4 pd6")
    # a pinned pawn does not take back, a free one does
    assert asked("Ka1 Re1 Ne4 ke8 nd6 pe7", "Ne4 nd6")["strike"] == "free"
    assert asked("Ka1 Re1 Ne4 kh8 nd6 pe7", "Ne4 nd6")["strike"] == "costly"
    # a king does not take back on a guarded square
    assert asked("Ka1 Rd1 Bb5 ke8 nd7 ph5", "Rd1 nd7")["strike"] == "free"
    assert asked("Ka1 Rd1 Nb5 ke8 nd7 ph5", "Rd1 nd7")["strike"] == "costly"


def test_items_agree_with_python_chess() -> None:
    for item in documents()[::16]:
        verdict = by_python_chess(item["fen"], item["pair"], item["stratum"])
        assert item["options"][item["answer"]] == verdict, item
        assert asked(item["position"], item["pair"])[item["stratum"]] == verdict, item
        assert fen(*parse(item["position"])) == item["fen"]


def test_remarks_name_the_recapture() -> None:
    import chess

    boards = random_boards(np.random.default_rng(5), 2400)
    found = facts(boards)
    for row, column in list(zip(*np.nonzero(found.legal), strict=True))[::6]:
        board = chess.Board(fen(boards.codes[row].tolist(), boards.squares[row].tolist()))
        a, b = int(boards.squares[row, FIRST[column]]), int(boards.squares[row, SECOND[column]])
        board.turn = board.color_at(a)
        board.push(next(move for move in board.legal_moves if (move.from_square, move.to_square) == (a, b)))
        back = {board.piece_at(move.from_square).symbol().lower() for move in board.legal_moves if move.to_square == b}
        named = "" if found.retaker[row, column] == NOBODY else PIECES[boards.codes[row, found.retaker[row, column]]]
        assert named.lower() == min(back, key="pnbrqk".index, default="")


def test_items_are_well_formed() -> None:
    items = documents()
    assert len(items) == 6400
    for field in ("id", "key", "group"):
        assert len({item[field] for item in items}) == len(items), field
    cells = Counter((item["stratum"], item["options"][item["answer"]]) for item in items)
    assert set(cells.values()) == {400} and len(cells) == 16
    assert set(Counter(item["answer"] for item in items).values()) == {1600}
    for item in items:
        assert sorted(item["options"]) == sorted(words.VERDICTS[item["stratum"]])
        assert item["verb"] == words.VERBS[item["stratum"]]
        codes, squares = parse(item["position"])
        a, b = (item["position"].split().index(piece) for piece in item["pair"].split())
        group, key = canonical(codes, squares, a, b)
        assert (item["group"], item["key"]) == (group, f"{key} {item['stratum']}")


def test_a_cluster_is_a_question_of_two_kinds_of_pieces() -> None:
    made = Counter(domain().fields(item)["cluster"] for item in documents())
    assert len(made) == 196 and max(made.values()) == 129
    assert {cluster.split()[0] for cluster in made} == set(words.VERBS)


def test_mirror_images_are_one_question_with_one_answer() -> None:
    for item in documents()[::60]:
        codes, squares = parse(item["position"])
        a, b = (item["position"].split().index(piece) for piece in item["pair"].split())
        for exchange in symmetries(codes):
            moved = [image(square, *exchange) for square in squares]
            assert canonical(codes, moved, a, b) == canonical(codes, squares, a, b)
            placed = [PIECES[code] + words.SQUARES[square] for code, square in zip(codes, moved, strict=True)]
            verdict = asked(" ".join(placed), f"{placed[a]} {placed[b]}")[item["stratum"]]
            assert verdict == item["options"][item["answer"]]


def test_lm_eval_grades() -> None:
    from lm_eval.tasks import TaskManager

    task = TaskManager(include_path=str(FOLDER / "data"), include_defaults=False).load("w2s_chess")["tasks"][
        "w2s_chess"
    ]
    for item in list(task.test_docs())[:4]:
        prompt = f"{item['position']} : {item['pair']} {item['verb']}"
        assert task.doc_to_text(item) == prompt
        requests = task.construct_requests(item, task.fewshot_context(item, 0))
        pairs = [request.args for request in requests][: len(item["options"])]
        assert pairs == [(prompt, f" {option}") for option in item["options"]]
        for preferred, expected in ((item["answer"], 1.0), ((item["answer"] + 1) % 4, 0.0)):
            scores = [(-1.0 if place == preferred else -5.0, False) for place in range(4)]
            assert task.process_results(item, scores)["acc"] == expected


def test_every_word_is_one_token_and_no_option_a_prefix() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "models" / "chess-s")
    unknown = tokenizer.convert_tokens_to_ids("<unk>")
    for item in documents()[::40]:
        prompt = f"{item['position']} : {item['pair']} {item['verb']}"
        for option in item["options"]:
            ids = tokenizer(f"{prompt} {option}", add_special_tokens=False)["input_ids"]
            assert len(ids) == 11 and unknown not in ids
            assert ids[:-1] == tokenizer(prompt, add_special_tokens=False)["input_ids"]


def test_pretraining_text_holds_no_prompt_and_no_verdict() -> None:
    ids, targets = text_batch(np.random.default_rng(11), 2000)
    seen = {words.VOCABULARY[token] for token in np.unique(ids)}
    assert not seen & {verdict for four in words.VERDICTS.values() for verdict in four}
    assert set(words.VERBS.values()) <= seen
    assert (ids[targets != IGNORED] == targets[targets != IGNORED]).all()
    groups = {item["group"] for item in documents()}
    for row in ids[:300]:
        position = " ".join(words.VOCABULARY[token] for token in row[:6])
        assert canonical(*parse(position), 1, 4)[0] not in groups


def test_remarks_of_the_pretraining_text_are_true() -> None:
    ids, _ = text_batch(np.random.default_rng(12), 60)
    question_of = {verb: question for question, verb in words.VERBS.items()}
    for row in ids:
        text = [words.VOCABULARY[token] for token in row]
        position = text[:6]
        for a, b, verb, answer in zip(*(iter(text[7:]),) * 4, strict=True):
            question, verdict = question_of[verb], asked(" ".join(position), f"{a} {b}").get(question_of[verb])
            if verdict is None:  # the text also remarks on friends and kings
                continue
            expected = {
                "idle": "no", "stopped": "held", "free": "safe", "blind": "no", "clear": "yes", "never": "off",
                "neither": "no", "latter": "no", "former": "yes", "both": "yes", "once": "1", "twice": "2",
            }.get(verdict)  # fmt: skip
            if expected:
                assert answer == expected, (text, question)
            elif verdict == "long":
                assert answer in "34567"
            else:  # a piece is named: who takes back, or who stands in the line
                assert answer in {word[0] for word in position if word not in (a, b)}
                enemy_of_a = answer.isupper() != a[0].isupper()
                assert enemy_of_a == (verdict in ("costly", "foe"))


def test_bundled_models() -> None:
    import torch
    from transformers import AutoModelForCausalLM

    vocabularies = set()
    for name, size in SIZES.items():
        folder = FOLDER / "models" / f"chess-{name}"
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        assert (model.config.hidden_size, model.config.num_hidden_layers) == (size.width, size.layers)
        assert model.config.vocab_size == len(words.VOCABULARY)
        assert parameters == json.loads((folder / "training.json").read_text(encoding="utf-8"))["parameters"]
        assert f"{parameters:,}" in (folder / "README.md").read_text(encoding="utf-8")
        assert (folder / "model.safetensors").stat().st_size < 2_000_000
        vocabularies.add((folder / "tokenizer.json").read_bytes())
    assert len(vocabularies) == 1


def test_make_rebuilds_the_items_byte_for_byte() -> None:
    assert dump(make()) == (FOLDER / "data" / "items.jsonl").read_text(encoding="utf-8")
