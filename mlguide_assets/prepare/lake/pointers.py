"""The pointers of a lake in a folder: the small files that say which data are whole.

    <table>/snapshots/<id>.json   which file holds which partition; its content is immutable
    <table>/current               the id of the newest snapshot, replaced atomically
    <table>/pins/<reason>         the id of a snapshot that is kept while the pin is there
    <table>/.lock                 held by the one process that writes the table

A pointer to the current snapshot that is lost or damaged is known again from the manifests: it is the newest of them.
A manifest is known from nowhere else.

This is all of such a lake that needs an atomic replacement, which is a rename, and a lock. It does not know what is in
the data files, and it does not decide which snapshots are kept.
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.files import remove_left, replace_file
from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.lake.snapshots import History, Snapshot, is_plain

_log = logging.getLogger(__name__)

_STATE_BEFORE = (
    "the table is then as it was before its last write, and 'mlguide run' computes again what of it can be computed"
)
_ID = re.compile(r"\d{6,}-[0-9a-f]{12}")
"""What names a snapshot: a pointer with anything else in it is damaged."""


@dataclass(frozen=True)
class LocalPointers:
    """Manifests, current snapshots and pins of the tables below one folder. Writers hold the table's `lock`."""

    root: Path

    def tables(self) -> list[str]:
        """The names of all tables that have a snapshot, in order."""
        return sorted(folder.name for folder in self.root.glob("*") if self.exists(folder.name))

    def exists(self, table: str) -> bool:
        return self._current(table).exists() or any(self._manifest_paths(table))

    def lock(self, table: str) -> AbstractContextManager[object]:
        """Wait until no other thread or process writes the table, and hold it for the length of a `with` block."""
        return locked(self.root / table / ".lock")

    def current(self, table: str) -> Snapshot | None:
        """The current snapshot, or None where there is no such table.

        Raises:
            InputError: its manifest is damaged or gone. A writer that took it for no table would drop all rows.
        """
        pointed = self._pointed(table)
        if pointed is None:
            return self._newest(table)
        found = self.snapshot(table, pointed)
        if found is None and pointed == self._pointed(table):
            # No writer has replaced the pointer meanwhile.
            lost, pointer = self._manifest(table, pointed), self._current(table)
            raise InputError(f"{lost} is gone: restore it from a backup, or remove {pointer}; {_STATE_BEFORE}.")
        return found or self.current(table)

    def _pointed(self, table: str) -> str | None:
        """The id in the pointer; None where it is lost or damaged."""
        try:
            found = self._current(table).read_bytes().decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return found if _ID.fullmatch(found) else None

    def _newest(self, table: str) -> Snapshot | None:
        """The newest snapshot that has a manifest: the current one, or one that a crash kept from becoming it, whose
        data are whole, too.

        Raises:
            InputError: its manifest is damaged, or the pointer is and there is no manifest.
        """
        paths = self._manifest_paths(table)
        pointer = self._current(table)
        if not paths and pointer.exists():
            raise InputError(f"{pointer} is damaged, and no manifest is there: {self._remedy(table, None)}.")
        return self.snapshot(table, paths[-1].stem) if paths else None

    def snapshot(self, table: str, snapshot_id: str) -> Snapshot | None:
        """The snapshot of a manifest, or None where there is none."""
        if not is_plain(snapshot_id):
            return None
        path = self._manifest(table, snapshot_id)
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            content = b""
        return Snapshot.from_manifest(content, path, self._remedy(table, snapshot_id))

    def history(self, table: str) -> History:
        """All of a table that changes; empty where there is no such table."""
        current = self.current(table)
        if current is None:
            return History(table, pins=self.pins(table))
        pins = self.pins(table)
        found = [self._earlier(table, path.stem, pins) for path in self._manifest_paths(table)]
        # One that a crash kept from becoming current never was a snapshot.
        older = [snapshot for snapshot in found if snapshot and snapshot.sequence < current.sequence]
        return History(table, (*older, current), pins)

    def _earlier(self, table: str, snapshot_id: str, pins: Mapping[str, str]) -> Snapshot | None:
        """A snapshot that may not be current; None where a writer has forgotten it meanwhile, or it is damaged and
        nobody pinned it: it would be forgotten soon.
        """
        try:
            return self.snapshot(table, snapshot_id)
        except InputError:
            if snapshot_id in (*pins.values(), self._pointed(table)):
                raise
            return None

    def replace(self, before: History, after: History) -> bool:
        """Put a state in place of the one before, the pointer to the current snapshot last; the lock is held."""
        table = after.table
        for snapshot in after.snapshots:
            if before.find(snapshot.id) != snapshot:
                replace_file(self._manifest(table, snapshot.id), snapshot.to_manifest())
        if after.current is None:
            # First the pointer, so that no reader finds a part of the table.
            remove_left(self._current(table))
            shutil.rmtree(self._manifests(table), ignore_errors=True)
        elif self._pointed(table) != after.current.id:
            self._point(table, after.current.id, repair=before.current is not None)
        self._replace_pins(before, after)
        if after.current is not None and after.snapshots != before.snapshots:
            self._clean(after)
        return True

    def _point(self, table: str, snapshot_id: str, *, repair: bool) -> None:
        pointer = self._current(table)
        if repair and self._pointed(table) is None:
            _log.warning("%s was lost or damaged: the newest snapshot of the table was taken.", pointer)
            remove_left(pointer)
        replace_file(pointer, snapshot_id.encode())

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
        """The pinned snapshots of a table: reason → snapshot id.

        Raises:
            InputError: one is damaged. A writer that took it for none would let go what is kept for it alone.
        """
        pins: dict[str, str] = {}
        for path in sorted((self.root / table / "pins").glob("[!.]*")):
            # It may be unpinned meanwhile.
            with contextlib.suppress(FileNotFoundError):
                found = "" if path.is_dir() else path.read_bytes().decode(errors="replace").strip()
                if not _ID.fullmatch(found):
                    raise InputError(
                        f"{path} is damaged, which says what is kept of table {table!r} for {path.name}: restore it "
                        f"from a backup, or remove it; then what is kept for it alone goes with the next write."
                    )
                pins[path.name] = found
        return pins

    def _remedy(self, table: str, snapshot_id: str | None) -> str:
        """What to do where something of a table is lost."""
        if snapshot_id and self._pointed(table) not in (None, snapshot_id):
            return "restore it from a backup, or remove it; what it kept is then lost, and newer snapshots stay"
        return f"restore it from a backup, or remove it, and {self._current(table)} with it; {_STATE_BEFORE}"

    def _manifests(self, table: str) -> Path:
        return self.root / table / "snapshots"

    def _manifest_paths(self, table: str) -> list[Path]:
        """In the order in which they were written."""
        return sorted(self._manifests(table).glob("[0-9]*.json"), key=lambda path: (len(path.stem), path.stem))

    def _manifest(self, table: str, snapshot_id: str) -> Path:
        return self._manifests(table) / f"{snapshot_id}.json"

    def _current(self, table: str) -> Path:
        return self.root / table / "current"
