"""The one way in: the tables of a problem from wherever its file says, with its names and types.

A source is a function that lands each table as an Ibis expression with the source's own columns.
Renaming, casting and validation are the same for all of them.
"""

from collections.abc import Collection, Container, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ibis

from mlguide_assets.define.contracts import NewestKnown
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.define.secrets import shown_address
from mlguide_assets.define.sources import (
    DatabaseSource,
    FilesSource,
    PackageSource,
    PaymentSimulatorSource,
    SimulatorSource,
)
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.simulator.plans import NO_PLANS, Plans
from mlguide_assets.prepare.sources.addresses import expand_variables
from mlguide_assets.prepare.sources.casting import IdColumn, cast_to_schema, find_columns, nouns_of, text_ids_of
from mlguide_assets.prepare.sources.clock_changes import clock_changes
from mlguide_assets.prepare.sources.database import read_database
from mlguide_assets.prepare.sources.files import read_files
from mlguide_assets.prepare.sources.finding import find_table
from mlguide_assets.prepare.sources.newest import ORDER, with_newer_rows
from mlguide_assets.prepare.sources.packaged import folder_of
from mlguide_assets.prepare.sources.simulated import read_payment_simulator, read_simulator
from mlguide_assets.prepare.sources.spellings import are_whole_numbers, read_numbers, without_null_words
from mlguide_assets.progress import Report


def read_source(
    problem: Problem,
    connection: Any,
    *,
    scratch: Path,
    oracle: Path,
    report: Report = lambda _: None,
    until: datetime | None = None,
    plans: Plans = NO_PLANS,
    before: Mapping[IdColumn, bool] = MappingProxyType({}),
) -> dict[TableName, ibis.Table]:
    """Read the tables of a problem.

    Args:
        connection: the DuckDB of this process.
        scratch: a folder for downloads, that must outlive the tables; the caller removes it.
        oracle: where a simulated source leaves its truth; other sources leave nothing.
        report: called with what is being read.
        until: a simulated world is shown as it was known at this instant (default: its end); others ignore it.
        plans: what a simulated world follows; others ignore it.
        before: whether the ids are whole numbers of which a model has learned; other ids are what most of them are.

    Returns:
        Per table, the columns of the problem file with the types of their kinds, `unreadable`: what could not be read
        as such, or null, and where older rows of a key are set aside, `newer_rows` (see `newest.py`).

    Raises:
        InputError: the source or a table cannot be read, or lacks a column or any row, or holds ids of another
            type than before.
    """
    report(f"reading from {describe(problem)}")
    newest = {rule.table for rule in problem.rules if isinstance(rule, NewestKnown)}
    raw = _read_raw(problem, connection, newest, scratch, report, oracle=oracle, until=until, plans=plans)
    text_ids = _text_ids(raw, problem, before)
    _report_left_out(raw, problem, report)
    return {
        name: _cast(raw[name], name, problem, text_ids[name], report, keep_newest=name in newest)
        for name in problem.schema.ordered
    }


def _read_raw(
    problem: Problem,
    connection: Any,
    newest: Container[TableName],
    scratch: Path,
    report: Report,
    *,
    oracle: Path,
    until: datetime | None,
    plans: Plans,
) -> dict[TableName, ibis.Table]:
    """The tables as the source has them, with all columns or those that are needed."""

    def wanted(name: TableName, given: tuple[str, ...]) -> Collection[str]:
        return find_columns(given, problem.tables[name], _place(name, problem)).values()

    match problem.source:
        case SimulatorSource():
            return read_simulator(
                problem, connection, scratch=scratch, oracle=oracle, report=report, until=until, plans=plans
            )
        case PaymentSimulatorSource():
            return read_payment_simulator(
                problem, connection, scratch=scratch, oracle=oracle, report=report, until=until
            )
        case FilesSource(timeout=timeout) | PackageSource(timeout=timeout) as files:
            uri = files.uri if isinstance(files, FilesSource) else str(folder_of(files))
            return read_files(
                _names(problem),
                uri,
                connection,
                scratch=scratch,
                timeout=timeout,
                report=report,
                wanted=wanted,
                in_order=newest,
            )
        case DatabaseSource(uri=uri, timeout=timeout):
            address = expand_variables(uri)
            return read_database(
                _names(problem), address, connection, scratch=scratch, timeout=timeout, wanted=wanted, report=report
            )


def parquet_files(problem: Problem, scratch: Path) -> list[Path]:
    """The Parquet files of a source: of its folder, or what was copied to `scratch`."""
    match problem.source:
        case PackageSource() as package:
            folder = str(folder_of(package))
        case FilesSource(uri=uri) if "://" not in uri:
            folder = uri
        case _:
            return sorted(scratch.rglob("*.parquet"))
    found = [find_table(Path(folder), name) for name in _names(problem).values()]
    return [path for table in found if table.kind == "parquet" for path in table.files]


def local_files(problem: Problem) -> list[Path]:
    """The files of a source that is a folder of this machine, as far as they are there."""
    match problem.source:
        case FilesSource(uri=uri) if "://" not in uri:
            found: list[Path] = []
            for name in _names(problem).values():
                with suppress(InputError, OSError):
                    found += find_table(Path(uri), name).files
            return found
        case _:
            return []


def _place(name: TableName, problem: Problem) -> str:
    return f"{_names(problem)[name]} of {describe(problem)}"


def _text_ids(
    raw: dict[TableName, ibis.Table], problem: Problem, before: Mapping[IdColumn, bool]
) -> dict[TableName, frozenset[str]]:
    """Per table the columns whose ids are texts, such as UUIDs, as the values of all tables show.

    Texts stay texts: what was predicted for `7` is found by `7`.
    """
    whole = {}
    for name, table in problem.tables.items():
        found = find_columns(raw[name].columns, table, _place(name, problem))
        for column in nouns_of(table):
            ids = without_null_words(raw[name][found[column]], in_text=False)
            whole[name, column] = before.get((name, column), True) and are_whole_numbers(ids)
            if before.get((name, column)) and not whole[name, column]:
                raise InputError(_no_numbers_any_more(ids, column, _place(name, problem)))
    return text_ids_of(problem.tables, whole)


def _no_numbers_any_more(ids: ibis.Column, column: str, place: str) -> str:
    rows = ids.name("id").as_table()
    text = rows["id"].cast("string")
    found = rows.aggregate(other=text.min(where=read_numbers(rows["id"]).isnull()), last=text.max())
    other, last = found.to_pyarrow().to_pylist()[0].values()
    return (
        f"{place}: {column} holds ids such as {other or last!r}, and the model in production has learned from whole "
        f"numbers alone: write whole numbers there, or give another --home to start from the new ids."
    )


def _report_left_out(raw: dict[TableName, ibis.Table], problem: Problem, report: Report) -> None:
    """Say which columns of the source's tables no table of the problem reads: two of them may read the same rows."""
    names = _names(problem)
    read: dict[str, set[str]] = {}
    for name, table in problem.tables.items():
        found = find_columns(raw[name].columns, table, _place(name, problem))
        read.setdefault(names[name], {ORDER}).update(found.values())
    for source, columns in read.items():
        given = next(raw[name].columns for name in names if names[name] == source)
        if left_out := [column for column in given if column not in columns]:
            report(f"{source}: {', '.join(left_out)} not read, since the problem file does not list them")


def _cast(
    raw: ibis.Table, name: TableName, problem: Problem, text_ids: frozenset[str], report: Report, *, keep_newest: bool
) -> ibis.Table:
    table, predict = problem.tables[name], problem.predict
    label = predict.label if isinstance(predict, PredictEvent) and table.noun == predict.each else None
    rows = cast_to_schema(raw, name, table, place=_place(name, problem), text_ids=text_ids, label=label)
    for remark in clock_changes(raw, name, table, place=_place(name, problem)):
        report(remark)
    return with_newer_rows(rows, table, (label.column,) if label else ()) if keep_newest else rows


def describe(problem: Problem) -> str:
    """The source in words, without any password."""
    match problem.source:
        case SimulatorSource(sends=sends, seed=seed):
            return f"the simulator ({counted(sends, 'send')}, seed {seed})"
        case PaymentSimulatorSource(payments=payments, seed=seed):
            return f"the payment simulator ({payments:,} payments, seed {seed})"
        case PackageSource(package=package):
            return f"the package {package}"
        case FilesSource(uri=uri) | DatabaseSource(uri=uri):
            return shown_address(uri)


def _names(problem: Problem) -> dict[TableName, str]:
    return {name: table.from_ or name for name, table in problem.tables.items()}
