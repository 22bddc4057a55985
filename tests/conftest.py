"""Fixtures that several test files share: small random models on disk, each with a tokenizer of its own kind."""

from __future__ import annotations

import atexit
import compileall
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# An example that takes long says that the machine is busy. In CI (`CI=true`) hypothesis has a profile of its own that knows it.
if "CI" not in os.environ:
    settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")
# As workers have it, and before numpy or torch start their threads.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# What looking at plugins came to is remembered for this session alone, and not in the user's cache.
if "W2S_BENCH_PLUGIN_CACHE" not in os.environ:
    os.environ["W2S_BENCH_PLUGIN_CACHE"] = tempfile.mkdtemp(prefix="w2s-bench-plugins-")
    atexit.register(shutil.rmtree, os.environ["W2S_BENCH_PLUGIN_CACHE"], ignore_errors=True)
# Every process that a test starts would otherwise compile the harness anew where the environment keeps Python from writing bytecode,
# as images of containers do: half of what it costs. Written once here, it is read by all. What tests write is not cached: a module
# that one of them changes within a second, without a change of length, would else be imported as it was.
for _folder in ("harness", "tasks", "plugins"):
    compileall.compile_dir(Path(__file__).resolve().parents[1] / _folder, quiet=2)
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
sys.dont_write_bytecode = True
# A shell starts what it puts in the background deaf to Ctrl-C, and so would be the runs that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

LETTERS = "abcdefghijklmnopqrstuvwxyz"
TEXT = [
    "The capital of France is Paris , of Peru Lima , of Chile Santiago .",
    "Question: how much is 12 + 30 ? Answer: 42",
    "größe naïve façade 東京 δ → ≤ ½",
    "one two three four five six seven eight nine ten",
]


def word_tokenizer() -> Any:
    """One token a word; id 0 is a real word."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["zero", *sorted({word for line in TEXT for word in line.split()} | set(LETTERS))]
    vocabulary = {word: i for i, word in enumerate([*words, "<unk>", "<pad>", "<eos>"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrap: Any = transformers.PreTrainedTokenizerFast
    return wrap(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>")


def bpe_tokenizer(*, bos: bool = False) -> Any:
    """Byte-level BPE; with `bos` every text gets a beginning-of-sequence token, as Llama's and Gemma's do."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>", "<turn>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    wrap: Any = transformers.PreTrainedTokenizerFast
    return wrap(tokenizer_object=tokenizer, bos_token="<s>" if bos else None, eos_token="</s>", pad_token="</s>")


def random_model(tokenizer: Any, *, kind: str = "llama", tied: bool = True, seed: int = 0) -> Any:
    """An untrained model of two layers whose answers depend on every token: weights large enough to spread the logits."""
    import torch
    import transformers

    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        "pad_token_id": None,
        "initializer_range": 0.2,
        "tie_word_embeddings": tied,
    }
    model: Any
    torch.manual_seed(seed)
    if kind == "gpt2":
        config = transformers.GPT2Config(n_positions=64, n_embd=32, n_layer=2, n_head=2, **shared)
        model = transformers.GPT2LMHeadModel(config)
    else:
        llama = transformers.LlamaConfig(
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            **shared,
        )
        model = transformers.LlamaForCausalLM(llama)
    return model.eval()


TOKENIZERS: dict[str, Callable[[], Any]] = {
    "words": word_tokenizer,
    "bpe": bpe_tokenizer,
    "bos": lambda: bpe_tokenizer(bos=True),
}


@pytest.fixture(scope="session", autouse=True)
def toy_domains_are_asked_once() -> Iterator[None]:
    """Planning asks another process for a third party's domains, every time. The toy ones answer alike all session."""
    from w2s_bench.plugins import looking

    answers: dict[str, list[Any]] = {}

    def ask(questions: Sequence[Any], seconds: float, begins: Callable[[int], None]) -> list[Any]:
        names = {question.get("name") for question in questions}
        if not names <= {"w2s-bench-toy/largest", "w2s-bench-toy/sums"}:
            return asked(questions, seconds, begins)
        key = json.dumps(questions)
        if key not in answers or not all(isinstance(answer, dict) for answer in answers[key]):
            answers[key] = asked(questions, seconds, begins)
        return answers[key]

    asked = looking.ask
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(looking, "ask", ask)
        yield


@pytest.fixture(scope="session", autouse=True)
def equal_boards_are_drawn_once() -> Iterator[None]:
    """Drawing is most of what a page costs, and most tests of pages have a board that another test had: written, checked, written
    again. What is drawn, and that it is the same bytes each time, is asked of the functions themselves (test_leaderboard.py)."""
    from w2s_bench.results.pages import plots, ties

    drawn: dict[tuple[str, bytes], str] = {}

    def once(draw: Callable[[Any], str]) -> Callable[[Any], str]:
        def drawing(board: Any) -> str:
            key = (draw.__name__, pickle.dumps(board))
            if key not in drawn:
                drawn[key] = draw(board)
            return drawn[key]

        return drawing

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plots, "draw", once(plots.draw))
        patched.setattr(ties, "draw_ties", once(ties.draw_ties))
        yield


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Any]:
    return {name: make() for name, make in TOKENIZERS.items()}


@pytest.fixture(scope="session")
def model_folders(tokenizers: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Saved models by name: `words` and `bpe` and `bos` (tied Llamas), `untied`, `gpt2` (learned positions)."""
    made: dict[str, tuple[Any, dict[str, Any]]] = {
        "words": (tokenizers["words"], {}),
        "bpe": (tokenizers["bpe"], {"seed": 1}),
        "bos": (tokenizers["bos"], {"seed": 2}),
        "untied": (tokenizers["words"], {"seed": 3, "tied": False}),
        "gpt2": (tokenizers["bpe"], {"seed": 4, "kind": "gpt2"}),
    }
    root = tmp_path_factory.mktemp("models")
    for name, (tokenizer, sizes) in made.items():
        random_model(tokenizer, **sizes).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in made}


@pytest.fixture(scope="session")
def sources(model_folders: dict[str, Path]) -> dict[str, Any]:
    """The same as language models of the harness; each `load` gives fresh weights."""
    from w2s_bench.models.origins import LocalModel

    return {name: LocalModel(name, folder) for name, folder in model_folders.items()}


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server like S3's, a real process, that has the bucket `bench`."""
    import fsspec

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
    )
    address = f"http://127.0.0.1:{port}"
    try:
        fs = fsspec.filesystem(
            "s3", key="a", secret="b", client_kwargs={"endpoint_url": address}, skip_instance_cache=True
        )
        for attempt in range(100):
            try:
                fs.mkdir("bench")
                break
            except OSError:
                assert server.poll() is None and attempt < 99
                time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()
        log.close()
