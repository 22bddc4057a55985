"""A suite: a frozen set of domains, models, sizes, recipe, coverage and seeds. YAML in, validated, digested."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from w2s_bench.errors import SuiteError, UnknownNameError
from w2s_bench.names import bare, short
from w2s_bench.record import digest_of
from w2s_bench.types import JSON, SPLITS, Precision, Split

PROTOCOL: Final = "w2s-1"

Positive = Annotated[int, Field(gt=0, strict=True)]
Share = Annotated[float, Field(gt=0, lt=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sizes(_Strict):
    """Items in each split. `dev` and `test` are the same for every seed; a seed draws the other three from the rest."""

    dev: Positive
    test: Positive
    weak_train: Positive
    trust: Positive
    transfer: Positive

    def of(self, split: Split) -> int:
        size: int = getattr(self, split)
        return size

    @property
    def total(self) -> int:
        return sum(self.of(split) for split in SPLITS)


class Training(_Strict):
    """One model and how it is trained: the same number of optimizer steps whatever the data (small sets repeat)."""

    model: str
    recipe: Literal["full", "lora", "probe"] = "full"
    steps: Positive
    batch_size: Positive = 32
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    lora_rank: Positive = 8
    precision: Precision = "float32"

    @model_serializer(mode="wrap")
    def _without_usual_precision(self, write: SerializerFunctionWrapHandler) -> dict[str, JSON]:
        """Suites that do not name a precision are what they were before there was a choice, digest and all."""
        written: dict[str, JSON] = write(self)
        return {name: value for name, value in written.items() if (name, value) != ("precision", "float32")}


class DomainSpec(_Strict):
    """One domain of a suite with everything its cells depend on."""

    name: str
    version: str
    parameters: Mapping[str, JSON] = Field(default_factory=dict)
    sizes: Sizes
    teacher: Training
    student: Training

    @field_validator("parameters")
    @classmethod
    def _are_json(cls, parameters: Mapping[str, JSON]) -> Mapping[str, JSON]:
        try:
            json.dumps(parameters, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"parameters must be JSON values ({error}); write dates and the like in quotes") from error
        return parameters


class Suite(_Strict):
    """A frozen benchmark. It lists no trust functions: a run takes every installed one, or those named."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    version: str
    description: str = ""
    protocol: Literal["w2s-1"] = PROTOCOL
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    seeds: Positive = 3
    evaluate_on: Literal["test", "dev"] = "test"
    coverage: Share = 0.5
    tolerance: Annotated[float, Field(ge=0, lt=1)] = 0.02
    domains: Annotated[tuple[DomainSpec, ...], Field(min_length=1)]

    @field_validator("domains")
    @classmethod
    def _distinct(cls, domains: tuple[DomainSpec, ...]) -> tuple[DomainSpec, ...]:
        if twice := _twice([short(d.name) for d in domains]):
            raise ValueError(f"a domain may stand once in a suite; twice here: {', '.join(twice)}")
        return domains

    @model_validator(mode="after")
    def _keeps_something(self) -> Suite:
        for d in self.domains:
            if int(self.coverage * d.sizes.transfer + 1e-9) < 1:  # rounds as selection.count_to_keep does
                raise ValueError(
                    f"coverage {self.coverage} of {d.sizes.transfer} transfer items keeps none; raise either"
                )
        return self

    def domain(self, name: str) -> DomainSpec:
        """The spec of a domain by full or bare name; bare, the built-in one wins, else it must be the only one so called."""
        found = [d for d in self.domains if short(d.name) == short(name)]
        found = found or [d for d in self.domains if bare(d.name) == name]
        if len(found) == 1:
            return found[0]
        if found:
            hint = f"Several domains of suite {self.name!r} have this name; write one in full."
            raise UnknownNameError("domain", name, [d.name for d in found], hint)
        raise UnknownNameError(
            "domain", name, [d.name for d in self.domains], f"These are the domains of suite {self.name!r}."
        )

    def with_full_names(self, full: Callable[[str], str]) -> Suite:
        """The suite with each domain's name replaced by what `full` gives for it: digest, splits and cells follow names."""
        domains = tuple(d.model_copy(update={"name": full(d.name)}) for d in self.domains)
        if twice := _twice([d.name for d in domains]):
            raise SuiteError(f"a domain may stand once in a suite; {self.name!r} has {', '.join(twice)} by two names")
        return self.model_copy(update={"domains": domains})

    def canonical(self) -> dict[str, JSON]:
        """What the digest is over: everything but the description."""
        return self.model_dump(mode="json", exclude={"description"})

    @property
    def digest(self) -> str:
        return digest_of(self.canonical())

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def built_in_suites() -> dict[str, Path]:
    """Name → file of the suites that ship with the harness."""
    folder = Path(str(files("w2s_bench") / "suites"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_suite(name_or_path: str | Path) -> Suite:
    """A built-in suite by name, or any suite file by path."""
    shipped = built_in_suites()
    path = Path(name_or_path)
    if str(name_or_path) in shipped:
        path = shipped[str(name_or_path)]
    elif not path.is_file():
        looks_like_path = path.suffix in {".yaml", ".yml"} or len(path.parts) > 1
        if looks_like_path:
            raise SuiteError(
                f"no suite file {str(path)!r}; give the path of a YAML file, or one of {', '.join(shipped)}"
            )
        raise UnknownNameError("suite", str(name_or_path), shipped, "Or give the path of a suite file.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise SuiteError(f"cannot read suite file {path}: {error}") from error
    if not isinstance(content, dict):
        raise SuiteError(
            f"suite file {path} holds {type(content).__name__}, expected a mapping with name, version, domains …"
        )
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SuiteError(f"suite file {path}:\n{_explain(error)}") from error


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML loaders silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(
                    "while reading a mapping", node.start_mark, f"found key {key.value!r} twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _explain(error: ValidationError) -> str:
    """pydantic's findings, one line each, with the nearest known key where one is misspelt."""
    import difflib

    models: dict[str, type[BaseModel]] = {
        "domains": DomainSpec,
        "sizes": Sizes,
        "teacher": Training,
        "student": Training,
    }
    lines = []
    for found in error.errors():
        where = ".".join(str(part) for part in found["loc"]) or "suite"
        line = f"  {where}: {found['msg'].removeprefix('Value error, ')}"
        if found["type"] == "extra_forbidden":
            parents = [part for part in found["loc"][:-1] if isinstance(part, str)]
            model: type[BaseModel] = models[parents[-1]] if parents else Suite
            known = list(model.model_fields)
            near = difflib.get_close_matches(str(found["loc"][-1]), known, n=1)
            line = f"  {where}: unknown key" + (
                f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            )
        elif found["type"] != "missing" and isinstance(found["input"], str | int | float | None):
            line += f" (got {found['input']!r})"
        lines.append(line)
    return "\n".join(lines)
