"""The pointers of a lake in a folder: the small files that say which data are whole.

    <table>/snapshots/<id>.json   which file holds which partition; its content is immutable
    <table>/current               the id of the newest snapshot, replaced atomically
    <table>/pins/<reason>         the id of a snapshot that is kept while the pin is there
    <table>/.lock                 held by the one process that writes the table

This is all of such a lake that needs an atomic replacement, which is a rename, and a lock. It does not know what is in
the data files, and it does not decide which snapshots are kept.
"""

import contextlib
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.lake.snapshots import History, Snapshot, is_plain


@dataclass(frozen=True)
class LocalPointers:
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

    def current(self, table: str) -> Snapshot | None:
        """The current snapshot, or None where there is no such table.

        Raises:
            InputError: the pointer or the manifest is damaged. A writer that took it for no table would drop all rows.
        """
        try:
            snapshot_id = self._current(table).read_bytes().decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        found = self.snapshot(table, snapshot_id)
        if found is None and self._is_still(table, snapshot_id):
            raise InputError(
                f"{self._current(table)} is damaged: it names no snapshot that there is; restore it from a backup."
            )
        return found

    def _is_still(self, table: str, snapshot_id: str) -> bool:
        """Whether the pointer is what was read, so that no writer has replaced it meanwhile."""
        try:
            return self._current(table).read_bytes().decode(errors="replace") == snapshot_id
        except (FileNotFoundError, NotADirectoryError):
            return False

    def snapshot(self, table: str, snapshot_id: str) -> Snapshot | None:
        """The snapshot of a manifest, or None where there is none."""
        if not is_plain(snapshot_id):
            return None
        path = self._manifest(table, snapshot_id)
        try:
            return Snapshot.from_manifest(path.read_bytes(), path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def history(self, table: str) -> History:
        """All of a table that changes; empty where there is no such table."""
        current = self.current(table)
        if current is None:
            return History(table, pins=self.pins(table))
        # A writer may forget the oldest meanwhile.
        found = [self.snapshot(table, path.stem) for path in sorted(self._manifests(table).glob("[0-9]*.json"))]
        # One that a crash kept from becoming current never was a snapshot.
        older = [snapshot for snapshot in found if snapshot and snapshot.sequence < current.sequence]
        return History(table, (*older, current), self.pins(table))

    def replace(self, before: History, after: History) -> bool:
        """Put a state in place of the one before, the pointer to the current snapshot last; the lock is held."""
        table = after.table
        for snapshot in after.snapshots:
            if before.find(snapshot.id) != snapshot:
                replace_file(self._manifest(table, snapshot.id), snapshot.to_manifest())
        if after.current is None:
            # First the pointer, so that no reader finds a part of the table.
            self._current(table).unlink(missing_ok=True)
            shutil.rmtree(self._manifests(table), ignore_errors=True)
        elif before.current is None or before.current.id != after.current.id:
            replace_file(self._current(table), after.current.id.encode())
        self._replace_pins(before, after)
        if after.current is not None and after.snapshots != before.snapshots:
            self._clean(after)
        return True

    def _replace_pins(self, before: History, after: History) -> None:
        folder = self.root / after.table / "pins"
        for reason, snapshot_id in after.pins.items():
            if before.pins.get(reason) != snapshot_id:
                replace_file(folder / reason, snapshot_id.encode())
        for reason in before.pins.keys() - after.pins.keys():
            (folder / reason).unlink(missing_ok=True)

    def _clean(self, state: History) -> None:
        """Remove the manifests of other snapshots than those kept, and what a crash left of a pointer or a pin."""
        folder, manifests = self.root / state.table, {f"{snapshot.id}.json" for snapshot in state.snapshots}
        strays = [path for path in self._manifests(state.table).iterdir() if path.name not in manifests]
        for path in (*strays, *folder.glob(".current.*.tmp"), *folder.glob("pins/.*.tmp")):
            path.unlink(missing_ok=True)

    def pins(self, table: str) -> dict[str, str]:
        """The pinned snapshots of a table: reason → snapshot id."""
        pins: dict[str, str] = {}
        for path in sorted((self.root / table / "pins").glob("[!.]*")):
            # It may be unpinned meanwhile.
            with contextlib.suppress(FileNotFoundError):
                pins[path.name] = path.read_text(encoding="utf-8").strip()
        return pins

    def _manifests(self, table: str) -> Path:
        return self.root / table / "snapshots"

    def _manifest(self, table: str, snapshot_id: str) -> Path:
        return self._manifests(table) / f"{snapshot_id}.json"

    def _current(self, table: str) -> Path:
        return self.root / table / "current"
