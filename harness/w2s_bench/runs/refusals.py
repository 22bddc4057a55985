"""What the user must change first, found without running anything: a run and its preview refuse the same."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from w2s_bench.errors import CellError, StoreError, SuiteError, W2SBenchError
from w2s_bench.names import DOMAINS, ENGINE_VARIABLE, PAGES
from w2s_bench.results.belief import refuse_contradictions
from w2s_bench.results.cells import Cell, cell_path
from w2s_bench.results.files import cell_paths, read_placed
from w2s_bench.runs.unmade import Unmade
from w2s_bench.store.stage import Stage, StageContext, walk
from w2s_bench.suite import Suite
from w2s_bench.suite_files import read_results_suite

if TYPE_CHECKING:
    from w2s_bench.runs.plan import Plan
    from w2s_bench.store import Store


def refuse_mistakes(planned: Plan, folder: Path) -> None:
    """Whatever a results folder has against a plan; nothing is made or written."""
    refuse_foreign(folder)
    refuse_other_suite(folder, planned.suite)
    refuse_stale_cells(folder, planned)
    refuse_unwritable(folder)


def refuse_foreign(folder: Path) -> None:
    """A run writes its pages over those of an earlier run, and over nobody else's: a run's folder has its suite."""
    theirs = [name for name in PAGES if os.path.lexists(folder / name)]
    theirs += [f"{DOMAINS}/{path.name}" for path in sorted((folder / DOMAINS).glob("*.md"))[:1]]
    if theirs and not (folder / "suite.yaml").exists():
        raise W2SBenchError(
            f"{folder / theirs[0]} is there and no suite.yaml beside it, so that no run has written it; it is left as it is: "
            "give another --out, or move it away"
        )


def refuse_other_suite(folder: Path, suite: Suite) -> None:
    """A results folder holds one suite. More seeds of it extend what is there; fewer would drop some, and are refused."""
    held = _held(folder)
    if held is None or held.digest == suite.digest:
        return
    if not _differ_in_seeds_alone(held, suite):
        raise SuiteError(
            f"{folder} holds results of another suite {suite.name!r} (something but the number of seeds has changed); give "
            "another --out, or move that folder away"
        )
    if suite.seeds < held.seeds:
        raise SuiteError(
            f"{folder} holds results of {_seeds(held)}, this run asks for {suite.seeds}: give --seeds {held.seeds} to go on "
            "there, or another --out for fewer (what is stored is not computed again)"
        )


def refuse_stale_cells(folder: Path, planned: Plan) -> None:
    """Cells that stay beside the new ones must be sound, of this suite with as many seeds, and of the same domain and models."""
    rewritten = {cell_path(folder, cell.row) for cell in planned.cells}
    now = {(cell.domain.name, cell.generation): cell for cell in planned.cells}
    held = _held(folder)
    stale: list[str] = []
    behind: list[str] = []
    staying: list[Cell] = []
    for path in cell_paths(folder):
        if path in rewritten:
            continue
        staying.append(read_placed(path, folder))
        body = staying[-1].body
        new = now.get((body.domain.name, body.step))
        # A domain whose documents cannot be read is told as that, when its items cannot be made.
        if new and not (body.domain.may_be(new.domain) and (body.teacher, body.student) == (new.teacher, new.student)):
            stale.append(str(path))
        elif body.suite.digest != planned.suite.digest:
            of_held = held is not None and body.suite.digest == held.digest
            (behind if of_held else stale).append(str(path))
    if stale:
        raise CellError(
            f"{', '.join(stale)}: made with another version of the suite, the domain or its models, and not part of this "
            "run; remove these files, or give another --out"
        )
    if behind and held is not None:
        raise CellError(
            f"{', '.join(behind)}: these rows have {_seeds(held)} and are not part of this run, which asks for "
            f"{planned.suite.seeds}; run them too (leave out --domain, and --trust or name them there; --decompose for what "
            "it gave; what is stored is not computed again), remove these files, or give another --out"
        )
    refuse_contradictions(staying, planned.suite, folder)


def extension_note(planned: Plan, folder: Path) -> str | None:
    """What a run says of a finished suite that it gives more seeds."""
    held = _held(folder)
    if held is None or held.seeds >= planned.suite.seeds:
        return None
    new = range(held.seeds, planned.suite.seeds)
    shown = f"seed {new[0]}" if len(new) == 1 else f"seeds {new[0]} to {new[-1]}"
    return f"{folder} held {_seeds(held)}; {shown} joined, so its suite has another digest than with {held.seeds}"


def refuse_unwritable(folder: Path) -> None:
    """The results folder must take files, or the folder that it will be made in; better known before the hours than after."""
    if fault := unwritable(folder):
        raise W2SBenchError(f"cannot write results to {folder}: {fault}; give another --out, or make it writable")


def refuse_unwritable_store(planned: Plan, store: Store) -> None:
    """A store on this machine's disk must take files, unless it holds everything already. What is found later is no mistake of
    the call, and has another exit code (`StoreError`)."""
    from w2s_bench.runs.preview import preview
    from w2s_bench.store.faults import store_error

    if (fault := unwritable(store.root)) is None:
        return
    try:
        holds_all = not preview(planned.stages(), store).to_run
    except StoreError:  # nor can it be read
        holds_all = False
    if not holds_all:
        raise W2SBenchError(str(store_error(store.root, fault)))


def unwritable(folder: Path) -> str | None:
    """Why no file can be made in a folder, or in the nearest one above it that is there; leaves nothing behind."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return error.strerror or str(error)


def unfilled_splits(planned: Plan, store: Store) -> tuple[list[str], list[str]]:
    """(why a domain cannot fill the suite's sizes, domains of which that is not known yet), from the items that are stored.

    One seed's splits are cut, in a folder that goes away again: `dev` and `test` are the same for all of them, and the
    sizes too. Where a domain's items are not stored, its documents are counted, which are no fewer.
    """
    from w2s_bench.runs.preview import explain

    reasons, unknown, unmade = [], [], planned.unmade
    for stage in _first_by_domain(planned.splits()):
        stored = {
            explained.stage.node: explained.path for explained in explain(list(walk([stage])), store, reasons=False)
        }
        with tempfile.TemporaryDirectory() as scratch:
            try:
                if _cut(stage, stored, Path(scratch)) is None:
                    _refuse_beyond_documents(stage, unmade)
                    unknown.append(stage.domain)
            except W2SBenchError as error:
                reasons.append(str(error))
    return reasons, unknown


def _cut(stage: Stage, stored: Mapping[str, Path | None], scratch: Path) -> Path | None:
    """What `splits` or `held_out` gives, stored or made in a folder of `scratch`; None where the items are not stored."""
    if (path := stored[stage.node]) is not None:
        return path
    if stage.name not in ("splits", "held_out"):
        return None
    inputs = {name: _cut(needed, stored, scratch) for name, needed in stage.inputs.items()}
    folders = {name: path for name, path in inputs.items() if path is not None}
    if len(folders) < len(inputs):
        return None
    out = scratch / stage.name
    out.mkdir()
    from w2s_bench.plugins.registry import Registry

    # No plugin has a part in this, so none is loaded.
    stage.function(StageContext(stage.params, folders, out, Registry.of(())))
    return out


def _refuse_beyond_documents(splits: Stage, unmade: Unmade) -> None:
    """Sizes that are more than a domain has documents; where its task has a `test` of its own, there or beside it."""
    from w2s_bench.protocol.splits import own_test, too_few

    named, sizes = splits.inputs["held_out"].inputs["items"].params["domain"], splits.params["sizes"]
    count = unmade.count(named)
    if count is None:
        return
    there, tested = count.documents, count.in_test
    asked, test = sum(sizes.values()), sizes["test"]
    if asked > there or (tested is not None and (test > tested or asked - test > there - tested)):
        raise too_few(splits.domain, f"{there} items", sizes, reserved=own_test(tested))


def check_device(device: str) -> str:
    """A device as torch names it, or an error: `cpu`, `cuda`, `cuda:N` or `mps`."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?|mps", device):
        raise W2SBenchError(f"unknown device {device!r}; expected cpu, cuda, cuda:N (N a number from 0) or mps")
    return device


def refuse_absent_device(planned: Plan) -> None:
    """The device that models are to run on must be there; torch is asked, in a process of its own, if it is not the processor."""
    devices = {model.device for cell in planned.cells for model in (cell.task.teacher, cell.task.student)}
    for device in sorted(devices):
        if device != "cpu" and (missing := _missing_device(device)):
            raise W2SBenchError(
                f"device {device!r} is not there: {missing}; give another --device, or none for the processor"
            )
    if any(model.engine == "vllm" for cell in planned.cells for model in (cell.task.teacher, cell.task.student)):
        refuse_absent_vllm()


def refuse_absent_vllm() -> None:
    """vLLM must be installed; it is not imported, which takes long."""
    if importlib.util.find_spec("vllm") is None:
        raise W2SBenchError(
            f"{ENGINE_VARIABLE} is vllm, which is not installed; pip install 'w2s-bench[vllm]', or unset {ENGINE_VARIABLE}"
        )


_ASK = """
import sys, torch
device = torch.device(sys.argv[1])
if device.type == "mps":
    there = 1 if torch.backends.mps.is_available() else 0
else:
    there = torch.cuda.device_count()
print(torch.__version__, there)
"""


def _missing_device(device: str) -> str | None:
    done = subprocess.run([sys.executable, "-c", _ASK, device], check=False, capture_output=True, text=True)
    words = done.stdout.split()
    if done.returncode or len(words) != 2:
        last = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        return f"torch cannot tell ({last[0]})"
    version, there = words[0], int(words[1])
    device_type, _, number = device.partition(":")
    if there > int(number or 0):
        return None
    name = "GPU" if device_type == "cuda" else "Metal device"
    return f"torch {version} sees {f'{there} {name}s, counted from 0' if there else f'no {name}'}"


def _held(folder: Path) -> Suite | None:
    return read_results_suite(folder) if os.path.lexists(folder / "suite.yaml") else None


def _differ_in_seeds_alone(suite: Suite, other: Suite) -> bool:
    return suite.model_copy(update={"seeds": other.seeds}).digest == other.digest


def _seeds(suite: Suite) -> str:
    return f"{suite.seeds} seed{'' if suite.seeds == 1 else 's'}"


def _first_by_domain(splits: Sequence[Stage]) -> list[Stage]:
    first: dict[str, Stage] = {}
    for stage in splits:
        first.setdefault(stage.domain, stage)
    return list(first.values())
