"""A teacher that is a label source other than a model's own answers: which keys it has, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

#: Where labels come from that are not a model's own answers, and how wrong ones among gold are made.
LabelSource = Literal["noisy", "scarce", "majority", "self_certainty"]
Noise = Literal["uniform", "systematic"]

#: Which label source has which keys of its own, the first of them where it must.
_KEYS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "noisy": ("rate", "noise", "samples", "temperature"),
        "scarce": ("labels",),
        "majority": ("samples", "temperature"),
        "self_certainty": ("samples", "temperature"),
    }
)
#: Label sources of answers that a model draws, which is then the teacher.
OF_MODELS: Final[frozenset[LabelSource]] = frozenset({"majority", "self_certainty"})
#: The keys of all label sources.
OF_LABEL_SOURCES: Final = frozenset(key for keys in _KEYS.values() for key in keys)


def filled(given: Mapping[str, object], usual: Mapping[str, object]) -> dict[str, object]:
    """The keys of a teacher or student, with those of a model, which nobody reads, where its label source has none.

    `usual`: what each key is where nobody names it. Raises ValueError for keys that do not go together.
    """
    source = given.get("source")
    if source is not None and (not isinstance(source, str) or source not in _KEYS):
        return dict(given)  # which the field itself refuses
    own = _KEYS[source] if source else ()
    told = {key: given[key] for key in sorted(OF_LABEL_SOURCES & given.keys()) if given[key] not in (None, usual[key])}
    if foreign := [key for key in told if key not in own]:
        raise ValueError(
            f"{f'label source {source!r}' if source else 'what is no label source'} has no {', '.join(foreign)}; leave it out"
        )
    if source is None or source in OF_MODELS:
        return dict(given)
    if own[0] not in told:
        raise ValueError(f"label source {source!r} needs {own[0]}; give it")
    name = f"{source}:" + ",".join(f"{key}={value}" for key, value in told.items())
    of_model = {"model": name, "recipe": "none", "steps": 1, "learning_rate": 1.0}
    alien = given.keys() - OF_LABEL_SOURCES - {"source"}
    if alien := {key for key in alien if given[key] != of_model.get(key, usual.get(key))}:
        raise ValueError(f"label source {source!r} has no model and trains none; leave out {', '.join(sorted(alien))}")
    return {"source": source, **told, **of_model}
