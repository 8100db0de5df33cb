"""The feature tables: one row per send for training, one per user for the store, one per pair for scoring."""

from datetime import datetime, timedelta

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.history import with_email_history, with_user_history
from mlguide_assets.prepare.features.moment import moment_features
from mlguide_assets.prepare.features.registry import CONTENT, EMAIL_HISTORY, PROFILE, features_of

KEYS = ("user_id", "email_id", "delivered_at")
LABEL = "unsubscribed"
_EPOCH = "1970-01-01 00:00:00"
_HISTORY = ("at", "lost", "theme", "category")
"""What the windows over a user's sends look at."""


def send_features(core_users: ibis.Table, problem: Problem) -> ibis.Table:
    """Point-in-time features of every send.

    Returns:
        Keys, the label (1, 0, or null while it has not matured), `matured_at`, and the features of
        `features_of(problem)`; ordered by time. A label has matured once the newest delivery is at least
        the label window younger: the data's own clock, so that old files give the same answer every day.
    """
    events = _events(core_users, problem)
    narrow = events.select(*KEYS, *_HISTORY)
    rows = with_email_history(_with_user_history(narrow, problem), narrow, label_window=problem.label.window)
    # Profile and content are looked up after the windows, which sort all rows: at 10 M sends half the time.
    rows = _look_up(rows.drop("theme", "category"), events, "user_id", ("date_joined", *PROFILE))
    rows = _look_up(rows, events, "email_id", ("created_at", *CONTENT))
    rows = rows.mutate(**_moments(rows))
    matured_at = rows.delivered_at + _interval(problem.label.window)
    matured = matured_at <= events.delivered_at.max().as_scalar()
    label = ibis.ifelse(matured, rows.lost.cast("int8"), ibis.null("int8"))
    features = [feature.name for feature in features_of(problem)]
    return rows.select(
        *KEYS, **{LABEL: label, "matured_at": matured_at}, **{name: rows[name] for name in features}
    ).order_by("delivered_at", "user_id", "email_id")


def user_state(core_users: ibis.Table, user_profiles: ibis.Table, problem: Problem, as_of: datetime) -> ibis.Table:
    """What is known at an instant about every user who had joined by then, of what does not depend on the email.

    Returns:
        One row per user: user_id, as_of, date_joined, profile columns, history columns, and `last_delivered_at`.
    """
    instant = ibis.timestamp(as_of)
    events = _events(core_users, problem)
    events = events.filter(events.delivered_at < instant)
    members = user_profiles.filter(~(user_profiles.date_joined > instant).fill_null(False))
    probes = members.select(
        user_id="id",
        at=_microseconds(instant),
        lost=ibis.literal(False),
        theme=ibis.null("string"),
        category=ibis.null("string"),
        is_send=ibis.literal(False),
    )
    sends = events.select("user_id", *_HISTORY, is_send=ibis.literal(True))
    asked = _with_user_history(sends.union(probes), problem)
    asked = asked.filter(~asked.is_send)
    profiles = user_profiles.rename(profile_id="id")
    joined = asked.inner_join(profiles, asked.user_id == profiles.profile_id)
    counts = [feature.name for feature in features_of(problem) if feature.origin == "user_history"]
    last = ibis.timestamp(_EPOCH) + joined.last_at.as_interval("us")
    return joined.select("user_id", "date_joined", *PROFILE, *counts, as_of=instant, last_delivered_at=last).order_by(
        "user_id"
    )


def email_state(core_users: ibis.Table, email_content: ibis.Table, problem: Problem, as_of: datetime) -> ibis.Table:
    """What is known about every email that exists at an instant: content, age, and its own record."""
    instant = ibis.timestamp(as_of)
    sends = _events(core_users, problem)
    probes = email_content.filter(email_content.created_at <= instant)
    probes = probes.rename(email_id="id").mutate(at=_microseconds(instant))
    asked = with_email_history(probes, sends, label_window=problem.label.window)
    return asked.select("email_id", "created_at", *CONTENT, *EMAIL_HISTORY).order_by("email_id")


def pair_features(users: ibis.Table, emails: ibis.Table, problem: Problem) -> ibis.Table:
    """Features of every pair of a user and a candidate email at the users' `as_of`.

    Args:
        users: rows of `user_state`.
        emails: rows of `email_state` at the same instant.
    """
    pairs = users.cross_join(emails).mutate(delivered_at=lambda t: t.as_of)
    pairs = pairs.mutate(at=_microseconds(pairs.as_of), last_at=_microseconds(pairs.last_delivered_at))
    pairs = pairs.mutate(**_moments(pairs))
    return pairs.select(*KEYS, *[feature.name for feature in features_of(problem)])


def _events(core_users: ibis.Table, problem: Problem) -> ibis.Table:
    """The sends of the core table, as events that count."""
    sends = core_users.filter(core_users.delivered_at.notnull())
    return sends.mutate(
        at=_microseconds(sends.delivered_at),
        lost=sends.unsubscribed == problem.label.positive,
    )


def _look_up(rows: ibis.Table, events: ibis.Table, key: str, columns: tuple[str, ...]) -> ibis.Table:
    """Add columns of the core table that depend on one key alone."""
    known = events.select(key, *columns).distinct().rename(known_key=key)
    return rows.left_join(known, rows[key] == known.known_key).drop("known_key")


def _with_user_history(events: ibis.Table, problem: Problem) -> ibis.Table:
    return with_user_history(
        events, label_window=problem.label.window, themes=problem.themes, categories=problem.categories
    )


def _moments(rows: ibis.Table) -> dict[str, ibis.Value]:
    return moment_features(
        at=rows["at"],
        joined_at=_microseconds(rows.date_joined),
        created_at=_microseconds(rows.created_at),
        last_at=rows.last_at,
    )


def _microseconds(time: ibis.Value) -> ibis.Value:
    return time.delta(ibis.timestamp(_EPOCH), unit="microsecond")


def _interval(span: timedelta) -> ibis.Value:
    return ibis.interval(seconds=int(span.total_seconds()))
