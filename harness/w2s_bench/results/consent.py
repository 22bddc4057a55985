"""What a results folder asks this machine for: folders of models, and plugins with parameters that it chose.

Whoever verifies a folder of somebody else runs what is installed on what that folder says. So these are named, and wait for
the user's word; a model of a folder may instead be said to lie somewhere here, and is then known by its fingerprint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from w2s_bench.errors import ModelError, SuiteError, UnknownNameError
from w2s_bench.names import BUILT_IN, short
from w2s_bench.resolvers import at_path, beside, is_on_disk, what_lacks
from w2s_bench.results.cells import Cell
from w2s_bench.suite import Suite

#: How many digits of a fingerprint name a model.
_FEWEST_DIGITS = 8


def refuse_unasked(suite: Suite, cells: Sequence[Cell], results: Path, placed: Mapping[str, str]) -> None:
    """Refuse cells that need a folder of this disk, other than those `placed`, or hand a plugin parameters."""
    wanted = list(dict.fromkeys(_wanted(suite, cells, placed)))
    if wanted:
        raise SuiteError(
            f"{results} asks for what is not opened or run on its word alone: {'; '.join(wanted)}. Give --trust-folder if you "
            "trust where it comes from, --model NAME=FOLDER for a model that lies on this machine, or --row for other rows"
        )


def _wanted(suite: Suite, cells: Sequence[Cell], placed: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys(cell.body.domain.name for cell in cells):
        spec = suite.domain(name)
        between = (("between teacher and student", training) for training in spec.chain)
        for role, training in (("teacher", spec.teacher), ("student", spec.student), *between):
            if is_on_disk("model", training.model) and training.model not in placed:
                yield f"model {training.model!r}, {role} of {short(name)}"
        for parameter, model in spec.models_of_parameters.items():
            if is_on_disk("model", model) and model not in placed:
                yield f"model {model!r}, {parameter} of {short(name)}"
        if spec.parameters and not name.startswith(f"{BUILT_IN}/"):
            yield f"domain {name!r} with parameters {', '.join(map(repr, spec.parameters))}"
    for cell in cells:
        arm = cell.body.arm
        if arm.parameters and arm.trusts and not arm.trusts.startswith(f"{BUILT_IN}/"):
            yield f"trust function {arm.trusts!r}"
        if (objective := arm.objective) and "/" in (parts := objective.partition(":"))[0] and parts[2]:
            yield f"objective {objective!r}"


def placements(suite: Suite, cells: Sequence[Cell], models: Mapping[str, str]) -> dict[str, str]:
    """A suite's name of a model → its name on this machine, from what the user calls it, its name or the first digits of its
    fingerprint (at least 8), and the folder that it lies in here (of an adapter `FOLDER`, or `FOLDER+BASE`)."""
    # A model whose chat template alone is read has no fingerprint in a cell; the domain's own tells the template.
    made_with = {name: "" for d in suite.domains for name in d.models_of_parameters.values()}
    made_with |= {ref.name: ref.fingerprint for cell in cells for ref in (cell.body.teacher, cell.body.student)}
    made_with = {name: fingerprint for name, fingerprint in made_with.items() if is_on_disk("model", name)}
    placed: dict[str, str] = {}
    for key, folder in models.items():
        fitting = [name for name, fingerprint in made_with.items() if key == name or _begins(fingerprint, key)]
        if not fitting:
            names = [f"{name} ({fingerprint[:12]})" if fingerprint else name for name, fingerprint in made_with.items()]
            raise UnknownNameError(
                "model", key, names, f"--model names a model of suite {suite.name!r} that is a folder."
            )
        for name in fitting:
            # By text and not by `Path`, which would take one of the slashes of `…+local//base`.
            here = at_path("model", name, os.path.expanduser(folder))  # noqa: PTH111
            if (fault := what_lacks("model", here)) is not None:
                raise ModelError(f"--model {key}={folder}: {fault}")
            placed[name] = beside("model", here, Path.cwd())
    return placed


def _begins(fingerprint: str, key: str) -> bool:
    return len(key) >= _FEWEST_DIGITS and fingerprint.startswith(key)


def with_placements(suite: Suite, placed: Mapping[str, str]) -> Suite:
    """The suite with models by the names that they have here (`placements`)."""
    domains = tuple(d.with_models(lambda name: placed.get(name, name)) for d in suite.domains)
    return suite.model_copy(update={"domains": domains})


def under_old_names(computed: Cell, committed: Cell) -> Cell:
    """The cell as it would be had the models lain where they did: the suite's and the models' names are the committed ones.

    Fingerprints stay what they are, and so does everything that was computed.
    """
    old, new = committed.body, computed.body
    names = {"teacher": old.teacher.name, "student": old.student.name}
    models = {role: getattr(new, role).model_copy(update={"name": name}) for role, name in names.items()}
    return Cell.of(new.model_copy(update={"suite": old.suite, **models}), computed.provenance)
