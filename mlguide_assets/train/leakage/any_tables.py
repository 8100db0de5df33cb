"""Does a feature know the future? For any tables: what happens from an instant on is taken away from every event table
at once, and the features of earlier decisions must stay as they were.
"""

from collections.abc import Mapping
from datetime import datetime

import ibis
import numpy as np

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.comparing import differing
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.train.leakage.results import Alarm, worst_of

Tables = Mapping[str, ibis.Table]


def tables_before(tables: Tables, problem: Problem, instant: datetime) -> dict[str, ibis.Table]:
    """The tables without the events from an instant on."""
    schema, at = problem.schema, ibis.timestamp(instant)
    found = dict(tables)
    for name, table in schema.event_tables.items():
        rows = tables[name]
        if table.own_time is not None:
            found[name] = rows.filter(rows[table.own_time] < at)
            continue
        noun, _, time = table.at.partition(".")
        parents = tables[str(schema.table_of(noun))]
        key = schema.entity_tables[str(schema.table_of(noun))].key
        past = parents.filter(parents[time] < at).select(**{table.of[noun]: key}).distinct()
        found[name] = rows.semi_join(past, table.of[noun])
    return found


def moved_by_the_future(tables: Tables, rows: ibis.Table, problem: Problem, *, most: int) -> tuple[int, dict[str, int]]:
    """Compute features of decisions before an instant with and without what comes later.

    Args:
        rows: decisions; the instant is the median of their times.
        most: how many decisions to look at, drawn by the seed of the evaluation.

    Returns:
        How many were looked at, and per feature how many of them moved.
    """
    time, order = problem.decision.time, problem.decision.order
    instant = _median(rows, time)
    earlier = rows.filter(rows[time] <= ibis.timestamp(instant)).order_by(*order).to_pyarrow()
    drawn = np.random.default_rng(problem.evaluation.seed).permutation(earlier.num_rows)[:most]
    spine = ibis.memtable(earlier.take(np.sort(drawn)))
    backend = next(iter(tables.values())).get_backend()
    names = [feature.name for feature in features_of(problem)]
    # What is known of an event itself is part of the spine, and of the features.
    spine = spine.drop(problem.label.column, "matured_at")
    one, other = (
        backend.to_pyarrow(
            with_features(spine, each, problem).select(*dict.fromkeys([*order, *names])).order_by(*order)
        )
        for each in (tables, tables_before(tables, problem, instant))
    )
    if one.num_rows != other.num_rows:
        return one.num_rows, {"number of rows": abs(one.num_rows - other.num_rows)}
    return one.num_rows, {name: int(differing(one[name], other[name]).sum()) for name in names}


def _median(rows: ibis.Table, time: str) -> datetime:
    found = rows.aggregate(at=rows[time].quantile(0.5)).to_pyarrow()["at"][0].as_py()
    return datetime.fromisoformat(str(found)).replace(tzinfo=None)


def future_moves_nothing(tables: Mapping[str, ibis.Table], rows: ibis.Table, problem: Problem, *, most: int) -> Alarm:
    """Does taking away every later event leave the features of earlier decisions as they were?

    Args:
        tables: what the features are compiled from.
        rows: decisions.
        most: how many of them to look at.
    """
    looked, moved = moved_by_the_future(tables, rows, problem, most=most)
    worst, value = worst_of({name: count / max(looked, 1) for name, count in moved.items()})
    if not value:
        message = f"Without what came later, {looked:,} earlier decisions have the same features."
        worst = None
    else:
        message = f"{worst} of {value:.1%} of {looked:,} decisions changes without what came later: remove it."
    return Alarm("future_moves_no_past_row", not value, worst, value, 0.0, message, None)
