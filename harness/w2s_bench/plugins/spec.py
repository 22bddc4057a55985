"""How an entry and its parameters are written in one line: `name:key=value,key2=value2`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import yaml

from w2s_bench.errors import W2SBenchError
from w2s_bench.types import JSON


def parse_spec(text: str) -> tuple[str, dict[str, JSON]]:
    """`name:key=value,key2=value2` → name and parameters; values are YAML, and `1e-3` is a number.

    A comma parts two parameters only where `key=` follows it, so that a value may hold commas: `layers=[1,2],folds=3`.
    """
    name, colon, rest = text.partition(":")
    if not name.strip():
        raise W2SBenchError(f"{text!r} has no name; write name, or name:key=value,key2=value2")
    parameters: dict[str, JSON] = {}
    for part in re.split(r",(?=\s*[A-Za-z_]\w*\s*=)", rest) if colon else []:
        match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*=(.*)", part, re.DOTALL)
        if match is None or match[1] in parameters:
            fault = f"gives {match[1]!r} twice" if match else f"has {part!r} where key=value belongs"
            raise W2SBenchError(f"{text!r} {fault}; write name:key=value,key2=value2")
        parameters[match[1]] = _value(text, match[1], match[2])
    return name.strip(), parameters


def write_spec(name: str, parameters: Mapping[str, JSON]) -> str:
    """The text that `parse_spec` reads back as `name` and `parameters`, sorted; other parameters, other text."""
    written = ",".join(f"{key}={_written_value(value)}" for key, value in sorted(parameters.items()))
    return f"{name}:{written}" if written else name


def _written_value(value: JSON) -> str:
    # Text stands bare where it reads back as itself; whatever else it could be taken for is told apart by JSON's quotes.
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z][\w.-]*", value)
        and parse_spec(f"x:y={value}")[1]["y"] == value
    ):
        return value
    # `,key=` within quotes would part two parameters. So the comma is written as JSON's escape.
    return re.sub(r",(?=\s*[A-Za-z_]\w*\s*=)", r"\\u002c", json.dumps(value, sort_keys=True))


class _Yaml(yaml.SafeLoader):
    """YAML in which `1e-3` is a number, wherever it stands; YAML 1.1 takes it for a text."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _value(text: str, key: str, value: str) -> JSON:
    """A parameter's value: JSON as `write_spec` writes it, else YAML that JSON can hold; arms are named and stored by it."""
    unreadable = f"{text!r}: {value!r} for parameter {key!r} is no YAML value; put it in quotes"
    try:
        parsed: JSON = json.loads(value)
    except (ValueError, RecursionError):
        try:
            parsed = _Yaml(value).get_single_data()
        except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that no calendar has
            raise W2SBenchError(unreadable) from error
    try:
        written = json.dumps(parsed, allow_nan=False, ensure_ascii=False)
        # As text, since 1, 1.0 and True are equal without being the same; `encode` refuses half a character.
        kept = repr(json.loads(written.encode())) == repr(parsed)
    except (TypeError, ValueError):
        kept = False
    if not kept:
        raise W2SBenchError(
            f"{text!r}: {value!r} for parameter {key!r} would be a {type(parsed).__name__} that JSON cannot hold; give "
            "text, finite numbers, true, false, null, or lists and mappings of them with text as keys; a date goes in quotes"
        )
    return parsed
