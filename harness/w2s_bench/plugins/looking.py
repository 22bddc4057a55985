"""Questions to plugins that this process does not import: answered from memory, or by a watched child for all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from w2s_bench.plugins.memory import key_of, recall, remember
from w2s_bench.plugins.source import module_named
from w2s_bench.plugins.watching import TIMEOUT_VARIABLE, Awaits, Ended, ask, patience, unheard
from w2s_bench.types import JSON

#: Told with whatever ended or hung the process: it is not tried at every command.
RETRY = "it is tried again when it changes, after an hour, or by `w2s-bench list --retry`"


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

    @property
    def in_words(self) -> str:
        """What whoever waits for the answer is waiting for."""
        if self.asked["do"] == "load":
            return f"importing plugin {self.distribution}"
        return f"building {self.asked['kind'].replace('_', ' ')} {self.asked['name']}"


@dataclass(frozen=True)
class Told:
    """What `plugin_child` answered, or the fault that it met, or how it ended."""

    told: JSON = None
    fault: str | None = None
    ended: str | None = None


def look_at(looks: Sequence[Look], awaits: Awaits = unheard) -> list[Told]:
    """The answers, in order. No process is started, and nothing awaited, where all are remembered."""
    seconds = patience()
    answers: dict[int, Told] = {}
    keys: dict[int, str] = {}
    for i, look in enumerate(looks):
        if not look.lasting:
            continue
        key = key_of(look.entry_point, look.distribution, look.version, look.asked)
        if key is not None:
            keys[i] = key
            if (remembered := recall(key, patience=seconds)) is not None:
                answers[i] = Told(**remembered)
    new = [i for i in range(len(looks)) if i not in answers]
    asked = time.time()
    for i, answer in zip(new, _asked([looks[i] for i in new], seconds, awaits), strict=True):
        look, key = looks[i], keys.get(i)
        modules, waited = {module_named(look.entry_point)}, None
        if isinstance(answer, Ended):
            lasts, waited = key is not None and answer.began, answer.waited
            retry = f"; {RETRY}, or with more seconds in {TIMEOUT_VARIABLE}" if waited else f"; {RETRY}"
            told = {"ended": answer.how + (retry if lasts else "")}
        else:
            # A fault costs little to meet again, and its cure lies elsewhere: something is to be installed.
            lasts = bool(answer.get("sound"))
            told = {name: answer[name] for name in ("told", "fault") if name in answer}
            modules |= set(answer.get("modules", ()))
        answers[i] = Told(**told)
        if lasts and key is not None:
            fatal = isinstance(answer, Ended)
            remember(key, told, sorted(modules), look.distribution, asked=asked, waited=waited, fatal=fatal)
    return [answers[i] for i in range(len(looks))]


def _asked(looks: Sequence[Look], seconds: float, awaits: Awaits) -> list[JSON | Ended]:
    """What a watched child answers, while `awaits` is told whom it is at."""
    if not looks:
        return []
    try:
        return ask([look.question for look in looks], seconds, lambda place: awaits(looks[place].in_words))
    finally:
        awaits("")
