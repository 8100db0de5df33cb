"""The rows that are watched: the sends of a day as the champion scores them, and what the API was asked."""

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle
from mlguide_assets.deploy.prediction_log import CHAMPION
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.digests import row_hash
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.tables import KEYS, LABEL
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.storage import load_model


def sends_of(send_features: ibis.Table, *, first: date, last: date) -> pa.Table:
    """The sends of some days, both included: keys, label and features, ordered by time.

    Returns:
        The label is null until it has matured.
    """
    chosen = send_features.filter(
        (send_features.delivered_at >= midnight(first)) & (send_features.delivered_at < midnight(last, days=1))
    )
    return chosen.order_by("delivered_at", "user_id", "email_id").to_pyarrow()


def scored_sends(send_features: ibis.Table, champion: Bundle, *, first: date, last: date) -> pa.Table:
    """`sends_of` some days, with the champion's probability."""
    rows = sends_of(send_features, first=first, last=last)
    model = load_model(champion.folder)
    return rows.append_column(PROBABILITY, pa.array(model.predict(model.encoding.matrix(rows))))


def logged_traffic(prediction_log: ibis.Table, problem: Problem, day: date) -> pa.Table:
    """What the champion answered on a day: keys, features and probability; questions and base rates left out."""
    answered = prediction_log.answered_at
    of_day = prediction_log.filter(
        (answered >= midnight(day)) & (answered < midnight(day, days=1)) & (prediction_log.variant == CHAMPION)
    )
    rows = of_day.select(*KEYS, "features", PROBABILITY).to_pyarrow()
    features = [feature for feature in features_of(problem) if feature.for_models]
    vectors = [json.loads(vector) for vector in rows["features"].to_pylist()]
    columns = {name: rows[name] for name in (*KEYS, PROBABILITY)}
    return pa.table({**columns, **{feature.name: column_of(vectors, feature) for feature in features}})


def column_of(vectors: Sequence[dict[str, Any]], feature: Feature) -> pa.Array:
    """A feature as it was logged; null where it was not."""
    return pa.array(
        [vector.get(feature.name) for vector in vectors], pa.string() if feature.kind == "category" else pa.float64()
    )


def landed_days(user_emails: ibis.Table, label_window: timedelta) -> ibis.Table:
    """One row per day that has sends: how many, and digests of them and of their outcomes, once these are final.

    Before, outcomes come in day by day, and nobody judges them.

    Returns:
        day, rows, digest, outcomes (null until all have matured); ordered by day.
    """
    dated = user_emails.filter(user_emails.delivered_at.notnull())
    sends = dated.select(
        "delivered_at",
        day=dated.delivered_at.date(),
        sent=row_hash(*(dated[name] for name in KEYS)),
        ended=row_hash(*(dated[name] for name in (*KEYS, LABEL))),
    )
    days = sends.group_by("day").aggregate(
        rows=sends.count(),
        digest=sends.sent.sum().cast("string"),
        ended=sends.ended.sum().cast("string"),
        last=sends.delivered_at.max(),
    )
    final = days["last"] + ibis.interval(seconds=int(label_window.total_seconds()))
    matured = final <= (data_clock(dated) or datetime.min)
    return days.select(
        "day", "rows", "digest", outcomes=ibis.ifelse(matured, days.ended, ibis.null("string"))
    ).order_by("day")


def midnight(day: date, *, days: int = 0) -> datetime:
    """The start of a day, UTC, or of one so many days later."""
    return datetime.combine(day, datetime.min.time()) + timedelta(days=days)
