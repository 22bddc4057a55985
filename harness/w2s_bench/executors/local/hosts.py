"""In whose process a stage runs: third-party code has processes of its own, a host for each distribution and role.

Trust functions have a host for each track, too: what one that sees gold leaves in a module of its distribution, a cache say, must
not reach one that sees none.

Whatever a plugin leaves behind in its process (settings, patched libraries, timers) then meets nobody but itself. A stage
that only the harness's own code runs in, and every stage that trains, predicts or reads, belongs to the engine; a plugin's
own reading is none of these, nor is a student that a plugin's objective trains: they have processes apart from the engine,
each its own, even where the model is of the same plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from importlib import metadata
from typing import Final, NamedTuple

from w2s_bench.hookspecs import ENTRY_POINT_GROUP
from w2s_bench.names import BUILT_IN, normalized
from w2s_bench.plugins.hooks import distribution_of
from w2s_bench.store.stage import Role, Stage

#: Whose code meets models that may be another distribution's.
_BESIDE_MODELS: Final[tuple[Role, ...]] = ("reading", "objective")


class Host(NamedTuple):
    """Whose stages a worker process runs. It loads the plugins of `distribution` and of no third party else.

    `track` is that of its trust functions, empty of other roles.
    """

    role: Role = "engine"
    distribution: str = BUILT_IN
    track: str = ""

    @property
    def is_foreign(self) -> bool:
        """Whether code of third parties runs there."""
        return self.distribution != BUILT_IN

    @property
    def loads_models(self) -> bool:
        """Whether models run there: it then belongs to one place to run at, and to the device that is that place's."""
        return self.role in ("engine", *_BESIDE_MODELS)

    @property
    def loads_built_in(self) -> bool:
        """Whether the built-in plugins are loaded too: the models that a plugin's reading asks, or its objective trains."""
        return self.role in _BESIDE_MODELS and self.is_foreign


def host_of(stage: Stage, installed: Callable[[], Set[str]]) -> Host:
    """Where a stage may run. `installed` gives the distributions that have plugins; it is asked for few stages.

    A domain, trust function, reading or objective whose code the stage runs takes it to its distribution's processes. A model of a
    plugin is loaded where it trains: in an engine of its own distribution's.
    """
    if stage.code is None:
        return Host()
    role, name, track = stage.code
    distribution = distribution_of(name)
    if role == "engine" and (distribution == BUILT_IN or distribution not in installed()):
        return Host()  # the model lies in a folder or on a hub: no plugin loads it
    return Host(role, distribution, track)


def installed_distributions() -> frozenset[str]:
    """Those that bring plugins of this harness; none is imported."""
    entries = metadata.entry_points(group=ENTRY_POINT_GROUP)
    return frozenset(normalized(entry.dist.name) for entry in entries if entry.dist is not None)
