"""What a snapshot is: one immutable version of a table, as values. Nothing here touches a disk."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mlguide_assets.errors import InputError

WHOLE = "all"
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
    def from_manifest(cls, manifest: bytes) -> "Snapshot":
        """The snapshot that `to_manifest` wrote, by this version of the package or an earlier one."""
        stored = json.loads(manifest)
        files = {key: DataFile(**file) for key, file in stored.pop("partitions").items()}
        return cls(**stored, partitions=files)


def content_hash_of(partitions: Mapping[str, DataFile]) -> str:
    """SHA-256 over the keys and content hashes of the partitions, in the order of the keys."""
    lines = "\n".join(f"{key} {partitions[key].sha256}" for key in sorted(partitions))
    return hashlib.sha256(lines.encode()).hexdigest()
