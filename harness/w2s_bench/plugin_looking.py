"""Questions to plugins that this process does not import: answered from memory, or by a watched child for all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from w2s_bench import plugin_memory
from w2s_bench.plugin_watch import TIMEOUT_VARIABLE, Ended, Question, ask, patience
from w2s_bench.sources import module_named
from w2s_bench.types import JSON

#: Told with whatever ended or hung the process: it is not tried at every command.
RETRY = "it is tried again when it changes, after an hour, or by `w2s-bench list --retry`"
#: Times the patience: files may have to be read or fetched to say what is in them.
_TO_READ = 60


@dataclass(frozen=True)
class Look:
    """One question about one entry point. `lasting`: the answer depends on nothing but the plugin and its environment."""

    entry_point: EntryPoint
    distribution: str
    version: str
    asked: JSON
    lasting: bool = True

    @property
    def question(self) -> JSON:
        return {
            **self.asked,
            "plugin": [self.entry_point.name, self.entry_point.value, self.distribution, self.version],
        }


@dataclass(frozen=True)
class Told:
    """What `plugin_child` answered, or the fault that it met, or how it ended."""

    told: JSON = None
    fault: str | None = None
    ended: str | None = None


def look_at(looks: Sequence[Look]) -> list[Told]:
    """The answers, in order. No process is started where all are remembered."""
    seconds = patience()
    answers: dict[int, Told] = {}
    keys: dict[int, str] = {}
    for i, look in enumerate(looks):
        key = plugin_memory.key_of(look.entry_point, look.distribution, look.version, look.asked)
        if key is not None:
            keys[i] = key
            if (remembered := plugin_memory.recall(key, patience=seconds)) is not None:
                answers[i] = Told(**remembered)
    new = [i for i in range(len(looks)) if i not in answers]
    asked = time.time()
    questions = [Question(looks[i].question, seconds if looks[i].lasting else _TO_READ * seconds) for i in new]
    for i, answer in zip(new, ask(questions), strict=True):
        look = looks[i]
        modules = [module_named(look.entry_point)]
        if isinstance(answer, Ended):
            more = f", or has more than {answer.waited:g} {TIMEOUT_VARIABLE}" if answer.waited == seconds else ""
            kept, lasts = {"ended": f"{answer.how}; {RETRY}{more}"}, True
        elif "told" in answer:
            kept, lasts = {"told": answer["told"]}, look.lasting and answer["sound"]
            modules = sorted({*modules, *answer["modules"]})
        else:
            kept, lasts = {"fault": answer["fault"]}, False  # cheap to try again, and soon mended
        answers[i] = Told(**kept)
        if lasts and i in keys:
            waited = answer.waited if isinstance(answer, Ended) else None
            fatal = isinstance(answer, Ended)
            plugin_memory.remember(keys[i], kept, modules, look.distribution, asked=asked, waited=waited, fatal=fatal)
    return [answers[i] for i in range(len(looks))]
