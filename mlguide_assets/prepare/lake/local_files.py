"""The data files of a lake in a folder: they are where they were written."""

import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlguide_assets.prepare.files import remove_left
from mlguide_assets.prepare.lake.snapshots import DataFile, History, Snapshot

_END = b"PAR1"
"""How every Parquet file ends."""


@dataclass(frozen=True)
class Written:
    """Files that are stored as soon as they are written."""

    files: Mapping[str, DataFile]

    def named_in(self, state: History) -> dict[str, DataFile]:
        del state
        return dict(self.files)

    def published_in(self, state: History) -> Snapshot | None:
        """None: with a lock, a writer knows what it has done."""
        del state
        return None


@dataclass(frozen=True)
class LocalFiles:
    """The data files of the tables below one folder. Writers hold the table's lock."""

    root: Path

    def folder(self, table: str) -> Path:
        return self.root / table / "data"

    def paths(self, table: str, files: Sequence[DataFile]) -> list[Path]:
        folder = self.folder(table)
        return [folder / file.file for file in files]

    def held(self, table: str, files: Mapping[str, DataFile]) -> dict[str, DataFile]:
        return {key: file for key, file in files.items() if _is_whole(self.folder(table) / file.file, file.bytes)}

    def pending(self, table: str, written: Mapping[str, DataFile]) -> Written:
        del table
        return Written(written)

    def put(self, table: str, written: DataFile) -> DataFile:
        del table
        return written

    def each(self, state: History, seen: Container[str]) -> Iterator[tuple[str, str, Path]]:
        for path in sorted(self.folder(state.table).glob("*.parquet")):
            if path.name not in seen:
                yield path.name, path.stem.rpartition("-")[0], path

    def remove(self, table: str, files: Sequence[str]) -> None:
        for file in files:
            (self.folder(table) / file).unlink(missing_ok=True)

    def clean(self, before: History, after: History) -> None:
        """Remove all files that no kept snapshot names: with the lock held, no other writer is about to name one."""
        folder, named = self.folder(after.table), after.files
        if after.current is None:
            shutil.rmtree(folder, ignore_errors=True)
            return
        for path in folder.iterdir():
            if path.name not in named:
                remove_left(path)


def _is_whole(path: Path, size: int) -> bool:
    """Whether a file has its length, and ends as it was written: a power cut may leave zeros."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as stream:
        stream.seek(-len(_END), os.SEEK_END)
        return stream.read() == _END
