"""A model's chat template comes from its files as transformers would take it, without weights and mostly without a tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import bpe_tokenizer
from models.test_gguf import write as write_gguf
from w2s_bench.errors import ModelError
from w2s_bench.models.origins import HubModel, LocalModel
from w2s_bench.plugins.registry import Registry
from w2s_bench.types import ChatTemplate

TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
COMMIT = "a" * 40


def folder_of(folder: Path, template: Any = TEMPLATE, *, bos: bool = True, **saved: Any) -> Path:
    """A model's folder whose weights nobody can read."""
    folder.mkdir()
    tokenizer = bpe_tokenizer(bos=bos)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder, **saved)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "model.safetensors").write_bytes(b"no weights")
    return folder


def template_of(folder: Path) -> ChatTemplate:
    return LocalModel("local/m", folder).chat_template()


def changed(folder: Path, file: str = "tokenizer_config.json", /, *without: str, **values: Any) -> Path:
    """The folder with other values in one of its JSON files."""
    path = folder / file
    settings = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
    path.write_text(json.dumps({key: value for key, value in settings.items() if key not in without}))
    return folder


@pytest.fixture
def no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: Any, **__: Any) -> Any:
        raise AssertionError("a tokenizer was made")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", made)


@pytest.mark.usefixtures("no_tokenizer")
@pytest.mark.parametrize("saved", [{}, {"save_jinja_files": False}], ids=["file", "settings"])
def test_it_is_read_where_transformers_saved_it(saved: dict[str, Any], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", **saved)
    assert (folder / "chat_template.jinja").exists() is not bool(saved)
    assert template_of(folder) == ChatTemplate(TEMPLATE, TOKENS)


@pytest.mark.usefixtures("no_tokenizer")
@pytest.mark.parametrize("saved", [{}, {"save_jinja_files": False}], ids=["files", "settings"])
def test_of_several_it_is_the_default_one(saved: dict[str, Any], tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", {"tool_use": "tools", "default": TEMPLATE}, **saved)
    assert template_of(folder).text == TEMPLATE
    with pytest.raises(ModelError, match=r"'local/m' has several chat templates, rag, tool_use, and none is called"):
        template_of(folder_of(tmp_path / "n", {"tool_use": "tools", "rag": "r"}, **saved))


@pytest.mark.usefixtures("no_tokenizer")
def test_files_stand_in_the_place_of_settings_and_tokens_may_have_settings_of_their_own(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", save_jinja_files=False)
    changed(folder, bos_token={"__type": "AddedToken", "content": "<turn>", "lstrip": False}, pad_token=None)
    assert template_of(folder).tokens == {**TOKENS, "bos_token": "<turn>"}
    changed(folder, "special_tokens_map.json", eos_token={"content": "<turn>"})
    assert template_of(folder).tokens == {"bos_token": "<turn>", "eos_token": "<turn>"}
    changed(folder, added_tokens_decoder={})
    assert template_of(folder).tokens["eos_token"] == "</s>", "transformers passes the older file over then"
    (folder / "chat_template.jinja").write_text("{{ pad_token }}!")
    assert template_of(folder) == ChatTemplate("{{ pad_token }}!", {}), "a token that is told to be none is none"


def test_tokens_are_those_that_transformers_gives_the_template(tmp_path: Path) -> None:
    """Also where the files leave one to the tokenizer's class."""
    from transformers import AutoTokenizer

    folders = [folder_of(tmp_path / "m"), folder_of(tmp_path / "n", bos=False)]
    changed(folder_of(tmp_path / "gpt2"), "tokenizer_config.json", "bos_token", tokenizer_class="GPT2Tokenizer")
    for folder in [*folders, tmp_path / "gpt2"]:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        told = template_of(folder)
        theirs = {name: token for name, token in tokenizer.special_tokens_map.items() if name in TOKENS}
        assert (told.text, dict(told.tokens)) == (tokenizer.chat_template, theirs)
    assert "bos_token" not in json.loads((tmp_path / "gpt2" / "tokenizer_config.json").read_text())


def test_what_a_folder_lacks_is_told(tmp_path: Path) -> None:
    plain = folder_of(tmp_path / "m", None)
    said = r"model 'local/m' has no chat template: .*/m has neither chat_template.jinja nor chat_template in tokenizer_config.json; name"
    with pytest.raises(ModelError, match=said):
        template_of(plain)
    (plain / "chat_template.jinja").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"its chat template .*/chat_template.jinja cannot be read: .*save it again"):
        template_of(plain)


def test_code_of_a_model_is_never_run(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", bos=False)
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    own = {"auto_map": {"AutoTokenizer": ["own.T", None]}, "tokenizer_class": "T"}
    changed(folder, "tokenizer_config.json", "bos_token", **own)
    with pytest.raises(ModelError, match=r"'local/m': its tokenizer cannot be loaded .*auto_map .*never run"):
        template_of(folder)
    changed(folder, bos_token="<s>")
    assert template_of(folder).tokens == TOKENS
    assert not (tmp_path / "ran").exists()


def test_a_gguf_file_tells_it_in_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tokenizer has it that transformers makes of the file."""
    import gguf

    from w2s_bench.models.gguf import UNPACKED_VARIABLE

    monkeypatch.setenv(UNPACKED_VARIABLE, str(tmp_path / "cache"))
    head = gguf.GGUFWriter.write_header_to_file
    plain: Any = Registry.of(()).model(f"gguf/{write_gguf(tmp_path / 'plain.gguf')}")
    with pytest.raises(
        ModelError, match=r"has no chat template: the header of .*plain.gguf has no tokenizer.chat_temp"
    ):
        plain.chat_template()
    for templates in (TEMPLATE, [{"name": "default", "template": TEMPLATE}, {"name": "tool_use", "template": "t"}]):

        def with_template(writer: Any, *given: Any, templates: Any = templates) -> None:
            writer.add_chat_template(templates)
            head(writer, *given)

        monkeypatch.setattr(gguf.GGUFWriter, "write_header_to_file", with_template)
        model: Any = Registry.of(()).model(f"gguf/{write_gguf(tmp_path / f'{len(templates)}.gguf')}")
        told = model.chat_template()
        assert told == ChatTemplate(TEMPLATE, {"bos_token": "<bos>", "eos_token": "<|endoftext|>"})
        assert not (tmp_path / "cache").exists(), "nothing is unpacked"
    monkeypatch.setattr(
        gguf.GGUFWriter, "write_header_to_file", lambda w, *a: (w.add_chat_template(TEMPLATE), head(w, *a))
    )
    model = Registry.of(()).model(f"gguf/{write_gguf(tmp_path / 'one.gguf')}")
    _, tokenizer = model.load()
    assert (tokenizer.chat_template, tokenizer.special_tokens_map) == (told.text, told.tokens)


def test_an_adapters_is_its_own_where_it_has_a_tokenizer_and_else_its_bases(tmp_path: Path) -> None:
    base, adapter = folder_of(tmp_path / "base"), tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": None}))
    (adapter / "adapter_model.safetensors").write_bytes(b"no weights")
    model: Any = Registry.of(()).model(f"adapter/{adapter}+local/{base}")
    assert model.chat_template() == template_of(base)
    own = folder_of(tmp_path / "own", "{{ messages[0].content }}")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(own / file, adapter / file)
    assert model.chat_template() == ChatTemplate("{{ messages[0].content }}", {})


def test_of_a_model_of_the_hub_no_weights_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    folder = folder_of(tmp_path / "m", bos=False)

    def snapshot(repo: str, *, revision: str, allow_patterns: list[str]) -> str:
        assert (repo, revision) == ("owner/name", COMMIT)
        asked.append(allow_patterns)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    changed(folder, bos_token="<s>")
    model = HubModel("owner/name", COMMIT)
    assert model.chat_template() == ChatTemplate(TEMPLATE, TOKENS)
    assert len(asked) == 1 and not any("*" in pattern and "/" not in pattern for pattern in asked[0])
    changed(folder, "tokenizer_config.json", "bos_token")
    model.chat_template()
    assert len(asked) == 3 and "*.json" in asked[2] and not any("safetensors" in pattern for pattern in asked[2])
