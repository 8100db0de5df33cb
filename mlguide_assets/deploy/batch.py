"""Batch predictions of a day, and where a decision chooses, the best candidate of each unit.

What is scored follows from the problem: every unit with every candidate, where a decision chooses; every event of the
day before, where it is about events that no policy chose; every eligible entity, where it is about cut-offs.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.deploy.online_store.publishing import newest_first
from mlguide_assets.deploy.plan.policies import ASSIGNMENTS
from mlguide_assets.deploy.predictions_table import PREDICTIONS, predictions_schema
from mlguide_assets.errors import InputError
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.clock import last_day
from mlguide_assets.prepare.decisions.rows import asked_about
from mlguide_assets.prepare.features.events import Tables
from mlguide_assets.prepare.features.state import columns_of_choice, entity_state, features_of_choices, from_states
from mlguide_assets.prepare.lake.data_files import TableLike
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.models.models import THREADS
from mlguide_assets.train.storage import load_model

UNITS_AT_ONCE = 20_000
"""Units that are paired with the candidates at a time."""
UNITS_IN_MEMORY = 500_000
"""Units whose states are read at a time."""


def per_scoring_day(problem: Problem) -> tuple[str, ...]:
    """Tables that hold the same entities once more for every day that was scored, a partition each."""
    decision = problem.decision
    best = (decision.best_table,) if decision.best_table else ()
    return (*decision.store_tables.values(), PREDICTIONS, *best, ASSIGNMENTS, decision.plan_table)


@dataclass(frozen=True)
class Scorer:
    """A model in a folder, the threshold of its decisions, and its version."""

    folder: Path
    threshold: float
    version: str


def scoring_day(reached: date, *, today: date) -> date:
    """The day to score for: the one after the last day that the data have reached, as far as it has begun.

    Args:
        reached: by the data's clock.
        today: by the clock of the source, UTC.
    """
    return min(reached + timedelta(days=1), today)


def days_to_score(landed: Mapping[date, int], *, today: date) -> list[date]:
    """Every day that can be scored: from the first that has events to the day to score for.

    Args:
        landed: events per day, of days that have any.
    """
    reached = last_day(landed)
    if reached is None:
        return []
    last = scoring_day(reached, today=today)
    first = min(*landed, last)
    return [first + timedelta(days=place) for place in range((last - first).days + 1)]


def reached_days(days: Iterable[str], landed: Mapping[date, int], *, today: date) -> list[str]:
    """Of days that were scored, those that the data still reach, the oldest first.

    What was made of rows that are gone stays in the lake: it may have been sent.

    Args:
        days: in ISO 8601.
        landed: events per day, of days that have any; without any, nothing is known, and all days count.
        today: by the clock of the source, UTC.
    """
    known = days_to_score(landed, today=today)
    return sorted(day for day in days if not known or day <= known[-1].isoformat())


def skipped_days(scored: Iterable[str], day: date, newest: date) -> str | None:
    """Of the days before the newest, those that were passed over since the last that was scored, as a sentence.

    Args:
        scored: partitions that there are, in ISO 8601; before the first nothing was passed over.
        day: that is scored now. An earlier one than the newest is scored afterwards, and passes nothing over.
    """
    if day != newest:
        return None
    before = max((known for known in map(date.fromisoformat, scored) if known < day), default=None)
    if before is None or before == day - timedelta(days=1):
        return None
    first, last = before + timedelta(days=1), day - timedelta(days=1)
    days = f"{first} was" if first == last else f"{first} to {last} were"
    return f"{days} not scored: the data went on to {day} before a run could begin. 'Materialize' scores any of them."


def refuse_unreached(day: date, newest: date) -> None:
    """Raise InputError for a day that is later than the day to score for: of it nothing is known."""
    if day > newest:
        raise InputError(
            f"{day} cannot be scored: the data reach as far as {newest - timedelta(days=1)}, so {newest} is the last "
            f"day that can be; read newer data first, or choose that day."
        )


def stores_and_candidates(
    stores: Mapping[str, ibis.Table], tables: Tables, problem: Problem, as_of: datetime
) -> dict[str, ibis.Table]:
    """Noun of every entity of a decision → its state as of an instant, that of candidates too.

    Args:
        stores: noun → the rows of its feature store, as of that instant.
    """
    choose = problem.decision.choose
    if not choose:
        return dict(stores)
    # In memory: it is looked into several times, and there are not many candidates.
    return {**stores, choose: ibis.memtable(entity_state(tables, problem, choose, as_of).to_pyarrow())}


def candidates(states: ibis.Table, problem: Problem) -> ibis.Table:
    """The newest of what can be chosen, as many as the problem file says."""
    return newest_first(states, problem).limit(problem.scoring.candidates)


def features_to_score(
    tables: Tables, stores: Mapping[str, ibis.Table], features: ibis.Table, problem: Problem, day: date
) -> Iterator[pa.Table]:
    """What a day's predictions are made from, a slice at a time: keys, the time of the decision, and features.

    Args:
        tables: accepted, by their names in the problem file.
        stores: noun → the day's rows of its feature store.
        features: the table of features.
    """
    decision, start = problem.decision, midnight(day)
    if decision.choose:
        content = entity_state(tables, problem, decision.choose, start)
        yield from choices(stores[decision.unit], candidates(content, problem), problem)
        return
    rows = rows_to_score(tables, stores, features, problem, day)
    if decision.is_event:
        yield features.get_backend().to_pyarrow(rows.order_by(*decision.order))
    else:
        yield from in_order(rows, decision.unit_id)


def rows_to_score(
    tables: Tables, stores: Mapping[str, ibis.Table], features: ibis.Table, problem: Problem, day: date
) -> ibis.Table:
    """`features_to_score` as one expression, in any order."""
    decision, start = problem.decision, midnight(day)
    if decision.choose:
        content = entity_state(tables, problem, decision.choose, start)
        return features_of_choices(stores[decision.unit], candidates(content, problem), problem)
    if decision.is_event:
        return features.filter(_within(features[decision.time], start - timedelta(days=1)))
    states = stores[decision.unit].semi_join(asked_about(tables, problem, start), decision.unit_id)
    return from_states(states, problem)


def left_out(states: ibis.Table, tables: Tables, problem: Problem, as_of: datetime) -> ibis.Table | None:
    """The ids of units that a batch leaves out, as those that `predict.where` does not mean; None where it leaves out
    none, as decisions are about events.

    The API answers for them nonetheless, and names them.

    Args:
        states: of all units as of the instant, where the tables are read.
    """
    if problem.decision.is_event:
        return None
    unit = problem.decision.unit_id
    # The ids alone, in memory: this process publishes them, wherever the engine computes.
    return ibis.memtable(states.select(unit).anti_join(asked_about(tables, problem, as_of), unit).to_pyarrow())


def _within(at: ibis.Value, start: datetime) -> ibis.Value:
    return (at >= ibis.timestamp(start)) & (at < ibis.timestamp(start + timedelta(days=1)))


def choices(units: ibis.Table, offered: ibis.Table, problem: Problem) -> Iterator[pa.Table]:
    """Features of every pair of a unit and a candidate, a slice of the units at a time; texts as dictionaries."""
    states_of_offered = offered.to_pyarrow()
    for states in in_order(units, problem.decision.unit_id):
        for start in range(0, states.num_rows, UNITS_AT_ONCE):
            # The units' own backend: another would spill into the working directory.
            yield _pairs(states.slice(start, UNITS_AT_ONCE), states_of_offered, problem, units.get_backend())


def _pairs(units: pa.Table, offered: pa.Table, problem: Problem, backend: ibis.BaseBackend) -> pa.Table:
    """Features of every pair, from those of every unit with one candidate and of every candidate with one unit.

    A feature is of the unit or of the candidate, so the engine computes it as often as there are any, not per pair.
    """

    def features(units: pa.Table, offered: pa.Table) -> pa.Table:
        rows = backend.to_pyarrow(features_of_choices(ibis.memtable(units), ibis.memtable(offered), problem))
        return _with_dictionaries(rows, but=problem.decision.ids)

    of_units, of_offered = features(units, offered.slice(0, 1)), features(units.slice(0, 1), offered)
    unit = pa.array(np.repeat(np.arange(of_units.num_rows), offered.num_rows))
    candidate = pa.array(np.tile(np.arange(offered.num_rows), of_units.num_rows))
    theirs = columns_of_choice(offered.column_names, problem)
    sides = {name: (of_offered, candidate) if name in theirs else (of_units, unit) for name in of_units.column_names}
    return pa.table({name: rows[name].take(place) for name, (rows, place) in sides.items()})


def _with_dictionaries(rows: pa.Table, but: Container[str]) -> pa.Table:
    """Rows whose texts are dictionaries, so that to repeat them is to repeat numbers; some are left as they are."""
    for at, field in enumerate(rows.schema):
        if pa.types.is_string(field.type) and field.name not in but:
            rows = rows.set_column(at, field.name, rows[field.name].dictionary_encode())
    return rows


def in_order(rows: ibis.Table, unit: str) -> Iterator[pa.Table]:
    """Rows in the order of their ids, `UNITS_IN_MEMORY` at a time: of all of them, the ids alone are in memory.

    Args:
        unit: the column of ids, which are unique and not null.
    """
    backend = rows.get_backend()
    ids = backend.to_pyarrow(rows.select(unit).order_by(unit))[unit]
    for start in range(0, len(ids), UNITS_IN_MEMORY):
        last = min(start + UNITS_IN_MEMORY, len(ids)) - 1
        held = len(ids) <= UNITS_IN_MEMORY or rows[unit].between(ids[start].as_py(), ids[last].as_py())
        yield backend.to_pyarrow(rows.filter(held).order_by(unit))


def score(
    slices: Iterable[pa.Table],
    scorer: Bundle | Scorer | None,
    problem: Problem,
    *,
    ids: pa.Schema,
    day: date,
    run_id: str,
) -> pa.RecordBatchReader:
    """Score a day's rows, a slice at a time. Without a model there is nothing to score with: the result is empty.

    Args:
        slices: as of `features_to_score`.
        ids: names and types of their keys, see `predictions_schema`.
    """
    schema = predictions_schema(ids)
    batches = _batches(slices, scorer, problem, schema, day, run_id, THREADS) if scorer else iter(())
    return pa.RecordBatchReader.from_batches(schema, batches)


def predictions_of_day(
    lake: Lake, scorer: Bundle | Scorer | None, problem: Problem, *, day: date, run_id: str
) -> TableLike:
    """What a model says of all that is scored for a day, as the lake's engine computes it."""
    if scorer is not None and lake.engine.elsewhere:
        return _scored_by_engine(lake, scorer, problem, day, run_id)
    return scores_on(scorer, lake, problem, day=day, run_id=run_id)


def _scored_by_engine(lake: Lake, scorer: Bundle | Scorer, problem: Problem, day: date, run_id: str) -> ibis.Table:
    """Every executor scores the rows that it holds, with the model that it has loaded from its folder."""
    rows, decision = rows_to_score(*_read_for(problem, day, lake.open), problem, day), problem.decision
    schema = predictions_schema(ids_of(lake.read(problem.features_table), problem))

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # A task of the engine has one core.
        return _batches((pa.Table.from_batches([each]) for each in batches), scorer, problem, schema, day, run_id, 1)

    return lake.engine.mapped(rows, scored, schema).order_by(*decision.scored_keys)


def _read_for(
    problem: Problem, day: date, read: Callable[..., ibis.Table]
) -> tuple[dict[str, ibis.Table], dict[str, ibis.Table], ibis.Table]:
    """Tables, the day's feature stores, and features."""
    stores = {noun: read(name, partitions=[day.isoformat()]) for noun, name in problem.decision.store_tables.items()}
    return {name: read(name) for name in problem.tables}, stores, read(problem.features_table)


def challenger_scores(
    challenger: Bundle | None, lake: Lake, problem: Problem, *, day: date, run_id: str
) -> "TableLike | None":
    """What the challenger says of what was scored for a day; None without a challenger."""
    return None if challenger is None else predictions_of_day(lake, challenger, problem, day=day, run_id=run_id)


def scores_on(
    scorer: Bundle | Scorer | None, lake: Lake, problem: Problem, *, day: date, run_id: str
) -> pa.RecordBatchReader:
    """What a model says of what was scored for a day, with the features of that day."""
    tables, stores, features = _read_for(problem, day, lake.read)
    slices = features_to_score(tables, stores, features, problem, day)
    return score(slices, scorer, problem, ids=ids_of(features, problem), day=day, run_id=run_id)


def ids_of(features: ibis.Table, problem: Problem) -> pa.Schema:
    """Names and types of the columns that identify the predictions of a day."""
    return features.select(*problem.decision.scored_keys).schema().to_pyarrow()


def best_choices(predictions: ibis.Table, problem: Problem) -> ibis.Table:
    """The candidate with the smallest probability for each unit; between equals, the one with the largest id."""
    unit, choose = problem.decision.unit_id, str(problem.decision.choose_id)
    order = [predictions.probability, predictions[choose].desc()]
    ranked = predictions.mutate(rank=ibis.row_number().over(group_by=unit, order_by=order) + 1)
    return ranked.filter(ranked["rank"] == 1).drop("rank").order_by(unit)


def decided(probability: Floats, threshold: float, problem: Problem) -> pa.StringArray:
    """What the costs say of each probability: an action of `Decision.actions`."""
    act, leave = problem.decision.actions
    above, below = (leave, act) if problem.decision.choose else (act, leave)
    return pc.if_else(pa.array(probability >= threshold), above, below)


def _batches(
    slices: Iterable[pa.Table],
    scorer: Bundle | Scorer,
    problem: Problem,
    schema: pa.Schema,
    day: date,
    run_id: str,
    threads: int,
) -> Iterator[pa.RecordBatch]:
    model, decision = load_model(scorer.folder, threads=threads), problem.decision
    by_id = decision.ids if decision.choose else ()
    for rows in slices:
        # Put in order as numbers: the engine would sort rows of forty columns, most of the time that they take.
        order = _order(rows, by_id)
        probability = model.predict(model.encoding.matrix(rows)[order])
        keys = rows.select(list(dict.fromkeys([*decision.scored_keys, decision.time]))).take(pa.array(order))
        n = rows.num_rows
        columns = {
            **{name: keys[name].combine_chunks() for name in decision.scored_keys},
            "scoring_date": pa.array(np.full(n, np.datetime64(day))),
            "probability": pa.array(probability),
            "decision": decided(probability, scorer.threshold, problem),
            "model_version": pa.repeat(scorer.version, n),
            "feature_time": keys[decision.time].combine_chunks().cast(pa.timestamp("us")),
            "run_id": pa.repeat(run_id, n),
        }
        yield pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)


def _order(rows: pa.Table, ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """The places of the rows in the order of their ids; as they are without any."""
    if not ids:
        return np.arange(rows.num_rows)
    if all(pa.types.is_integer(rows[name].type) for name in ids):
        return np.lexsort([rows[name].to_numpy() for name in reversed(ids)])
    order: npt.NDArray[np.int64] = pc.sort_indices(rows, [(name, "ascending") for name in ids]).to_numpy()
    return order
