"""Mistakes become one message and an exit code: 2 the user's mistake, 1 a cell failed or a check did, 3 paused, 130 interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from w2s_bench._cli.output import say
from w2s_bench.errors import RunPausedError, W2SBenchError


@contextmanager
def explained() -> Iterator[None]:
    """No traceback for a user's mistake; `W2S_BENCH_DEBUG=1` brings it back."""
    if os.environ.get("W2S_BENCH_DEBUG"):
        yield
        return
    try:
        yield
    except RunPausedError as error:
        _say(str(error), "stopped")
        raise typer.Exit(error.exit_code) from None
    except W2SBenchError as error:
        _say(str(error))
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        _say("interrupted; run the same command again to go on from here", "stopped")
        raise typer.Exit(130) from None
    except OSError as error:
        _say(f"{error.strerror or error} ({error.filename})" if error.filename else str(error))
        raise typer.Exit(1) from None


def _say(message: str, what: str = "error") -> None:
    colour = typer.colors.YELLOW if what == "stopped" else typer.colors.RED
    typer.secho(f"{what}: ", fg=colour, bold=True, err=True, nl=False)
    say(message, error=True)
