"""The data files of a lake on object storage: written in the local folder, uploaded, and then named by a manifest.

    <table>/data/<partition>-<content hash>-<unique>.parquet    on the store
    <table>/data/<partition>-<content hash>.parquet             in the local folder, which is a cache by content

No object is ever written twice: so a name that a snapshot has leads to the content that it had, and what is removed is
not what another writer has just stored again. Objects that no snapshot names are another writer's, until they are too
old for that; their age is taken from the store's clock alone.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import remove_left
from mlguide_assets.prepare.lake.bucket import Bucket
from mlguide_assets.prepare.lake.data_files import temporary_file
from mlguide_assets.prepare.lake.remote_pointers import AT_ONCE, WRITER_AGE, strays
from mlguide_assets.prepare.lake.snapshots import DataFile, History, Snapshot

RENEW_SECONDS = WRITER_AGE.total_seconds() / 2
"""A writer that took longer than this stores its files again, rather than name what may be removed."""
UNREAD_SECONDS = 7 * 86_400
"""How long the local folder keeps a file that is not read."""
IN_USE_SECONDS = 3600
"""How long it keeps one that no snapshot names any more: somebody may have begun to read it."""


@dataclass
class Uploads:
    """Files that are uploaded when a snapshot is about to name them, each once."""

    files: "RemoteFiles"
    table: str
    written: Mapping[str, DataFile]
    stored: dict[str, tuple[DataFile, float]] = field(default_factory=dict)

    def named_in(self, state: History) -> dict[str, DataFile]:
        """The files as a snapshot may name them: where the current one has the same content, its own, else uploaded."""
        present = state.current.partitions if state.current else {}
        same = {
            key: replace(present[key], inputs=None)
            for key, file in self.written.items()
            if key in present and present[key].sha256 == file.sha256
        }
        with ThreadPoolExecutor(AT_ONCE) as pool:
            others = [key for key in self.written if key not in same]
            uploaded = dict(zip(others, pool.map(self._uploaded, others), strict=True))
        return {key: same.get(key) or uploaded[key] for key in self.written}

    def published_in(self, state: History) -> Snapshot | None:
        ours = {file.file for file, _ in self.stored.values()}
        for snapshot in state.snapshots:
            if any(file.file in ours for file in snapshot.partitions.values()):
                return snapshot
        return None

    def _uploaded(self, key: str) -> DataFile:
        known = self.stored.get(key)
        if known is None or abs(time.time() - known[1]) > RENEW_SECONDS:
            begun = time.time()
            self.stored[key] = known = self.files.put(self.table, self.written[key]), begun
        return known[0]


@dataclass(frozen=True)
class RemoteFiles:
    """The data files of all tables of a lake; `root` is the local folder."""

    bucket: Bucket
    root: Path

    def folder(self, table: str) -> Path:
        return self.root / table / "data"

    def paths(self, table: str, files: Sequence[DataFile]) -> list[Path]:
        """Local paths of files, fetched where they are not here yet, and checked by size and SHA-256.

        Raises:
            InputError: a file is gone or damaged on the store.
        """
        if not files:
            return []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda file: self._fetched(table, file), files))

    def held(self, table: str, files: Mapping[str, DataFile]) -> dict[str, DataFile]:
        if not files:
            return {}
        sizes = {each.name: each.bytes for each in self.bucket.listing(f"{table}/data")}
        return {key: file for key, file in files.items() if sizes.get(file.file) == file.bytes}

    def pending(self, table: str, written: Mapping[str, DataFile]) -> Uploads:
        return Uploads(self, table, written)

    def put(self, table: str, written: DataFile) -> DataFile:
        """Upload a file under a name that no other has."""
        stem = written.file.removesuffix(".parquet")
        name = f"{stem}-{uuid.uuid4().hex[:12]}.parquet"
        self.bucket.put(f"{table}/data/{name}", self.folder(table) / written.file)
        return replace(written, file=name)

    def each(self, state: History, seen: Container[str]) -> Iterator[tuple[str, str, Path]]:
        """Every object, fetched afresh into a folder of its own."""
        named = {file.file: file for snapshot in state.snapshots for file in snapshot.partitions.values()}
        # Removed with the folder, by the first process that opens the table after rows were erased from it.
        with TemporaryDirectory(dir=self._made(state.table), prefix=".each-") as folder:
            for each in self.bucket.listing(f"{state.table}/data"):
                if each.name in seen:
                    continue
                path = Path(folder) / each.name
                known = named.get(each.name)
                try:
                    self._download(state.table, each.name, each.bytes, known, path)
                except FileNotFoundError:
                    # Another writer has removed it, which the next state shows; of one that is named, `paths` does.
                    continue
                yield each.name, _local_name(each.name).removesuffix(".parquet").rpartition("-")[0], path
                path.unlink()

    def remove(self, table: str, files: Sequence[str]) -> None:
        self.bucket.delete([f"{table}/data/{file}" for file in files])

    def clean(self, before: History, after: History) -> None:
        """Remove what a change has left without a snapshot, and what is too old to be another writer's.

        A store that fails now is no failure of the change, which is done: what stays goes when it is old.
        """
        with contextlib.suppress(InputError):
            left = strays(self.bucket.listing(f"{after.table}/data"), after.files)
            self.remove(after.table, sorted((before.files - after.files).union(left)))
        self._clean_cache(after)

    def _clean_cache(self, state: History) -> None:
        """Keep local files that a snapshot names and that somebody has read lately, and what is being written."""
        named, now = {_local_name(file) for file in state.files}, time.time()
        for path in self._made(state.table).iterdir():
            # Another process may have removed it.
            with contextlib.suppress(FileNotFoundError):
                if now - path.stat().st_mtime > (UNREAD_SECONDS if path.name in named else IN_USE_SECONDS):
                    remove_left(path)

    def _fetched(self, table: str, file: DataFile) -> Path:
        path = self.folder(table) / _local_name(file.file)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size == file.bytes:
                os.utime(path)
                return path
        temporary = temporary_file(self._made(table))
        try:
            self._download(table, file.file, file.bytes, file, temporary)
            temporary.replace(path)
        except FileNotFoundError:
            raise InputError(
                f"The object {table}/data/{file.file} of {self.bucket.address} is gone: run again; if somebody removed "
                f"it, restore it first."
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def _download(self, table: str, name: str, size: int, file: DataFile | None, target: Path) -> None:
        """Fetch an object, and check it where a snapshot names it.

        Raises:
            FileNotFoundError: there is none.
            InputError: it is not what was stored.
        """
        stored = f"{table}/data/{name}"
        digest = self.bucket.download(stored, size, target)
        if file is not None and (digest, target.stat().st_size) != (file.sha256, file.bytes):
            raise InputError(
                f"The object {stored} of {self.bucket.address} is damaged: it is not what was stored; restore it "
                f"from a backup."
            )

    def _made(self, table: str) -> Path:
        folder = self.folder(table)
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _local_name(file: str) -> str:
    """The local name of an object: without what makes the object's unique."""
    return f"{file.removesuffix('.parquet').rpartition('-')[0]}.parquet"
