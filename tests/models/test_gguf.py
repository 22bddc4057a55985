"""GGUF files: unpacked once, the same model as was written; what cannot be read is said. The files are made here."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from w2s_bench.errors import ModelError
from w2s_bench.models import gguf as module
from w2s_bench.models.gguf import GgufModel, from_file
from w2s_bench.models.loading import load_engine
from w2s_bench.models.setup import Setup
from w2s_bench.plugins.registry import Registry
from w2s_bench.record import file_digest
from w2s_bench.types import Item

WIDTH, HEADS, LAYERS, INNER = 32, 2, 2, 64
#: Bytes, as GPT-2's tokenizer writes them, and two tokens of the model's own.
LETTERS = [*(chr(c) for c in range(33, 127)), "Ġ", "Ċ"]
TOKENS = [*LETTERS, "<bos>", "<|endoftext|>", "th"]


def weights() -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """Tensors of a Llama by llama.cpp's names."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        return (rng.standard_normal(shape) * 0.1).astype(np.float32)

    out = {"token_embd.weight": drawn(len(TOKENS), WIDTH), "output_norm.weight": 1 + drawn(WIDTH)}
    out["output.weight"] = drawn(len(TOKENS), WIDTH)
    for layer in range(LAYERS):
        out |= {f"blk.{layer}.attn_{part}.weight": drawn(WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
        out |= {f"blk.{layer}.{part}_norm.weight": 1 + drawn(WIDTH) for part in ("attn", "ffn")}
        out |= {f"blk.{layer}.ffn_{part}.weight": drawn(INNER, WIDTH) for part in ("gate", "up")}
        out[f"blk.{layer}.ffn_down.weight"] = drawn(WIDTH, INNER)
    return out


def write(
    path: Path,
    kind: str = "F32",
    *,
    arch: str = "llama",
    parts: int = 1,
    without: str = "",
    pre: str | None = "gpt-2",
    tokens: list[str] = TOKENS,
    settings: Mapping[str, float | str] = MappingProxyType({}),
    tensors: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """A GGUF file whose matrices are of a kind of tensor; `settings` by what follows the architecture, `tensors` beside its own."""
    import gguf

    writer = gguf.GGUFWriter(path, arch)
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(len(LETTERS))
    writer.add_eos_token_id(len(LETTERS) + 1)
    if parts > 1:
        writer.add_uint16("split.count", parts)
    for setting, value in settings.items():
        add = writer.add_string if isinstance(value, str) else writer.add_float32
        add(f"{arch}.{setting}", value)  # type: ignore[arg-type]  # of its own kind
    for name, tensor in {**weights(), **tensors}.items():
        if name == without:
            continue
        of = gguf.GGMLQuantizationType[kind if tensor.ndim == 2 else "F32"]
        writer.add_tensor(name, gguf.quants.quantize(tensor, of), raw_dtype=of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(module.UNPACKED_VARIABLE, str(tmp_path / "unpacked"))
    return tmp_path / "unpacked"


@pytest.mark.parametrize(
    ("kind", "dtype"), [("F32", "float32"), ("F16", "float32"), ("Q8_0", "bfloat16"), ("Q4_1", "bfloat16")]
)
def test_it_is_the_model_that_was_written(cache: Path, tmp_path: Path, kind: str, dtype: str) -> None:
    """By gguf's own way of unpacking, one matrix that is stored as it is and one whose rows llama.cpp reorders."""
    import gguf
    import torch

    path = write(tmp_path / "tiny.gguf", kind)
    model, tokenizer = Registry.of(()).model(f"gguf/{path}").load()
    state = model.state_dict()
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not hasattr(model.config, "quantization_config") and not getattr(model, "is_quantized", False)

    def unpacked(name: str) -> torch.Tensor:
        of = gguf.GGMLQuantizationType[kind]
        exact = gguf.quants.dequantize(gguf.quants.quantize(weights()[name], of), of)
        return torch.tensor(exact).to(getattr(torch, dtype)).float()

    torch.testing.assert_close(
        state["model.layers.1.mlp.up_proj.weight"], unpacked("blk.1.ffn_up.weight"), rtol=0, atol=0
    )
    query = unpacked("blk.0.attn_q.weight").reshape(HEADS, WIDTH // HEADS // 2, 2, WIDTH).swapaxes(1, 2)
    torch.testing.assert_close(
        state["model.layers.0.self_attn.q_proj.weight"], query.reshape(WIDTH, WIDTH), rtol=0, atol=0
    )
    assert tokenizer("a b", add_special_tokens=False)["input_ids"] == [TOKENS.index(t) for t in ("a", "Ġ", "b")]
    (record,) = cache.glob("*.json")
    assert json.loads(record.read_text())["dtype"] == dtype


def test_the_engine_takes_it(cache: Path, tmp_path: Path) -> None:
    model = from_file(f"gguf/{write(tmp_path / 'tiny.gguf', 'Q8_0')}")
    engine = load_engine(model)
    (scores,) = engine.choice_scores([Item(id="1", group="1", key="1", stratum="", prompt="ab", choices=(" a", " bc"))])
    assert scores.shape == (2,) and (scores < 0).all()
    lower, _ = model.load_as(Setup(dtype="bfloat16"), "cpu")
    assert {str(p.dtype) for p in lower.parameters()} == {"torch.bfloat16"}


def test_it_is_unpacked_once_and_again_where_the_cache_was_damaged(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "tiny.gguf")
    model = GgufModel("gguf/tiny", path)
    assert model.fingerprint() == file_digest(path)
    said: list[str] = []
    folder = model.unpacked(said.append).path
    assert folder.parent == cache and any("unpacked into" in line for line in said)
    other = Path(write(tmp_path / "elsewhere.gguf"))  # the same bytes under another name
    with monkeypatch.context() as patch:
        patch.setattr(module, "unpack", lambda *_: pytest.fail("unpacked twice"))
        assert GgufModel("gguf/other", other).unpacked().path == folder
    (folder / "model.safetensors").write_bytes(b"cut short")
    said.clear()
    assert model.unpacked(said.append).path == folder
    assert "no longer as it was written" in said[0]
    assert model.load()[0].config.num_hidden_layers == LAYERS


#: Files that transformers looks for beside a model's own, code among them.
BESIDE = {
    "tokenizer_config.json": {
        "auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]},
        "tokenizer_class": "T",
        "eos_token": "a",
    },
    "config.json": {"auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}, "model_type": "evil"},
    "generation_config.json": {"eos_token_id": 3, "do_sample": True, "temperature": 2.0},
    "special_tokens_map.json": {"eos_token": "b"},
    "added_tokens.json": {"<added>": 99},
    "adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "."},
}


def test_what_lies_beside_the_file_or_where_the_process_stands_changes_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in no fingerprint. Code there is not run, and nobody is asked whether it may be."""
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda *said: asked.append(str(said)) or "y")  # type: ignore[func-returns-value]
    alone, crowded = tmp_path / "alone", tmp_path / "crowded"
    for folder in (alone, crowded):
        folder.mkdir()
        write(folder / "tiny.gguf")
    for name, content in BESIDE.items():
        (crowded / name).write_text(json.dumps(content))
    (crowded / "chat_template.jinja").write_text("beside")
    (crowded / "evil.py").write_text(f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n")
    expected = from_file(f"gguf/{alone / 'tiny.gguf'}").unpacked().fingerprint()
    monkeypatch.setenv(module.UNPACKED_VARIABLE, str(tmp_path / "other cache"))
    monkeypatch.setattr(sys.modules[__name__], "WIDTH", 16)
    for name in (
        "tiny.gguf",
        "model.gguf",
    ):  # another model of the file's name: transformers prefers it to that of a folder
        write(alone / name)
    monkeypatch.chdir(alone)
    model = from_file("gguf/../crowded/tiny.gguf")
    assert model.unpacked().fingerprint() == expected
    _, tokenizer = model.load()
    assert tokenizer.eos_token == "<|endoftext|>" and tokenizer.chat_template is None
    assert not asked and not (tmp_path / "ran").exists()


def test_a_file_system_without_links_has_it_copied(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError("no links here")

    path = write(tmp_path / "tiny.gguf")
    linked = GgufModel("gguf/x", path).unpacked().fingerprint()
    for number, kind in enumerate(("symlink_to", "hardlink_to")):
        monkeypatch.setattr(Path, kind, refused)
        monkeypatch.setenv(module.UNPACKED_VARIABLE, str(tmp_path / f"other {number}"))
        assert GgufModel("gguf/x", path).unpacked().fingerprint() == linked
        assert path.is_file() and not list((tmp_path / f"other {number}").glob(".reading-*"))


def test_what_fails_leaves_nothing_behind(cache: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "other.gguf", arch="made-up")
    with pytest.raises(ModelError, match=r"model 'gguf/x' cannot be read from .*made-up.*local/FOLDER"):
        GgufModel("gguf/x", path).load()
    assert [found for found in cache.iterdir() if found.suffix != ".lock"] == []


def test_what_is_no_whole_model_is_named(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"model 'gguf/no.gguf': there is no file 'no.gguf'; give the path of a .gguf"):
        from_file("gguf/no.gguf")
    with pytest.raises(ModelError, match=r"is the home of no user here"):
        from_file("gguf/~nobody-here/x.gguf")
    (tmp_path / "text.gguf").write_text("text")
    with pytest.raises(ModelError, match=r"begins with b'text', a GGUF file with b'GGUF'; give another file, or local"):
        from_file(f"gguf/{tmp_path / 'text.gguf'}")
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")
    with pytest.raises(
        ModelError, match=r"pointer.gguf is a pointer of Git LFS and not the file itself; fetch it \(git lfs"
    ):
        from_file(f"gguf/{tmp_path / 'pointer.gguf'}")
    whole = write(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"cut.gguf is damaged: .*; fetch it again"):
        from_file(f"gguf/{tmp_path / 'cut.gguf'}").load()
    with pytest.raises(ModelError, match=r"is one of 3 parts; join them \(llama-gguf-split --merge\)"):
        from_file(f"gguf/{write(tmp_path / 'part.gguf', parts=3)}").load()
    with pytest.raises(ModelError, match=r"lacks 1 tensors, model.layers.1.mlp.up_proj.weight among them"):
        from_file(f"gguf/{write(tmp_path / 'less.gguf', without='blk.1.ffn_up.weight')}").load()
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        ModelError, match=r"takes the package gguf, which is not installed; pip install 'w2s-bench\[gguf\]'"
    ):
        from_file(f"gguf/{tmp_path / 'whole.gguf'}").load()


def test_a_cache_that_takes_no_files_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(module.UNPACKED_VARIABLE, str(tmp_path / "file" / "below"))
    with pytest.raises(
        ModelError, match=r"cannot be unpacked into .*Not a directory; make room there, or set W2S_BENCH_GGUF"
    ):
        GgufModel("gguf/x", write(tmp_path / "tiny.gguf")).load()
