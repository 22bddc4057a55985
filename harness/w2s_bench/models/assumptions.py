"""What the engine may assume of a model, found out once, before it is used, by asking the model on a few tokens.

Every assumption is one that plain transformers does not make; where one does not hold, the engine does without it. What
holds for a short row may fail beyond a window, of which the configuration tells: the model is asked beyond it too; what
stays unasked, because it would take long or because no answer is sure, ends with the window.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch

from w2s_bench.errors import ModelError
from w2s_bench.models.capabilities import Anatomy, base_of
from w2s_bench.models.encoding import max_length_of
from w2s_bench.models.questions import Questions
from w2s_bench.models.verdicts import ANY, Verdict, Verdicts
from w2s_bench.models.widened import NARROW, Widened

_SHORT = 12  # tokens
_BUDGET = 3e9  # parameters times tokens of one row that is read beyond a window
#: Of the most probable places: which these are may hang on the row's length by a hair, so that one row tells little.
_CHOICE = re.compile(r"index_topk|indexer_budget")
_WINDOW = re.compile(rf"window|chunk|block_(size|length)|local_att|original_max|{_CHOICE.pattern}")
_NO_WINDOW = re.compile(r"pattern|layers|loss|feed_forward")
_KNOWN = "_w2s_bench_verdict"


def verdict_of(model: Any, name: str = "", fingerprint: str = "", verdicts: Verdicts | None = None) -> Verdict:
    """What may be assumed of `model`; asked once, and kept with the model. Its weights and settings stay as they are.

    Raises `ModelError` for a model that cannot be read from left to right, or gives no numbers. `name` is for messages;
    of a model just loaded, its `fingerprint` and `verdicts` tell whether another of the same files was asked before.
    """
    plain = base_of(model)
    verdict = vars(plain).get(_KNOWN)
    if verdict is None:
        ask = partial(_found_out, plain, name or str(plain.config.name_or_path))
        verdict = verdicts.of(plain, fingerprint, ask) if verdicts and fingerprint else ask()
        setattr(plain, _KNOWN, verdict)
    assert isinstance(verdict, Verdict)
    return verdict


def anatomy_of(model: Any) -> Anatomy | None:
    """None for a model that does more with its last states than apply its output layer (a cap on logits, a scale)."""
    verdict, plain = verdict_of(model), base_of(model)
    return Anatomy(plain.base_model, plain.get_output_embeddings(), verdict.trees) if verdict.splits else None


def windows_of(config: Any, names: re.Pattern[str] = _WINDOW) -> list[int]:
    """Every positive whole number of a configuration whose name is one of a window, rising."""
    windows: set[int] = set()

    def walk(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(str(key), inner)
        elif isinstance(value, list):
            for inner in value:
                walk(name, inner)
        elif type(value) is int and value > 0 and names.search(name) and not _NO_WINDOW.search(name):
            windows.add(value)

    walk("", config.get_text_config().to_dict())
    return sorted(windows)


@torch.no_grad()
def _found_out(plain: Any, name: str) -> Verdict:
    longest = max_length_of(plain)
    windows = [window for window in windows_of(plain.config) if window < longest]
    with _asking(plain):
        questions = Questions(plain, name)
        splits = questions.splits()
        reach = windows[0] if windows else ANY
        near = questions.near(max(2, min(_SHORT, longest, reach)), splits)
        if not near["causal"]:
            raise ModelError(
                f"model {name!r} is bidirectional: what it says of a token changes when another is appended, so it gives no "
                "log-likelihoods of texts; take a causal language model"
            )
        if not near["seen"]:  # layers that begin at zero hide it: nothing shows yet what training makes of them
            return Verdict(splits, neighbours=False, padding=0, trees=0, cache=0, padded_cache=0)
        far = near
        if windows:
            length = min(windows[-1] + _SHORT, longest)
            affordable = length * sum(p.numel() for p in plain.parameters()) <= _BUDGET
            tells = affordable and not windows_of(plain.config, _CHOICE)
            far = questions.far(length, windows) if tells else {"neighbours": near["neighbours"]}
    # The engine's own masks know no window, and weights may hide that. So what needs such masks ends at the window.
    limits = {
        what: 0 if not near[what] else ANY if far.get(what, False) else reach
        for what in ("padding", "trees", "cache", "padded_cache")
    }
    return Verdict(splits, near["neighbours"] and far["neighbours"], **limits)


@contextmanager
def _asking(plain: Any) -> Iterator[None]:
    """The model in evaluation mode, full precision, and whatever it draws drawn aside."""
    was_training, device = plain.training, plain.device
    plain.eval()
    try:
        with (
            torch.random.fork_rng([] if device.type == "cpu" else [device], device_type=_forked(device)),
            torch.autocast(device.type, enabled=False),  # products of fewer digits would look like differences
            Widened() if plain.dtype in NARROW else nullcontext(),  # and so would weights of fewer digits
        ):
            yield
    finally:
        plain.train(was_training)


def _forked(device: torch.device) -> str:
    return "cuda" if device.type == "cpu" else device.type
