"""A file of records with an index by id, and texts packed one after another: a million items are cut and picked unparsed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from w2s_bench.record import as_row, canonical_json, maker_of, write_arrays
from w2s_bench.types import BoolArray, IntArray

T = TypeVar("T")

_INDEX = ".index.safetensors"
_GROUPS = "groups.safetensors"
_IN_TEST = "in_test"


@dataclass(frozen=True)
class Texts:
    """n texts in UTF-8, one after another: `data[ends[i]:ends[i + 1]]` is text i."""

    data: bytes
    ends: IntArray  # (n + 1,) rising from 0

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        encoded = [text.encode() for text in texts]
        return cls(b"".join(encoded), np.cumsum([0, *map(len, encoded)], dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, row: int) -> str:
        return self.data[self.ends[row] : self.ends[row + 1]].decode()

    def __iter__(self) -> Iterator[str]:
        return (raw.decode() for raw in self.raw())

    def raw(self) -> Iterator[bytes]:
        """Every text, encoded."""
        return (self.data[start:end] for start, end in pairwise(self.ends.tolist()))

    def take(self, rows: IntArray) -> Texts:
        """These rows in this order."""
        starts, stops = self.ends[rows].tolist(), self.ends[rows + 1].tolist()
        lengths = np.diff(self.ends)[rows]
        data = b"".join([self.data[start:stop] for start, stop in zip(starts, stops, strict=True)])
        return Texts(data, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def write_texts(path: Path, columns: Mapping[str, Texts], **arrays: NDArray[np.generic]) -> None:
    """Named columns of texts, and arrays beside them."""
    packed: dict[str, NDArray[np.generic]] = dict(arrays)
    for name, texts in columns.items():
        packed[f"{name}.data"] = np.frombuffer(texts.data, dtype=np.uint8)
        packed[f"{name}.ends"] = texts.ends
    write_arrays(path, packed)


def read_texts(path: Path, name: str) -> Texts:
    """One column of `write_texts`, without the others."""
    return Texts(read_array(path, f"{name}.data").tobytes(), cast(IntArray, read_array(path, f"{name}.ends")))


def read_array(path: Path, name: str) -> NDArray[np.generic]:
    """One array of a file, without the others."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return cast("NDArray[np.generic]", file.get_tensor(name))


def read_array_if_any(path: Path, name: str) -> NDArray[np.generic] | None:
    """As `read_array`; None where the file has no such array."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        there = name in file.keys()  # noqa: SIM118 - no mapping
        return cast("NDArray[np.generic]", file.get_tensor(name)) if there else None


def hashes(before: str, texts: Iterable[bytes]) -> NDArray[np.uint64]:
    """(n, 4) SHA-256 of `before` + each text as four numbers: in their order, digests are in the order of their hex."""
    start = hashlib.sha256(before.encode())
    digests = bytearray()
    for text in texts:
        hash_of_text = start.copy()
        hash_of_text.update(text)
        digests += hash_of_text.digest()
    return np.frombuffer(bytes(digests), dtype=">u8").reshape(-1, 4).astype(np.uint64)


def order(ranks: NDArray[np.uint64]) -> IntArray:
    """(n,) rows of `hashes` from the smallest to the largest."""
    return np.lexsort(ranks.T[::-1]).astype(np.int64)


def write_indexed(path: Path, records: Iterable[Any]) -> None:
    """As `record.write_records`, with an index beside it: where the line of each id is."""
    ids, starts, end = [], [0], 0
    with path.open("wb") as file:
        for record in records:
            line = (canonical_json(as_row(record)) + "\n").encode()
            end += len(line)
            starts.append(end)
            ids.append(record.id.encode())
            file.write(line)
    ranks = hashes("", ids)[:, 0]
    rows = np.argsort(ranks, kind="stable")
    ends = np.array(starts, dtype=np.int64)
    write_arrays(_index_of(path), {"rank": ranks[rows], "start": ends[:-1][rows], "stop": ends[1:][rows]})


def lines_of(path: Path, ids: Sequence[str]) -> Iterator[bytes | None]:
    """The line of each of these ids in what `write_indexed` wrote, as it stands there; None where there is none."""
    ranks, start, stop = (read_array(_index_of(path), name) for name in ("rank", "start", "stop"))
    wanted = hashes("", (item.encode() for item in ids))[:, 0]
    first, last = (np.searchsorted(ranks, wanted, side).tolist() for side in ("left", "right"))
    with path.open("rb") as file:
        for item, low, high in zip(ids, first, last, strict=True):
            line_of_item = None
            for row in range(low, high):
                file.seek(int(start[row]))
                line = file.read(int(stop[row] - start[row]))
                if high - low == 1 or _id_of(line) == item:
                    line_of_item = line
            yield line_of_item


def picked(path: Path, record: type[T], ids: Sequence[str]) -> Iterator[T]:
    """Those records of what `write_indexed` wrote that have these ids, in their order; ids that it lacks are passed over."""
    yield from (maker_of(record)(json.loads(line)) for line in lines_of(path, ids) if line is not None)


def _id_of(line: bytes) -> str:
    return str(json.loads(line)["id"])


def _index_of(path: Path) -> Path:
    return path.with_name(path.name + _INDEX)


def write_groups(folder: Path, items: Sequence[Any], in_test: Sequence[bool] | None = None) -> None:
    """Id, group and key of every item, and whether its task has it in `test` (None: no task says so): all that cutting needs."""
    columns = {name: Texts.of(getattr(item, name) for item in items) for name in ("id", "group", "key")}
    arrays = {} if in_test is None else {_IN_TEST: np.array(in_test, dtype=np.uint8)}
    write_texts(folder / _GROUPS, columns, **arrays)


def read_groups(folder: Path) -> tuple[Texts, Texts, Texts]:
    """(id, group, key) as `write_groups` wrote them."""
    ids, groups, keys = (read_texts(folder / _GROUPS, name) for name in ("id", "group", "key"))
    return ids, groups, keys


def read_in_test(folder: Path) -> BoolArray | None:
    """(n,) whether the task of each item has it in `test`, as `write_groups` wrote it; None where no task says so."""
    told = read_array_if_any(folder / _GROUPS, _IN_TEST)
    return None if told is None else told.astype(np.bool_)


def every_nth(path: Path, most: int) -> list[dict[str, Any]]:
    """At most so many rows of a file of records, evenly spread over it."""
    with path.open("rb") as file:
        count = sum(1 for _ in file)
    step = max(1, -(-count // most))
    with path.open("rb") as file:
        return [json.loads(line) for number, line in enumerate(file) if number % step == 0]
