"""The command line. Each verb is a module of its own; whatever is heavy is imported when a verb runs.

Nothing is computed or decided here: verbs read what was asked, call the rooms below, and say what came of it.
"""

from __future__ import annotations

from w2s_bench._cli.app import main

__all__ = ["main"]
