"""Rows and arrays ↔ files, always the same bytes for the same content. JSON, JSON lines and safetensors; never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from w2s_bench.types import JSON, UNWRITTEN_DEFAULT

T = TypeVar("T")


_PLAIN = json.JSONEncoder(allow_nan=False)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: JSON) -> str:
    """JSON with sorted keys, no spaces, and no NaN: equal values give equal text."""
    return _CANONICAL.encode(value)


def indented_json(value: JSON, line: str = "\n") -> str:
    """What `json.dumps(value, sort_keys=True, indent=1, allow_nan=False)` gives, where every name is a text.

    Where it indents, that encoder is Python's own, which takes half as long again. `line` begins a new one as deep as `value` lies.
    """
    if isinstance(value, str):
        return quoted(value)
    if type(value) is int:  # no bool
        return repr(value)
    if not value or not isinstance(value, dict | list):
        return _PLAIN.encode(value)
    inner = f"{line} "
    if isinstance(value, dict):
        members = [f"{quoted(name)}: {indented_json(value[name], inner)}" for name in sorted(value)]
        return f"{{{inner}{f',{inner}'.join(members)}{line}}}"
    return f"[{inner}{f',{inner}'.join([indented_json(each, inner) for each in value])}{line}]"


def digest_of(value: JSON) -> str:
    """SHA-256 of a value's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str, errors: str = "strict") -> None:
    """Write a file whole: a reader sees the old one or the new one, never half of one. `errors` as for `str.encode`."""
    with replacing(path) as file:
        file.write(text.encode(errors=errors))


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file beside `path`, which takes its place at the end if all goes well, and else is removed.

    Its name cannot be known beforehand and nothing may lie there, so that no link which somebody laid is followed. Where it cannot
    be made, or cannot take that place, the `OSError` names `path`, which is what somebody asked for.
    """
    while True:
        beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
        try:
            file = beside.open("xb")
        except FileExistsError:
            continue
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        break
    try:
        with file:
            yield file
        try:
            beside.replace(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: JSON) -> None:
    with path.open("w", encoding="utf-8") as file:  # piece by piece: the text of a long list is never whole in memory
        json.dump(value, file, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def read_json(path: Path) -> JSON:
    return json.loads(path.read_text(encoding="utf-8"))


def write_rows(path: Path, rows: Iterable[Mapping[str, JSON]]) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(canonical_json(row) + "\n" for row in rows)


def iter_rows(path: Path) -> Iterator[dict[str, JSON]]:
    """What `write_rows` wrote, a line at a time: as much memory for a million rows as for one.

    No row stays behind in the frame while the next is waited for: a plugin may run meanwhile, and look.
    """
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def read_rows(path: Path) -> list[dict[str, JSON]]:
    return list(iter_rows(path))


def write_records(path: Path, records: Iterable[Any]) -> None:
    """Dataclass instances, one JSON object a line. Their fields hold what JSON can: nothing is copied to be written.

    A field marked `UNWRITTEN_DEFAULT` is left out where it has its default.
    """
    write_rows(path, map(as_row, records))


def as_row(record: Any) -> dict[str, JSON]:
    """What `write_records` writes of one."""
    named = [(f, getattr(record, f.name)) for f in fields(record)]
    return {f.name: value for f, value in named if f.metadata != UNWRITTEN_DEFAULT or value != f.default}


def iter_records(path: Path, record: type[T]) -> Iterator[T]:
    """What `write_records` wrote, as instances of `record`; JSON lists become tuples, as the records hold them."""
    yield from map(maker_of(record), iter_rows(path))


def maker_of(record: type[T]) -> Callable[[Mapping[str, JSON]], T]:
    """What makes an instance of `record` again of a row."""
    own = fields(record)  # type: ignore[arg-type]  # T is a dataclass
    names, unwritten = [f.name for f in own], {f.name: f.default for f in own if f.metadata == UNWRITTEN_DEFAULT}

    def made(row: Mapping[str, JSON]) -> T:
        row = {**unwritten, **row}
        return record(**{n: tuple(v) if isinstance(v := row[n], list) else v for n in names})

    return made


def read_records(path: Path, record: type[T]) -> list[T]:
    return list(iter_records(path, record))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Named arrays as safetensors; whoever may read the files beside it may read this one."""
    from safetensors.numpy import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file({name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}, path)
    path.chmod(mode)  # the library lets nobody but the owner read what it writes


def read_arrays(path: Path, names: Iterable[str] | None = None) -> dict[str, NDArray[np.generic]]:
    """The file's arrays by name; of `names` alone no other is read."""
    from safetensors import safe_open
    from safetensors.numpy import load_file

    if names is None:
        return dict(load_file(path))
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in names}


def array_names(path: Path) -> tuple[str, ...]:
    """What `read_arrays` would give, unread."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return tuple(file.keys())


def pack_bits(bits: NDArray[np.bool_]) -> str:
    """Booleans as hexadecimal, eight a byte, first bit highest; the length is kept beside it."""
    return np.packbits(bits).tobytes().hex()


def unpack_bits(text: str, count: int) -> NDArray[np.bool_]:
    """The first `count` booleans of `pack_bits`'s text."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))
    if not count <= len(bits) < count + 8:
        raise ValueError(f"{len(text)} hexadecimal digits cannot hold {count} bits")
    return bits[:count].astype(np.bool_)


def pack_codes(codes: NDArray[np.int64], count: int) -> str:
    """Numbers below `count` as hexadecimal, each in as few whole bytes (1, 2 or 4), highest first, as `count` needs."""
    return codes.astype(_width(count)).tobytes().hex()


def unpack_codes(text: str, count: int) -> NDArray[np.int64]:
    """The numbers of `pack_codes`'s text."""
    content, width = bytes.fromhex(text), np.dtype(_width(count))
    if len(content) % width.itemsize:
        raise ValueError(f"{len(text)} hexadecimal digits are no numbers of {width.itemsize} bytes each")
    return np.frombuffer(content, dtype=width).astype(np.int64)


def _width(count: int) -> str:
    return ">u1" if count <= 1 << 8 else ">u2" if count <= 1 << 16 else ">u4"
