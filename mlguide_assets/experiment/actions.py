"""What was done with units, and the units themselves, from the tables of a problem in which a decision chooses."""

from collections.abc import Mapping

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.events import AT, canonical_events, column_name, timestamp_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.named import named

Tables = Mapping[str, ibis.Table]


def tables_of_actions(lake: Lake, problem: Problem) -> dict[str, ibis.Table]:
    """What `actions_of` and `members_of` read of a lake."""
    return {name: lake.read(name) for name in problem.action_tables}


def actions_of(tables: Tables, problem: Problem) -> ibis.Table:
    """The events that the decision is about, as far as they have a time.

    Args:
        tables: accepted, by their names in the problem file.

    Returns:
        The ids of its entities (`Decision.ids`), its time, and the label as the source writes it.
    """
    decision, label = problem.decision, problem.label.column
    event = problem.schema.event(decision.noun)
    if event.own_time is None:
        rows = canonical_events(tables, problem, decision.noun)
        own = rows[column_name(event, label)]
        return rows.select(*decision.ids, timestamp_of(rows[AT]).name(decision.time), own.name(label))
    rows = tables[str(problem.schema.table_of(decision.noun))]
    ids = {id_column(noun): rows[column] for noun, column in event.of.items()}
    return rows.filter(rows[event.own_time].notnull()).select(
        *named(ids), rows[event.own_time].name(decision.time), rows[label]
    )


def members_of(tables: Tables, problem: Problem) -> ibis.Table:
    """The units, a row each, as `versions_of`; of several rows of one unit the newest."""
    rows, table = versions_of(tables, problem), problem.schema.entity(problem.decision.unit)
    if table is None or table.history is None:
        return rows
    newest = ibis.row_number().over(group_by="id", order_by=ibis.desc(table.history.from_))
    return rows.mutate(_place=newest).filter(lambda t: t["_place"] == 0).drop("_place")


def versions_of(tables: Tables, problem: Problem) -> ibis.Table:
    """All rows of the units, several of one where their table has a history: `id`, and the columns of that table.

    Units that no table declares are those that an action met.
    """
    unit = problem.decision.unit
    table = problem.schema.entity(unit)
    if table is None:
        return actions_of(tables, problem).select(id=problem.decision.unit_id).distinct()
    rows = tables[str(problem.schema.table_of(unit))]
    columns = {name: rows[name] for name in rows.columns if name not in ("id", table.key)}
    return rows.select(rows[table.key].name("id"), *named(columns))


def joined_by(members: ibis.Table, problem: Problem) -> ibis.Value | None:
    """When each unit began to exist; None where the tables do not say it."""
    table = problem.schema.entity(problem.decision.unit)
    return members[table.known_from].cast("timestamp") if table is not None and table.known_from else None
