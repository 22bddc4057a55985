"""Cells, the statistics of them, and the boards and pages that are made of them: a pure function of files.

No torch, no store and no protocol may enter. The package itself can be called, since `w2s_bench.results` is its name and
what a user writes: `w2s_bench.results(DIR)` gives the frames of a results folder.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from w2s_bench.results.frames import Frames


class _Results(ModuleType):
    def __call__(self, results: Path | str) -> Frames:
        from w2s_bench.results.frames import frames

        return frames(results)


sys.modules[__name__].__class__ = _Results
