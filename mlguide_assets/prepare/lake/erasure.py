"""Erasure: rows leave every snapshot of a table, old and pinned ones too. The only change of files that are written.

Which rows are erased is said by the caller (`deploy/forgetting.py`); here, how a table goes on without them.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlguide_assets.prepare.lake.changes import Changes
from mlguide_assets.prepare.lake.data_files import name_by_content, temporary_file
from mlguide_assets.prepare.lake.snapshots import DataFile, History
from mlguide_assets.prepare.lake.stores import FileStore

Change = Callable[[Path, Path], bool]
"""Given a data file and where to write its successor, writes one and returns True, or returns False."""

ChangeNotes = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Given the notes of a snapshot, returns those that it has from then on."""


def rewrite(table: str, change: Change, change_notes: ChangeNotes | None, changes: Changes, files: FileStore) -> int:
    """Change data files in every snapshot that names them, and its notes; see `Lake.rewrite`."""
    seen, successors = set[str](), dict[str, DataFile]()

    def rewritten(before: History) -> History:
        named = before.files
        for name, key, path in files.each(before, seen):
            successor = _successor(files, table, key, path, change, store=name in named)
            # Of the same content and so of the same name, it is the file: it must not go with what was changed.
            if successor is not None and successor.file != name:
                successors[name] = successor
            seen.add(name)
        after = before.exchanged(successors)
        if change_notes:
            noted = tuple(replace(each, notes=change_notes(each.notes)) for each in after.snapshots)
            after = replace(after, snapshots=noted)
        return replace(after, erasures=before.erasures + 1)

    with changes.locked(table) as begun:
        changes.apply(begun, rewritten)
        files.remove(table, list(successors))
    return len(successors)


def _successor(files: FileStore, table: str, key: str, path: Path, change: Change, *, store: bool) -> DataFile | None:
    """What is stored instead of a data file, if anybody may read it; None where that need not change."""
    folder = files.folder(table)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_file(folder)
    try:
        if not change(path, temporary):
            return None
        written = name_by_content(temporary, key)
        return files.put(table, written) if store else written
    finally:
        temporary.unlink(missing_ok=True)
