"""The process in which third-party code is looked at: `main` answers the questions of `plugin_watch` until all are answered.

It has what the harness has, and nothing to lose: whatever a plugin does here, at worst its own answer is missing.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from importlib.metadata import EntryPoint

from w2s_bench.contract import check_trust_function
from w2s_bench.descriptions import DescribedDomain, DescribedModel, declared_to_json, factory_to_json, module_of
from w2s_bench.errors import W2SBenchError
from w2s_bench.hookspecs import ENTRY_POINT_GROUP
from w2s_bench.plugin_loading import load_here
from w2s_bench.registry import Registry
from w2s_bench.types import JSON


def main() -> None:
    """One JSON list of questions on standard input; null and an answer, a line each, for every question on standard output."""
    questions = json.loads(sys.stdin.buffer.read())
    replies, own = os.dup(1), os.getpid()
    os.dup2(2, 1)  # what plugins print is no answer
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    for question in questions:
        os.write(replies, b"null\n")
        text = json.dumps(_answer(question)).encode() + b"\n"
        if os.getpid() != own:  # a plugin that forked came back twice
            os._exit(0)
        while text:
            text = text[os.write(replies, text) :]
    os._exit(0)  # threads and exit handlers that a plugin left here do not matter


def _answer(question: JSON) -> JSON:
    try:
        return _told(question)
    except W2SBenchError as error:
        return {"fault": str(error)}
    except BaseException as error:  # noqa: BLE001  # a plugin may raise anything, at any time
        return {"fault": f"it raised {type(error).__name__}"}


def _told(question: JSON) -> JSON:
    """What is told, the modules that it depends on, and whether it is worth being remembered."""
    name, value, distribution, version = question["plugin"]
    plugin = load_here(EntryPoint(name, value, ENTRY_POINT_GROUP), distribution, version)
    if question["do"] == "load":
        entries = [{"kind": one.kind, "name": one.name, **factory_to_json(one.factory)} for one in plugin.provides]
        faults = [plugin.problem.cause] if plugin.problem else []
        told = {"faults": faults, "provides": entries}
        return {"told": told, "modules": [one["module"] for one in entries], "sound": not faults}
    registry, full, parameters = Registry.of([plugin]), question["name"], question["parameters"]
    built: object
    if question["kind"] == "trust_function":
        built = registry.trust_function(full, **parameters)
        registered = registry.resolve("trust_function", full)
        told = declared_to_json(check_trust_function(str(registered), built))
    elif question["kind"] == "domain":
        built = domain = registry.domain(full, **parameters)
        digest = registry.guarded("domain", full, "fingerprint()", domain.fingerprint)
        told = asdict(DescribedDomain.of(domain, digest))
    else:
        built = model = registry.model(full)
        told = asdict(DescribedModel.of(model, registry.guarded("model", full, "fingerprint()", model.fingerprint)))
    modules = [module_of(registry.resolve(question["kind"], full).factory), type(built).__module__]
    return {"told": told, "modules": modules, "sound": True}
