"""What had happened before an instant: aggregates over strictly earlier sends.

One definition serves every use, because an *event* is either a send, which counts, or a probe, which
only asks: training asks at the sends themselves, batch and feature store ask with probes.
"""

from collections.abc import Iterable
from datetime import timedelta

import ibis

from mlguide_assets.prepare.features.moment import DAY
from mlguide_assets.prepare.features.registry import category_count, theme_count

UNSUBSCRIBES = "number_of_unsubscribes"
RECENT_DAYS = {"emails_last_7_days": 7, "emails_last_30_days": 30}


def with_user_history(
    events: ibis.Table, *, label_window: timedelta, themes: Iterable[str], categories: Iterable[str]
) -> ibis.Table:
    """Add the user's history to every event, as known just before it.

    Events that share an instant do not see each other. An unsubscribe is seen once `label_window` has
    passed since its delivery.

    Args:
        events: user_id, at (int64, microseconds), lost, theme, category, and `is_send` where probes are among them.
    """
    matured = max(micros(label_window), 1)

    def window(start: int | None, end: int) -> ibis.expr.builders.WindowBuilder:
        # Integer bounds on microseconds: 30 % faster in DuckDB than intervals on timestamps.
        return ibis.range_window(preceding=(start, end), group_by="user_id", order_by="at")

    # Without probes nothing need be filtered, and DuckDB counts a window without looking into it.
    counts = events.is_send if "is_send" in events.columns else None
    earlier, since_matured = window(None, 1), window(None, matured)
    columns = {
        name: events.count(where=_both(counts, condition)).over(since_matured if name == UNSUBSCRIBES else earlier)
        for name, condition in _counted(events, themes, categories).items()
    }
    columns |= {name: events.count(where=counts).over(window(days * DAY, 1)) for name, days in RECENT_DAYS.items()}
    return events.mutate(**columns, last_at=events["at"].max(where=counts).over(earlier))


def user_records(sends: ibis.Table, *, themes: Iterable[str], categories: Iterable[str]) -> ibis.Table:
    """What `with_user_history` says of each user who had these sends and no other, once all have matured and are older
    than the longest of `RECENT_DAYS`.
    """
    counted = _counted(sends, themes, categories)
    columns = {name: sends.count(where=condition) for name, condition in counted.items()}
    return sends.group_by("user_id").aggregate(**columns, last_at=sends["at"].max())


def with_user_records(events: ibis.Table, records: ibis.Table) -> ibis.Table:
    """Add what had happened before to the history of events that saw only what came later.

    All are whole numbers, so it does not matter in which order they are added up.
    """
    earlier = records.rename({f"earlier_{name}": name for name in records.columns})
    joined = events.left_join(earlier, events.user_id == earlier.earlier_user_id)
    counts = [name for name in records.columns if name not in ("user_id", "last_at")]
    sums = {name: joined[name] + joined[f"earlier_{name}"].fill_null(0) for name in counts}
    last_at = ibis.coalesce(joined.last_at, joined.earlier_last_at)
    return joined.mutate(**sums, last_at=last_at).drop(*earlier.columns)


def _counted(events: ibis.Table, themes: Iterable[str], categories: Iterable[str]) -> dict[str, ibis.Value | None]:
    """What a user's earlier sends are counted by."""
    return {
        "number_of_emails": None,
        UNSUBSCRIBES: events.lost,
        **{theme_count(theme): events.theme == theme for theme in themes},
        **{category_count(category): events.category == category for category in categories},
    }


def with_email_history(events: ibis.Table, sends: ibis.Table, *, label_window: timedelta) -> ibis.Table:
    """Add the email's own record to every event, as matured by the start of the event's day.

    The day's start, not the instant: the record is then one row per email and day, small enough to be
    looked up, where a window over all sends of an email is the costliest part of the features.

    Args:
        events: email_id, at (int64, microseconds).
        sends: the sends that count, with at, email_id and lost, which is null where the outcome is not known.
    """
    # Counted in float64, exact to 2^53: DuckDB sums integers into 128 bits, which neither Parquet nor Ibis has.
    one, none = ibis.literal(1.0), ibis.literal(0.0)
    # A send without a label says nothing yet, whenever it was delivered.
    known = sends.filter(sends.lost.notnull())
    matured = known.select(
        "email_id", day=_day_after(known["at"] + micros(label_window)), sent=one, lost=known.lost.cast("float64")
    )
    asked = events.select("email_id", day=_day(events["at"]), sent=none, lost=none).distinct()
    by_day = (
        matured.union(asked)
        .group_by("email_id", "day")
        .aggregate(sent=lambda t: t.sent.sum(), lost=lambda t: t.lost.sum())
    )
    so_far = ibis.cumulative_window(group_by="email_id", order_by="day")
    record = by_day.select(
        record_email="email_id",
        record_day="day",
        email_matured_sends=by_day.sent.sum().over(so_far),
        email_lost=by_day.lost.sum().over(so_far),
    )
    joined = events.left_join(
        record, (events.email_id == record.record_email) & (_day(events["at"]) == record.record_day)
    )
    rate = joined.email_lost / joined.email_matured_sends.nullif(0)
    return joined.mutate(
        email_matured_sends=joined.email_matured_sends.cast("int64"), email_unsubscribe_rate=rate
    ).drop("record_email", "record_day", "email_lost")


def _both(one: ibis.Value | None, other: ibis.Value | None) -> ibis.Value | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _day(at: ibis.Value) -> ibis.Value:
    """The day that the instant falls in, as a number since 1970."""
    return at // DAY


def _day_after(at: ibis.Value) -> ibis.Value:
    """The first day whose start is not before the instant."""
    return -((-at) // DAY)
