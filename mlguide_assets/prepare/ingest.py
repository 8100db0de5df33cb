"""From a source to accepted tables: read, cast, validate; nothing is kept unless everything may be."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.instants import midnight, now_utc
from mlguide_assets.prepare.contracts.contract_tables import QUARANTINED, QUARANTINED_COLUMNS
from mlguide_assets.prepare.contracts.id_matches import refuse_unmatched_ids
from mlguide_assets.prepare.contracts.validation import RuleResult, accepted_order, validate
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Listed, entities_of, rows_without
from mlguide_assets.prepare.lake.data_files import Partitions, TableLike
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.prepare.oracle import forget_truth
from mlguide_assets.prepare.partitions.digests import digest
from mlguide_assets.prepare.partitions.events import validate_events
from mlguide_assets.prepare.partitions.rebuilding import current, fingerprint, plan
from mlguide_assets.prepare.sources.casting import IdColumn, nouns_of
from mlguide_assets.prepare.sources.changed_files import refusing_changed_files
from mlguide_assets.prepare.sources.followed_plans import followed_plans
from mlguide_assets.prepare.sources.parquet_faults import refusing_parquet_faults
from mlguide_assets.prepare.sources.reading import describe, local_files, parquet_files, read_source
from mlguide_assets.progress import Report

WHAT = "What is read"
_NOTHING = pa.table({name: pa.array([], pa.string()) for name in QUARANTINED_COLUMNS})
"""What is set aside where no row is: a table with columns all the same."""

NONE_ELSEWHERE: Mapping[str, Sequence[Listed]] = MappingProxyType({})


@dataclass(frozen=True)
class Ingested:
    """Tables of a source, validated, with the source in words. Nothing is in the lake yet."""

    results: tuple[RuleResult, ...]
    tables: Mapping[TableName, ibis.Table | Partitions]
    quarantined: Partitions
    place: str


@contextmanager
def ingest(
    problem: Problem,
    lake: Lake,
    *,
    oracle: Path,
    report: Report,
    until: datetime | None = None,
    forgotten: Path | None = None,
    elsewhere: Mapping[str, Sequence[Listed]] = NONE_ELSEWHERE,
) -> Iterator[Ingested]:
    """Read and validate the tables of a problem; they live until the context ends.

    Of events with a time of their own only what has changed since they were written to the lake is validated.

    Args:
        lake: what is there already; below it is the room for what is read.
        until: how far a simulated world is seen, from `sources/simulation_clock.py`; default: to its end.
        forgotten: the list of entities whose rows are left out, if there is one.
        elsewhere: lists of other problems, by the entity that is left out: `same_entities.listed_elsewhere`.

    Raises:
        InputError: something cannot be read. What a rule blocks is in the result, not raised.
    """
    with lake.scratch(WHAT) as scratch:
        with (
            writing(WHAT, lake.root),
            refusing_changed_files(lambda: local_files(problem)),
            refusing_parquet_faults(lambda: parquet_files(problem, scratch)),
        ):
            read = _read_and_validate(problem, lake, scratch, oracle, report, until, forgotten, elsewhere)
        yield read


def _read_and_validate(
    problem: Problem,
    lake: Lake,
    scratch: Path,
    oracle: Path,
    report: Report,
    until: datetime | None,
    forgotten: Path | None,
    elsewhere: Mapping[str, Sequence[Listed]],
) -> Ingested:
    connection = lake.connection
    plans = followed_plans(problem, lake, until=until)
    before = _learned_ids(problem, lake)
    tables = read_source(
        problem, connection, scratch=scratch, oracle=oracle, report=report, until=until, plans=plans, before=before
    )
    # Where hosts share it, it is no file of this one.
    kept_away = ForgetList.load(forgotten) if forgotten is not None else None
    for entity in entities_of(problem):
        lists = [*([Listed(kept_away, entity)] if kept_away else []), *elsewhere.get(entity.noun, ())]
        tables = {name: rows_without(name, rows, entity, lists) for name, rows in tables.items()}
    if kept_away is not None and kept_away.entries:
        forget_truth(oracle, kept_away, problem, connection)
    as_read = dict(tables)
    tables = _for_engine(tables, lake, scratch)
    now, schema, rules = _now(problem, until), problem.schema, problem.rules
    by_time = [name for name, table in schema.event_tables.items() if table.own_time]
    events, set_aside = {name: tables.pop(name) for name in by_time}, current(lake, QUARANTINED)
    others = validate(tables, schema, rules, lake.engine, scratch=scratch, now=now)
    validated = {
        name: validate_events(
            name,
            rows,
            others.accepted,
            schema,
            rules,
            lake.engine,
            final_after=problem.final_after,
            scratch=scratch,
            before=current(lake, name),
            set_aside_before=set_aside,
            now=now,
        )
        for name, rows in events.items()
    }
    quarantined = _set_aside_of(others.quarantined, set_aside)
    for each in validated.values():
        quarantined = quarantined.with_more(each.quarantined)
    results = [*others.results, *(result for each in validated.values() for result in each.results)]
    if all(result.action != "block" or result.passed for result in results):
        for warning in refuse_unmatched_ids(problem, as_read):
            report(warning)
    whole = {name: rows.order_by(accepted_order(schema.tables[name])) for name, rows in others.accepted.items()}
    accepted = {**whole, **{name: each.accepted for name, each in validated.items()}}
    return Ingested(tuple(results), accepted, quarantined, describe(problem))


def _learned_ids(problem: Problem, lake: Lake) -> dict[IdColumn, bool]:
    """Whether the ids are whole numbers of the tables that a model in use has learned from: those are pinned."""
    types = {name: lake.read(name).schema() for name in problem.tables if lake.exists(name) and lake.pinned(name)}
    return {
        (name, column): bool(types[name][column].is_integer())
        for name, table in problem.tables.items()
        for column in nouns_of(table)
        if name in types and column in types[name]
    }


def _set_aside_of(quarantined: Mapping[TableName, ibis.Table], before: Snapshot | None) -> Partitions:
    """The rows of tables without a time that are set aside; those that were so before stay as they are.

    Args:
        before: `quarantined_rows` as they are in the lake, if they are.
    """
    rows: dict[str, TableLike] = {**quarantined} or {"none": _NOTHING}
    found = {name: digest(each) for name, each in quarantined.items()} or {"none": ""}
    inputs = {name: fingerprint(what, code_of=validate.__module__) for name, what in found.items()}
    chosen = plan(inputs, before)
    return Partitions({key: rows[key] for key in chosen.stale}, inputs, kept=chosen.kept)


def _for_engine(tables: dict[TableName, ibis.Table], lake: Lake, scratch: Path) -> dict[TableName, ibis.Table]:
    """Tables of a source as the engine sees them. Sources are read by DuckDB, which lands their rows for another."""
    if not lake.engine.elsewhere:
        return tables
    paths = {name: scratch / f"{name}.conformed.parquet" for name in tables}
    for name, rows in tables.items():
        lake.connection.to_parquet(rows, paths[name])
    return {name: lake.engine.read(path) for name, path in paths.items()}


def _now(problem: Problem, until: datetime | None) -> datetime:
    """By the clock of the source, UTC: a simulated world has its own."""
    if isinstance(problem.source, AnySimulator):
        return until or midnight(problem.source.end(problem.history_start))
    return now_utc()
