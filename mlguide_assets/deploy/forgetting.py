"""Forgetting one entity everywhere below the home, and naming the models that learned from it.

First it goes on the list that every ingest reads, of all problems that have it, so that no source brings it back;
then from the online stores, so that no answer is about it; then from logs, tables and all other files. Each step can be
repeated: where a run was killed, running it again completes it. Which problems have it is said by the caller.
"""

import contextlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.forgotten_rows import change_lines, line_with_rows
from mlguide_assets.deploy.log.sharing import change_stored_logs, log_folders
from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE, open_store
from mlguide_assets.deploy.registry.learned_versions import versions_that_learned
from mlguide_assets.english import counted
from mlguide_assets.prepare.forgetting.database_erasing import erase_from_database
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Forgotten
from mlguide_assets.prepare.hosts.run_lock import run_lock
from mlguide_assets.prepare.hosts.scratch import SCRATCH
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.progress import Report
from mlguide_assets.settings import Home

_SQLITE_SIDE_FILES = ("-wal", "-shm", "-journal")
_DECLARING = (".yaml", ".yml")
"""Endings of files that say what is to be done, in words that an id may be, too."""


@dataclass(frozen=True)
class Target:
    """An entity that is to be forgotten in one problem."""

    problem: Problem
    erasure: Erasure


@dataclass(frozen=True)
class Removal:
    """What was done in one problem. `tables`: rows that left the current snapshot of each table; `learned` as in
    `Forgotten`."""

    problem: str
    entity: str
    tables: Mapping[str, int]
    data_files: int
    online_rows: int
    log_lines: int
    learned: Mapping[str, str]

    @property
    def found(self) -> bool:
        """Whether there was anything to remove."""
        return any((self.data_files, self.online_rows, self.log_lines))


@dataclass(frozen=True)
class Forgetting:
    """What was done, in the order of the targets; `resumed`: an earlier run had been interrupted."""

    problems: tuple[Removal, ...]
    other_files: int
    resumed: bool

    @property
    def found(self) -> bool:
        """Whether there was anything to remove."""
        return self.other_files > 0 or any(each.found for each in self.problems)


def forget(
    home: Home,
    targets: Sequence[Target],
    report: Report,
    *,
    store: str | None = None,
    apart: Collection[str] = (),
) -> Forgetting:
    """Remove an entity from everything that the home and its online stores hold, once no other run works on the home.

    Args:
        targets: the entity as each problem knows it that has it.
        store: address of an online store besides the file in the home; default: `MLGUIDE_ONLINE_STORE`.
        apart: keys of the problems of the home that do not have it, whose own files stay as they are.

    Raises:
        InputError: a file cannot be written or is in use; running it again completes what was begun.
        StoreError: an online store does not answer; likewise.
    """
    with run_lock(home, report):
        lists = {each.problem.key: ForgetList.load(home.forgotten(each.problem.key)) for each in targets}
        before = [lists[each.problem.key].entry(each.erasure.key, each.erasure.entity) for each in targets]
        report("looking for the models that learned from it")
        entries = [
            _entry(home, target, lists[target.problem.key], known)
            for target, known in zip(targets, before, strict=True)
        ]
        # On every list before anything is removed: no problem brings back what another one has lost.
        _list(targets, entries, lists)
        removed = [
            _remove(home, target, entry.learned, _naming(target, targets, report), store)
            for target, entry in zip(targets, entries, strict=True)
        ]
        report("removing it from logs and reports")
        others = sum(erase_from_file(path, *erasures) for path, erasures in _other_files_of(home, targets, apart))
        others += sum(erase_from_database(erasure) for erasure in _distinct(targets))
        _list(targets, [replace(entry, complete=True) for entry in entries], lists)
    return Forgetting(tuple(removed), others, resumed=any(each and not each.complete for each in before))


def _entry(home: Home, target: Target, known: ForgetList, before: Forgotten | None) -> Forgotten:
    problem, erasure = target.problem, target.erasure
    lake = Lake(home.lake(problem.key))
    # What was removed before an interruption is no longer found to have been learned from.
    learned = {**versions_that_learned(home, problem, lake, erasure), **(before.learned if before else {})}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Forgotten(known.hash_of(erasure.key, erasure.entity), now, learned)


def _list(targets: Iterable[Target], entries: Iterable[Forgotten], lists: dict[str, ForgetList]) -> None:
    """Put the entries on the lists of their problems, and these on the disk."""
    for target, entry in zip(targets, entries, strict=True):
        key = target.problem.key
        lists[key] = lists[key].with_entry(entry)
        lists[key].save()


def _remove(home: Home, target: Target, learned: Mapping[str, str], report: Report, store: str | None) -> Removal:
    """Remove an entity from what is of one problem: online stores, prediction log, tables."""
    problem, erasure = target.problem, target.erasure
    report("removing it from the online store")
    addresses = {None, store or os.environ.get(STORE_VARIABLE) or None}
    stores = [open_store(home, problem.key, address) for address in addresses]
    online = sum(each.forget(erasure.entity.column, erasure.key) for each in stores)
    report("removing it from the prediction log")
    lines = sum(erase_from_log(folder, erasure) for folder in log_folders(home.served(problem.key)))
    lines += change_stored_logs(home.served(problem.key), partial(_line_without_pairs, erasure=erasure))
    tables, files = erase_from_lake(Lake(home.lake(problem.key)), erasure, report)
    return Removal(problem.key, erasure.entity.noun, tables, files, online, lines, learned)


def _naming(target: Target, targets: Sequence[Target], report: Report) -> Report:
    """What reports name the problem, where there are several."""
    return report if len(targets) == 1 else lambda text: report(f"{target.problem.key}: {text}")


def erase_from_log(folder: Path, erasure: Erasure) -> int:
    """Remove the pairs of an entity from the servers' own files, also from one that is being written; lines changed.

    Every line keeps its length, so a server that appends to the file goes on.
    """
    erased = partial(_line_without_pairs, erasure=erasure)
    return sum(change_lines(path, erased) for path in sorted(folder.glob("*/*.jsonl*")))


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
            report(f"removed it from {counted(changed, 'file')} of {table}")
    return rows, files


def other_files(home: Home, apart: Collection[str] = ()) -> Iterator[Path]:
    """All files below the home that record something and are not erased from by those who write them.

    Left out are the lakes, online stores and prediction logs; bundles, which are immutable; the lists of the forgotten;
    what declares, such as problem files, wherever it is; and what is of problems that are apart.
    """
    names = ("lake", "lake_cache", "bundles", "online", "served", "forgotten")
    # A lake may be in a folder of the home that MLGUIDE_LAKE names.
    left_out = {home.lake("any").root.parent, *(home.root / name for name in names)}
    left_out.update(place for problem in apart for place in home.about(problem))
    for path in sorted(home.root.rglob("*")):
        is_out = path.name.endswith((*_SQLITE_SIDE_FILES, *_DECLARING)) or _is_within(path, left_out)
        if not is_out and path.is_file() and not path.is_symlink():
            yield path


def erase_from_file(path: Path, *erasures: Erasure) -> bool:
    """Remove an entity from any file: rows from Parquet, mentions from text and databases.

    Args:
        erasures: the entity as each problem knows it that the file may be about.
    """
    return sum(_erase_from_file(path, erasure) for erasure in erasures) > 0


def _erase_from_file(path: Path, erasure: Erasure) -> bool:
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


def _other_files_of(
    home: Home, targets: Sequence[Target], apart: Collection[str]
) -> Iterator[tuple[Path, list[Erasure]]]:
    """The other files, each with the entity as it is known there: in one problem, or in any of them."""
    places = {each.problem.key: frozenset(home.about(each.problem.key)) for each in targets}
    for path in other_files(home, apart):
        own = [each for each in targets if _is_within(path, places[each.problem.key])]
        yield path, _distinct(own or targets)


def _distinct(targets: Iterable[Target]) -> list[Erasure]:
    found: list[Erasure] = []
    for each in targets:
        if each.erasure not in found:
            found.append(each.erasure)
    return found


def _is_within(path: Path, places: Collection[Path]) -> bool:
    return path in places or any(parent in places for parent in path.parents)


def _line_without_pairs(line: bytes, erasure: Erasure) -> bytes:
    """A line of the prediction log without the pairs of an entity, of the same length."""
    if not erasure.pattern.may_be_in(line):
        return line
    try:
        return line_with_rows(line, lambda row: str(row.get(erasure.entity.column)) != str(erasure.key))
    except (ValueError, KeyError, TypeError, AttributeError):
        # Torn or damaged, so never acknowledged: it may hold features after a mention.
        return line if erasure.blanked_bytes(line) == line else b" " * len(line)
