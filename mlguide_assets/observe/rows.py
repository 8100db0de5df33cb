"""The rows that are watched: the decisions of a day as the champion scores them, and the requests to the API."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.deploy.prediction_log import CHAMPION
from mlguide_assets.prepare.digests import row_hash
from mlguide_assets.prepare.features.building import clock_of, decisions_of
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.events import AT, Tables, canonical_events, timestamp_of
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.storage import load_model


def rows_of_days(features: ibis.Table, problem: Problem, *, first: date, last: date) -> pa.Table:
    """The decisions of some days, both included: keys, label and features, in the order of `decision.order`.

    Returns:
        The label is null until it has matured.
    """
    time = features[problem.decision.time]
    chosen = features.filter((time >= midnight(first)) & (time < midnight(last, days=1)))
    return chosen.order_by(*problem.decision.order).to_pyarrow()


def scored_rows(features: ibis.Table, champion: Bundle, problem: Problem, *, first: date, last: date) -> pa.Table:
    """`rows_of_days`, with the champion's probability."""
    rows = rows_of_days(features, problem, first=first, last=last)
    model = load_model(champion.folder)
    return rows.append_column(PROBABILITY, pa.array(model.predict(model.encoding.matrix(rows))))


def logged_traffic(prediction_log: ibis.Table, problem: Problem, *, first: date, last: date) -> pa.Table:
    """What the champion answered on some days: features and probability; questions and base rates left out."""
    answered = prediction_log.answered_at
    of_day = prediction_log.filter(
        (answered >= midnight(first)) & (answered < midnight(last, days=1)) & (prediction_log.variant == CHAMPION)
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
        day, rows (events that the data's clock goes by), decisions, digest (of the decisions), outcomes (a digest of
        them with their outcomes; null until all have matured); ordered by day. A day without events has no row.

    Raises:
        InputError: no event has a time.
    """
    clock, decision = clock_of(tables, problem), problem.decision
    rows = decisions_of(tables, problem) if decided is None else decided
    days = _days_of(rows, problem, clock)
    if decision.is_event:
        return days.mutate(rows=days.decisions).select(*_LANDED).order_by("day")
    found = canonical_events(tables, problem, problem.deciding_event)
    events = found.select(day=timestamp_of(found[AT]).date())
    counted = events.group_by("day").aggregate(rows=events.count())
    both = counted.outer_join(days, "day")
    zero = {name: ibis.coalesce(both[name], 0) for name in ("rows", "decisions")}
    known = both.select("digest", "outcomes", day=ibis.coalesce(both["day"], both["day_right"]), **zero)
    return known.select(*_LANDED).order_by("day")


_LANDED = ("day", "rows", "decisions", "digest", "outcomes")


def _days_of(decided: ibis.Table, problem: Problem, clock: datetime) -> ibis.Table:
    """What was decided on each day: day, decisions, digest and outcomes."""
    keys, label = problem.decision.keys, problem.label.column
    rows = decided.select(
        "matured_at",
        day=decided[problem.decision.time].date(),
        keys=row_hash(*(decided[name] for name in keys)),
        ended=row_hash(*(decided[name] for name in (*keys, label))),
    )
    days = rows.group_by("day").aggregate(
        decisions=rows.count(),
        digest=rows["keys"].sum().cast("string"),
        ended=rows.ended.sum().cast("string"),
        last=rows.matured_at.max(),
    )
    matured = days["last"] <= ibis.timestamp(clock)
    return days.select("day", "decisions", "digest", outcomes=ibis.ifelse(matured, days.ended, ibis.null("string")))


def midnight(day: date, *, days: int = 0) -> datetime:
    """The start of a day, UTC, or of one so many days later."""
    return datetime.combine(day, datetime.min.time()) + timedelta(days=days)
