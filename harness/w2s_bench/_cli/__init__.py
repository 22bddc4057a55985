"""The command line. Each verb is a module of its own; whatever is heavy is imported when a verb runs."""

from __future__ import annotations

from w2s_bench._cli.app import main

__all__ = ["main"]
