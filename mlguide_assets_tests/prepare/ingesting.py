"""Ingesting in tests: what is accepted, and what is told where something cannot be."""

from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES, TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.contracts import RuleResult, refuse_blocked
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.sources.conforming import conform
from mlguide_assets.prepare.sources.files import read_files

Rows = list[dict[str, Any]]


def ingested(problem: Problem, duck: Any, folder: Path) -> tuple[dict[str, Rows], dict[str, RuleResult]]:
    """The accepted rows of each table with those set aside as `quarantined`, and the result of every rule.

    Raises InputError as a run does.
    """
    scratch = folder / "scratch"
    with ingest(problem, duck, scratch_below=scratch, oracle=folder / "oracle", report=lambda _: None) as read:
        refuse_blocked(read.judged, read.place)
        tables = {name: rows.to_pyarrow().to_pylist() for name, rows in read.judged.accepted.items()}
        tables["quarantined"] = read.judged.quarantined.to_pyarrow().to_pylist()
        results = {result.rule: result for result in read.judged.results}
    assert not list(scratch.iterdir())
    return tables, results


def conformed(
    table: TableName, folder: Path, duck: Any, *, name: str | None = None, columns: dict[str, str] | None = None
) -> Rows:
    """One table of a folder with our names and types, before it is judged; much faster than ingesting all three."""
    raw = read_files({table: name or table}, str(folder), duck, scratch=folder, report=lambda _: None)
    return conform(raw[table], table, columns or {}, place=table).to_pyarrow().to_pylist()


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
    told = str(caught.value)
    assert "\n" not in told
    assert told.endswith((".", ")"))
    assert not (folder / "scratch").exists() or not list((folder / "scratch").iterdir())
    return told
