"""What somebody's `verify` found, as a file beside the results: which rows, when, on what machine, with what verdict.

An attestation is a claim like any other: it says who could have computed a row again, and nobody signs it here. It counts for
the body whose digest it names, so a row that is written anew has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, ValidationError

from w2s_bench.errors import CellError
from w2s_bench.record import digest_of, write_atomically
from w2s_bench.results.cells import Cell
from w2s_bench.results.compared import Verdict
from w2s_bench.results.fields import Digest, Strict, Text
from w2s_bench.text import one_line, shortened
from w2s_bench.untrusted import UnreadableError, parse_json, read_text

SCHEMA: Final = "w2s-bench/attestation/1"
FOLDER: Final = "attestations"
#: Bytes of a file, and files of a folder, that are read.
_LARGEST, _MOST = 1 << 20, 1000
Tier = Literal["identical elsewhere", "within tolerance", "identical", "DIFFERS"]
#: What a row's verdict is worth, best first: a machine of another kind, or other versions, cannot repeat the mistakes of one.
TIERS: Final[tuple[Tier, ...]] = ("identical elsewhere", "within tolerance", "identical", "DIFFERS")


class Attested(Strict):
    """One row: the digest of the body that was published, and how what was computed compares with it."""

    row: Text
    digest: Digest
    tier: Tier
    why: Text = ""


class Attestation(Strict):
    """One run of `verify`. `made` is the time in UTC, `platform` the kind of machine, `packages` what it computed with."""

    schema_: Literal["w2s-bench/attestation/1"] = Field(alias="schema", default=SCHEMA)
    made: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    suite: Digest
    platform: Text
    packages: Annotated[Mapping[Text, Text], Field(max_length=1000)] = Field(default_factory=dict)
    rows: Annotated[tuple[Attested, ...], Field(min_length=1, max_length=100_000)]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def write(self, results: Path) -> Path:
        """The file, named by time and content."""
        content = self.model_dump(mode="json", by_alias=True)
        name = f"{self.made.replace('-', '').replace(':', '')}-{digest_of(content)[:8]}.json"
        (results / FOLDER).mkdir(exist_ok=True)
        path = results / FOLDER / name
        write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        return path


def tier_of(verdict: Verdict, *, elsewhere: bool) -> Tier:
    """`elsewhere`: computed on another kind of machine than the cell was, or with other versions."""
    return "identical elsewhere" if verdict == "identical" and elsewhere else verdict


def now() -> str:
    """The time in UTC, as attestations have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_attestations(results: Path) -> list[Attestation]:
    """All attestations of a folder, the oldest first. A file that is none raises CellError, which names it."""
    folder = results / FOLDER
    if folder.is_symlink():
        raise CellError(f"{folder} is a link, where a folder of attestations belongs; remove it")
    paths = sorted(folder.glob("*.json"))
    if len(paths) > _MOST:
        raise CellError(f"{folder} holds {len(paths)} files; at most {_MOST} are read: remove old ones")
    return sorted(
        (_read(path) for path in paths),
        key=lambda attestation: (attestation.made, digest_of(attestation.model_dump(mode="json"))),
    )


def _read(path: Path) -> Attestation:
    try:
        return Attestation.model_validate(parse_json(read_text(path, _LARGEST, follow=False)))
    except ValidationError as error:
        first = error.errors()[0]
        told = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    except UnreadableError as error:
        told = str(error)
    raise CellError(one_line(f"{path} is no attestation of schema {SCHEMA}: {shortened(told, 300)}; remove it"))


def tiers(cells: Iterable[Cell], attestations: Sequence[Attestation]) -> dict[str, Tier]:
    """Row → the tier of its best attestation, or DIFFERS where the newest says so; of the body that it has now alone."""
    digests = {cell.row: cell.digest for cell in cells}
    tiers_of: dict[str, list[Tier]] = {}
    for attestation in attestations:
        for attested in attestation.rows:
            if digests.get(attested.row) == attested.digest:
                tiers_of.setdefault(attested.row, []).append(attested.tier)
    return {row: "DIFFERS" if told[-1] == "DIFFERS" else min(told, key=TIERS.index) for row, told in tiers_of.items()}
