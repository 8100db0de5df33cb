"""The rows that are watched: the decisions of a day as the champion scores them, and the requests to the API."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.deploy.log.prediction_log import CHAMPION
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.computing import Engine
from mlguide_assets.prepare.features.building import clock_of, decisions_of
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.events import Tables, canonical_events, times_of
from mlguide_assets.prepare.named import named
from mlguide_assets.prepare.partitions.digests import row_hash
from mlguide_assets.statistics.draws import draw_column
from mlguide_assets.train.models.models import THREADS, ServableModel
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.rows import drawn_rows
from mlguide_assets.train.storage import load_model


def rows_of_days(features: ibis.Table, problem: Problem, *, first: date, last: date) -> ibis.Table:
    """The decisions of some days, both included: keys, label and features, in any order.

    Returns:
        The label is null until it has matured.
    """
    time = features[problem.decision.time]
    return features.filter((time >= midnight(first)) & (time < midnight(last) + timedelta(days=1)))


@dataclass(frozen=True)
class Sample:
    """Rows of decisions that memory holds, and which share of all they are: 1 is all of them."""

    rows: ibis.Table
    share: float

    def said(self, problem: Problem) -> str:
        """What is added to a sentence about figures of it; nothing where it is all rows."""
        if self.share >= 1:
            return ""
        return (
            f" These are figures of a seeded sample of {100 * self.share:.3g} % of the {problem.decision.plural} "
            f"(training.rows_in_memory)."
        )


def sample_in_memory(rows: ibis.Table, problem: Problem) -> Sample:
    """The rows; of more than `training.rows_in_memory`, those of a seeded half of the units, or a quarter, and so on.

    As their number grows from day to day, the sample stays as it is until it has to be halved.
    """
    total, most = int(rows.count().to_pyarrow().as_py()), problem.training.rows_in_memory
    share = 0.5 ** math.ceil(math.log2(total / most)) if total > most else 1.0
    return Sample(drawn_rows(rows, problem, share), share)


def scored(rows: ibis.Table, champion: Bundle, problem: Problem) -> pa.Table:
    """Rows of the table of features in memory, with the champion's probability, in the order of `decision.order`."""
    model = load_model(champion.folder, threads=THREADS)
    return _with_probability(rows.order_by(*problem.decision.order).to_pyarrow(), model)


def scored_on(engine: Engine, rows: ibis.Table, champion: Bundle, place: Path) -> ibis.Table:
    """Rows of the table of features with the champion's probability, scored where they are, once.

    Args:
        place: a new file or folder, which is read from then on.
    """
    schema = rows.schema().to_pyarrow().append(pa.field(PROBABILITY, pa.float64()))

    def scored(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        model = load_model(champion.folder)
        for batch in batches:
            yield from _with_probability(pa.Table.from_batches([batch]), model).cast(schema).to_batches()

    return engine.stored(engine.mapped(rows, scored, schema), place)


def _with_probability(rows: pa.Table, model: ServableModel) -> pa.Table:
    return rows.append_column(PROBABILITY, pa.array(model.predict(model.encoding.matrix(rows))))


def rows_of_some_units(rows: ibis.Table, unit: str, *, most: int, seed: int, per: str | None = None) -> ibis.Table:
    """Rows of whole units, drawn by the hash of their ids, in any order: as `train.folds.rows_of_whole_units` draws.

    Args:
        most: rows in all; all those of one unit where each has more.
        per: so many of each value of this column, each by itself.
    """
    keys = [unit] if per is None else [per, unit]
    counted = rows.group_by(keys).aggregate(_rows=rows.count())
    drawn = counted.mutate(_draw=draw_column(f"{seed}/sample", counted[unit]))
    order = ["_draw", unit]
    if per is None:
        # Each has a row, so more units are never needed: then they fit into one place, in which they are ordered.
        drawn = drawn.order_by(*order).limit(most)
    window = ibis.window(group_by=per, order_by=order, preceding=None, following=0)
    summed = drawn.mutate(_so_far=drawn["_rows"].sum().over(window), _place=ibis.row_number().over(window))
    return rows.semi_join(summed.filter((summed["_so_far"] <= most) | (summed["_place"] == 0)), keys)


def logged_traffic(prediction_log: ibis.Table, problem: Problem, *, first: date, last: date) -> pa.Table:
    """What the champion answered on some days: features and probability; questions and base rates left out."""
    answered = prediction_log.answered_at
    of_day = prediction_log.filter(
        (answered >= midnight(first))
        & (answered < midnight(last) + timedelta(days=1))
        & (prediction_log.variant == CHAMPION)
    )
    rows = of_day.select("features", PROBABILITY).to_pyarrow()
    features = [feature for feature in features_of(problem) if feature.for_models]
    vectors = [json.loads(vector) for vector in rows["features"].to_pylist()]
    watched = {feature.name: column_of(vectors, feature) for feature in features}
    return pa.table({**watched, PROBABILITY: rows[PROBABILITY]})


def column_of(vectors: Sequence[dict[str, Any]], feature: Feature) -> pa.Array:
    """A feature as it was logged; null where it was not."""
    return pa.array(
        [vector.get(feature.name) for vector in vectors], pa.string() if feature.kind == "category" else pa.float64()
    )


def landed_days(tables: Tables, problem: Problem, decided: ibis.Table | None = None) -> ibis.Table:
    """How far the source has come: its events by day, and what was decided on each.

    Outcomes come in day by day, and are not tested before all of a day are final.

    Args:
        tables: accepted, by their names in the problem file.
        decided: the decisions with `matured_at`, where they are known already; default: computed from the tables.

    Returns:
        day, rows (events that the data's clock goes by), decisions, matured (those whose time for an outcome is over),
        known (those that have one), digest (of the decisions), outcomes (a digest of them with their outcomes; null
        until all have matured); ordered by day. A day without events has no row.

    Raises:
        InputError: no event has a time.
    """
    clock, decision = clock_of(tables, problem), problem.decision
    rows = decisions_of(tables, problem) if decided is None else decided
    days = _days_of(rows, problem, clock)
    if decision.is_event:
        return days.mutate(rows=days.decisions).select(*_LANDED).order_by("day")
    found = canonical_events(tables, problem, problem.deciding_event)
    times = times_of(found, problem.schema.event(problem.deciding_event))
    events = found.select(day=times.date())
    counted = events.group_by("day").aggregate(rows=events.count())
    both = counted.outer_join(days, "day")
    zero = {name: ibis.coalesce(both[name], 0) for name in ("rows", "decisions", "matured", "known")}
    known = both.select("digest", "outcomes", ibis.coalesce(both["day"], both["day_right"]).name("day"), *named(zero))
    return known.select(*_LANDED).order_by("day")


_LANDED = ("day", "rows", "decisions", "matured", "known", "digest", "outcomes")


def landed_columns(problem: Problem) -> dict[str, str]:
    """Column of `landed_days` → meaning."""
    many = problem.decision.plural
    return {
        "day": "The day, UTC.",
        "rows": "Events of the day by which the data's clock goes.",
        "decisions": f"What was decided on the day: its {many}.",
        "matured": f"Those of its {many} whose outcome is final by the data's clock, whether the source has it or not.",
        "known": "Those of them that have an outcome.",
        "digest": f"A hash of the day's {many} without their outcomes.",
        "outcomes": f"A hash of the day's {many} with their outcomes, once all of them are final; null before.",
    }


def _days_of(decided: ibis.Table, problem: Problem, clock: datetime) -> ibis.Table:
    """What was decided on each day: as `landed_days`, without the events."""
    keys, label = problem.decision.keys, problem.label.column
    rows = decided.select(
        "matured_at",
        day=decided[problem.decision.time].date(),
        keys=row_hash(*(decided[name] for name in keys)),
        ended=row_hash(*(decided[name] for name in (*keys, label))),
        has_matured=decided["matured_at"] <= ibis.timestamp(clock),
        is_known=decided[label].notnull(),
    )
    days = rows.group_by("day").aggregate(
        decisions=rows.count(),
        matured=rows.count(where=rows.has_matured),
        known=rows.count(where=rows.is_known),
        digest=rows["keys"].sum().cast("string"),
        ended=rows.ended.sum().cast("string"),
        last=rows.matured_at.max(),
    )
    final = days["last"] <= ibis.timestamp(clock)
    outcomes = ibis.ifelse(final, days.ended, ibis.null("string"))
    return days.select("day", "decisions", "matured", "known", "digest", outcomes=outcomes)
