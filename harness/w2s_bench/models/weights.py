"""What training changed, on disk: every tensor of a model (`full`), its adapter (`lora`), or a head. No torch until it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from w2s_bench.errors import ModelError
from w2s_bench.models.setup import USUAL, Setup
from w2s_bench.models.tying import shared_names
from w2s_bench.types import RecipeName

#: The one file, in a folder of its own.
WEIGHTS = "weights.safetensors"


def save(model: Any, folder: Path, *, recipe: RecipeName) -> None:
    """Write what training changed of `model` to `folder`; tied tensors once."""
    from safetensors.torch import save_file

    if recipe == "lora":
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(model)
    else:
        shared = shared_names(model)
        state = {name: tensor for name, tensor in model.state_dict().items() if name not in shared}
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}, folder / WEIGHTS)


def load(model: Any, folder: Path, *, recipe: RecipeName, lora_rank: int, name: str, setup: Setup = USUAL) -> Any:
    """The untuned `model`, called `name`, with what `save` wrote to `folder`; `ModelError` where that is another model's."""
    from safetensors.torch import load_file

    state = load_file(folder / WEIGHTS)
    try:
        if recipe == "lora":
            from peft import get_peft_model_state_dict, set_peft_model_state_dict

            from w2s_bench.models.finetuning import add_lora

            model = add_lora(model, rank=lora_rank, seed=0, setup=setup)
            missing = set(get_peft_model_state_dict(model)) - set(state)
            result: Any = set_peft_model_state_dict(model, state)
            unexpected = set(result.unexpected_keys)
        else:
            loaded = model.load_state_dict(state, strict=False)
            missing, unexpected = set(loaded.missing_keys) - shared_names(model), set(loaded.unexpected_keys)
    except RuntimeError as error:  # torch says so of a tensor of another shape
        raise _of_another(folder, name, str(error)) from error
    if missing or unexpected:
        detail = f"missing {sorted(missing) or 'none'}, unexpected {sorted(unexpected) or 'none'}"
        raise _of_another(folder, name, detail)
    return model


def _of_another(folder: Path, name: str, detail: str) -> ModelError:
    return ModelError(f"weights in {folder} are not those of model {name!r} with this recipe: {detail}; train it again")
