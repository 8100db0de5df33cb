"""From the tables of the lake to the state that is published online."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import LEFT_OUT, DamagedError, OnlineStore, Publication, State, StoreError
from mlguide_assets.deploy.routing import ELIGIBLE
from mlguide_assets.english import plural
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.state_columns import state_features
from mlguide_assets.prepare.lake.lake import Lake

MOST_CANDIDATES = 1000
SOME_IDS = 30

KEPT_PUBLICATIONS = 8
_PIN = "published-"


def published_from(problem: Problem) -> tuple[str, ...]:
    """The tables that logged features are computed from again, to compare."""
    return tuple(problem.schema.ordered)


def state_of(
    states: Mapping[str, ibis.Table],
    features: ibis.Table,
    problem: Problem,
    lake: Lake,
    eligible: ibis.Table | None = None,
    left_out: ibis.Table | None = None,
) -> State:
    """What is published: the states of entities, and where a decision chooses, the last one about each unit.

    Args:
        states: noun of every entity of a decision → its state as of one instant (`state.entity_state`).
        features: the table of features, or as much of it as is `publishable`.
        eligible: who may take part in experiments (`experiment.eligibility`), where not everybody may.
        left_out: ids of units that no decision is about (`batch.left_out`), where any may be.
    """
    decision = problem.decision
    as_of = states[decision.unit].as_of.max().to_pyarrow().as_py()
    tables = {plural(noun): rows.drop("as_of") for noun, rows in states.items()}
    keys = {plural(noun): id_column(noun) for noun in states}
    if decision.choose:
        last = f"last_{decision.plural}"
        tables[last], keys[last] = last_decisions(features, problem, as_of), decision.unit_id
    if eligible is not None:
        tables[ELIGIBLE], keys[ELIGIBLE] = eligible, decision.unit_id
    if left_out is not None:
        tables[LEFT_OUT], keys[LEFT_OUT] = left_out, decision.unit_id
    publication = Publication(
        as_of=as_of,
        snapshots={table: lake.snapshot(table).id for table in published_from(problem)},
        keys=keys,
        candidates=_newest(states[decision.choose], problem) if decision.choose else (),
        examples={plural(noun): _busiest(states[noun], noun, problem) for noun in decision.stored},
        eligibility=tuple(name for name in eligible.columns if name != decision.unit_id)
        if eligible is not None
        else (),
    )
    return State(publication, tables)


def newest_first(candidates: ibis.Table, problem: Problem) -> ibis.Table:
    """The states of what is chosen among, the newest first; by their ids where no column says since when they exist."""
    noun = str(problem.decision.choose)
    table, key = problem.schema.entity(noun), candidates[id_column(noun)]
    since = [candidates[table.known_from].desc()] if table and table.known_from in candidates.columns else []
    return candidates.order_by(*since, key.desc())


def last_decisions(features: ibis.Table, problem: Problem, as_of: datetime) -> ibis.Table:
    """The newest decision about each unit before an instant, with its features as of its own: its outcome is in none.

    Returns:
        One row per unit that there was a decision about: keys and the features that models may use. Of decisions at
        the same instant, the one with the largest ids.
    """
    decision = problem.decision
    names = [feature.name for feature in features_of(problem) if feature.for_models]
    earlier = features.filter(features[decision.time] < ibis.timestamp(as_of))
    # First by these two columns alone: to rank all rows, the engine would carry every feature of each.
    at = earlier.group_by(decision.unit_id).aggregate({decision.time: earlier[decision.time].max()})
    last = earlier.semi_join(at, [decision.unit_id, decision.time])
    order = [last[key].desc() for key in decision.keys if key not in (decision.unit_id, decision.time)]
    place = ibis.row_number().over(group_by=decision.unit_id, order_by=order or [last[decision.time]])
    newest = last.mutate(_place=place).filter(lambda rows: rows["_place"] == 0)
    return newest.select(*decision.keys, *names).order_by(decision.unit_id)


@contextmanager
def publishable(lake: Lake, problem: Problem, as_of: datetime) -> Iterator[ibis.Table]:
    """The table of features where this process reads it, at least with the last decision about each unit.

    What is published passes through here. Where an engine computes elsewhere, it is all of the table that does.
    """
    name = problem.features_table
    if not lake.engine.elsewhere:
        yield lake.read(name)
        return
    with lake.scratch("What is published") as folder:
        place = folder / "decided"
        lake.engine.stored(last_decisions(lake.open(name), problem, as_of), place)
        yield read_parquet(lake.connection, *place.glob("*.parquet"))


def _newest(candidates: ibis.Table, problem: Problem) -> tuple[Any, ...]:
    ids = newest_first(candidates, problem).limit(MOST_CANDIDATES).select(id_column(str(problem.decision.choose)))
    return tuple(ids.to_pyarrow()[0].to_pylist())


def _busiest(states: ibis.Table, noun: str, problem: Problem) -> tuple[Any, ...]:
    """Entities with many events: their features differ most."""
    key = id_column(noun)
    counts = [
        feature.name
        for feature in state_features(problem, noun)
        if feature.declaration is not None and feature.declaration.operator == "count" and feature.noun == noun
    ]
    order = [states[name].desc() for name in counts[:1]]
    return tuple(states.order_by(*order, key).limit(SOME_IDS).select(key).to_pyarrow()[0].to_pylist())


def publish_online(store: OnlineStore, state: State, lake: Lake, *, newest: date) -> str:
    """Publish the state of the newest day, and keep what it was computed from while its answers may be checked.

    It replaces whatever is published, also the state of a later day: then the data of that day were taken back.

    Args:
        newest: the day to score for, by the data's clock.

    Returns:
        What is online now and why, as a sentence.
    """
    if state.publication.as_of.date() != newest:
        return f"Not published: what is served is as of {newest}, the newest day that the data reach."
    before = _as_of(store)
    reason, snapshots = f"{_PIN}{state.publication.id}", state.publication.snapshots
    new = [table for table in snapshots if reason not in lake.pinned(table)]
    # Before it is published: no answer may come from what is not kept.
    for table in new:
        lake.pin(table, snapshots[table], reason)
    store.publish(state, over_newer=True)
    _let_go(lake, state.publication)
    if before is not None and before > state.publication.as_of:
        return f"Published, in place of the state of {before}, which the data no longer reach."
    return "Published."


def is_published(store: OnlineStore, day: date) -> bool:
    """Whether the state of a day is online; one that does not answer may have it.

    A Redis that was restarted has nothing, or, from a copy, the state of a day before.
    """
    try:
        current = store.current()
    except DamagedError:
        return False
    except StoreError:
        return True
    return current is not None and current.publication.as_of.date() == day


def _as_of(store: OnlineStore) -> datetime | None:
    """Of the state that is published; None where there is none, or it is damaged."""
    try:
        current = store.current()
    except StoreError:
        return None
    return current.publication.as_of if current else None


def _let_go(lake: Lake, current: Publication) -> None:
    """Unpin all publications but the last, and the current one."""
    tables = tuple(current.snapshots)
    for reason in list(pinned_publications(lake, tables))[:-KEPT_PUBLICATIONS]:
        for table in tables if reason != current.id else ():
            lake.unpin(table, f"{_PIN}{reason}")


def pinned_publications(lake: Lake, tables: Sequence[str]) -> dict[str, dict[str, str]]:
    """The publications whose tables are kept: id → table → snapshot.

    Args:
        tables: of `published_from`.
    """
    pins = {table: lake.pinned(table) for table in tables}
    ids = set.intersection(*({reason for reason in kept if reason.startswith(_PIN)} for kept in pins.values()))
    return {reason.removeprefix(_PIN): {table: kept[reason] for table, kept in pins.items()} for reason in sorted(ids)}
