"""What a problem would train on, counted without training: tables, contract, decisions, the split in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.changing import changing_warnings
from mlguide_assets.define.contracts import SetAside, WellTyped
from mlguide_assets.define.prediction import ColumnLabel
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.english import agreeing, counted, percent, with_article
from mlguide_assets.errors import InputError
from mlguide_assets.instants import midnight, now_utc
from mlguide_assets.prepare.computing import DuckDB
from mlguide_assets.prepare.contracts.id_matches import refuse_unmatched_ids
from mlguide_assets.prepare.contracts.refusals import sets_most_aside
from mlguide_assets.prepare.contracts.validation import Validated, validate
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.features.building import NONE_FOUND, decisions_of, declared_features
from mlguide_assets.prepare.profiling.conditions import values_not_found
from mlguide_assets.prepare.profiling.decision_counts import (
    Decisions,
    count_decisions,
    decisions_to_look_at,
    refused_decisions,
)
from mlguide_assets.prepare.profiling.feature_list import ListedFeature, automatic_of
from mlguide_assets.prepare.sources.clock_changes import ADVICE
from mlguide_assets.prepare.sources.reading import read_source
from mlguide_assets.progress import Report

NOT_READ = " not read, since the problem file does not list them"
"""How the reader of tables says which columns it leaves out."""

MOST_ASIDE = 0.01
"""The largest share of a table's rows that is advised to be quarantined. Beyond it, the source should be corrected."""

Tables = Mapping[TableName, ibis.Table]


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        tables: per table, rows read and rows that the contract accepts.
        remarks: what is worth knowing, such as columns that are not read.
        warnings: what should be fixed.
        quarantined, blocked: what the contract says of the rows, in sentences.
        refused: why training would refuse the decisions, if it would.
        automatic: the features that the data decide, where the problem file wants such.
    """

    tables: dict[TableName, tuple[int, int]]
    decisions: Decisions | None
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    refused: str | None = None
    automatic: tuple[ListedFeature, ...] = ()


def check_problem(problem: Problem, connection: Any, scratch: Path, report: Report) -> Check:
    """Read the source, apply the contract, and count the decisions.

    Args:
        connection: the DuckDB of this process.
        scratch: a folder for copies, which the caller removes.

    Raises:
        InputError: nothing could be trained: a table, column, reference, label or window does not fit the data.
    """
    remarks: list[str] = []
    of_clocks: list[str] = []

    def heard(text: str) -> None:
        if text.endswith(NOT_READ):
            remarks.append(text.removesuffix(NOT_READ))
        elif text.endswith(ADVICE):
            of_clocks.append(text)
        else:
            report(text)

    oracle = scratch / "truth"
    raw = read_source(problem, connection, scratch=scratch, oracle=oracle, report=heard)
    now = _now(problem)
    report("applying the contract")
    engine = DuckDB(connection)
    validated = validate(raw, problem.schema, problem.rules, engine, scratch=scratch, now=now)
    rows = {name: int(table.count().execute()) for name, table in raw.items()}
    accepted = {name: int(table.count().execute()) for name, table in validated.accepted.items()}
    broken = [each for each in validated.results if each.violations]
    warned = [_said(each) for each in broken if each.action == "warn"]
    quarantined = [_said(each) for each in broken if each.action == "quarantine"]
    blocked = [_said_blocked(problem, each, broken) for each in broken if _blocks(problem, each)]
    references = _references(problem, validated.accepted)
    decisions: Decisions | None = None
    automatic: tuple[ListedFeature, ...] = ()
    of_ids: list[str] = []
    if not blocked:
        _require_rows(validated, accepted)
        of_ids = refuse_unmatched_ids(problem, validated.accepted)
        _require_label(problem, validated.accepted)
        report("counting decisions")
        decided = _decided(problem, validated.accepted, connection, scratch)
        decisions = count_decisions(problem, validated.accepted, decided)
        automatic = _automatic(problem, validated.accepted, decided, report)
    tables = {name: (rows[name], accepted[name]) for name in rows}
    warnings = [
        *changing_warnings(problem),
        *of_clocks,
        *warned,
        *of_ids,
        *_partly_found(problem, references),
        *values_not_found(problem, validated.accepted),
        *(decisions_to_look_at(problem, decisions) if decisions else []),
        *([NONE_FOUND] if decisions and problem.features.automatic and not automatic else []),
    ]
    refused = refused_decisions(problem, decisions) if decisions else None
    return Check(
        tables, decisions, tuple(remarks), tuple(warnings), tuple(quarantined), tuple(blocked), refused, automatic
    )


def _now(problem: Problem) -> datetime:
    if isinstance(problem.source, AnySimulator):
        return midnight(problem.source.end(problem.history_start))
    return now_utc()


def _said(result: Any) -> str:
    cause = f" ({result.cause})" if result.cause else f", such as {result.example}" if result.example else ""
    return (
        f"{result.table}: {result.violations:,} of {counted(result.rows, 'row')} "
        f"{agreeing(result.violations, 'break')} {result.rule}{cause}"
    )


def _said_blocked(problem: Problem, result: Any, broken: Sequence[Any]) -> str:
    rule = _rule(problem, result)
    if isinstance(rule, SetAside):
        allowed = f"where {rule.name} allows {percent(rule.max_share)}"
        return f"{_said(sets_most_aside(result, broken))}, so too many would be set aside, {allowed}"
    return _said(result) + _aside(problem, result)


def _blocks(problem: Problem, result: Any) -> bool:
    return result.action == "block" and not _rule(problem, result).holds(result.violations, result.rows)


def _aside(problem: Problem, result: Any) -> str:
    """What sets a few rows with values that do not read aside, such as one of totals below the others."""
    if not isinstance(_rule(problem, result), WellTyped) or result.violations > MOST_ASIDE * result.rows:
        return ""
    line = f"{{table: {result.table}, rule: well_typed, action: quarantine}}"
    return f"; to set {'it' if result.violations == 1 else 'them'} aside, add to the list contracts: - {line}"


def _rule(problem: Problem, result: Any) -> Any:
    return next(each for each in problem.rules if each.name == result.rule)


def _require_rows(validated: Validated, accepted: Mapping[TableName, int]) -> None:
    for name, rows in accepted.items():
        if not rows:
            worst = max((each for each in validated.results if each.table == name), key=lambda each: each.violations)
            raise InputError(f"No row of {name} is left: {_said(worst)}; fix that rule or the source.")


@dataclass(frozen=True)
class _Referring:
    """A column of an event that refers to a declared entity; its different values, and how many are ids of it."""

    table: TableName
    column: str
    noun: str
    values: int
    found: int


def _references(problem: Problem, tables: Tables) -> list[_Referring]:
    return [
        _referring(problem, tables, name, column, noun)
        for name, event in problem.schema.event_tables.items()
        for noun, column in event.of.items()
        if problem.schema.table_of(noun) is not None
    ]


def _referring(problem: Problem, tables: Tables, name: TableName, column: str, noun: str) -> _Referring:
    target = str(problem.schema.table_of(noun))
    ids = tables[name].select(id=tables[name][column].cast("string"))
    ids = ids.filter(ids.id.notnull()).distinct()
    keys = tables[target].select(id=tables[target][problem.schema.entity_tables[target].key].cast("string"))
    counts = ids.aggregate(values=ids.count(), found=ids.id.isin(keys.id).sum()).to_pyarrow().to_pylist()[0]
    return _Referring(name, column, noun, counts["values"], int(counts["found"] or 0))


def _partly_found(problem: Problem, references: list[_Referring]) -> list[str]:
    return [
        f"{each.table}.{each.column}: {each.values - each.found:,} of {each.values:,} ids of {with_article(each.noun)} "
        f"have no row in {problem.schema.table_of(each.noun)}; their columns are empty"
        for each in references
        if each.found < each.values
    ]


def _require_label(problem: Problem, tables: Tables) -> None:
    """Both outcomes of a label occur. The contract has refused all other values."""
    label = problem.predict.label
    if not isinstance(label, ColumnLabel):
        return
    name = str(problem.schema.table_of(problem.predict.each))
    outcomes = (
        tables[name].select(value=tables[name][label.column].cast("string")).filter(lambda row: row.value.notnull())
    )
    counts = outcomes.group_by("value").aggregate(rows=outcomes.count()).to_pyarrow().to_pylist()
    if not counts:
        raise InputError(
            f"predict.label.column: {label.column} is empty in every row of {name}, so no outcome is known: check what "
            f"writes it, or name another column."
        )
    if len(counts) == 1:
        only, rows = counts[0]["value"], counts[0]["rows"]
        other = label.negative if only == label.positive else label.positive
        raise InputError(
            f"predict.label: each of the {rows:,} outcomes in {name} is {only!r}, and a model learns from two kinds: "
            f"add history in which {label.column} is {other!r}, check what writes it, or predict another column."
        )


def _decided(problem: Problem, tables: Tables, connection: Any, scratch: Path) -> ibis.Table:
    """The decision rows. They are looked at several times: computed once."""
    path = scratch / "decisions.parquet"
    connection.to_parquet(decisions_of(tables, problem), str(path))
    return read_parquet(connection, path)


def _automatic(problem: Problem, tables: Tables, rows: ibis.Table, report: Report) -> tuple[ListedFeature, ...]:
    """The features that the data decide, as a first run would decide them."""
    if not problem.features.automatic:
        return ()
    report("choosing automatic features")
    return automatic_of(declared_features(tables, rows, problem))
