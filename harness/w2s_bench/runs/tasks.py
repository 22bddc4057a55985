"""A domain of a suite, its models and the domain that its trust set comes from → what is planned of them, checked against the suite."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from w2s_bench.domains.documents import Documents, Request, self_contained
from w2s_bench.errors import SuiteError
from w2s_bench.names import BUILT_IN
from w2s_bench.plugins.libraries import imported_by
from w2s_bench.plugins.planning import described_domain, described_model
from w2s_bench.plugins.registry import Registry
from w2s_bench.plugins.source import Moment
from w2s_bench.protocol.objectives import refuse_unfit
from w2s_bench.protocol.planned import PlannedDomain, PlannedModel, PlannedTask
from w2s_bench.protocol.recipes import RECIPES
from w2s_bench.runs.crossed import refuse_unfit_label_source

if TYPE_CHECKING:
    from pathlib import Path

    from w2s_bench.hookspecs import Domain, LanguageModel
    from w2s_bench.plugins.entries import Registered
    from w2s_bench.suite_domain import DomainSpec
    from w2s_bench.suite_training import Training


def unknown_documents(specs: Sequence[DomainSpec], registry: Registry) -> list[Request]:
    """The domains whose documents must be read to know them."""
    return [
        (spec.name, spec.parameters)
        for spec in specs
        if not self_contained(described_domain(registry, spec.name, spec.parameters))
    ]


def planned_task(spec: DomainSpec, registry: Registry, documents: Documents) -> PlannedTask:
    """A domain and its models, built and checked against the suite."""
    domain = described_domain(registry, spec.name, spec.parameters)
    if domain.version != spec.version:
        raise SuiteError(
            f"the suite was made for domain {spec.name!r} version {spec.version!r}, version {domain.version!r} is installed; "
            "install the one the suite names, or make a new suite"
        )
    for number, training in enumerate((spec.teacher, *spec.chain, spec.student)):
        if domain.kind not in RECIPES[training.recipe].kinds:
            fitting = [repr(name) for name, meant in RECIPES.items() if domain.kind in meant.kinds]
            others = [name for name in fitting if number == 0 or name != "'none'"]  # who learns is trained
            raise SuiteError(
                f"recipe {training.recipe!r} chooses among options; domain {spec.name!r} generates its answers: "
                f"take {' or '.join(others)} for {'the teacher' if number == 0 else 'who learns from it'}"
            )
        refuse_unfit(training, RECIPES[training.recipe].over, spec.name, domain.kind, teaches=number == 0)
    refuse_unfit_label_source(spec, domain.kind)
    origins: dict[str, LanguageModel] = {}

    def model(training: Training) -> PlannedModel:
        if not training.is_model:
            return PlannedModel.of_label_source(training)
        origin, registered = described_model(registry, training.model), registry.resolve("model", training.model)
        if registered.distribution != BUILT_IN:
            # The full name says in whose processes the model is loaded.
            training = training.model_copy(update={"model": registered.name})
        origins[training.model] = origin
        made = partial(PlannedModel.of, training, origin, spec.overflow)
        return registry.guarded("model", training.model, "fingerprint()", made)

    read: dict[str, Any] = {}
    registered = registry.resolve("domain", spec.name)
    if not self_contained(domain):
        read["documents"] = documents.digest(spec.name, spec.parameters)
        # What the harness itself makes of a name is told by the stages' versions.
        if registered.distribution != BUILT_IN:
            read["source"] = registry.source_digest(registered)
    libraries = libraries_of(registry, registered, domain)
    planned = registry.guarded(
        "domain",
        spec.name,
        "fingerprint()",
        lambda: PlannedDomain.of(spec.name, domain, spec.parameters, libraries=libraries, **read),
    )
    return PlannedTask(spec, planned, model(spec.teacher), model(spec.student), tuple(map(model, spec.chain)), origins)


def libraries_of(registry: Registry, registered: Registered, domain: Domain) -> tuple[str, ...]:
    """The distributions that a domain's own code computes with; of a task of lm-eval, what the Python files of the task import.

    The bundled domains' code does nothing that lm-eval does not do.
    """
    if registered.distribution != BUILT_IN:
        return registry.libraries(registered)
    # Tasks of lm-eval alone say it; a plan of other domains need not import their class.
    files: list[Path] = getattr(domain, "code_files", list)()
    return tuple(sorted(imported_by(files, Moment())))


def source_of_trust(task: PlannedTask, source: PlannedTask) -> PlannedTask:
    """The task whose trust set another one learns from, if what is read there is of the same kind."""
    if source.domain.kind != task.domain.kind:
        raise SuiteError(
            f"domain {task.spec.name!r} is a {task.domain.kind} domain and has trust_from {source.spec.name!r}, a "
            f"{source.domain.kind} domain: trust functions read other things of the two; name one of its own kind"
        )
    return source
