"""The pointers of a lake on object storage.

    <table>/head.json              the current snapshot, all that are kept, and the pins: the one object that changes
    <table>/snapshots/<name>.json  which file holds which partition; immutable, under a name of its own

The head is replaced only where it is still what the writer has read, so one of two writers comes first and the other
starts again from there. Whatever it does not name does not exist for readers: a manifest is there before it is named.
Clocks have no part in it. Manifests, which never change, are kept in the local folder, too.
"""

import contextlib
import json
import shutil
import uuid
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.lake.bucket import Bucket, Stored, Version
from mlguide_assets.prepare.lake.snapshots import History, Snapshot, is_plain

AT_ONCE = 8
"""Requests that are made at a time."""
WRITER_AGE = timedelta(days=1)
"""How old an object must be that nothing names, before it counts as what a crashed writer left."""
FORMAT = 1


@dataclass(frozen=True)
class Head:
    """What a head object says. `manifests`: id → name of its object, oldest first, the last one current."""

    manifests: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    erasures: int = 0
    version: Version | None = None

    def to_json(self) -> bytes:
        """With a number of its own, so that no two writes are alike, also where one undoes the other."""
        content = {"manifests": self.manifests, "pins": self.pins, "erasures": self.erasures}
        return json.dumps({"format": FORMAT, "write": uuid.uuid4().hex, **content}, indent=1).encode()


@dataclass(frozen=True)
class RemotePointers:
    """Heads and manifests of all tables of a lake; `root` is the local folder."""

    bucket: Bucket
    root: Path

    def tables(self) -> list[str]:
        """The names of all tables that have a snapshot, in order."""
        names = self.bucket.folders()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [name for name, exists in zip(names, pool.map(self.exists, names), strict=True) if exists]

    def exists(self, table: str) -> bool:
        return bool(self._head(table).manifests)

    def lock(self, table: str) -> AbstractContextManager[object]:
        """Wait until no other thread or process of this host writes the table: they would only hinder one another."""
        return locked(self.root / table / ".lock")

    def current(self, table: str) -> Snapshot | None:
        """The current snapshot, or None where there is no such table."""
        manifests = self._head(table).manifests
        return self._manifest(table, list(manifests.values())[-1]) if manifests else None

    def snapshot(self, table: str, snapshot_id: str) -> Snapshot | None:
        """The snapshot of an id, or None where there is none."""
        name = self._head(table).manifests.get(snapshot_id)
        return self._manifest(table, name) if name else None

    def pins(self, table: str) -> Mapping[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""
        return self._head(table).pins

    def history(self, table: str) -> History:
        """All of a table that changes; empty where there is no such table."""
        while True:
            head = self._head(table)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                found = list(pool.map(partial(self._manifest, table), head.manifests.values()))
            snapshots = tuple(snapshot for snapshot in found if snapshot)
            if len(snapshots) == len(found):
                return History(table, snapshots, head.pins, head.erasures, version=head)
            # A writer has forgotten one meanwhile. Where none has, it is lost.
            if self._head(table).version == head.version:
                lost = next(name for name, each in zip(head.manifests.values(), found, strict=True) if not each)
                raise InputError(
                    f"The object {table}/snapshots/{lost} of {self.bucket.address} is gone: restore it from a backup."
                )

    def replace(self, before: History, after: History) -> bool:
        """Put a state in place of the one before; False where another writer came first."""
        table, head = after.table, before.version
        manifests = {
            snapshot.id: head.manifests[snapshot.id]
            if before.find(snapshot.id) == snapshot
            else self._put_manifest(snapshot)
            for snapshot in after.snapshots
        }
        changed = Head(manifests, after.pins, after.erasures)
        if not self.bucket.replace(_head_name(table), changed.to_json(), head.version):
            return False
        if manifests != head.manifests:
            self._clean(table, set(head.manifests.values()) - set(manifests.values()), manifests.values())
        return True

    def _clean(self, table: str, dropped: set[str], named: Collection[str]) -> None:
        """Remove manifests that are no longer named, and those that are too old to be another writer's.

        A store that fails now is no failure of the change, which is done: what stays goes when it is old.
        """
        with contextlib.suppress(InputError):
            left = strays(self.bucket.listing(f"{table}/snapshots"), named)
            self.bucket.delete([f"{table}/snapshots/{name}" for name in sorted(dropped.union(left))])
        for path in (self.root / table / "snapshots").glob("*.json"):
            if path.name not in named:
                path.unlink(missing_ok=True)

    def _head(self, table: str) -> Head:
        found = self.bucket.get(_head_name(table))
        if found is None:
            return Head()
        try:
            content: dict[str, Any] = json.loads(found[0])
            head = Head(content["manifests"], content["pins"], int(content["erasures"]), found[1])
            format_ = content["format"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise InputError(
                f"The object {_head_name(table)} of {self.bucket.address} is damaged: restore it from a backup."
            ) from None
        if format_ != FORMAT:
            raise InputError(f"Table {table!r} of {self.bucket.address} is of a later version of mlguide: update it.")
        self._forget_erased(table, head.erasures)
        return head

    def _forget_erased(self, table: str, erasures: int) -> None:
        """Remove what this host keeps of a table from before rows were erased from it, here or on another host."""
        folder = self.root / table
        kept = folder / "erasures"
        known = int(kept.read_text(encoding="ascii")) if kept.exists() else 0
        if erasures != known:
            # Notes of snapshots name rows, too.
            for name in ("data", "snapshots"):
                shutil.rmtree(folder / name, ignore_errors=True)
            replace_file(kept, str(erasures).encode())

    def _put_manifest(self, snapshot: Snapshot) -> str:
        name, content = f"{snapshot.id}-{uuid.uuid4().hex[:12]}.json", snapshot.to_manifest()
        self.bucket.put(f"{snapshot.table}/snapshots/{name}", content)
        replace_file(self._local(snapshot.table, name), content)
        return name

    def _manifest(self, table: str, name: str) -> Snapshot | None:
        origin = f"The object {table}/snapshots/{name} of {self.bucket.address}"
        if not is_plain(name):
            raise InputError(f"The object {_head_name(table)} of {self.bucket.address} is damaged: it names {name!r}.")
        local = self._local(table, name)
        try:
            return Snapshot.from_manifest(local.read_bytes(), local)
        except (FileNotFoundError, InputError):
            # This host's copy is gone or damaged.
            found = self.bucket.get(f"{table}/snapshots/{name}")
        if found is None:
            return None
        snapshot = Snapshot.from_manifest(found[0], origin)
        replace_file(local, found[0])
        return snapshot

    def _local(self, table: str, name: str) -> Path:
        return self.root / table / "snapshots" / name


def strays(found: Collection[Stored], named: Collection[str]) -> list[str]:
    """The names of objects that nothing names and that are too old to belong to a writer who is about to.

    Their age is the time to the youngest of them by the store's clock, whatever the clocks of hosts say. It is at most
    the true age.
    """
    youngest = max((each.modified for each in found), default=None)
    if youngest is None:
        return []
    return [each.name for each in found if each.name not in named and youngest - each.modified > WRITER_AGE]


def _head_name(table: str) -> str:
    return f"{table}/head.json"
