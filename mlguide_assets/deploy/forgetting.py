"""Forgetting one entity everywhere below the home, and naming the models that learned from it.

First it goes on the list that every ingest reads, so that the source cannot bring it back; then from the online stores,
so that no answer is about it; then from logs, tables and all other files. Each step can be repeated: where a run was
killed, running it again completes it.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import bundled_versions, metadata_of_version
from mlguide_assets.deploy.log_sharing import change_stored_logs, log_folders
from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE, open_store
from mlguide_assets.deploy.registration import registry_of
from mlguide_assets.deploy.registry import store_address
from mlguide_assets.prepare.database_erasing import erase_from_database
from mlguide_assets.prepare.erasing import Erasure, overwrite
from mlguide_assets.prepare.forgetting import ForgetList, Forgotten
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.session import SCRATCH
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets.prepare.run_lock import run_lock
from mlguide_assets.settings import Home

Report = Callable[[str], None]

_SQLITE_SIDE_FILES = ("-wal", "-shm", "-journal")
_DECLARING = (".yaml", ".yml")
"""Endings of files that say what is to be done, in words that an id may be, too."""


@dataclass(frozen=True)
class Forgetting:
    """What was done. `tables`: rows that left the current snapshot of each table; `learned` as in `Forgotten`."""

    tables: Mapping[str, int]
    data_files: int
    online_rows: int
    log_lines: int
    other_files: int
    learned: Mapping[str, str]
    resumed: bool

    @property
    def found(self) -> bool:
        """Whether there was anything to remove."""
        return any((self.data_files, self.online_rows, self.log_lines, self.other_files))


def forget(home: Home, problem: Problem, erasure: Erasure, report: Report, *, store: str | None = None) -> Forgetting:
    """Remove an entity from everything that the home and its online stores hold, once no other run works on the home.

    Args:
        store: address of an online store besides the file in the home; default: `MLGUIDE_ONLINE_STORE`.

    Raises:
        InputError: a file cannot be written or is in use; running it again completes what was begun.
        StoreError: an online store does not answer; likewise.
    """
    lake = Lake(home.lake(problem.key))
    with run_lock(home, report):
        known = ForgetList.load(home.forgotten(problem.key))
        before = known.entry(erasure.key, erasure.entity)
        report("looking for the models that learned from it")
        learned = {**versions_that_learned(home, problem, lake, erasure), **(before.learned if before else {})}
        entry = Forgotten(
            known.hash_of(erasure.key, erasure.entity), datetime.now(UTC).isoformat(timespec="seconds"), learned
        )
        known.with_entry(entry).save()
        report("removing it from the online store")
        addresses = {None, store or os.environ.get(STORE_VARIABLE) or None}
        stores = [open_store(home, problem.key, address) for address in addresses]
        online = sum(each.forget(erasure.entity.column, erasure.key) for each in stores)
        report("removing it from the prediction log")
        lines = sum(erase_from_log(folder, erasure) for folder in log_folders(home.served(problem.key)))
        lines += change_stored_logs(home.served(problem.key), partial(_line_without_pairs, erasure=erasure))
        tables, files = erase_from_lake(lake, erasure, report)
        report("removing it from logs and reports")
        others = sum(erase_from_file(path, erasure) for path in other_files(home)) + erase_from_database(erasure)
        known.with_entry(replace(entry, complete=True)).save()
    return Forgetting(tables, files, online, lines, others, learned, resumed=before is not None and not before.complete)


def versions_that_learned(home: Home, problem: Problem, lake: Lake, erasure: Erasure) -> dict[str, str]:
    """The registered versions that learned from an entity, each with the snapshot that it was trained from.

    Where a snapshot is no longer kept, dates decide: the entity had rows before the version was trained. Of an entity
    that decisions are not about, every version may have learned: it is among what the features count.
    """
    features, label = problem.features_table, problem.label.column
    if erasure.entity.noun not in problem.decision.nouns:
        return {
            version: facts["lineage"]["snapshots"][features] for version, facts in _facts_of_versions(home, problem)
        }
    first = _first_row(lake, features, problem.decision.time, erasure)
    found = {}
    for version, facts in _facts_of_versions(home, problem):
        snapshot = facts["lineage"]["snapshots"][features]
        try:
            learned = any(_has_label(path, label, erasure) for path in lake.files(features, snapshot_id=snapshot))
        except MissingTableError:
            learned = first is not None and first <= datetime.fromisoformat(facts["refit_until"])
        if learned:
            found[version] = snapshot
    return found


def erase_from_log(folder: Path, erasure: Erasure) -> int:
    """Remove the pairs of an entity from the servers' own files, also from one that is being written; lines changed.

    Every line keeps its length, so a server that appends to the file goes on.
    """
    changed = 0
    for path in sorted(folder.glob("*/*.jsonl*")):
        lines = path.read_bytes().split(b"\n")
        new = [_line_without_pairs(line, erasure) for line in lines]
        if new != lines:
            overwrite(path, b"\n".join(new))
            changed += sum(line != other for line, other in zip(new, lines, strict=True))
    return changed


def erase_from_lake(lake: Lake, erasure: Erasure, report: Report) -> tuple[dict[str, int], int]:
    """Remove an entity from every file of every table, whichever snapshot names it; rows by table, and files."""
    rows, files = {}, 0
    for left in lake.root.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    for table, snapshot in lake.tables().items():
        changed = lake.rewrite(table, partial(erasure.erase_parquet, table), erasure.blanked_notes)
        files += changed
        if changed:
            rows[table] = snapshot.rows - lake.snapshot(table).rows
            report(f"removed it from {changed} files of {table}")
    return rows, files


def other_files(home: Home) -> Iterator[Path]:
    """All files below the home that record something and are not erased from by those who write them.

    Left out are the lakes, online stores and prediction logs; bundles, which are immutable; the list of the forgotten;
    and what declares, such as problem files, wherever it is.
    """
    names = ("lake", "lake_cache", "bundles", "online", "served", "forgotten")
    # A lake may be in a folder of the home that MLGUIDE_LAKE names.
    left_out = [home.lake("any").root.parent, *(home.root / name for name in names)]
    for path in sorted(home.root.rglob("*")):
        is_out = path.name.endswith((*_SQLITE_SIDE_FILES, *_DECLARING)) or any(
            each in path.parents for each in left_out
        )
        if not is_out and path.is_file() and not path.is_symlink():
            yield path


def erase_from_file(path: Path, erasure: Erasure) -> bool:
    """Remove an entity from any file: rows from Parquet, mentions from text and databases."""
    if path.suffix != ".parquet":
        with contextlib.suppress(FileNotFoundError):
            return erasure.blank_file(path)
        return False
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        if erasure.erase_parquet(path.stem, path, temporary):
            temporary.replace(path)
            return True
    finally:
        temporary.unlink(missing_ok=True)
    return False


def _facts_of_versions(home: Home, problem: Problem) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every version and the facts of its training: from its bundle, else from the registry."""
    bundles = home.bundles(problem.key)
    bundled = bundled_versions(bundles)
    for version in bundled:
        yield version, metadata_of_version(bundles, version)
    if home.registry.exists() or store_address():
        registry = registry_of(home, problem)
        for version in registry.versions():
            if version not in bundled:
                yield version, registry.facts(version)


def _first_row(lake: Lake, features: str, time: str, erasure: Erasure) -> datetime | None:
    if not lake.exists(features):
        return None
    times = [pc.min(_rows_of(path, time, erasure)).as_py() for path in lake.files(features)]
    return min((time for time in times if time is not None), default=None)


def _has_label(path: Path, label: str, erasure: Erasure) -> bool:
    labels = _rows_of(path, label, erasure)
    return bool(len(labels) > labels.null_count)


def _rows_of(path: Path, column: str, erasure: Erasure) -> pa.ChunkedArray:
    """A column of the rows of an entity. Folders on the way that are called key=value add none."""
    of_entity = [(erasure.entity.column, "=", erasure.key)]
    return pq.read_table(path, columns=[column], filters=of_entity, partitioning=None)[column]


def _line_without_pairs(line: bytes, erasure: Erasure) -> bytes:
    """A line of the prediction log without the pairs of an entity, of the same length."""
    if not erasure.mentions.may_be_in(line):
        return line
    try:
        request = json.loads(line)
        kept = [row for row in request["rows"] if str(row.get(erasure.entity.column)) != str(erasure.key)]
    except (ValueError, KeyError, TypeError, AttributeError):
        # Torn or damaged, so never acknowledged: it may hold features after a mention.
        return line if erasure.blanked_bytes(line) == line else b" " * len(line)
    if len(kept) == len(request["rows"]):
        return line
    content = json.dumps({**request, "rows": kept}, ensure_ascii=False, separators=(",", ":")).encode()
    # Python may write a number in more digits than the server did; then the request goes with its other pairs.
    return (content if len(content) <= len(line) else b"{}").ljust(len(line))
