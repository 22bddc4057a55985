"""What of a GGUF file must be in the model that transformers makes of it. transformers passes over tensors and settings that it
has no place for, and says nothing; what is certain is put right here, all else is refused. No torch."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from w2s_bench.errors import ModelError
from w2s_bench.models.gguf_header import Header

_FREQUENCIES: Final = "rope_freqs.weight"
#: What Llama 3's scaling of positions is made of, by its models' own configurations; the factor differs.
_LLAMA_3: Final = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
#: Gemmas → layers of the size (27B) that divides attention by the root of its width a head, not of `head_dim`.
_LARGEST_GEMMAS: Final = {"gemma2": 46, "gemma3": 62}
_THETA: Final = 10000.0  # llama.cpp's, where a file tells none
_STEP: Final = (
    "take the model that the file was converted from (hf/OWNER/NAME@COMMIT, local/FOLDER) in place of the file"
)
#: Names that configurations have for the constant of their norms.
_EPSILONS: Final = ("rms_norm_eps", "layer_norm_eps", "norm_eps", "norm_epsilon", "layer_norm_epsilon")
#: A setting of the file that is a number → the name of the same in a configuration.
_SAME: Final = {
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
    "expert_used_count": "num_experts_per_tok",
    "logit_scale": "logit_scale",
}
#: Ways to cut text before its bytes are merged, by llama.cpp's names, that are GPT-2's, which transformers takes where its table has none.
_LIKE_GPT_2: Final = frozenset(
    {"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v1-en", "jina-v2-es", "jina-v2-de", "jina-v2-code", "roberta-bpe"}
    | {"gigachat", "a.x-4.0", "mellum", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"}
)
#: Those that cut between digits first: the same as GPT-2's for a vocabulary without a token of two digits.
_DIGIT_BY_DIGIT: Final = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
_DIGITS: Final = re.compile("Ġ[0-9].*|[0-9]{2,}")


def settle(packed: Any, header: Header, path: Path, name: str, unexpected: set[str]) -> None:
    """Have the configuration of the model `packed` say what the file says of positions and attention; `ModelError` where the model lacks
    something of the file. `unexpected`: tensors that transformers itself found no place for."""
    unplaced = _unplaced(packed, header, unexpected)
    if _FREQUENCIES in unplaced and _rescaled(packed.config, path):
        unplaced.discard(_FREQUENCIES)
    if unplaced:
        first = sorted(unplaced)[0]
        raise ModelError(
            f"model {name!r}: transformers has no place for {len(unplaced)} tensors of {path}, {first} among them, and leaves them "
            f"out; {_STEP}"
        )
    config = packed.config.get_text_config()
    _scale(config, header)
    _temper(config, header)
    for setting, told, held in _compared(config, header):
        if held is None or not math.isclose(told, held, rel_tol=1e-4):
            raise ModelError(
                f"model {name!r}: {path} has {setting} {told:g}, which transformers leaves out (it has {held}); {_STEP}"
            )


def _unplaced(packed: Any, header: Header, unexpected: set[str]) -> set[str]:
    """Names of the file's tensors that are nowhere in the model."""
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    architecture = header.settings["general.architecture"]
    try:
        from transformers.integrations.gguf.gguf_conversion_mapping import GGUF_ARCHS
    except ImportError:  # before 5.23 there is the one way alone
        GGUF_ARCHS = {}  # noqa: N806 - transformers' name
    if architecture in GGUF_ARCHS:
        return set(unexpected)
    processor: Any = TENSOR_PROCESSORS.get(architecture, TensorProcessor)
    placed = get_gguf_hf_weights_map(packed, processor(config=packed.config.to_dict()))
    return set(header.shapes) - set(placed)


def _rescaled(config: Any, path: Path) -> bool:
    """Whether the configuration has now what the file's factors of rotary frequencies say: nothing, or Llama 3's scaling."""
    from gguf import GGUFReader

    (found,) = (tensor for tensor in GGUFReader(path).tensors if tensor.name == _FREQUENCIES)
    factors = [float(value) for value in found.data.reshape(-1)]
    if all(factor == 1 for factor in factors):
        return True
    rope = getattr(config, "rope_parameters", None)
    if not isinstance(rope, dict) or "rope_theta" not in rope or rope.get("rope_type", "default") != "default":
        return False
    factor = max(factors)
    expected = llama_3_factors(rope["rope_theta"], 2 * len(factors), factor)
    if not all(math.isclose(one, other, rel_tol=1e-4) for one, other in zip(factors, expected, strict=True)):
        return False
    config.rope_parameters = {**rope, "rope_type": "llama3", "factor": factor, **_LLAMA_3}
    return True


def llama_3_factors(theta: float, width: int, factor: float) -> list[float]:
    """What Llama 3 divides each of the `width / 2` rotary frequencies by: 1 for the fastest, `factor` for the slowest."""
    low, high, positions = (
        _LLAMA_3[key] for key in ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")
    )
    out = []
    for pair in range(0, width, 2):
        turns = positions / (2 * math.pi * theta ** (pair / width))
        between = min(max((turns - low) / (high - low), 0.0), 1.0)
        out.append(1 / ((1 - between) / factor + between))
    return out


def _scale(config: Any, header: Header) -> None:
    """Have a configuration whose positions are plain take the file's linear scaling: of every layer that attends to all of them."""
    kind, factor = _scaling(header)
    rope = getattr(config, "rope_parameters", None)
    if kind != "linear" or factor == 1 or not isinstance(rope, dict):
        return
    of_all = _of_all(rope)
    if of_all.get("rope_type", "default") == "default":
        scaled = {**of_all, "rope_type": "linear", "factor": factor}
        config.rope_parameters = {**rope, "full_attention": scaled} if of_all is not rope else scaled


def _temper(config: Any, header: Header) -> None:
    """Have a Gemma divide its attention as llama.cpp does: no file says by what, and transformers takes every size for the same."""
    architecture, layers = header.settings["general.architecture"], _of(header, "block_count")
    if architecture in _LARGEST_GEMMAS:
        of_width = config.hidden_size // config.num_attention_heads
        config.query_pre_attn_scalar = of_width if layers == _LARGEST_GEMMAS[architecture] else config.head_dim


def _scaling(header: Header) -> tuple[str, float]:
    """(kind, factor) of the file's scaling of positions; llama.cpp takes a factor without a kind for linear, and 0 for none."""
    kind = str(_of(header, "rope.scaling.type") or "linear")
    factor = float(_of(header, "rope.scaling.factor") or _of(header, "rope.scale_linear") or 1)
    return (kind, 1.0) if kind == "none" else (kind, factor)


def _of_all(rope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of positions of layers that attend to all of them."""
    inner = rope.get("full_attention")
    return inner if isinstance(inner, Mapping) else rope


def _of(header: Header, setting: str) -> Any:
    return header.settings.get(f"{header.settings['general.architecture']}.{setting}")


def _compared(config: Any, header: Header) -> Iterator[tuple[str, float, float | None]]:
    """(setting, what the file says, what the configuration has) of all that changes what a model says and no tensor's shape."""
    rope = getattr(config, "rope_parameters", None)
    if isinstance(rope, Mapping):
        of_all, local = _of_all(rope), rope.get("sliding_attention")
        yield "rope.freq_base", float(_of(header, "rope.freq_base") or _THETA), of_all.get("rope_theta")
        if (swa := _of(header, "rope.freq_base_swa")) is not None and isinstance(local, Mapping):
            yield "rope.freq_base_swa", float(swa), local.get("rope_theta")
        kind, factor = _scaling(header)
        if factor != 1 or kind == "longrope":
            has = of_all.get("rope_type") == kind
            yield f"rope.scaling ({kind}) of factor", factor, of_all.get("factor") if has else None
        width = _of(header, "rope.dimension_count")
        if width and of_all is rope:
            yield "rope.dimension_count", float(width), _rotated(config, rope)
    elif (theta := _of(header, "rope.freq_base")) is not None:
        yield "rope.freq_base", float(theta), None
    for setting, key in _SAME.items():
        if told := _of(header, setting):  # 0 is none
            yield setting, float(told), getattr(config, key, None)
    window, context = _of(header, "attention.sliding_window"), _of(header, "context_length")
    if type(window) is int and 0 < window < (context or math.inf):
        yield "attention.sliding_window", window, getattr(config, "sliding_window", None)
    for setting in ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"):
        held = [getattr(config, key) for key in _EPSILONS if getattr(config, key, None) is not None]
        if (told := _of(header, setting)) is not None and held:
            yield setting, float(told), held[0]


def refuse_tokenizer(header: Header, path: Path, name: str) -> None:
    """`ModelError` where the text of a byte-level tokenizer is cut as transformers does not do it, before anything else is read."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:  # before 5.23 transformers goes by the architecture
        return
    cut = header.settings.get("tokenizer.ggml.pre")
    if header.settings.get("tokenizer.ggml.model") != "gpt2" or cut in _LIKE_GPT_2 | _DIGIT_BY_DIGIT:
        return
    if cut not in GGUF_PRE_TOKENIZER_SPLITS:
        said = f"has tokenizer.ggml.pre {cut!r}" if cut else "lacks tokenizer.ggml.pre"
        raise ModelError(
            f"model {name!r}: {path} {said}, so that transformers would cut text as GPT-2 does, and not as this model learnt it; "
            f"{_STEP}, or a file that was converted anew"
        )


def settle_tokenizer(tokenizer: Any, header: Header, path: Path, name: str) -> None:
    """Have the tokenizer that transformers made of a file put no space before a text where the file says so, and take out tokens
    that are none of the file's; `ModelError` where it would cut text otherwise."""
    kind = header.settings.get("tokenizer.ggml.model")
    if kind == "gpt2" and header.settings.get("tokenizer.ggml.pre") in _DIGIT_BY_DIGIT:
        joined = next((token for token in tokenizer.get_vocab() if _DIGITS.fullmatch(token)), None)
        if joined is not None:
            raise ModelError(
                f"model {name!r}: {path} cuts between digits, transformers does not, and its vocabulary has {joined!r}; {_STEP}"
            )
    _without_own_tokens(tokenizer, header.words)
    if kind != "llama" or header.settings.get("tokenizer.ggml.add_space_prefix") is not False:
        return
    if not _begins_with_space(tokenizer):
        return  # as Gemma's
    _without_space(tokenizer)
    if _begins_with_space(tokenizer):
        raise ModelError(
            f"model {name!r}: {path} has add_space_prefix false, and transformers puts a space before every text; {_STEP}"
        )


def _begins_with_space(tokenizer: Any) -> bool:
    tokens = tokenizer.tokenize("a", add_special_tokens=False)
    return bool(tokens) and tokens[0].startswith("▁")


def _without_space(tokenizer: Any) -> None:
    """No space is put before a text, and none is taken from the beginning of what tokens say."""
    from tokenizers import decoders, normalizers, pre_tokenizers

    made = tokenizer.backend_tokenizer
    if isinstance(made.normalizer, normalizers.Sequence):  # Phi-3's
        made.normalizer = normalizers.Replace(" ", "▁")
    elif isinstance(made.pre_tokenizer, pre_tokenizers.Metaspace):
        made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=False)
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


def _without_own_tokens(tokenizer: Any, words: int) -> None:
    """transformers adds GPT-2's `<|endoftext|>` to a vocabulary without it, by a number that the model embeds nowhere."""
    from tokenizers import Tokenizer

    made = tokenizer.backend_tokenizer
    if not words or all(number < words for number in made.get_vocab(with_added_tokens=True).values()):
        return
    content = json.loads(made.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < words]
    if content["model"].get("unk_token") not in content["model"]["vocab"]:
        content["model"]["unk_token"] = None
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(content))


def _rotated(config: Any, rope: Mapping[str, Any]) -> float:
    """How many numbers of a head are turned by its position."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    share = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None))
    return float(int(width * (1.0 if share is None else share)))
