"""Ingesting in tests: what is accepted, and what is told where something cannot be."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED
from mlguide_assets.prepare.contracts.refusals import refuse_blocked
from mlguide_assets.prepare.contracts.validation import RuleResult, results_table
from mlguide_assets.prepare.ingest import Ingested, ingest
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.sources.casting import cast_to_schema, find_columns
from mlguide_assets.prepare.sources.files import read_files
from mlguide_assets_tests.samples import TABLES, sample_problem

Rows = list[dict[str, Any]]


def ingested(problem: Problem, duck: Any, folder: Path) -> tuple[dict[str, Rows], dict[str, RuleResult]]:
    """The accepted rows of each table with those set aside as `quarantined`, and the result of every rule.

    Raises InputError as a run does.
    """
    lake = lake_over(duck, folder / "scratch")
    with ingest(problem, lake, oracle=folder / "oracle", report=lambda _: None) as read:
        assert not lake.tables()
        refuse_blocked(read.results, problem.rules, read.place)
        keep(lake, read)
        results = {result.rule: result for result in read.results}
    tables = {name: lake.read(name).to_pyarrow().to_pylist() for name in TABLES}
    tables["quarantined"] = lake.read(QUARANTINED).to_pyarrow().to_pylist()
    shutil.rmtree(lake.root)
    return tables, results


def lake_over(duck: Any, root: Path) -> Lake:
    """A lake that computes with a DuckDB that is there already."""
    lake = Lake(root)
    lake.session.connection = duck
    return lake


def keep(lake: Lake, read: Ingested, between: Callable[[str], None] = lambda _: None) -> None:
    """Write what was ingested, as the asset does; `between` is told after each table."""
    others = {"contract_results": results_table(read.results), QUARANTINED: read.quarantined}
    for name, rows in {**read.tables, **others}.items():
        if isinstance(rows, Partitions):
            lake.write_partitions(name, rows)
        else:
            lake.write(name, rows)
        between(name)


def cast_rows(
    table: str, folder: Path, duck: Any, *, name: str | None = None, columns: dict[str, str] | None = None
) -> Rows:
    """One table of a folder with our names and types, before it is judged; much faster than ingesting all three."""
    scratch = folder.with_name(f"{folder.name} scratch")
    scratch.mkdir(exist_ok=True)
    timeout = timedelta(seconds=60)
    schema = sample_problem(folder, tables={table: {"columns": columns or {}}}).tables[table]
    raw = read_files(
        {table: name or table},
        str(folder),
        duck,
        scratch=scratch,
        timeout=timeout,
        report=lambda _: None,
        wanted=lambda _, given: find_columns(given, schema, table).values(),
    )
    return cast_to_schema(raw[table], table, schema, place=table).to_pyarrow().to_pylist()


def accepted(problem: Problem, duck: Any, folder: Path) -> dict[str, Rows]:
    """The accepted rows of each table, where nothing is set aside."""
    tables, _ = ingested(problem, duck, folder)
    assert tables.pop("quarantined") == []
    assert list(tables) == list(TABLES)
    return tables


def refusal(problem: Problem, duck: Any, folder: Path) -> str:
    """What a run tells where it refuses the source: one line, and nothing left behind."""
    with pytest.raises(InputError) as caught:
        ingested(problem, duck, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith((".", ")"))
    assert not (folder / "scratch").exists() or not list((folder / "scratch").iterdir())
    return message
