"""The core table: decisions beside the entities that they are about, as these were then.

Decisions that are events are joined partition by partition, and those whose rows and entities have not changed are
left as they are.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import counted
from mlguide_assets.prepare.core_columns import entity_columns, event_columns
from mlguide_assets.prepare.features.building import decisions_of, tables_of
from mlguide_assets.prepare.features.compiling import is_kept_before_known
from mlguide_assets.prepare.features.events import HAPPENED, microseconds, timestamp_of, with_entity, with_instants
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import UNPARTITIONED, Snapshot
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.partitions.digests import digest
from mlguide_assets.prepare.partitions.rebuilding import Plan, current, fingerprint, notes_of, plan

WHAT = "What the core table is made of"
UNDECIDED = "undecided"
"""The partition of units of whom there is no decision. It sorts behind all others."""

_INSTANT = "_instant"
Tables = Mapping[str, ibis.Table]


def core_rows(tables: Tables, problem: Problem) -> ibis.Table:
    """Decisions, left-joined to their entities as of the decision.

    Args:
        tables: by their names in the problem file.

    Returns:
        Of events: the columns of the event, its outcome as the source has it, and those of its entities
        (`core_columns`), and a row of nulls beside each unit of whom there is none. Of cut-offs: keys, the label once
        it has matured, `matured_at`, and the columns of entities. In the order of time.
    """
    rows = joined(tables, problem)
    if problem.decision.is_event and problem.schema.entity(problem.decision.unit):
        rows = rows.union(_without_decisions(tables, problem))
    return rows.order_by(*_order(problem))


def joined(tables: Tables, problem: Problem, kept: Sequence[str] = ()) -> ibis.Table:
    """The rows of decisions alone, in any order.

    Args:
        kept: columns of the table of events to keep besides.
    """
    rows = _events(tables, problem, kept) if problem.decision.is_event else decisions_of(tables, problem)
    if not problem.decision.is_event:
        rows = rows.mutate({_INSTANT: microseconds(rows[problem.decision.time])})
    for noun in problem.decision.nouns:
        wanted = {each.name: each.column for each in entity_columns(problem) if each.noun == noun}
        if wanted:
            early = is_kept_before_known(problem, noun)
            rows = with_entity(rows, noun, wanted, tables, problem.schema, kept_before_known=early, instant=_INSTANT)
    return rows.drop(_INSTANT)


@contextmanager
def core_by_partition(lake: Lake, problem: Problem) -> Iterator[Partitions | ibis.Table]:
    """The core table by the partitions of its events, joined again where those have changed; to be written before the
    context ends.

    All of it where decisions are at cut-offs, or their time is that of an entity.

    Raises:
        InputError: the table of events is of an earlier version.
    """
    decision, schema = problem.decision, problem.schema
    events = schema.table_of(decision.noun)
    if not decision.is_event or events is None or schema.event(decision.noun).own_time is None:
        yield core_rows(tables_of(lake, problem), problem)
        return
    chosen, now = _plan(lake, problem, events)
    order = _order(problem)
    joining = [key for key in chosen.stale if key != UNDECIDED]
    # Of no others: where the lake is on object storage, to ask for a file is to fetch it.
    stale = {key: lake.files(events, partitions=[key], snapshot_id=now[events].id) for key in joining}
    entities = {name: lake.files(name, snapshot_id=each.id) for name, each in now.items() if name != events}

    def of_events(rows: ibis.Table, others: Tables, kept: Sequence[str]) -> ibis.Table:
        return joined({**others, events: rows}, problem, kept)

    with lake.scratch(WHAT) as scratch:
        rebuilt = lake.engine.per_partition(of_events, stale, entities, order, scratch / "core")
        if UNDECIDED in chosen.stale:
            tables = {name: lake.open(name, snapshot_id=each.id) for name, each in now.items()}
            # A file is written by one thread, which would look through all events for them, too.
            found = lake.engine.stored(_without_decisions(tables, problem), scratch / "undecided.parquet")
            rebuilt[UNDECIDED] = found.order_by(*order)
        yield Partitions(rebuilt, chosen.inputs, kept=chosen.kept)


def _plan(lake: Lake, problem: Problem, events: str) -> tuple[Plan, Mapping[str, Snapshot]]:
    """Which partitions to join again, and what all are joined of, as it is now.

    Args:
        events: the table whose rows are the decisions.
    """
    decision, schema = problem.decision, problem.schema
    entities = [name for noun in decision.nouns if (name := schema.table_of(noun)) is not None]
    now = {table: lake.snapshot(table) for table in (*entities, events)}
    references = {table: digest(lake.open(table, snapshot_id=now[table].id)) for table in entities}
    # What a killed ingest left side by side does not go together: then nothing is as it was.
    torn = references if references != notes_of(now[events])["references"] else None
    rules = [is_kept_before_known(problem, noun) for noun in decision.nouns]
    made_of = partial(fingerprint, problem.core_table, rules, code_of=__name__)
    inputs = {key: made_of(file.inputs, torn) for key, file in now[events].partitions.items()}
    if schema.entity(decision.unit):
        inputs[UNDECIDED] = made_of(inputs, references)
    return plan(inputs, current(lake, problem.core_table)), now


@dataclass(frozen=True)
class CoreRows:
    """How many rows of decisions the core table has, and how many there are to be."""

    found: int
    expected: int

    def said(self, problem: Problem) -> str:
        """The counts in a sentence."""
        many, table = problem.decision.plural, problem.core_table
        if self.found == self.expected:
            return f"Each of the {self.expected:,} {many} is in {table} once."
        what = "lost" if self.found < self.expected else "doubled"
        return (
            f"{table} has {counted(self.found, 'row')} of {self.expected:,} {many}: the join to their entities has "
            f"{what} some. "
            f"Do not count or average over it; features do not read it."
        )


def count_core(lake: Lake, problem: Problem) -> CoreRows:
    """Count the rows of decisions in the core table, and the decisions that it was made of."""
    decision, core = problem.decision, lake.snapshot(problem.core_table)
    events = problem.schema.table_of(decision.noun)
    if not decision.is_event or events is None:
        rows = lake.open(problem.core_table)
        return CoreRows(core.rows, int(rows.select(*decision.keys).distinct().count().to_pyarrow().as_py()))
    undecided = core.partitions[UNDECIDED].rows if UNDECIDED in core.partitions else 0
    if UNPARTITIONED in core.partitions and problem.schema.entity(decision.unit):
        undecided = int(_undecided_units(tables_of(lake, problem), problem).count().to_pyarrow().as_py())
    return CoreRows(core.rows - undecided, lake.snapshot(events).rows)


def _order(problem: Problem) -> tuple[str, ...]:
    return (*problem.decision.order, problem.label.column)


def _events(tables: Tables, problem: Problem, kept: Sequence[str]) -> ibis.Table:
    """The events of decisions with their own columns, those to keep, and the instant of each."""
    decision, schema = problem.decision, problem.schema
    event = schema.event(decision.noun)
    rows = with_instants(tables[str(schema.table_of(decision.noun))], event, tables, schema)
    own = {each.name: rows[each.column] for each in event_columns(problem) if each.column in rows.columns}
    if event.own_time is None:
        own[decision.time] = timestamp_of(rows[HAPPENED])
    return rows.select(*kept, *named(own), rows[HAPPENED].name(_INSTANT))


def _without_decisions(tables: Tables, problem: Problem) -> ibis.Table:
    """A row for each unit without a decision: its own columns, where it has one row, and nothing else."""
    decision, table, units = (
        problem.decision,
        problem.schema.entity(problem.decision.unit),
        _undecided_units(tables, problem),
    )
    assert table is not None
    own = {each.name: each.column for each in entity_columns(problem) if each.noun == decision.unit}
    own = {} if table.history else own
    known = {id_column(decision.unit): units[table.key], **{name: units[column] for name, column in own.items()}}
    types = joined(tables, problem).schema()
    return units.select({name: known.get(name, ibis.null(type_)).cast(type_) for name, type_ in types.items()})


def _undecided_units(tables: Tables, problem: Problem) -> ibis.Table:
    """The rows of units of whom there is no decision; of a unit with a history, its key alone."""
    decision, schema = problem.decision, problem.schema
    table, events = schema.entity(decision.unit), tables[str(schema.table_of(decision.noun))]
    assert table is not None
    units = tables[str(schema.table_of(decision.unit))]
    units = units.anti_join(events, units[table.key] == events[schema.event(decision.noun).of[decision.unit]])
    return units.select(table.key).distinct() if table.history else units
