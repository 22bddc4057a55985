"""What is wrong with an option, in words of the command line: typer hands on those of pydantic, which are about a program's fields."""

from __future__ import annotations

import re
from typing import Any, Final

import typer
from typer.core import TyperGroup

#: pydantic's words → ours; what none of them fits stays as it is.
_WORDS: Final = (
    (r"Value error, (.*)", r"\1"),
    (r"Input should be greater than or equal to (\S+)", r"it must be \1 or more"),
    (r"Input should be less than or equal to (\S+)", r"it must be \1 or less"),
    (r"Input should be a valid integer.*", "it must be a whole number"),
    (r"Input should be a valid number.*", "it must be a number"),
)


class Worded(TyperGroup):
    """The group of all verbs, whose complaints about options and arguments it puts into words."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb that was named."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = in_words(error.message)
            raise


def in_words(message: str) -> str:
    """A complaint about a value, without pydantic's way to begin it."""
    for pattern, words in _WORDS:
        if (found := re.fullmatch(pattern, message, re.DOTALL)) is not None:
            return found.expand(words)
    return message
