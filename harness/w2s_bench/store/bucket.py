"""Results at a place that fsspec reaches, such as a bucket of S3.

    <url>/.w2s-bench                      written first: without it nothing is removed there
    <url>/<stage>/<key>/manifest.json     written last, once: with it the result exists, and before it nobody sees any of it
    <url>/<stage>/<key>/<content>/...     the files, below the digest of their content

Machines that make the same result at the same time write the same files, or files side by side if theirs differ; the
first manifest wins, and the others go on from what it describes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from w2s_bench.errors import NoStoreError, StoreError, W2SBenchError
from w2s_bench.names import MANIFEST
from w2s_bench.store.faults import explained, machine_fault, store_error
from w2s_bench.store.manifest import Damage, Result, check, parse
from w2s_bench.store.mark import MARK, TEXT, is_key, is_stage
from w2s_bench.types import JSON

_EXTRAS = {"s3": "s3", "s3a": "s3"}
_WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "memory"})
_BATCH = 200  # manifests that one request reads


class Bucket:
    """One URL. Whatever goes wrong there is a `StoreError` that names it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.fs, self.base = _filesystem(self.url)
        self._writable = self._own = False

    def manifest(self, address: str) -> bytes | None:
        """The bytes of a result's manifest; None if there is no such result."""
        with self._reached(address):
            try:
                return bytes(self.fs.cat_file(f"{self.base}/{address}/{MANIFEST}"))
            except FileNotFoundError:
                return None

    def fetch(self, address: str, folder: Path) -> Result | Damage | None:
        """Download a result into an empty folder and check every byte of it."""
        text = self.manifest(address)
        if text is None:
            return None
        key = address.rpartition("/")[2]
        facts = parse(text, key)
        if facts is None:
            return Damage(folder, f"{MANIFEST} is not what was written ({len(text)} bytes)")
        if (odd := next((name for name in facts["files"] if not _is_inside(name)), None)) is not None:
            return Damage(folder, f"{odd!r} is no place inside a result")
        with self._reached(address, folder):
            folder.mkdir(parents=True, exist_ok=True)
            for name in facts["files"]:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                try:
                    self.fs.get_file(self._file(address, facts, name), str(folder / name))
                except FileNotFoundError:
                    return Damage(folder, f"{name} is missing")
            (folder / MANIFEST).write_bytes(text)
            return check(folder, key)

    def publish(self, address: str, folder: Path) -> bool:
        """Upload a sealed result; False if there is one by now, whose files this leaves alone."""
        with explained(folder):
            text = (folder / MANIFEST).read_bytes()
        facts = parse(text, address.rpartition("/")[2])
        assert facts is not None, "what is published was just sealed or checked"
        with self._reached(address):
            if self.fs.exists(f"{self.base}/{address}/{MANIFEST}"):
                return False
            self._make_folder(f"{self.base}/{address}")
            for name in facts["files"]:
                path = self._file(address, facts, name)
                self._make_folder(path.rpartition("/")[0])
                self.fs.put_file(str(folder / name), path)
            return self._create(f"{self.base}/{address}/{MANIFEST}", text)

    def remove(self, address: str) -> None:
        """Remove a result, the manifest first: what is left of a removal cut short is no result."""
        self.require_own()
        with self._reached(address):
            for path in (f"{self.base}/{address}/{MANIFEST}", f"{self.base}/{address}"):
                if self.fs.exists(path):
                    self.fs.rm(path, recursive=True)
            self.fs.invalidate_cache()

    def require_writable(self) -> None:
        """Raise if nothing can be written there: better known before a result is made than after."""
        if not self._writable:
            self.require_own()
            with self._reached(""):
                self._make_folder(self.base)
                self.fs.pipe_file(f"{self.base}/{MARK}", TEXT)
            self._writable = self._own = True

    def require_own(self) -> None:
        """Raise `NoStoreError` where other things lie and no store was made: nothing of theirs is to be removed."""
        if self._own:
            return
        with self._reached(""):
            marked = self.fs.exists(f"{self.base}/{MARK}")
        others = [] if marked else self._listed()
        marked = marked or MARK in others  # another machine may just have made the bucket a store
        if others and not marked:
            raise NoStoreError(
                f"{self.url} is no store of w2s-bench: {others[0]!r} lies there, and no mark {MARK}. Nothing is written to it "
                f"or removed from it; give a place of its own, such as {self.url}/store"
            )
        self._own = marked

    def names(self, below: str = "") -> list[str]:
        """Stages, or the keys of one."""
        return [name for name in self._listed(below) if (is_key(name) if below else is_stage(name))]

    def _listed(self, below: str = "") -> list[str]:
        with self._reached(below):
            self.fs.invalidate_cache()
            try:
                paths = self.fs.ls(f"{self.base}/{below}".rstrip("/"), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
            finally:
                self.fs.invalidate_cache()
        own = f"{self.base}/{below}".strip("/")  # some file systems list a folder beside its contents
        return sorted({inner.rpartition("/")[2] for path in paths if (inner := path.strip("/")) != own})

    def manifests(self, stage: str, keys: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """(key, manifest) of those results of a stage that exist."""
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            paths = {self.fs._strip_protocol(f"{self.base}/{stage}/{key}/{MANIFEST}"): key for key in batch}
            with self._reached(stage):
                texts = self.fs.cat(list(paths), on_error="omit")
            yield from ((paths[path], bytes(text)) for path, text in texts.items())

    def _file(self, address: str, facts: dict[str, JSON], name: str) -> str:
        return f"{self.base}/{address}/{facts['content']}/{name}"

    def _make_folder(self, path: str) -> None:
        """Where there are folders. A bucket is never made: its name may be a slip."""
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        if not protocols & _WITHOUT_FOLDERS:
            self.fs.makedirs(path, exist_ok=True)

    def _create(self, path: str, data: bytes) -> bool:
        """Write a file that must not be there yet, in one step where the file system can do that."""
        try:
            self.fs.pipe_file(path, data, mode="create")
        except (OSError, NotImplementedError, TypeError) as error:  # the last two: the file system takes no `mode`
            if self.fs.exists(path):  # another machine wrote it, or this one did and the answer was lost
                return False
            if isinstance(error, OSError) and error.errno != errno.ENOSYS:
                raise
            self.fs.pipe_file(path, data)  # this file system has no exclusive create
        return True

    @contextmanager
    def _reached(self, address: str, folder: Path | None = None) -> Iterator[None]:
        where = f"{self.url}/{address}".rstrip("/")
        try:
            yield
        except StoreError:
            raise
        except PermissionError as error:
            raise StoreError(
                f"{where} refuses access: {error}. Give credentials that may read and write there (for S3: "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE), or another --store"
            ) from error
        except Exception as error:  # every file system raises errors of its own
            if folder is not None and (fault := machine_fault(error, folder)) is not None:
                raise store_error(folder, fault) from error
            raise StoreError(
                f"cannot use {where}: {type(error).__name__}: {error}. Check the address, the network and your credentials; "
                "everything stored so far is kept, and the next run goes on from it"
            ) from error


def _filesystem(url: str) -> tuple[Any, str]:
    """(the file system, the path on it)."""
    import fsspec

    protocol = url.partition("://")[0]
    try:
        fs, base = fsspec.core.url_to_fs(url)
    except ImportError as error:
        package = f"pip install 'w2s-bench[{_EXTRAS[protocol]}]'" if protocol in _EXTRAS else str(error)
        raise W2SBenchError(f"a store at {protocol}:// needs a package that is not installed: {package}") from None
    except ValueError as error:
        raise W2SBenchError(
            f"cannot use the store {url}: {error}; give a folder, or a URL that fsspec knows, such as s3://bucket/folder"
        ) from None
    return fs, str(base).rstrip("/")


def _is_inside(name: str) -> bool:
    """Whether a file name that was read somewhere stays below the folder that it is joined to."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and bool(path.parts) and "\\" not in name
