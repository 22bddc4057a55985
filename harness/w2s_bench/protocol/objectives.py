"""Objectives by name, and whether one exists where a suite asks for it. Gold is no input of any: a row's label may be gold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.models import losses
from w2s_bench.models.objectives import CrossEntropy, Objective, Over, Stopping
from w2s_bench.plugins.checks import check_parameters
from w2s_bench.plugins.spec import parse_spec, write_spec
from w2s_bench.types import KINDS, Kind

if TYPE_CHECKING:
    from w2s_bench.suite_domain import Training

#: Name → what makes one from the parameters that a suite gives: `name`, or `name:key=value,…`.
#: Stages are known by that text: whoever changes a default or a formula raises the versions of `train` and `train_head`.
OBJECTIVES: Final[Mapping[str, Callable[..., Objective]]] = MappingProxyType(
    {
        "xent": CrossEntropy,
        "soft": losses.Soft,
        "logconf": losses.logconf,
        "product": losses.product,
        "bootstrap": losses.Bootstrap,
        "gce": losses.Generalised,
        "sce": losses.Symmetric,
        "early": losses.Early,
    }
)


def objective_of(spec: str) -> Objective:
    """The objective that a suite writes so."""
    name, parameters = parse_spec(spec)
    if name not in OBJECTIVES:
        raise UnknownNameError("objective", name, OBJECTIVES)
    check_parameters(f"objective {name!r}", name, OBJECTIVES[name], parameters)
    try:
        return OBJECTIVES[name](**parameters)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"objective {spec!r} cannot be made: {error}; change its parameters") from error


def written(spec: str) -> str:
    """The one text of all that mean the same name and parameters, as arms and cells have it. Raises for no objective."""
    objective_of(spec)
    return write_spec(*parse_spec(spec))


def kinds_of(spec: str) -> tuple[Kind, ...]:
    """The kinds of domain where there is such an objective: over options alone, it needs some."""
    return KINDS if "tokens" in objective_of(spec).over else ("choice",)


def refuse_unfit(training: Training, over: Collection[Over], domain: str, kind: Kind, *, teaches: bool) -> None:
    """Raises for an objective that does not exist, or not for what a suite asks of it.

    `over`: what the recipe's models can be trained over. `teaches`: the model is the teacher.
    """
    spec = training.objective
    objective = objective_of(spec)
    if kind == "generate" and "tokens" not in objective.over:
        raise SuiteError(
            f"objective {spec!r} is over the options of an item; domain {domain!r} generates its answers: take another"
        )
    if not set(objective.over) & set(over):
        raise SuiteError(
            f"objective {spec!r} is over {' and '.join(objective.over)}, recipe {training.recipe!r} trains over "
            f"{' and '.join(over)}; take another of the two"
        )
    if isinstance(objective, Stopping) and "tokens" not in over:
        raise SuiteError(
            f"objective {spec!r} keeps a student of before the last step; recipe {training.recipe!r} has none: take recipe 'full' or "
            "'lora', or another objective"
        )
    if teaches and objective.needs:
        raise SuiteError(
            f"objective {spec!r} needs distributions of {' and '.join(objective.needs)}, and a teacher is trained on gold "
            "alone; give it to the student, or take another"
        )
