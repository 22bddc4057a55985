"""Each stage meets the same process state, whatever ran before it in the same worker."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from w2s_bench.isolation.surroundings import surroundings_kept

#: One thread a worker: sums are added in one order, and workers do not fight for cores. Read by the libraries when they
#: are loaded, so this is set before a worker starts. The hash seed fixes the order in which sets of strings are walked.
WORKER_ENVIRONMENT: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "PYTHONHASHSEED": "0",
}


#: Parts of torch that may compute float32 products in fewer bits, the general one first: others follow it.
_PRECISIONS = (
    "backends",
    "backends.mkldnn.matmul",
    "backends.mkldnn.conv",
    "backends.mkldnn.rnn",
    "backends.cuda.matmul",
)


@contextmanager
def isolated(key: str) -> Iterator[None]:
    """Seed every global generator from a stage's key; give environment and working directory back afterwards.

    Stages draw from generators of their own; this is for the libraries and plugins that do not.
    """
    import numpy as np

    seed = int(key[:8], 16)
    random.seed(seed)
    np.random.seed(seed)
    _TorchSetup.seed = seed
    _TorchSetup.state = None
    _TorchSetup.settings = None
    if (torch := sys.modules.get("torch")) is not None:
        _set_up_torch(torch, seed)
    with surroundings_kept():
        yield


@contextmanager
def memory_bounded(limit: int | None) -> Iterator[None]:
    """An allocation that would take the process's own memory above `limit` bytes fails, as an error that can be told.

    Without it the system would kill some process when the machine's memory is gone, and not always the one at fault.
    """
    if limit is None or not sys.platform.startswith("linux"):  # elsewhere the limit does not count what is mapped
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def watch_for_torch() -> None:
    """Make torch deterministic in the moment a stage first imports it; many workers never do, and it takes seconds."""
    sys.meta_path.insert(0, _TorchSetup())


@contextmanager
def noting_torch() -> Iterator[None]:
    """Who loads torch meanwhile finds it as it comes, and how it came is noted: what was changed at once is seen, too."""
    finder = _TorchSetup(sets_up=False)
    if "torch" in sys.modules or any(isinstance(other, _TorchSetup) for other in sys.meta_path):
        yield
        return
    _TorchSetup.state, _TorchSetup.settings = None, None
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


def torch_state_when_loaded() -> Any:
    """The state of torch's generator in the moment the current stage loaded it; None where it was loaded otherwise."""
    return _TorchSetup.state


def torch_settings(torch: Any) -> dict[str, Any]:
    """What torch computes by, of all that a process can set, and its values: by what is called to set each."""
    settings = {
        "set_default_dtype": torch.get_default_dtype(),
        "set_num_threads": torch.get_num_threads(),
        "set_grad_enabled": torch.is_grad_enabled(),
        "set_deterministic_debug_mode": torch.get_deterministic_debug_mode(),
    }
    return settings | _precisions(torch)


def _precisions(torch: Any) -> dict[str, Any]:
    parts = {name: part for name in _PRECISIONS if hasattr(part := _below(torch, name), "fp32_precision")}
    return {f"{name}.fp32_precision": part.fp32_precision for name, part in parts.items()}


def set_torch(torch: Any, settings: Mapping[str, Any]) -> None:
    """Give torch such settings again."""
    # The variable's older name would contradict the settings below.
    torch.set_float32_matmul_precision("highest")
    for name, value in settings.items():
        holder, dot, attribute = name.rpartition(".")
        if dot:
            setattr(_below(torch, holder), attribute, value)
        else:
            getattr(torch, name)(value)


def _below(torch: Any, name: str) -> Any:
    part = torch
    for attribute in name.split("."):
        part = getattr(part, attribute, None)
    return part


def torch_settings_when_loaded() -> dict[str, Any] | None:
    """torch's settings in the moment the current stage loaded it; None where it was loaded otherwise."""
    return _TorchSetup.settings


def _set_up_torch(torch: Any, seed: int) -> None:
    torch.set_num_threads(1)
    # What `use_deterministic_algorithms(True)` sets, without the seconds that its import of the compiler takes.
    torch.set_deterministic_debug_mode("error")
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.manual_seed(seed)
    if _TorchSetup.precisions is None:
        _TorchSetup.precisions = _precisions(torch)
    elif _precisions(torch) != _TorchSetup.precisions:  # an earlier stage of this process left them so
        set_torch(torch, _TorchSetup.precisions)


class _TorchSetup(importlib.abc.MetaPathFinder):
    """Finds torch as Python would, and sets it up once it is loaded.

    Otherwise the first stage to import torch would run with torch's own seed and threads, and later ones with ours.
    """

    seed = 0
    state: Any = None
    settings: dict[str, Any] | None = None
    #: Of the products of float32, as they were when the process first loaded torch.
    precisions: dict[str, Any] | None = None

    def __init__(self, *, sets_up: bool = True) -> None:
        self._sets_up = sets_up

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "torch":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)  # libraries also ask where torch is, and do not load it
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_and_set_up(module: ModuleType) -> None:
                if self in sys.meta_path:
                    sys.meta_path.remove(self)
                load(module)
                if self._sets_up:
                    _set_up_torch(module, _TorchSetup.seed)
                _TorchSetup.state = module.get_rng_state()
                _TorchSetup.settings = torch_settings(module)

            spec.loader.exec_module = load_and_set_up  # type: ignore[method-assign]
        return spec


@contextmanager
def generators_kept(seed: int | None = None) -> Iterator[None]:
    """The global generators are afterwards what they were before; meanwhile seeded, where a seed is given."""
    import numpy as np

    torch: Any = sys.modules.get("torch")
    loaded = hasattr(torch, "get_rng_state")  # False while torch is being imported
    python, numpy, of_torch = random.getstate(), np.random.get_state(), torch.get_rng_state() if loaded else None
    if seed is not None:
        random.seed(seed)
        np.random.seed(seed)
        if loaded:
            torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if of_torch is not None:
            torch.set_rng_state(of_torch)


@contextmanager
def quiet_imports() -> Iterator[set[str]]:
    """Modules loaded meanwhile leave the global generators as they were; yields names of the variables that they set.

    Some libraries draw or set variables when they are first imported, in whichever stage of a worker that is.
    """
    finder = _QuietFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield finder.variables
    finally:
        sys.meta_path.remove(finder)


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds modules as Python would, and gives back what the loading of one, with all that it imports, draws."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self._busy = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if self._busy:  # an outer load is watched already
            return None
        self._busy = True
        try:
            others = [finder for finder in sys.meta_path if finder is not self]
            specs = (finder.find_spec(fullname, path, target) for finder in others if hasattr(finder, "find_spec"))
            spec = next((spec for spec in specs if spec is not None), None)
        finally:
            self._busy = False
        loader: Any = spec.loader if spec is not None else None
        # The module is built into Python.
        if loader is None or isinstance(loader, type) or not hasattr(loader, "exec_module"):
            return spec
        load = loader.exec_module

        def load_quietly(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # a loader may serve many modules
            environment = dict(os.environ)
            self._busy = True
            try:
                with generators_kept():
                    load(module)
            finally:
                self._busy = False
                after = dict(os.environ)
                self.variables |= {n for n in environment.keys() | after.keys() if environment.get(n) != after.get(n)}

        loader.exec_module = load_quietly
        return spec
