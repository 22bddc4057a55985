"""Where models come from: what cannot be loaded is named, and a fingerprint follows the files that loading reads."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from w2s_bench.errors import ModelError
from w2s_bench.models import origins as loading
from w2s_bench.models import unloadable
from w2s_bench.models.origins import HubModel, LocalModel


@pytest.fixture
def folder(model_folders: dict[str, Path], tmp_path: Path) -> Path:
    """A model that a test may damage."""
    return Path(shutil.copytree(model_folders["words"], tmp_path / "model"))


def test_a_model_loads_in_float32_ready_to_evaluate(folder: Path) -> None:
    import torch

    model, tokenizer = LocalModel("m", folder).load()
    assert not model.training and {p.dtype for p in model.parameters()} == {torch.float32}
    assert tokenizer("one")["input_ids"]
    model.to(torch.float16).save_pretrained(folder)
    again, _ = LocalModel("m", folder).load()
    assert {p.dtype for p in again.parameters()} == {torch.float32}


def test_what_is_no_model_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"model 'm': no config.json in .*nowhere; give a folder written by save_pretrained"
    ):
        LocalModel("m", tmp_path / "nowhere")
    weights = folder / "model.safetensors"
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no .safetensors in .*pickled weights are refused"):
        LocalModel("m", folder)
    (folder / "pytorch_model.bin").rename(weights)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config.json"):
        LocalModel("m", folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", "no weights at all"),
        ("config.json", "{"),
        ("config.json", '{"model_type": "made-up"}'),
        ("tokenizer.json", "{}"),
        ("tokenizer.json", None),
        ("tokenizer_config.json", "["),
        ("generation_config.json", '{"repetition_penalty": 1.3'),
        ("generation_config.json", '{"max_new_tokens": -1}'),
    ],
)
def test_a_damaged_file_is_one_clear_error(folder: Path, file: str, content: str | None) -> None:
    (folder / file).unlink(missing_ok=True)
    if content is not None:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="model 'm' cannot be loaded from"):
        LocalModel("m", folder).load()


def test_missing_weights_are_not_made_up(folder: Path) -> None:
    """transformers fills them with random numbers and warns."""
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    del state[name]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"lack 1 tensors, {name} among them"):
        LocalModel("m", folder).load()


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ModelError, match="model 'm'"):
        LocalModel("m", folder).load()


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_fingerprint_changes_with_any_file_that_loading_reads(folder: Path, file: str) -> None:
    source = LocalModel("m", folder)
    before = source.fingerprint()
    assert LocalModel("other name", folder).fingerprint() == before
    path = folder / file
    content = path.read_bytes()
    for number, changed in enumerate((content[:-1] + bytes([content[-1] ^ 1]), content)):  # the length stays
        path.write_bytes(changed)
        os.utime(path, (number, number))  # two writes can fall into one tick of the file system's clock
        assert (source.fingerprint() == before) == (changed == content)
    path.rename(folder / f"renamed-{file}")
    assert source.fingerprint() != before


def test_a_fingerprint_is_that_of_the_content(folder: Path, tmp_path: Path) -> None:
    """A copy elsewhere and later has the same one; notes about the model are no part of it; a new file is."""
    before = LocalModel("m", folder).fingerprint()
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    for path in copied.iterdir():
        os.utime(path, (1, 1))
    (copied / "README.md").write_text("about")
    (copied / "training.json").write_text("{}")
    assert LocalModel("m", copied).fingerprint() == before
    (copied / "chat_template.jinja").write_text("{{ messages }}")
    assert LocalModel("m", copied).fingerprint() != before


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "z" * 40, ""])
def test_a_revision_that_can_move_is_refused(revision: str) -> None:
    model = HubModel("somebody/model", revision)
    for use in (model.fingerprint, model.load):
        with pytest.raises(
            ModelError, match=f"revision {revision!r} can move; give the 40 hexadecimal digits of a commit"
        ):
            use()


def test_a_pinned_revision_has_a_fingerprint_without_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = HubModel("a/b", "0" * 40), HubModel("a/b", "1" * 40)
    assert one.fingerprint() == HubModel("a/b", "0" * 40).fingerprint() != other.fingerprint()
    assert one.name == f"hf/a/b@{'0' * 40}"

    def fails(*args: Any, **kwargs: Any) -> str:
        raise OSError("no network today")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fails)
    with pytest.raises(
        ModelError, match="cannot be fetched: no network today; check repo and revision, or give a local folder"
    ):
        one.load()


def test_a_fetched_model_is_loaded_from_its_snapshot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def snapshot(repo: str, *, revision: str, allow_patterns: list[str]) -> str:
        asked.update(repo=repo, revision=revision, patterns=allow_patterns)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    model, _ = HubModel("a/b", "0" * 40).load()
    assert (asked["repo"], asked["revision"]) == ("a/b", "0" * 40)
    assert "*.safetensors" in asked["patterns"] and not any("bin" in p or "py" in p for p in asked["patterns"])
    assert model.config.vocab_size


def test_every_load_is_as_if_it_were_the_first(folder: Path) -> None:
    """Whatever is done to one model, the next does not show."""
    import torch

    source = LocalModel("m", folder)
    first, tokenizer = source.load()
    before = {name: tensor.clone() for name, tensor in first.state_dict().items()}
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.fill_(7.0)
    first.train()
    tokenizer.add_special_tokens({"additional_special_tokens": ["one"]})
    again, untouched = source.load()
    assert not again.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in again.state_dict().items())
    assert again.get_input_embeddings().weight is again.get_output_embeddings().weight, "tied weights stay tied"
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert untouched.all_special_tokens != tokenizer.all_special_tokens
    first.save_pretrained(folder)
    changed, _ = source.load()
    assert float(next(changed.parameters()).detach().min()) == 7.0


def test_the_tokenizer_of_a_large_model_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the folder holds the same; a vocabulary of 262,000 tokens takes several times as long as the weights."""
    from transformers import AutoTokenizer

    read = []
    load = AutoTokenizer.from_pretrained

    def spy(path: str, **settings: Any) -> Any:
        read.append(path)
        return load(path, **settings)

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", spy)
    monkeypatch.setattr("w2s_bench.models.origins._SMALL", 0)
    monkeypatch.setattr("w2s_bench.models.origins._TOKENIZERS", {})
    source = LocalModel("m", folder)
    (first, tokenizer), (second, same) = source.load(), source.load()
    assert first is not second and tokenizer is same and len(read) == 1
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 77}))
    assert source.load()[1].model_max_length == 77 and len(read) == 2
    for number in range(5):
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 100 + number}))
        source.load()
    assert len(loading._TOKENIZERS) == loading._MOST_TOKENIZERS, "no more are held than a few suites' models need"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mappings")
def test_workers_share_the_weights_of_a_large_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the file's own pages: the system keeps one copy for all processes, until a process trains."""
    import torch

    monkeypatch.setattr("w2s_bench.models.origins._SMALL", 0)
    model, _ = LocalModel("m", folder).load()
    spans = [
        line.split()[0].split("-") for line in Path("/proc/self/maps").read_text().splitlines() if str(folder) in line
    ]

    def shared() -> list[bool]:
        places = [parameter.data_ptr() for parameter in model.parameters()]
        return [any(int(start, 16) <= place < int(end, 16) for start, end in spans) for place in places]

    assert all(shared())
    before = (folder / "model.safetensors").read_bytes()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert (folder / "model.safetensors").read_bytes() == before, "the copy that training makes is the process's own"


def index_of(folder: Path, name: str) -> None:
    """The folder's weights under another name, and an index that says so."""
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "name",
    [
        "../other/part.safetensors",
        "{outside}",
        "sub/part.safetensors",
        "./part.safetensors",
        "..\\part.safetensors",
        "part.bin",
        "..",
        "",
    ],
)
def test_weights_that_the_fingerprint_does_not_cover_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    """Otherwise they could change and stored results would still count as theirs."""
    for other in (tmp_path / "other", folder / "sub"):
        other.mkdir()
        shutil.copy(folder / "model.safetensors", other / "part.safetensors")
    name = name.format(outside=tmp_path / "other" / "part.safetensors")
    index_of(folder, name)
    with pytest.raises(ModelError, match=r"index.json names .*, which is no .safetensors directly in") as raised:
        LocalModel("m", folder)
    assert repr(name) in str(raised.value)


def test_an_index_that_points_elsewhere_is_named_where_the_folder_has_no_weights_of_its_own(folder: Path) -> None:
    index_of(folder, "../other/part.safetensors")
    (folder / "part.safetensors").unlink()
    with pytest.raises(ModelError, match=r"index.json names '../other/part.safetensors', which is no .safetensors"):
        LocalModel("m", folder)


def test_an_index_of_the_folders_own_files_is_read(folder: Path) -> None:
    plain, _ = LocalModel("m", folder).load()
    index_of(folder, "part.safetensors")
    source = LocalModel("m", folder)
    before = source.fingerprint()
    model, _ = source.load()
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in plain.state_dict().items())
    (folder / "part.safetensors").unlink()
    (folder / "other.safetensors").write_bytes(b"")
    assert source.fingerprint() != before
    with pytest.raises(ModelError, match=r"names 'part.safetensors', which .* lacks; copy it there"):
        LocalModel("m", folder)


def test_a_link_is_as_good_as_the_file(folder: Path, tmp_path: Path) -> None:
    """Caches of the hub are made of links: what they lead to is what the fingerprint is taken over."""
    before = LocalModel("m", folder).fingerprint()
    blob = tmp_path / "blob"
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)
    source = LocalModel("m", folder)
    assert source.fingerprint() == before and source.load()
    content = blob.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(blob, (1, 1))
    assert source.fingerprint() != before
    blob.unlink()
    with pytest.raises(ModelError, match=r"no .safetensors in"):
        LocalModel("m", folder)


def test_a_config_points_to_nothing_elsewhere(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for more, what in (
        ({"transformers_weights": "../w.safetensors"}, r"transformers_weights '../w.safetensors', which is no"),
        (
            {"attn_implementation": "someone/kernel"},
            r"attn_implementation 'someone/kernel', code of a hub, which is never",
        ),
        ({"text_config": {"attn_implementation": {"": "a/b"}}}, r"'a/b', code of a hub"),
    ):
        (folder / "config.json").write_text(json.dumps({**config, **more}))
        with pytest.raises(ModelError, match=what):
            LocalModel("m", folder)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ("tokenizer_config.json", "init_inputs"),
        ("tokenizer_config.json", "fast_tokenizer_files"),
        ("tokenizer_config.json", "vocab"),
        ("tokenizer_config.json", "merges"),
        ("tokenizer_config.json", "merges_file"),
        ("tokenizer_config.json", "gguf_file"),
        ("special_tokens_map.json", "vocab_file"),
    ],
)
def test_a_tokenizer_points_to_nothing_elsewhere(
    folder: Path, tmp_path: Path, settings: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers takes some of these paths as they stand, some beside the folder's files, and gives other tokens."""
    (tmp_path / "tokenizer.4.0.0.json").write_text("{}")
    path = folder / settings
    held = json.loads(path.read_text()) if path.exists() else {}
    monkeypatch.chdir(tmp_path)
    for file in (str(tmp_path / "tokenizer.4.0.0.json"), "../tokenizer.4.0.0.json", "tokenizer.4.0.0.json"):
        path.write_text(json.dumps({**held, key: [file] if key in ("init_inputs", "fast_tokenizer_files") else file}))
        with pytest.raises(ModelError, match=f"{settings} has {key} '.*', which lies elsewhere.*take {key} out"):
            LocalModel("m", folder)
    left = {key: str(folder / "tokenizer.json"), "tokenizer_file": "/not/here.json", "vocab_file": "x" * 5000}
    path.write_text(json.dumps({**held, **left}))
    assert LocalModel("m", folder)


def test_a_fingerprint_covers_every_kind_of_vocabulary() -> None:
    """Of all tokenizers that transformers knows."""
    import re

    import transformers

    from w2s_bench.models import origins as loading

    table = re.compile(r"VOCAB_FILES_NAMES\s*=\s*\{(.*?)\}", re.DOTALL)
    sources = Path(transformers.__file__).parent.glob("models/*/tokenization_*.py")
    tables = [found for path in sources for found in table.findall(path.read_text(encoding="utf-8"))]
    names = {name for one in tables for name in re.findall(r':\s*"([^"]+)"', one)}
    assert len(names) > 10
    assert {name for name in names if not name.endswith(loading._READ)} == set()


def test_a_pipe_among_the_files_does_not_hang(folder: Path) -> None:
    os.mkfifo(folder / "model.safetensors.index.json")
    with pytest.raises(ModelError, match=r"index.json: it is a named pipe"):
        LocalModel("m", folder)


def test_an_adapter_is_no_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')
    with pytest.raises(ModelError, match=r"adapter_config.json, an adapter .* merge the two \(merge_and_unload\)"):
        LocalModel("m", folder)


@pytest.mark.parametrize("place", ["config.json", "tokenizer_config.json"])
def test_code_of_a_folder_is_never_run(folder: Path, tmp_path: Path, place: str) -> None:
    settings = json.loads((folder / place).read_text())
    kinds = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M", "AutoTokenizer": ["own.T", "own.T"]}
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    changed = {**settings, "auto_map": kinds}
    (folder / place).write_text(json.dumps(changed | ({"model_type": "own"} if place == "config.json" else {})))
    if place == "config.json":
        with pytest.raises(ModelError, match="model 'm' cannot be loaded from"):
            LocalModel("m", folder).load()
    else:
        LocalModel("m", folder).load()
    assert not (tmp_path / "ran").exists()


def test_generation_code_of_a_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    from w2s_bench.models.greedy import generate

    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\ndef generate(model, **settings): return model\n"
    )
    model, tokenizer = LocalModel("m", folder).load()
    model.generation_config.repetition_penalty = 1.3  # so that transformers makes the answer
    assert generate(model, tokenizer, ["one two"], max_new_tokens=2, until=[])[0].text
    assert not (tmp_path / "ran").exists()


def test_a_tokenizer_larger_than_the_embedding_is_named(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["quux"])
    tokenizer.save_pretrained(folder)
    size = len(tokenizer) - 1
    with pytest.raises(ModelError, match=f"'quux' as token {size}, the model embeds tokens 0 to {size - 1}"):
        LocalModel("m", folder).load()


def test_an_encoder_without_an_output_layer_is_named(folder: Path) -> None:
    """Its weights lack one, and transformers would make one up."""
    from transformers import AutoModel

    model: Any = AutoModel.from_pretrained(folder)
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"lack 1 tensors, lm_head.weight among them"):
        LocalModel("m", folder).load()


def test_what_a_folder_lacks_is_told_with_what_to_do(folder: Path) -> None:
    """Where transformers would have the user trust code, or save again what is not there."""
    (folder / "tokenizer.json").unlink()
    with pytest.raises(
        ModelError, match=r"it has no tokenizer \(none of tokenizer.json, .*save the model's own beside it"
    ):
        LocalModel("m", folder).load()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no .safetensors in .*, so no weights; copy them there"):
        LocalModel("m", folder)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_model_that_needs_code_of_its_own_is_told_so(folder: Path, file: str) -> None:
    """And nobody is told to set trust_remote_code, which there is no way to."""
    changed = {"auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}, "model_type": "evil"}
    if file == "tokenizer_config.json":
        changed = {"auto_map": {"AutoTokenizer": ["evil.T", None]}, "tokenizer_class": "EvilTokenizer"}
    content = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps(content | changed))
    with pytest.raises(
        ModelError, match=rf"'m' cannot be .*code of its own \(auto_map in {file}\), which is never run; take"
    ) as raised:
        LocalModel("m", folder).load()
    assert "trust_remote_code" not in str(raised.value) and "\n" not in str(raised.value)


def test_a_kind_that_transformers_lacks_is_named_with_its_version(folder: Path) -> None:
    import transformers

    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "made-up"}))
    with pytest.raises(
        ModelError, match=rf"transformers {transformers.__version__} has no model of the kind.*another model"
    ):
        LocalModel("m", folder).load()


def _of_another_kind(folder: Path, **changed: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "made-up"} | changed))


def _with_code(folder: Path) -> None:
    _of_another_kind(folder, auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})


def _with_code_of_the_model_alone(folder: Path) -> None:
    _of_another_kind(folder, auto_map={"AutoModelForCausalLM": "own.M"})


def _without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _with_a_token_too_many(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["quux"])
    tokenizer.save_pretrained(folder)


SEEN = (_of_another_kind, _with_code, _with_code_of_the_model_alone, _without_tokenizer, _with_a_token_too_many)


@pytest.mark.parametrize("spoilt", SEEN)
def test_what_can_be_seen_of_a_folder_is_refused_before_it_is_loaded(
    folder: Path, tmp_path: Path, spoilt: Callable[[Path], None]
) -> None:
    """By whoever plans a run, in the words that loading has for it; no weight is read."""
    spoilt(folder)
    with pytest.raises(ModelError) as told:
        loading._load(str(folder), "m", "as it is now")
    weights = folder / "model.safetensors"
    header = 8 + int.from_bytes(weights.read_bytes()[:8], "little")
    with weights.open("rb+") as file:
        file.truncate(header)
    with pytest.raises(ModelError) as seen:
        LocalModel("m", folder)
    assert str(seen.value) == str(told.value)
    assert ("code of its own" in str(seen.value)) == (spoilt in (_with_code, _with_code_of_the_model_alone))


def test_a_long_tokenizer_is_judged_by_the_tokens_that_were_added(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unloadable, "_MOST_PARSED", (folder / "tokenizer.json").stat().st_size - 1)
    LocalModel("m", folder)
    _with_a_token_too_many(folder)
    with pytest.raises(ModelError, match="the tokenizer has 'quux' as token"):
        LocalModel("m", folder)


def test_what_cannot_be_seen_for_sure_is_left_to_the_loading(folder: Path) -> None:
    """Code of its own beside a kind that transformers has, a tokenizer without files, one that is written some other way."""
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoConfig": "own.C"}}))
    LocalModel("m", folder).load()
    vocabulary = (folder / "tokenizer.json").read_text()
    for odd in ("[]", '{"model": {"vocab": {"a": "b"}}}', '{"model": 3, "added_tokens": [1]}', "[" * 100_000):
        (folder / "tokenizer.json").write_text(odd)
        LocalModel("m", folder)
    (folder / "tokenizer.json").write_text(vocabulary)
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "model_type"}))
    LocalModel("m", folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    LocalModel("m", folder)


def _configured(folder: Path, **changed: Any) -> None:
    config = {**json.loads((folder / "config.json").read_text()), **changed}
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def _with_tensors(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


PLACELESS = {
    "layers beyond those of the configuration": lambda folder: _configured(
        folder, num_hidden_layers=1, layer_types=None
    ),
    "biases": lambda folder: _with_tensors(
        folder, lambda state: state.update({"model.layers.0.self_attn.q_proj.bias": state["model.norm.weight"].clone()})
    ),
    "norms of another kind of model": lambda folder: _with_tensors(
        folder,
        lambda state: state.update({"model.layers.1.self_attn.q_norm.weight": state["model.norm.weight"].clone()}),
    ),
    "scales of packed weights": lambda folder: _with_tensors(
        folder,
        lambda state: state.update({"model.layers.1.mlp.up_proj.weight_scale": state["model.norm.weight"][:1].clone()}),
    ),
}


@pytest.mark.parametrize("what", PLACELESS)
def test_weights_that_the_model_has_no_place_for_are_refused(folder: Path, what: str) -> None:
    """transformers passes over them: the model would be another than the one that was saved."""
    PLACELESS[what](folder)
    said = (
        r"weight_scale, a part of packed weights"
        if "scales" in what
        else r"has no place for model.layers.[01]\..* in .*take the"
    )
    with pytest.raises(ModelError, match=said):
        LocalModel("m", folder).load()


def test_parts_of_another_model_beside_it_are_left(folder: Path) -> None:
    """A vision tower, a head that gives a value, and buffers of older checkpoints change nothing of what it says."""
    import torch

    plain, _ = LocalModel("m", folder).load()
    more = (
        "vision_tower.layers.0.mlp.fc1.weight",
        "v_head.summary.bias",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.0.self_attn.causal_mask",
        "model.version",
    )
    _with_tensors(folder, lambda state: state.update({name: torch.ones(4) for name in more}))
    model, _ = LocalModel("m", folder).load()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in plain.state_dict().items())


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "int8"])
@pytest.mark.parametrize("method", [None, {"quant_method": "modelopt", "quant_algo": "FP8"}])
def test_packed_weights_are_refused_before_they_are_loaded(
    folder: Path, kind: str, method: dict[str, str] | None
) -> None:
    """transformers would take each number as it stands, without its scale."""
    import torch

    def pack(state: dict[str, Any]) -> None:
        state["model.layers.0.mlp.up_proj.weight"] = state["model.layers.0.mlp.up_proj.weight"].to(getattr(torch, kind))

    _with_tensors(folder, pack)
    _configured(folder, quantization_config=method)
    said = r"weights are packed \(model.layers.0.mlp.up_proj.weight is (F8_E4M3|I8)\); save it dequantized"
    with pytest.raises(ModelError, match=said) as seen:
        LocalModel("m", folder)
    with pytest.raises(ModelError) as told:
        loading._load(str(folder), "m", "as it is now")
    assert str(seen.value) == str(told.value)


def test_weights_that_transformers_dequantizes_are_taken(folder: Path) -> None:
    import torch

    plain, _ = LocalModel("m", folder).load()
    name = "model.layers.0.mlp.up_proj.weight"

    def pack(state: dict[str, Any]) -> None:
        scale = state[name].abs().max() / 448
        state[name + "_scale_inv"] = scale.reshape(1, 1)
        state[name] = (state[name] / scale).to(torch.float8_e4m3fn)

    _with_tensors(folder, pack)
    block = list(plain.state_dict()[name].shape)
    _configured(folder, quantization_config={"quant_method": "fp8", "weight_block_size": block})
    model, _ = LocalModel("m", folder).load()
    torch.testing.assert_close(model.state_dict()[name], plain.state_dict()[name], rtol=0.1, atol=0.01)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq"])
def test_a_packed_model_is_told_to_be_saved_dequantized(folder: Path, method: str) -> None:
    """And nobody is sent to install packages first, after which it would be refused all the same."""
    _configured(folder, quantization_config={"quant_method": method, "load_in_4bit": True, "bits": 4})
    with pytest.raises(
        ModelError, match=rf"weights are packed \(quantization_config in config.json: {method}\); save it deq"
    ):
        LocalModel("m", folder).load()


def test_a_tensor_of_another_shape_is_named_with_both(folder: Path) -> None:
    from safetensors.torch import load_file

    rows, width = load_file(folder / "model.safetensors")["model.embed_tokens.weight"].shape
    _configured(folder, vocab_size=rows + 40)
    said = rf"embed_tokens.weight is \({rows}, {width}\) in the weights and \({rows + 40}, {width}\) by config.json; correct"
    with pytest.raises(ModelError, match=said):
        LocalModel("m", folder).load()


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"])
def test_a_pointer_that_git_left_is_told_before_anything_is_loaded(folder: Path, file: str) -> None:
    (folder / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n")
    with pytest.raises(
        ModelError, match=rf"{file} is a pointer of Git LFS and not the file itself; fetch it \(git lfs pull\)"
    ):
        LocalModel("m", folder)


def test_a_gguf_file_given_as_a_folder_is_told_its_name(tmp_path: Path) -> None:
    from w2s_bench.plugins.registry import Registry

    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    for name in (f"local/{tmp_path}/x.gguf", f"{tmp_path}/x.gguf"):
        with pytest.raises(ModelError, match=rf"{tmp_path}/x.gguf is a GGUF file; write gguf/{tmp_path}/x.gguf"):
            Registry.of(()).model(name)
