"""bitsandbytes, which a user installs who wants it: 4- and 8-bit weights, 8-bit optimizers."""

from __future__ import annotations

import importlib
from typing import Any

from w2s_bench.errors import ModelError


def bitsandbytes(wanted_for: str) -> Any:
    """The module; `ModelError` where it is not installed or does not load."""
    try:
        return importlib.import_module("bitsandbytes")
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f"{wanted_for} needs bitsandbytes, which cannot be imported here ({error}); pip install 'w2s-bench[bitsandbytes]', "
            "or take it out of the suite"
        ) from error
