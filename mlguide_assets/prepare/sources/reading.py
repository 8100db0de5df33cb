"""The one way in: three tables from wherever the problem file says, with our names and types.

A source is a function that lands each table as an Ibis expression with the source's own columns.
Renaming, casting and judging are the same for all of them.
"""

import os
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.contracts import NewestKnown
from mlguide_assets.define.problem import DatabaseSource, FilesSource, Problem, SimulatorSource
from mlguide_assets.define.secrets import shown_address
from mlguide_assets.define.tables import TABLES, TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.simulator.plans import NO_PLANS, Plans
from mlguide_assets.prepare.sources.conforming import conform
from mlguide_assets.prepare.sources.database import read_database
from mlguide_assets.prepare.sources.files import read_files
from mlguide_assets.prepare.sources.newest import with_newer_rows
from mlguide_assets.prepare.sources.simulated import read_simulator

Report = Callable[[str], None]


def read_source(
    problem: Problem,
    connection: Any,
    *,
    scratch: Path,
    oracle: Path,
    report: Report = lambda _: None,
    until: datetime | None = None,
    plans: Plans = NO_PLANS,
) -> dict[TableName, ibis.Table]:
    """Read the three tables of a problem.

    Args:
        connection: the DuckDB of this process.
        scratch: a folder for downloads, that must outlive the tables; the caller removes it.
        oracle: where a simulated source leaves its truth; other sources leave nothing.
        report: told what is being read.
        until: a simulated world is shown as it was known at this instant (default: its end); others ignore it.
        plans: what a simulated world follows; others ignore it.

    Returns:
        Per table, our columns with our types, `unreadable`: what could not be read as such, or null, and where older
        rows of a key are set aside, `newer_rows` (see `newest.py`).

    Raises:
        InputError: the source or a table cannot be read, or lacks a column or any row.
    """
    report(f"reading from {describe(problem)}")
    newest = {rule.table for rule in problem.rules if isinstance(rule, NewestKnown)}
    match problem.source:
        case SimulatorSource():
            raw = read_simulator(
                problem, connection, scratch=scratch, oracle=oracle, report=report, until=until, plans=plans
            )
        case FilesSource(uri=uri, timeout=timeout):
            raw = read_files(
                _names(problem), uri, connection, scratch=scratch, timeout=timeout, report=report, in_order=newest
            )
        case DatabaseSource(uri=uri, timeout=timeout):
            address = _expand(uri)
            raw = read_database(_names(problem), address, connection, scratch=scratch, timeout=timeout, report=report)
    return {table: _conformed(raw[table], table, problem, keep_newest=table in newest) for table in TABLES}


def _conformed(raw: ibis.Table, table: TableName, problem: Problem, *, keep_newest: bool) -> ibis.Table:
    mapping = problem.mapping(table)
    rows = conform(
        raw,
        table,
        mapping.names,
        place=f"{_names(problem)[table]} of {describe(problem)}",
        formats=mapping.formats,
        label=problem.label,
        known_at=mapping.known_at if keep_newest else None,
    )
    return with_newer_rows(rows, table) if keep_newest else rows


def describe(problem: Problem) -> str:
    """The source in words, without any password."""
    match problem.source:
        case SimulatorSource(sends=sends, seed=seed):
            return f"the simulator ({sends:,} sends, seed {seed})"
        case FilesSource(uri=uri) | DatabaseSource(uri=uri):
            return shown_address(uri)


def _names(problem: Problem) -> dict[TableName, str]:
    return {table: problem.mapping(table).name or table for table in TABLES}


def _expand(uri: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise InputError(f"The source URI names ${{{match[1]}}}, but that environment variable is not set: set it.")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, uri)
