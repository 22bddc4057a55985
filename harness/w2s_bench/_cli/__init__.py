"""The command line. Each verb is a module of its own; whatever is heavy is imported when a verb runs.

Nothing is computed or decided here: verbs read what was asked, call the rooms below, and say what came of it.
"""

from __future__ import annotations

import gc
from typing import Final

#: Objects made before Python looks for garbage. Modules and plans are most of them and stay: to search them every 700 objects, as is
#: usual, takes a tenth of a dry run.
_GARBAGE_ROOM: Final = 100_000


def main() -> None:
    """Entry point of `w2s-bench`."""
    gc.set_threshold(_GARBAGE_ROOM)
    from w2s_bench._cli.app import app
    from w2s_bench._cli.output import finish_streams, prepare_streams

    prepare_streams()
    try:
        app()
    finally:
        finish_streams()
