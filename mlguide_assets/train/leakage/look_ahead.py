"""Does a feature know the future? Features of some units are computed twice, over tables that differ in their future
only, in every event table at once: what moves was looking ahead.
"""

from datetime import datetime
from typing import Protocol

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import counted, plural
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.comparing import differing
from mlguide_assets.statistics.arrays import Flags
from mlguide_assets.train.leakage.another_future import another_future
from mlguide_assets.train.leakage.canaries import with_canaries, with_canary_values
from mlguide_assets.train.leakage.results import Alarm, details_of, for_models, worst_of
from mlguide_assets.train.some_units import History, Tables, as_tables, instants_of


class ComputeFeatures(Protocol):
    """From tables to a row per decision with keys and features: `features_from`, or what would replace it."""

    def __call__(self, tables: Tables, problem: Problem, *, clock: datetime) -> ibis.Table: ...


def planted_canary(history: History, problem: Problem, *, compute: ComputeFeatures = features_from) -> Alarm:
    """Does a feature see events that come after all others?

    They are planted for every unit, in every event table (`canaries`), and follow after the last event of
    all, so that nothing may know of them, not even the record of another entity in another unit's later row. A feature
    sees them where it differs from the same feature computed without them.

    A window that looks ahead a few days only is seen in the rows of those days; `future_shift` has more of them.

    Args:
        history: of some units.

    Raises:
        InputError: `compute` does not give one row per decision.
    """
    check = "canary_stays_silent"
    last = _last(history, problem)
    if last is None:
        return _nothing_to_compute(check, problem)
    aware, clock = with_canary_values(problem), _time(last)
    before = _recomputed(history, aware, compute, clock)
    after = _recomputed(with_canaries(history, problem, last), aware, compute, clock)
    after = after.filter(pc.less_equal(after[problem.decision.time], pa.scalar(clock, pa.timestamp("us"))))
    future = f"{plural(problem.deciding_event)} planted after all others"
    return unmoved(check, before, after, aware, future)


def future_shift(history: History, problem: Problem, *, seed: int, compute: ComputeFeatures = features_from) -> Alarm:
    """Does a feature of a decision up to the median one move, or the set of decisions, when the future is another?

    Unknown at an instant is all that happens or is written from then on, in every table (`another_future`). An event
    at the instant is known to itself alone, since those that share an instant do not see each other.

    Args:
        history: of some units.

    Raises:
        InputError: `compute` does not give one row per decision.
    """
    check, time = "future_moves_no_past_row", problem.decision.time
    last = _last(history, problem)
    if last is None:
        return _nothing_to_compute(check, problem)
    before = _recomputed(history, problem, compute, _time(last))
    if not before.num_rows:
        return _nothing_to_compute(check, problem)
    times = np.sort(before[time].cast(pa.timestamp("us")).to_numpy().astype(np.int64))
    instant = int(times[(len(times) - 1) // 2])
    changed = another_future(history, problem, instant, np.random.default_rng(seed))
    after = _recomputed(changed, problem, compute, _time(last))
    until = pa.scalar(_time(instant), pa.timestamp("us"))
    before, after = (rows.filter(pc.less_equal(rows[time], until)) for rows in (before, after))
    if problem.decision.is_event:
        # Of those at the instant itself, half were dropped.
        before = before.filter(_has(before, after, problem))
    return unmoved(check, before, after, problem, f"another future from {_minute(instant)} on")


def unmoved(check: str, before: pa.Table, after: pa.Table, problem: Problem, future: str) -> Alarm:
    """The alarm over two computations of the same rows, that fires where a feature for models differs, or which rows
    there are.
    """
    decisions, condition = problem.decision.plural, f"with {future}"
    if not problem.decision.is_event and problem.predict.having is not None:  # type: ignore[union-attr]
        # It looks ahead by design: which cases there are follows from the future.
        before, after = before.filter(_has(before, after, problem)), after.filter(_has(after, before, problem))
    moved_rows = int(pc.sum(pc.invert(_has(before, after, problem))).as_py() or 0)
    moved_rows += int(pc.sum(pc.invert(_has(after, before, problem))).as_py() or 0)
    if moved_rows:
        message = (
            f"{moved_rows:,} of {before.num_rows:,} {decisions} exist, or do not, only {condition}: whether a "
            f"decision is made must follow from what was known before it."
        )
        return Alarm(check, False, None, float(moved_rows), 0.0, message, None)
    features = for_models(features_of(problem))
    measured = {each.name: float(differing(before[each.name], after[each.name]).sum()) for each in features}
    worst, value = worst_of(measured)
    if worst is None:
        message = f"No feature moved in {before.num_rows:,} {decisions} {condition}."
    else:
        others = sum(moved > 0 for moved in measured.values()) - 1
        message = (
            f"{worst}{f' (and {others} more)' if others else ''} moved in {int(value):,} of {before.num_rows:,} "
            f"{decisions} {condition}, where none may: compute it from what was known strictly before."
        )
    return Alarm(check, worst is None, worst, value, 0.0, message, details_of(measured))


def _has(rows: pa.Table, others: pa.Table, problem: Problem) -> pa.Array:
    """Which rows are among others, by their keys."""
    keys = list(problem.decision.keys)
    placed = rows.select(keys).append_column("_place", pa.array(np.arange(rows.num_rows)))
    common = placed.join(others.select(keys), keys, join_type="left semi")
    found: Flags = np.zeros(rows.num_rows, dtype=bool)
    found[common["_place"].to_numpy()] = True
    return pa.array(found)


def _recomputed(history: History, problem: Problem, compute: ComputeFeatures, clock: datetime) -> pa.Table:
    """Features of the decisions that a history has, in the order of their keys."""
    decision = problem.decision
    by_key = [(key, "ascending") for key in decision.keys]
    rows = compute(as_tables(history), problem, clock=clock).to_pyarrow().combine_chunks().sort_by(by_key)
    if decision.is_event:
        events = history[str(problem.schema.table_of(decision.noun))].num_rows
        unique = rows.select(list(decision.keys)).group_by(list(decision.keys)).aggregate([]).num_rows
        if not events == rows.num_rows == unique:
            raise InputError(
                f"The features must have one row per {decision.noun}, but have {counted(rows.num_rows, 'row')}, "
                f"{unique:,} of "
                f"them different, of {events:,} {decision.plural}: check that each of them, and each of its entities, "
                f"is there once."
            )
    return rows


def _last(history: History, problem: Problem) -> int | None:
    """The instant of the last event of all, in microseconds since 1970; None where there is none of a decision."""
    deciding = str(problem.schema.table_of(problem.deciding_event))
    if not history[deciding].num_rows:
        return None
    names = problem.schema.event_tables
    return max(int(instants_of(history, problem, name)[0].max()) for name in names if history[name].num_rows)


def _nothing_to_compute(check: str, problem: Problem) -> Alarm:
    return Alarm(check, True, None, 0.0, 0.0, f"There are no {problem.decision.plural} to compute features of.", None)


def _time(micros: int) -> datetime:
    time: datetime = pa.scalar(micros, pa.int64()).cast(pa.timestamp("us")).as_py()
    return time


def _minute(micros: int) -> str:
    return _time(micros).strftime("%Y-%m-%d %H:%M")
