"""The shipped suites `paper-*`, `offline-lm-tasks` and `qwen-coder`: planned as they stand.

The whole path of `paper-*` is taken on small random models of the same architectures.

Tasks, parameters, recipes and dtypes are the shipped ones. Rows are made here, and models, sizes and steps are small.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from architectures import ARCHITECTURES
from conftest import bpe_tokenizer
from domains.test_lm_eval import ROWS, write
from support import ROOT
from w2s_bench import api
from w2s_bench._cli.app import app
from w2s_bench.errors import NotApplicableError
from w2s_bench.names import DATA_VARIABLE, INCLUDE_VARIABLE
from w2s_bench.results.files import read_cells
from w2s_bench.suite import Suite
from w2s_bench.suite_domain import DomainSpec, Sizes
from w2s_bench.suite_files import built_in_suites, load_suite

pytestmark = pytest.mark.slow

PAPER = sorted(name for name in built_in_suites() if name.startswith("paper-"))
LICHESS, OFFLINE_LMS, QWEN_CODER = (
    ROOT / "plugins" / f"w2s-bench-{name}" for name in ("lichess", "offline-lms", "qwen-coder")
)
SMALL = Sizes(dev=4, test=12, weak_train=12, trust=16, transfer=24)
#: Which domain is run on which shipped suite's terms.
RUN = {
    "lm-eval/openbookqa": "paper-knowledge",
    "lm-eval/arc_challenge": "paper-knowledge-olmo2",
    "lm-eval/arc_easy": "paper-knowledge",
    "lm-eval/sciq": "paper-knowledge-14b",
    "lm-eval/social_iqa": "paper-knowledge-14b",
    "lm-eval/gsm8k": "paper-math",
    "lm-eval/hendrycks_math_algebra": "paper-math",
    "w2s-bench-lichess/puzzles": "paper-chess",
}
#: No suite that ships asks for moves that are written out; they are trained on and graded as its puzzles are.
WRITTEN_MOVE = "w2s-bench-lichess/move"


def algebra(n: int) -> dict[str, Any]:
    return {
        "problem": f"Find {n}+1.",
        "solution": rf"It is $\boxed{{{n + 1}}}$.",
        "level": "Level 1",
        "type": "Algebra",
    }


def puzzle_lines(count: int) -> str:
    """Positions after random legal moves; the solution is any legal move."""
    import random

    import chess

    draws, lines = random.Random(3), []
    while len(lines) < count:
        board = chess.Board()
        for _ in range(draws.randrange(6, 20)):
            board.push(draws.choice([*board.legal_moves]))
            if board.is_game_over():
                break
        else:
            before = board.fen()
            board.push(opponent := draws.choice([*board.legal_moves]))
            if not board.is_game_over():
                lines.append(f"{before},{opponent} {draws.choice([*board.legal_moves])},{draws.randrange(800, 2400)}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with rows of every task, and the plugins registered as if they were installed."""
    with pytest.MonkeyPatch.context() as patch:
        yield installed(tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("site"), patch)


def installed(folder: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("lichess", "offline-lms", "qwen-coder"):
        module = f"w2s_bench_{name.replace('-', '_')}"
        info = site / f"{module}-0.1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: w2s-bench-{name}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[w2s_bench]\n{name} = {module}\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", f"{site}:{LICHESS}:{OFFLINE_LMS}:{QWEN_CODER}")
    monkeypatch.setenv(DATA_VARIABLE, str(folder))
    monkeypatch.setenv(INCLUDE_VARIABLE, "")
    rows = {**ROWS, "hendrycks_math_algebra": algebra}
    for task, test in (
        ("openbookqa", "test"), ("social_iqa", "validation"), ("arc_challenge", "test"), ("arc_easy", "test"),
        ("sciq", "test"), ("gsm8k", "test"), ("hendrycks_math_algebra", "test"),
    ):  # fmt: skip
        write(folder, task, "train", [rows[task](n) for n in range(100)])
        write(folder, task, test, [rows[task](n) for n in range(100, 130)])
        if test == "test":
            write(folder, task, "validation", [rows[task](n) for n in range(130, 140)])
    (folder / "lichess_db_puzzle.csv").write_text(puzzle_lines(120))
    return folder


@pytest.mark.parametrize("name", [*PAPER, "offline-lm-tasks", "qwen-coder"])
def test_each_is_planned_without_a_model_or_a_network(name: str, data: Path, tmp_path: Path) -> None:
    """As it stands but for its sizes, which the rows made here cannot fill; that is told."""
    content = load_suite(name).model_dump(mode="json")
    for domain in content["domains"]:
        domain["sizes"] = SMALL.model_dump()
    fewer = tmp_path / f"{name}.yaml"
    fewer.write_text(yaml.safe_dump(content))
    told = CliRunner().invoke(app, ["run", str(fewer), "--dry-run", "--store", str(data / "store")])
    assert told.exit_code == 0, told.output
    assert all(stage in told.output for stage in ("train", "score", "grade"))
    told = CliRunner().invoke(app, ["run", name, "--dry-run", "--store", str(data / "store")])
    assert told.exit_code == 2 and "items, too few for sizes" in told.output


def saved(folder: Path, kind: str, seed: int) -> str:
    """A random model of the kind that the suite names, saved; each kind reads byte-level BPE here."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = bpe_tokenizer()
    model_type, settings = ARCHITECTURES[kind]
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    settings = {**settings, "vocab_size": len(tokenizer), "max_position_embeddings": 2048, "bos_token_id": None, **ends}
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **settings))
    model.save_pretrained(folder)
    tokenizer.model_max_length = 2048
    tokenizer.save_pretrained(folder)
    return str(folder)


def small(spec: DomainSpec, models: Path) -> DomainSpec:
    """The domain of a shipped suite on small models of the same kinds."""
    kind = "olmo2" if "OLMo-2" in spec.student.model else "qwen3"
    roles = {}
    for seed, role in enumerate(("teacher", "student")):
        folder = models / f"{kind}-{role}"
        given = getattr(spec, role)
        changes: dict[str, Any] = {"model": str(folder) if folder.is_dir() else saved(folder, kind, seed)}
        if given.recipe != "none":
            changes |= {"steps": 2, "batch_size": 4, "lora_rank": 2}
        roles[role] = given.model_copy(update=changes)
    short = {"max_new_tokens": 40} if "max_new_tokens" in spec.parameters else {}
    sizes = SMALL if spec.sizes.weak_train else SMALL.model_copy(update={"weak_train": 0})
    return spec.model_copy(update={**roles, "sizes": sizes, "parameters": {**spec.parameters, **short}})


def test_every_task_format_goes_its_whole_way_on_the_same_architectures(data: Path, tmp_path: Path) -> None:
    specs = [load_suite(suite).domain(domain) for domain, suite in RUN.items()]
    puzzles = next(spec for spec in specs if spec.name == "w2s-bench-lichess/puzzles")
    specs.append(puzzles.model_copy(update={"name": WRITTEN_MOVE, "parameters": {"most": 20_000}}))
    domains = [small(spec, tmp_path / "models") for spec in specs]
    suite = Suite.model_validate({"name": "paper-small", "version": "1", "seeds": 1, "domains": domains})
    trust = ["ntf", "contrast:of=student", "confidence"]
    api.run(suite, trust=trust, out=tmp_path / "out", store=tmp_path / "store", workers=1)
    cells = read_cells(tmp_path / "out" / "paper-small")
    faults = {cell.row: cell.body.seeds[0].error for cell in cells if cell.body.seeds[0].error}
    # A random model's labels may all be wrong: then there is no right one to choose, which is said.
    assert not {row: fault for row, fault in faults.items() if not NotApplicableError.is_behind(fault)}
    trusted = {(cell.body.domain.name, cell.body.arm.name) for cell in cells if cell.body.arm.trusts}
    assert {(spec.name, f"w2s-bench/{name}") for spec in specs for name in ("confidence", "ntf")} <= trusted
