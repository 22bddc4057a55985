"""Answers by transformers' own `generate`, and what a model's generation settings say: obeyed, or refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from w2s_bench.errors import ModelError

#: Settings that change a greedy answer, and the values that do not. lm-eval obeys them, for it calls `generate` too.
_OBEYED: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1,),
    "encoder_repetition_penalty": (1,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": ([],),
    "sequence_bias": ({}, []),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "exponential_decay_length_penalty": (),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "remove_invalid_values": (False,),
}
#: Settings of something else than the most probable next token, of a time limit, of rounded keys and values, or of what
#: needs more than the model.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "diversity_penalty": (0,),
    "penalty_alpha": (0,),
    "dola_layers": (),
    "constraints": ([],),
    "force_words_ids": ([],),
    "guidance_scale": (1,),
    "watermarking_config": (),
    "token_healing": (False,),
    "stop_strings": ([], ""),
    "max_time": (),
    "cache_implementation": ("dynamic", "offloaded", "static", "offloaded_static"),
}

#: What models raise that cannot generate. Memory that runs out is none of it.
_FAULTS = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)


def obeys_more(model: Any) -> bool:
    """Whether the model's generation settings change greedy answers, so that `generate` has to make them."""
    return bool(_set(model, _OBEYED))


def refuse_other_than_greedy(model: Any) -> None:
    """Raises `ModelError` for generation settings that the protocol, whose answers are greedy, has no place for."""
    for name, value in _set(model, _REFUSED).items():
        raise ModelError(
            f"the generation settings of model {model.config.name_or_path!r} have {name}={value!r}, but answers are greedy "
            "(the most probable next token); take it out of the model's generation_config.json"
        )


def _set(model: Any, settings: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    config = getattr(model, "generation_config", None)
    values = {name: getattr(config, name, None) for name in settings}
    return {name: value for name, value in values.items() if value is not None and value not in settings[name]}


def answers(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], most_new: int, ended: Callable[[list[int]], bool]
) -> list[list[int]]:
    """New token ids a row, up to the first at which it has `ended`; all prompts of one length."""
    try:
        return _generated(model, tokenizer, prompts, most_new, ended)
    except torch.OutOfMemoryError:
        raise
    except _FAULTS as fault:  # of a few models transformers' own memory does not work
        # The stage's log keeps the warning. The answers are the same, only slower.
        warnings.warn(
            f"model {model.config.name_or_path!r} generates without its cache: {type(fault).__name__}: {fault}",
            stacklevel=2,
        )
        try:
            return _generated(model, tokenizer, prompts, most_new, ended, use_cache=False)
        except torch.OutOfMemoryError:
            raise
        except _FAULTS as error:
            raise ModelError(
                f"model {model.config.name_or_path!r} cannot generate: {type(error).__name__}: {error}; take it for choice "
                "domains only, or another"
            ) from error


def _generated(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    most_new: int,
    ended: Callable[[list[int]], bool],
    **settings: bool,
) -> list[list[int]]:
    ids = torch.tensor(prompts, device=model.device)
    stop = _Stop(len(prompts[0]), ended)
    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=most_new,
        pad_token_id=pad,
        stopping_criteria=StoppingCriteriaList([stop]),
        return_dict_in_generate=False,
        **settings,
    )
    new = [row[len(prompts[0]) :] for row in out.tolist()]
    return [row[: stop.lengths.get(row_number, len(row))] for row_number, row in enumerate(new)]


class _Stop(StoppingCriteria):
    """`lengths` of the answers of those rows that have ended."""

    def __init__(self, prompt: int, ended: Callable[[list[int]], bool]) -> None:
        self.prompt, self.ended = prompt, ended
        self.lengths: dict[int, int] = {}

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        for row_number, row in enumerate(input_ids[:, self.prompt :].tolist()):
            if row_number not in self.lengths and self.ended(row):
                self.lengths[row_number] = len(row)
        done = [row_number in self.lengths for row_number in range(len(input_ids))]
        return torch.tensor(done, device=input_ids.device)
