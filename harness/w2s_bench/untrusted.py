"""Files that somebody else may have made: regular ones of bounded size, as JSON or YAML of bounded depth and values.

Nothing here runs or loads anything. Whatever is wrong is one `UnreadableError` whose message is one line.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml

from w2s_bench.text import one_line, shortened
from w2s_bench.types import JSON

#: Nothing that the harness writes is nested half as deep.
MOST_NESTED: Final = 32
#: Values that a file may stand for, in YAML each alias counted with all that it repeats. More are no mistake, but an attack.
MOST_VALUES: Final = 100_000
#: Values that stand in a YAML file themselves: a second's work for its parser.
MOST_WRITTEN: Final = 20_000
#: Characters of a number or a date: whole numbers to the base 60 take time with the square of theirs.
_LONGEST_SCALAR: Final = 1000
#: Characters of a key in a message.
_LONGEST_KEY: Final = 60


class UnreadableError(ValueError):
    """Why a file cannot be read; the caller says which file, and what it should have been."""

    def __init__(self, why: str) -> None:
        super().__init__(shortened(why, 400))


def read_text(path: Path, most: int, *, follow: bool) -> str:
    """A regular file of at most `most` bytes as text; `follow` says whether it may be a link.

    A pipe or a device is never opened: it could block for ever, or have no end.
    """
    try:
        _refuse_irregular((path.stat if follow else path.lstat)().st_mode)
        # Somebody may have exchanged the file since. So the open file is asked again, and opening it cannot wait.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
        descriptor = os.open(path, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
        with open(descriptor, "rb") as file:  # noqa: PTH123 - the descriptor, not the path
            _refuse_irregular(os.fstat(descriptor).st_mode)
            return read_stream(file, most)
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from error
    except ValueError as error:  # a null character in the path
        raise error if isinstance(error, UnreadableError) else UnreadableError(str(error)) from error


def read_stream(stream: BinaryIO, most: int) -> str:
    """What a stream holds to its end, at most `most` bytes of UTF-8."""
    content = stream.read(most + 1) or b""  # None where a stream that does not wait has nothing yet
    if len(content) > most:
        raise UnreadableError(f"it is larger than {most >> 10} KiB, which no such file needs")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableError(f"it is no UTF-8 text (byte {error.start})") from error


def _refuse_irregular(mode: int) -> None:
    types = (
        (stat.S_ISREG, ""), (stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    )  # fmt: skip
    instead = next((name for test, name in types if test(mode)), "a device")
    if instead:
        raise UnreadableError(f"it is {instead}, where a regular file belongs")


def parse_json(text: str) -> JSON:
    """JSON in the strict sense: no NaN, no number that a float cannot hold, no half characters, nothing deeply nested."""
    # Counted before every value takes 60 bytes and more of memory.
    if text.count(",") + text.count("[") + text.count("{") > MOST_VALUES:
        raise UnreadableError(f"it holds more than {MOST_VALUES} values")
    try:
        value = json.loads(text, parse_constant=_Constant)
    except RecursionError:
        raise UnreadableError(f"it is nested deeper than {MOST_NESTED} levels") from None
    except json.JSONDecodeError as error:
        raise UnreadableError(str(error)) from error
    except ValueError as error:  # an integer of thousands of digits
        raise UnreadableError("it holds a number of thousands of digits") from error
    refuse_unsound(value)
    return value


@dataclass(frozen=True)
class _Constant:
    """NaN or an infinity, which Python's reader takes for JSON."""

    name: str


def refuse_unsound(value: Any, *, finite: bool = True) -> None:
    """Refuse values that nest too deep, integers beyond 64 bits, other than `finite` numbers, and text that is no UTF-8."""
    whole, level = value, [value]
    for _ in range(MOST_NESTED):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                inner += value
                inner += value.values()
            elif isinstance(value, list | tuple):
                inner += value
            elif fault := _fault(value, finite):
                raise UnreadableError(f"{fault}{_place_of(value, whole)}")
        if not inner:
            return
        level = inner
    raise UnreadableError(f"it is nested deeper than {MOST_NESTED} levels")


def _fault(value: Any, finite: bool) -> str:
    if isinstance(value, _Constant):
        return f"{value.name} is no JSON"
    if isinstance(value, float) and finite and not math.isfinite(value):
        return f"it holds the number {value}; finite ones are needed"
    if isinstance(value, int) and value.bit_length() > 63:
        return f"it holds an integer of {value.bit_length()} bits; at most 63 are taken"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return f"it holds \\u{ord(value[error.start]):04x}, half of a character; write the whole one"
    return ""


def _place_of(wanted: Any, whole: Any) -> str:
    """The keys that lead to a value, as the end of a message; empty where it is the whole, or itself a key of that."""
    level: list[tuple[str, Any]] = [("", whole)]
    for _ in range(MOST_NESTED):
        inner: list[tuple[str, Any]] = []
        for path, value in level:
            if value is wanted or (isinstance(value, dict) and any(key is wanted for key in value)):
                return f", at {path.removesuffix('.')}" if path else ""
            if isinstance(value, dict | list | tuple):
                keyed = value.items() if isinstance(value, dict) else enumerate(value)
                inner += [(f"{path}{shortened(one_line(str(key)), _LONGEST_KEY)}.", one) for key, one in keyed]
        level = inner
    return ""


def parse_yaml(text: str) -> Any:
    """One YAML document: plain values, no key twice in a mapping, aliases only as far as they repeat little."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _refuse_much(node)
            value = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UnreadableError(f"{where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from error
    refuse_unsound(value, finite=False)  # `.inf` and `.nan` pass: the reader of a number says where they stand
    return value


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML loaders silently take the last, deep nesting, and much.

    A value that its own tag or form cannot hold (`2024-02-30`, `!!int "abc"`) is an error at its place.
    """

    depth = written = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        self.written += 1
        if self.depth > MOST_NESTED or self.written > MOST_WRITTEN:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            much = f"more than {MOST_WRITTEN} values"
            said = f"nested deeper than {MOST_NESTED} levels" if self.depth > MOST_NESTED else much
            raise yaml.composer.ComposerError(None, None, said, mark)
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            plain = node.tag in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:binary"}
            if isinstance(node, yaml.ScalarNode) and not plain and len(node.value) > _LONGEST_SCALAR:
                raise ValueError("too long")
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as error:
            yaml_type = str(node.tag).rpartition(":")[2]
            said = f"{shortened(str(node.value), 60)!r} is no {yaml_type}; text goes in quotes"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"found key {key.value!r} twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _refuse_much(root: yaml.Node) -> None:
    """Refuse a document whose aliases, written out, are endless or more than `MOST_VALUES` values."""
    sizes: dict[int, int] = {}
    within: set[int] = set()

    def size(node: yaml.Node) -> int:  # as deep as the nodes nest, which the loader has bounded
        counted = sizes.get(id(node))
        if counted is not None:
            return counted
        if id(node) in within:
            raise yaml.composer.ComposerError(None, None, "an alias stands within what it names", node.start_mark)
        within.add(id(node))
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        total = 1 + sum(size(child) for child in children)
        if total > MOST_VALUES:
            said = f"more than {MOST_VALUES} values, aliases written out"
            raise yaml.composer.ComposerError(None, None, said, node.start_mark)
        within.discard(id(node))
        sizes[id(node)] = total
        return total

    size(root)
