"""What would end the loading of a model's folder and can be seen beforehand, by its small files and headers: a plan refuses it.

Whatever cannot be told for sure is left to the loading, which says the same in the same words.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from w2s_bench.models.folders import (
    NO_TOKENIZER,
    TOKENIZER_FILES,
    has_code,
    of_own_code,
    packed_by,
    packed_weights,
    read_object,
    too_many_tokens,
    unknown_kind,
    unloadable,
    why_unloadable,
)
from w2s_bench.models.footprint import numbers_of_folder, shapes_of_folder

_VOCABULARIES: Final = (".model", ".tiktoken", ".spm", ".vocab", ".bpe", ".codes", ".tokenizer")
#: Tokenizers of bytes or characters, which have no vocabulary to be saved.
_WITHOUT_FILES: Final = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
#: Kinds of number that weights are whole in, and those of masks and positions beside them.
_NOT_PACKED: Final = frozenset({"F64", "F32", "F16", "BF16", "I64", "BOOL"})
#: Kinds of packing that transformers takes apart, or a suite's `quantization` may ask for.
_UNPACKED: Final = ("fp8", "mxfp4", "bitsandbytes")
_TOKENS_OF: Final = "tokenizer.json"
#: Bytes of it that are parsed whole, in some 20 ms; of a longer one what stands before its vocabulary.
_MOST_PARSED: Final = 1 << 20
#: Parts of names of weights that hold a row a token, and of those that hold one a position.
_A_ROW_A_TOKEN, _A_ROW_A_POSITION = ("emb", "wte"), ("pos", "wpe")


def refuse_unloadable(folder: Path, name: str) -> None:
    """Raises the `ModelError` that loading `folder` would end in, as far as that is seen without weights or transformers."""
    config = read_object(folder / "config.json", name)
    kind = config.get("model_type")
    if isinstance(kind, str) and kind and not _transformers_has(kind):
        told = of_own_code(folder) if has_code(folder) else unknown_kind()
        raise unloadable(folder, name, *told)
    settings_file = folder / "tokenizer_config.json"
    settings = read_object(settings_file, name) if settings_file.is_file() else {}
    named = {str(of.get("tokenizer_class")).removesuffix("Fast") for of in (config, settings)}
    if not named & set(_WITHOUT_FILES) and not any(map(_may_be_a_vocabulary, folder.iterdir())):
        raise unloadable(folder, name, *NO_TOKENIZER)
    refuse_packed(folder, name, config)
    _refuse_too_many_tokens(folder, name, config)


def refuse_packed(folder: Path, name: str, config: Mapping[str, Any]) -> None:
    """`ModelError` where the weights of a folder are numbers of few bits that transformers would take as they stand, or leave packed."""
    if packed_by(dict(config)) in _UNPACKED:
        return
    try:
        kinds = numbers_of_folder(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # what is wrong with it is for the loading to say
    odd = next((tensor for tensor, kind in sorted(kinds.items()) if kind not in _NOT_PACKED), None)
    if odd is not None:
        raise unloadable(folder, name, *packed_weights(f"{odd} is {kinds[odd]}"))


def why_not_loaded(folder: Path, error: Exception) -> tuple[str, str]:
    """(Why a model's folder cannot be loaded, what the user can do), by what transformers raised."""
    if "ignore_mismatched_sizes" in str(error):
        with suppress(Exception):  # whatever is wrong with the configuration was wrong before
            return _other_shapes(folder)
    return why_unloadable(folder, error)


def _other_shapes(folder: Path) -> tuple[str, str]:
    """(Which tensor has another shape than the configuration makes it, what the user can do)."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        made: Any = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    expected = {name: tuple(tensor.shape) for name, tensor in made.state_dict().items()}
    for name, shape in sorted(shapes_of_folder(folder).items()):
        if expected.get(name, shape) != shape:
            return (
                f"{name} is {shape} in the weights and {expected[name]} by config.json",
                "correct config.json, or save the model again (save_pretrained)",
            )
    raise ValueError("none is known by its name in the weights")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _may_be_a_vocabulary(path: Path) -> bool:
    return path.name in TOKENIZER_FILES or path.suffix in _VOCABULARIES or "vocab" in path.name


@cache
def _transformers_has(kind: str) -> bool:
    """Whether transformers has models of that kind. Its tables' text is looked at first: importing it takes a second."""
    spec = importlib.util.find_spec("transformers")
    for place in spec.submodule_search_locations or () if spec else ():
        for file in sorted(Path(place, "models", "auto").glob("*.py")):
            if json.dumps(kind) in file.read_text(encoding="utf-8", errors="replace"):
                return True
    from transformers import CONFIG_MAPPING

    return kind in CONFIG_MAPPING


def _refuse_too_many_tokens(folder: Path, name: str, config: Mapping[str, Any]) -> None:
    try:
        token, largest = max(_tokens(folder / _TOKENS_OF), key=lambda pair: pair[1], default=("", -1))
        rows = max(_embedded(folder, config), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # neither is as this program knows them
    if rows and largest >= rows:
        raise too_many_tokens(name, token, largest, rows)


def _tokens(path: Path) -> Iterator[tuple[str, int]]:
    """(token, its number) of the last of a fast tokenizer's vocabulary and of all that were added to it; of a long file these
    alone, whose numbers are the greatest as a rule. Raises ValueError and its like where it is written otherwise."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        text = file.read(_MOST_PARSED)
    if path.stat().st_size <= _MOST_PARSED:
        content = json.loads(text)
        vocabulary = content["model"]["vocab"]
        if isinstance(vocabulary, dict):
            last = max(vocabulary, key=vocabulary.__getitem__, default=None)
            yield from () if last is None else ((last, int(vocabulary[last])),)
        elif vocabulary:  # pieces with their scores: their places are the numbers
            yield str(vocabulary[-1][0]), len(vocabulary) - 1
        added = content.get("added_tokens") or []
    else:
        begins = text.index("[", text.index('"added_tokens"'))
        added, _ = json.JSONDecoder().raw_decode(text, begins)
    yield from ((str(one["content"]), int(one["id"])) for one in added)


def _embedded(folder: Path, config: Mapping[str, Any]) -> Iterator[int]:
    """How many tokens are embedded, by the configuration and by what of the weights could be the embedding: none where the
    configuration does not say."""
    said = config.get("vocab_size", _mapping(config.get("text_config")).get("vocab_size"))
    if type(said) is not int:
        return
    yield said
    for weight, shape in shapes_of_folder(folder).items():
        of_tokens = any(part in weight for part in _A_ROW_A_TOKEN)
        if len(shape) == 2 and of_tokens and not any(part in weight for part in _A_ROW_A_POSITION):
            yield shape[0]
