"""The small files that say which data are whole: manifests, the pointer to the current snapshot, and pins.

    <table>/snapshots/<id>.json   which file holds which partition; its content is immutable
    <table>/current               the id of the newest snapshot, replaced atomically
    <table>/pins/<reason>         the id of a snapshot that is kept while the pin is there
    <table>/.lock                 held by the one process that writes the table

This is all of the lake that needs an atomic replacement and a lock. Here they are a rename and a file lock on a local
disk; a lake elsewhere replaces this module alone. It does not know what is in the data files, and it does not decide
which snapshots are kept.
"""

import contextlib
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.snapshots import DataFile, Snapshot
from mlguide_assets.prepare.locking import locked


@dataclass(frozen=True)
class Pointers:
    """Manifests, current snapshots and pins of the tables below one folder. Writers hold the table's `lock`."""

    root: Path

    def tables(self) -> list[str]:
        """The names of all tables that have a snapshot, in order."""
        return sorted(path.parent.name for path in self.root.glob("*/current"))

    def exists(self, table: str) -> bool:
        return self._current(table).is_file()

    def lock(self, table: str) -> AbstractContextManager[object]:
        """Wait until no other thread or process writes the table, and hold it for the length of a `with` block."""
        return locked(self.root / table / ".lock")

    def current(self, table: str) -> str:
        """The id of the current snapshot.

        Raises:
            FileNotFoundError, NotADirectoryError: there is no such table.
        """
        return self._current(table).read_text(encoding="utf-8")

    def set_current(self, table: str, snapshot_id: str) -> None:
        """Point to another snapshot; a reader sees the one before or this one."""
        replace_file(self._current(table), snapshot_id.encode())

    def snapshot(self, table: str, snapshot_id: str) -> Snapshot:
        """The snapshot of a manifest.

        Raises:
            FileNotFoundError, NotADirectoryError: there is none.
        """
        return Snapshot.from_manifest(self._manifest(table, snapshot_id).read_bytes())

    def write(self, snapshot: Snapshot) -> None:
        """Write or replace a manifest; it is not current by that."""
        replace_file(self._manifest(snapshot.table, snapshot.id), snapshot.to_manifest())

    def exchange(self, table: str, file: str, successor: DataFile) -> None:
        """Name the successor of a data file in every manifest that names the file."""
        for snapshot_id in self.ids(table):
            snapshot = self.snapshot(table, snapshot_id)
            named = [key for key, each in snapshot.partitions.items() if each.file == file]
            if named:
                self.write(replace(snapshot, partitions={**snapshot.partitions, **dict.fromkeys(named, successor)}))

    def ids(self, table: str) -> list[str]:
        """The ids of all manifests, oldest first; one that a crash kept from becoming current is among them."""
        return sorted(path.stem for path in (self.root / table / "snapshots").glob("[0-9]*.json"))

    def pin(self, table: str, reason: str) -> Path:
        """Where a pin is.

        Raises:
            ValueError: the reason is not a plain file name.
        """
        if not reason or reason.startswith(".") or "/" in reason:
            raise ValueError(f"The reason of a pin names its file, so it is a plain name, which {reason!r} is not.")
        return self.root / table / "pins" / reason

    def set_pin(self, table: str, reason: str, snapshot_id: str) -> None:
        replace_file(self.pin(table, reason), snapshot_id.encode())

    def pins(self, table: str) -> dict[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""
        pins: dict[str, str] = {}
        for path in sorted((self.root / table / "pins").glob("[!.]*")):
            # It may be unpinned meanwhile.
            with contextlib.suppress(FileNotFoundError):
                pins[path.name] = path.read_text(encoding="utf-8").strip()
        return pins

    def remove(self, table: str) -> None:
        """Forget a table: first its pointer, so that no reader finds a part of it."""
        self._current(table).unlink(missing_ok=True)
        shutil.rmtree(self.root / table / "snapshots", ignore_errors=True)

    def clean(self, table: str, kept: set[str]) -> None:
        """Remove the manifests of other snapshots than those kept, and what a crash left of a pointer or a pin."""
        folder, manifests = self.root / table, {f"{snapshot_id}.json" for snapshot_id in kept}
        strays = [path for path in (folder / "snapshots").iterdir() if path.name not in manifests]
        for path in (*strays, *folder.glob(".current.*.tmp"), *folder.glob("pins/.*.tmp")):
            path.unlink(missing_ok=True)

    def _manifest(self, table: str, snapshot_id: str) -> Path:
        return self.root / table / "snapshots" / f"{snapshot_id}.json"

    def _current(self, table: str) -> Path:
        return self.root / table / "current"
