"""Who signed which cells: a statement that names rows with their digests, and beside it a signature by `ssh-keygen -Y sign`.

Nothing here signs; keys stay with their owners. A signature is shown as what it claims to be, and holds where `verified` says so
by somebody's file of allowed signers (`man ssh-keygen`, ALLOWED SIGNERS). It is of the bodies whose digests it names: a cell that
is written anew is no longer signed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from w2s_bench.errors import CellError, W2SBenchError
from w2s_bench.record import digest_of, write_atomically
from w2s_bench.results.cells import Cell
from w2s_bench.results.fields import Digest, Text
from w2s_bench.text import one_line, shortened
from w2s_bench.untrusted import UnreadableError, parse_json, read_text

SCHEMA: Final = "w2s-bench/signed/1"
FOLDER: Final = "signatures"
#: What `ssh-keygen` is told by `-n`: a signature made for anything else does not hold here.
NAMESPACE: Final = "w2s-bench"
#: Bytes of a statement and of a signature, files of a folder, and seconds that one is given to be looked at.
_LARGEST, _LARGEST_SIGNATURE, _MOST, _PATIENCE = 8 << 20, 64 << 10, 1000, 120
#: A name as files of allowed signers have it, such as a mail address.
SIGNER: Final = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$"


class Statement(BaseModel):
    """What is signed: `rows` maps each row to the digest of its cell's body, all of the suite with this digest."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["w2s-bench/signed/1"] = Field(alias="schema", default=SCHEMA)
    signer: Annotated[str, Field(pattern=SIGNER)]
    suite: Digest
    rows: Annotated[Mapping[Text, Digest], Field(min_length=1, max_length=40_000)]

    @classmethod
    def of(cls, cells: Sequence[Cell], signer: str) -> Statement:
        """About all these cells, which are of one suite."""
        rows = {cell.row: cell.digest for cell in sorted(cells, key=lambda cell: cell.row)}
        try:
            return cls(signer=signer, suite=cells[0].body.suite.digest, rows=rows)
        except ValidationError as error:
            raise W2SBenchError(
                f"{shortened(one_line(signer), 100)!r} is no name of a signer; expected letters, digits and . _ @ + - alone, as in "
                "a file of allowed signers: alice@example.org"
            ) from error

    def write(self, results: Path) -> Path:
        """The file, named by signer and content; the signature belongs beside it, named likewise with `.sig`."""
        content = self.model_dump(mode="json", by_alias=True)
        path = results / FOLDER / f"{self.signer}-{digest_of(content)[:8]}.json"
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(content, indent=1) + "\n")
        return path


@dataclass(frozen=True)
class Signed:
    """A statement as its file has it, and the signature beside it, which nothing has been asked about yet."""

    path: Path
    text: str
    signature: str
    statement: Statement

    def changed(self, cells: Iterable[Cell]) -> tuple[str, ...]:
        """Rows of these cells that have another body than was signed."""
        signed = self.statement.rows
        return tuple(cell.row for cell in cells if signed.get(cell.row, cell.digest) != cell.digest)

    def copy(self, results: Path) -> None:
        """The same two files in another folder."""
        (results / FOLDER).mkdir(exist_ok=True)
        write_atomically(results / FOLDER / self.path.name, self.text)
        write_atomically(results / FOLDER / f"{self.path.name}.sig", self.signature)


def read_signatures(results: Path) -> list[Signed]:
    """All signed statements of a folder, by name. One that is none, or has no signature beside it, raises CellError."""
    folder = results / FOLDER
    if folder.is_symlink():
        raise CellError(f"{folder} is a link, where a folder of signatures belongs; remove it", folder)
    paths = sorted(folder.glob("*.json"))
    if len(paths) > _MOST:
        raise CellError(f"{folder} holds {len(paths)} statements; at most {_MOST} are read: remove old ones", folder)
    return [_read(path) for path in paths]


def _read(path: Path) -> Signed:
    signature = path.with_name(f"{path.name}.sig")
    try:
        text = read_text(path, _LARGEST, follow=False)
        statement = Statement.model_validate(parse_json(text))
    except ValidationError as error:
        first = error.errors()[0]
        told = f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
        said = f"{path} is no statement of schema {SCHEMA}: {shortened(told, 300)}; remove it"
        raise CellError(one_line(said), path) from error
    except UnreadableError as error:
        raise CellError(one_line(f"{path} is no statement of schema {SCHEMA}: {error}; remove it"), path) from error
    try:
        return Signed(path, text, read_text(signature, _LARGEST_SIGNATURE, follow=False), statement)
    except UnreadableError as error:
        todo = f"sign it (ssh-keygen -Y sign -f KEY -n {NAMESPACE} FILE), or remove it"
        raise CellError(
            one_line(f"{path} has no signature {signature.name} beside it ({error}); {todo}"), path
        ) from error


def why_not(signed: Signed, allowed: Path) -> str:
    """Why a signature does not hold by a file of allowed signers; empty where it does.

    Raises W2SBenchError where that cannot be told: no such file, no `ssh-keygen`.
    """
    if not allowed.is_file():
        raise W2SBenchError(f"no file of allowed signers {allowed}; each line of it is a name and a public key")
    program = shutil.which("ssh-keygen")
    if program is None:
        raise W2SBenchError("signatures are verified by ssh-keygen, which is not here; apt-get install openssh-client")
    with tempfile.TemporaryDirectory(prefix="w2s-signed-") as scratch:
        # ssh-keygen is asked about the bytes that were read and bounded. The file itself may be another by now.
        signature = Path(scratch) / "signature"
        signature.write_text(signed.signature, encoding="utf-8")
        asked = ["-Y", "verify", "-f", str(allowed.absolute()), "-I", signed.statement.signer, "-n", NAMESPACE]
        try:
            done = subprocess.run(
                [program, *asked, "-s", str(signature)],
                input=signed.text.encode(),
                capture_output=True,
                check=False,
                timeout=_PATIENCE,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise W2SBenchError(f"ssh-keygen gave no answer: {error}") from error
    if done.returncode == 0:
        return ""
    told = one_line((done.stderr or done.stdout).decode(errors="replace").replace(scratch, ""))
    return f"it is no signature of {signed.statement.signer} by {allowed.name}: {shortened(told, 200) or 'ssh-keygen refuses it'}"


def signers(cells: Iterable[Cell], signatures: Sequence[Signed]) -> dict[str, tuple[str, ...]]:
    """Row → who says to have signed it, of the bodies that cells have now alone."""
    signers_of: dict[str, tuple[str, ...]] = {}
    for cell in cells:
        named = [s.statement.signer for s in signatures if s.statement.rows.get(cell.row) == cell.digest]
        if named:
            signers_of[cell.row] = tuple(dict.fromkeys(named))
    return signers_of
