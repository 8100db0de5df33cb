"""What a snapshot is: one immutable version of a table; and which of them are kept. Values, nothing touches a disk."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from mlguide_assets.errors import InputError

UNPARTITIONED = "all"
"""The key of the only partition of a table that is not partitioned."""


class MissingTableError(InputError):
    """A table, partition or snapshot was requested that is not in the lake."""


@dataclass(frozen=True)
class DataFile:
    """One partition of one snapshot: file name, row count, size in bytes and SHA-256.

    `inputs` is a fingerprint of all that it was computed from, where its writer gave one.
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    inputs: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """One immutable version of a table. Equal content has an equal `content_hash`, whenever it was written.

    `notes` are for the next writer of the table; they are not part of the content.
    """

    table: str
    id: str
    sequence: int
    created_at: str
    partitions: Mapping[str, DataFile]
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.partitions.values())

    @property
    def content_hash(self) -> str:
        return content_hash_of(self.partitions)

    def to_manifest(self) -> bytes:
        """The snapshot as the JSON that is stored."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_manifest(cls, manifest: bytes, origin: object, remedy: str = "restore it from a backup") -> "Snapshot":
        """The snapshot that `to_manifest` wrote, by this version of the package or an earlier one.

        Args:
            origin: where it was read, for messages.
            remedy: what to do where it is damaged, likewise.

        Raises:
            InputError: it is damaged, or names files elsewhere, which might then be read or removed.
        """
        try:
            stored = json.loads(manifest)
            files = {key: DataFile(**file) for key, file in stored.pop("partitions").items()}
            if all(is_plain(file.file) for file in files.values()):
                return cls(**stored, partitions=files)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            pass
        raise InputError(f"{origin} is damaged, or of a later version of mlguide: {remedy}.")


def is_plain(name: str) -> bool:
    """Whether a name is that of something in its folder, and in no other.

    >>> is_plain("2026-01-01-5d45.parquet"), is_plain("../other.parquet"), is_plain("/etc/x"), is_plain("..")
    (True, False, False, False)
    """
    return PurePath(name).name == name not in ("", "..") and "\0" not in name


@dataclass(frozen=True)
class History:
    """All that a writer may change of a table. Each change makes a new one, which a store puts in place of this one.

    Attributes:
        snapshots: those that are kept, oldest first; the last one is current.
        pins: reason → id of a snapshot that stays for it.
        erasures: how often rows were erased from all snapshots; counted where several hosts write.
        version: by which its store knows that it was not changed since it was read.
    """

    table: str
    snapshots: tuple[Snapshot, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    erasures: int = 0
    version: Any = field(default=None, compare=False, repr=False)

    @property
    def current(self) -> Snapshot | None:
        return self.snapshots[-1] if self.snapshots else None

    @property
    def files(self) -> frozenset[str]:
        """The names of all data files that a kept snapshot is made of."""
        return frozenset(file.file for snapshot in self.snapshots for file in snapshot.partitions.values())

    def find(self, snapshot_id: str) -> Snapshot | None:
        return next((snapshot for snapshot in self.snapshots if snapshot.id == snapshot_id), None)

    def published(self, partitions: Mapping[str, DataFile], notes: Mapping[str, Any], *, keep: int) -> "History":
        """With these partitions as the current snapshot; equal content renews the one there is.

        Args:
            keep: the snapshots kept, the current one included and pinned ones not counted.
        """
        current, content_hash = self.current, content_hash_of(partitions)
        if current and current.content_hash == content_hash:
            return replace(self, snapshots=(*self.snapshots[:-1], replace(current, partitions=partitions, notes=notes)))
        sequence = current.sequence + 1 if current else 1
        newest = Snapshot(
            table=self.table,
            id=f"{sequence:06d}-{content_hash[:12]}",
            sequence=sequence,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            partitions=partitions,
            notes=notes,
        )
        return replace(self, snapshots=(*self.snapshots, newest))._thinned(keep)

    def restored(self, snapshot: Snapshot, *, keep: int) -> "History":
        """With an earlier snapshot as the current one; those after it are forgotten."""
        upto = self.snapshots[: self.snapshots.index(snapshot) + 1]
        return replace(self, snapshots=upto)._thinned(keep)

    def exchanged(self, successors: Mapping[str, DataFile]) -> "History":
        """With other data files in the place of some, by name, in every snapshot; these keep their ids.

        Raises nothing for names that no snapshot has.
        """
        return replace(self, snapshots=tuple(_exchanged(each, successors) for each in self.snapshots))

    def pinned(self, reason: str, snapshot_id: str) -> "History":
        return replace(self, pins={**self.pins, reason: snapshot_id})

    def unpinned(self, reason: str) -> "History":
        return replace(self, pins={name: pinned for name, pinned in self.pins.items() if name != reason})

    def _thinned(self, keep: int) -> "History":
        """Without the oldest snapshots that are not pinned."""
        pinned = set(self.pins.values())
        newest = {snapshot.id for snapshot in [each for each in self.snapshots if each.id not in pinned][-keep:]}
        return replace(self, snapshots=tuple(each for each in self.snapshots if each.id in pinned | newest))


def _exchanged(snapshot: Snapshot, successors: Mapping[str, DataFile]) -> Snapshot:
    changed = {key: successors[file.file] for key, file in snapshot.partitions.items() if file.file in successors}
    return replace(snapshot, partitions={**snapshot.partitions, **changed}) if changed else snapshot


def content_hash_of(partitions: Mapping[str, DataFile]) -> str:
    """SHA-256 over the keys and content hashes of the partitions, in the order of the keys."""
    lines = "\n".join(f"{key} {partitions[key].sha256}" for key in sorted(partitions))
    return hashlib.sha256(lines.encode()).hexdigest()
