"""Surroundings in which a domain's files have other gold, and whether they have it for all that is scored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from w2s_bench.errors import W2SBenchError
from w2s_bench.names import DATA_VARIABLE
from w2s_bench.protocol.scores import Scores
from w2s_bench.record import read_json
from w2s_bench.runs.altered import Altered, altered_copy, documents_in
from w2s_bench.runs.apart import run_apart, search_path
from w2s_bench.runs.dealt import Gold
from w2s_bench.runs.reloaded import GOLD, OPENED, differs
from w2s_bench.types import Answer

if TYPE_CHECKING:
    from w2s_bench.plugins.registry import Registry
    from w2s_bench.runs.plan import PlannedCell

#: What a process that only reads documents seeds global generators by.
_ANY_KEY: Final = "0" * 64


@dataclass(frozen=True)
class OtherGold:
    """A domain whose files have other gold in copies under `root`: what was altered, and the variables by which a process finds them.

    Of the domain's packages and of `--data` the copies have what the domain itself opens, all that was altered, and the function's own
    code, should it lie there: what else there is may hold the facts from which gold follows. `shipped` are the folders copied.
    """

    cell: PlannedCell
    root: Path
    told: dict[str, object]
    environment: dict[str, str]
    altered: Altered
    shipped: tuple[Path, ...]

    def check_every_gold(self, gold: Gold, answers: Sequence[Answer], scores: Scores) -> None:
        """Raise unless the domain, loaded where its files have other gold, gives other gold for every item that is scored.

        Items whose gold could be no other are let be, where they are fewer than half.
        """
        scored = {item for item, _ in scores.items()}
        asked = {answer.id: answer for answer in answers if answer.id in scored}
        out = self.root / "gold"
        run_apart("w2s_bench.runs.reloaded", self.told, out, self.environment)
        found = read_json(out / GOLD)
        same = {name for name, answer in asked.items() if name not in found or not differs(answer, found[name])}
        unread, total = len(same - gold.alike) + len(scored) - len(asked), len(scored)
        if unread:
            raise W2SBenchError(
                f"domain {self.cell.domain.name!r}: gold of {unread} of {total} items lies in no file that was altered, so that who "
                f"reads it is not found out (dealt out anew: {', '.join(gold.fields) or 'no field'}); keep the documents in JSON, "
                "JSON lines or CSV files of the domain's package or of --data, under the names that the task's documents have, or "
                "audit the function on a domain that does"
            )
        if 2 * len(same) > total:
            raise W2SBenchError(
                f"domain {self.cell.domain.name!r}: {len(same)} of {total} items can have no other gold, as all items with as many "
                "options have the same; audit the function on a domain with several answers"
            )

    def check_other_files(self, gold: Gold, scores: Scores) -> None:
        """Raise where the questions that are scored stand in a file that was not altered, too: nobody knows what is beside them."""
        texts = [gold.questions[item] for item, _ in scores.items() if item in gold.questions]
        if (path := documents_in(self.altered.as_before, texts)) is not None:
            raise W2SBenchError(
                f"domain {self.cell.domain.name!r}: its questions lie in {path.name} too, which was not altered, so that who reads gold "
                "there is not found out; keep them in JSON, JSON lines or CSV files under the names that the task's documents have, or "
                "leave that file out of the package and of --data"
            )

    def refused(self) -> dict[str, object]:
        """What a process is told that must not open the files as they are shipped."""
        return {"refused": list(map(str, self.shipped)), "copies": str(self.root)}

    def left_out(self) -> str:
        """That the copies lack files, in words for who failed without them; empty where they lack none."""
        count = len(self.altered.left_out)
        return (
            f" (files of the domain's packages and of --data that neither the domain nor the function's own code needs, {count} here, are "
            "no function's to open, since gold may follow from them; what a function reads belongs into a distribution of its own)"
            if count
            else ""
        )


def other_gold(
    cell: PlannedCell, registry: Registry, gold: Gold, answers: Sequence[Answer], scores: Scores, root: Path
) -> OtherGold:
    """The domain of a cell with its gold dealt out anew, in copies under `root`; raises where no file has its gold."""
    from w2s_bench.plugins.descriptions import module_of
    from w2s_bench.plugins.source import sources_of

    registered = registry.resolve("domain", cell.domain.name)
    modules = [module for module in (registered.module, module_of(registered.factory)) if module]
    copies = {
        folder.resolve(): root / "packages" / Path(*source.root.split("."))
        for source in sources_of(modules, registered.distribution)
        if source.root != __name__.partition(".")[0]  # of a task of lm-eval: the harness, which has no documents
        for folder in source.folders
    }
    environment = {"PYTHONPATH": search_path(root / "packages")}
    if data := os.environ.get(DATA_VARIABLE):
        copies[Path(data).resolve()] = root / "data"
        environment[DATA_VARIABLE] = str(root / "data")
    params = cell.task.domain.params
    told = {
        "domain": params["name"],
        "parameters": params["parameters"],
        "distribution": registered.distribution,
        "items": {answer.id: answer.item for answer in answers if answer.id in dict(scores.items())},
        "key": _ANY_KEY,
    }
    out = root / "gold as shipped"
    run_apart("w2s_bench.runs.reloaded", {**told, "noted": [str(folder) for folder in copies]}, out, {})
    function = registry.resolve("trust_function", str(cell.arm.ref.trust_function))
    code = {path.resolve() for source in registry.sources(function) for _, path in source.files}
    needed = code | {Path(path) for path in read_json(out / OPENED)}
    altered = Altered()
    for folder, copy in copies.items():
        altered += altered_copy(folder, copy, gold, needed)
    if not altered.records:
        raise W2SBenchError(
            f"domain {cell.domain.name!r}: its documents lie in no JSON, JSON lines or CSV file of its package or of --data, so "
            "that their gold cannot be dealt out anew; audit the function on a domain whose documents do"
        )
    return OtherGold(cell, root, told, environment, altered, tuple(copies))
