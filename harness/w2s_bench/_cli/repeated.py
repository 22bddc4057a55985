"""Something done again and again in a thread beside a command's work, until that is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(do: Callable[[], None], *, seconds: float, name: str) -> Iterator[None]:
    """Calls `do` after every so many seconds; when the block ends, a call that is under way is waited for, and none follows."""
    over = threading.Event()

    def again() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=again, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
