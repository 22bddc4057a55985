"""What is known of a model before it is loaded: what its plugin tells, its fingerprint, and the header of its file."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_gguf import INNER, LAYERS, TOKENS, WIDTH, write

import architectures
from support import toy_model, toy_registry, toy_suite
from w2s_bench.hookspecs import LanguageModel
from w2s_bench.models import gguf as module
from w2s_bench.models.footprint import Blueprint, described_folder
from w2s_bench.models.gguf import GgufModel
from w2s_bench.models.gguf_header import header_of
from w2s_bench.models.known_files import KNOWN_FILES
from w2s_bench.models.origins import LocalModel
from w2s_bench.models.sizes import Sizes, sizes_of
from w2s_bench.plugins.planning import described_model
from w2s_bench.runs.plan import plan
from w2s_bench.types import ModelSize

CONFIG = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "tie_word_embeddings": True,
}
#: A layer: attention 32 × (32 + 16 + 16 + 32) and three matrices of 32 × 64; the embedding 100 × 32.
PARAMETERS = 2 * (32 * 96 + 3 * 32 * 64) + 3200


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(module.UNPACKED_VARIABLE, str(tmp_path / "unpacked"))
    return tmp_path / "unpacked"


def of(model: object) -> Sizes:
    made: Any = model
    return sizes_of({"acme/m": made})["acme/m"]


def telling(told: object, fingerprint: str = "f") -> LanguageModel:
    """A plugin's model whose `size()` gives, or raises, what is told."""

    def size() -> object:
        if isinstance(told, BaseException):
            raise told
        return told

    made: Any = SimpleNamespace(name="acme/m", fingerprint=lambda: fingerprint, load=print, size=size)
    return made


# What a plugin tells.


def test_what_a_plugin_tells_is_its_size() -> None:
    told = of(telling(ModelSize(PARAMETERS, CONFIG, on_disk=10, download=20)))
    assert (told.on_disk, told.download, told.why, told.download_at_most) == (10, 20, "", None)
    assert told.parameters == PARAMETERS and told.blueprint is not None
    assert sorted(told.blueprint.linear) == sorted(
        2 * [(32, 32), (16, 32), (16, 32), (32, 32), (64, 32), (64, 32), (32, 64)]
    )


def test_a_part_of_it_is_told_and_what_lacks_is_said() -> None:
    counted = of(telling(ModelSize(parameters=7, download=0)))
    assert (counted.parameters, counted.blueprint, counted.download, counted.on_disk) == (7, None, 0, None)
    assert "parameters and config" in counted.why and "fetched" not in counted.why
    fetched = of(telling(ModelSize(PARAMETERS, CONFIG, on_disk=3)))
    assert (fetched.on_disk, fetched.download) == (3, None)
    assert fetched.why == "whether anything is still to be fetched, its plugin alone knows"
    for nothing in (telling(None), SimpleNamespace(name="acme/m", fingerprint=lambda: "f", load=print)):
        assert of(nothing).parameters is of(nothing).download is of(nothing).on_disk is None
        assert "its plugin may, by size()" in of(nothing).why


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (ValueError("bad day"), "size() raised ValueError: bad day (test_model_sizes.py:"),
        (SystemExit(3), "size() raised SystemExit: 3"),
        ({"parameters": 7}, "size() gave a dict; give a w2s_bench.ModelSize"),
        (ModelSize(parameters=-1), "size() gave parameters=-1; give a whole number"),
        (ModelSize(parameters=True), "parameters=True"),
        (ModelSize(on_disk=1.5), "on_disk=1.5"),  # type: ignore[arg-type]
        (ModelSize(download=10**400), "download=1000"),
        (ModelSize(7, config=["x"]), "size() gave a list as config"),  # type: ignore[arg-type]
        (ModelSize(7, config={"hidden_size": {1}}), "a config that no JSON can hold"),
        (ModelSize(7, config={"hidden_size": float("nan")}), "a config that no JSON can hold"),
        (ModelSize(7, config={}), "its config has no hidden_size or n_embd or d_model that a model could have"),
        (ModelSize(7, config=CONFIG | {"hidden_size": -32}), "its config has no hidden_size"),
        (ModelSize(7, config=CONFIG | {"num_hidden_layers": 10**9}), "at most 10,000 are believed"),
        (ModelSize(7, config=CONFIG | {"text_config": 3}), "size() is of no use for memory and time"),
    ],
)
def test_nonsense_is_noted_and_ends_nothing(told: object, why: str) -> None:
    found = of(telling(told))
    assert why in found.why and found.blueprint is None and len(found.why) < 400


def test_a_size_that_is_no_method_is_noted() -> None:
    model = SimpleNamespace(name="acme/m", fingerprint=lambda: "f", load=print, size=3)
    assert "size must be a method, got 3" in of(model).why


@pytest.mark.parametrize("parameters", [0, 1, 2**63 - 1])
def test_no_count_of_parameters_makes_a_blueprint_that_cannot_be_held(parameters: int) -> None:
    assert len(Blueprint.by_config(parameters, CONFIG).linear) < 10_000


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3", "mistral", "phi", "gemma3_text"])
def test_layers_told_by_a_configuration_are_about_those_of_the_tensors(name: str, tmp_path: Path) -> None:
    """Counted with what is left of the parameters; how many weights adapters get and how much is computed hang on it."""
    folder = tmp_path / "m"
    architectures.new(name).save_pretrained(folder)
    shapes, config = described_folder(folder)
    real = Blueprint.of(shapes, config)
    told = Blueprint.by_config(real.parameters, config)
    assert (told.width, told.layers, told.vocabulary, told.kept) == (
        real.width,
        real.layers,
        real.vocabulary,
        real.kept,
    )
    assert sorted(told.linear) == sorted(real.linear)


# Planning asks it of another process.


SOURCE = """
    import os
    from types import SimpleNamespace
    from w2s_bench import ModelSize, hookimpl
    def made(name, **more):
        return lambda: SimpleNamespace(name="aa/" + name, fingerprint=lambda: name, load=print, **more)
    def raises(): raise KeyError("no size today")
    @hookimpl
    def w2s_models():
        return {
            "sized": made("sized", size=lambda: ModelSize(PARAMETERS, CONFIG, 10, 20)),
            "unsized": made("unsized"),
            "raises": made("raises", size=raises),
            "exits": made("exits", size=lambda: os._exit(4)),
            "nonsense": made("nonsense", size=lambda: "large"),
        }
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution `aa` with models of all kinds."""
    import textwrap

    site = tmp_path / "site"
    (site / "aa-1.0.dist-info").mkdir(parents=True)
    source = textwrap.dedent(SOURCE).replace("PARAMETERS", str(PARAMETERS)).replace("CONFIG", repr(CONFIG))
    (site / "sized_models_plugin.py").write_text(source)
    (site / "aa-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: aa\nVersion: 1.0\n")
    (site / "aa-1.0.dist-info" / "entry_points.txt").write_text("[w2s_bench]\nmain = sized_models_plugin\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("W2S_BENCH_PLUGIN_CACHE", str(tmp_path / "memory"))
    monkeypatch.delenv("W2S_BENCH_PLUGINS", raising=False)
    return site


@pytest.mark.slow
def test_a_size_is_asked_of_another_process(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    registry = toy_registry(monkeypatch)
    names = [f"aa/{name}" for name in ("sized", "unsized", "raises", "exits", "nonsense")]
    found = sizes_of({name: described_model(registry, name) for name in names})
    assert "sized_models_plugin" not in sys.modules
    assert (found["aa/sized"].parameters, found["aa/sized"].download, found["aa/sized"].why) == (PARAMETERS, 20, "")
    assert "its plugin may, by size()" in found["aa/unsized"].why
    assert "of aa 1.0" in found["aa/raises"].why and "KeyError: 'no size today'" in found["aa/raises"].why
    assert "asked for its size, it ended the process with exit code 4" in found["aa/exits"].why
    assert "size() gave a str" in found["aa/nonsense"].why


def test_a_dry_run_shows_what_is_told_and_notes_the_rest(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from w2s_bench._cli.dry_run import print_dry_run
    from w2s_bench.suite import Suite

    content = toy_suite(tmp_path / "models").model_dump(mode="json")
    content["domains"] = content["domains"][:1]
    content["domains"][0]["teacher"]["model"], content["domains"][0]["student"]["model"] = "aa/sized", "aa/raises"
    planned = plan(Suite.model_validate(content), toy_registry(monkeypatch), trust=())
    monkeypatch.setenv("COLUMNS", "200")
    print_dry_run(planned, tmp_path / "out", str(tmp_path / "store"), (), as_json=False)
    shown = capsys.readouterr().out.splitlines()
    (sized,) = [line for line in shown if line.strip().startswith("aa/sized ")]
    assert sized.split()[2:4] == ["21.6", "k"] and sized.split()[6:10] == ["10", "B", "20", "B"]
    (raises,) = [line for line in shown if line.strip().startswith("aa/raises ")]
    assert raises.split()[2:] == ["?", "?", "?", "?", "?"]
    assert any(line.startswith("aa/raises: ") and "KeyError" in line for line in shown)
    print_dry_run(planned, tmp_path / "out", str(tmp_path / "store"), (), as_json=True)
    told, faulty = json.loads(capsys.readouterr().out)["models"]
    assert (told["parameters"], told["on_disk"], told["download"]) == (PARAMETERS, 10, 20)
    assert (faulty["parameters"], faulty["memory"], faulty["on_disk"], faulty["download"]) == (None,) * 4


# The harness's own kinds of model, as a plugin brings them.


def test_a_plugins_folder_tells_its_size(tmp_path: Path) -> None:
    model = LocalModel("acme/m", toy_model(tmp_path / "m"))
    told, exact = of(telling(model.size())), of(model)
    assert told.blueprint is not None and exact.blueprint is not None
    assert told.blueprint.parameters == exact.blueprint.parameters and told.why == ""
    assert (told.on_disk, told.download) == (exact.on_disk, exact.download)
    (tmp_path / "m" / "model.safetensors").write_bytes(b"none")
    assert of(model).why == "its files cannot be read"
    with pytest.raises(ValueError, match="cannot be read"):
        model.size()


def test_a_gguf_file_is_known_by_its_header_as_it_is_once_unpacked(tmp_path: Path, cache: Path) -> None:
    model = GgufModel("acme/m", write(tmp_path / "m.gguf", "Q8_0"))
    told = of(model)
    assert not cache.exists(), "nothing is unpacked for it"
    assert (told.on_disk, told.download, told.why) == (model.path.stat().st_size, 0, "")
    unpacked = of(model.unpacked(lambda _: None))
    assert told.blueprint is not None and unpacked.blueprint is not None
    assert told.blueprint.parameters == unpacked.blueprint.parameters
    assert sorted(told.blueprint.linear) == sorted(unpacked.blueprint.linear)
    assert (told.blueprint.width, told.blueprint.inner, told.blueprint.layers) == (WIDTH, INNER, LAYERS)
    assert told.blueprint.vocabulary == len(TOKENS) and told.blueprint.kept == unpacked.blueprint.kept
    own = of(telling(model.size()))
    assert own.blueprint is not None and sorted(own.blueprint.linear) == sorted(told.blueprint.linear)


def test_a_damaged_header_is_said(tmp_path: Path) -> None:
    """Wherever the file is cut or overwritten in its head, it is read or refused; weights are not looked at."""
    whole = write(tmp_path / "m.gguf").read_bytes()
    path = tmp_path / "damaged.gguf"
    read = 0
    for at in range(4, 3000, 7):
        for damaged in (whole[:at], whole[:at] + b"\xff" * 9 + whole[at + 9 :]):
            path.write_bytes(damaged)
            try:
                header_of(path)
                read += 1
            except ValueError as error:
                assert str(path) in str(error)
    assert read, "some damage lies where nothing is looked at"
    path.write_bytes(whole[:40])
    assert of(GgufModel("acme/m", path)).why == "its header cannot be read"


# By fingerprint.


def test_a_model_is_known_by_the_fingerprint_of_a_file_that_was_unpacked_here(tmp_path: Path, cache: Path) -> None:
    file = GgufModel("acme/m", write(tmp_path / "m.gguf"))
    plugins = SimpleNamespace(name="acme/m", fingerprint=file.fingerprint, load=print)
    assert of(plugins).blueprint is None
    unpacked = file.unpacked(lambda _: None)
    told = of(plugins)
    assert told.blueprint == of(unpacked).blueprint and told.on_disk == of(unpacked).on_disk
    assert (told.download, told.download_at_most) == (None, None)
    assert told.why == "whether anything is still to be fetched, its plugin alone knows"
    outside = SimpleNamespace(name="acme/m", fingerprint=lambda: f"../{cache.name}/{file.fingerprint()}", load=print)
    assert of(outside).blueprint is None, "a fingerprint is no path"


@pytest.mark.parametrize("sha256", KNOWN_FILES)
def test_a_file_that_shipped_suites_name_is_known_before_it_is_here(sha256: str) -> None:
    told = of(SimpleNamespace(name="acme/m", fingerprint=lambda: sha256, load=print))
    known = KNOWN_FILES[sha256]
    assert told.parameters == known.parameters and told.blueprint is not None
    assert (told.on_disk, told.download, told.download_at_most) == (None, None, known.download)
    assert "which of its files are here" in told.why
    # What no formula is needed for: attention's four matrices and three gated ones in every layer.
    assert len(told.blueprint.linear) == 7 * told.blueprint.layers
    tied = 1 if known.config and known.config["tie_word_embeddings"] else 2
    embeddings = tied * told.blueprint.vocabulary * told.blueprint.width
    rest = told.blueprint.parameters - embeddings - sum(out * into for out, into in told.blueprint.linear)
    assert 0 < rest < 0.001 * told.blueprint.parameters, "norms and biases alone are left"


def test_known_files_are_as_those_that_lie_in_the_users_cache() -> None:
    """Where no file lies, there is nothing to compare with."""
    from platformdirs import user_cache_path

    found = [path for path in user_cache_path("w2s-bench").glob("*/*.gguf") if path.is_file()]
    known = {GgufModel(path.name, path).fingerprint(): path for path in found}
    for sha256 in known.keys() & KNOWN_FILES.keys():
        told, header = KNOWN_FILES[sha256], header_of(known[sha256])
        assert told.config == header.config and told.download == known[sha256].stat().st_size
        assert told.parameters == Blueprint.of(header.tensors, header.config).parameters
