"""The feature tables: one row per send for training, one per user for the store, one per pair for scoring."""

from datetime import datetime, timedelta

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.history import (
    RECENT_DAYS,
    micros,
    user_records,
    with_email_history,
    with_user_history,
    with_user_records,
)
from mlguide_assets.prepare.features.moment import moment_features
from mlguide_assets.prepare.features.registry import CONTENT, EMAIL_HISTORY, PROFILE

KEYS = ("user_id", "email_id", "delivered_at")
LABEL = "unsubscribed"
_EPOCH = "1970-01-01 00:00:00"
HISTORY = ("at", "lost", "theme", "category")
"""What the windows over a user's sends look at."""


def send_features(core_users: ibis.Table, problem: Problem, *, clock: datetime | None = None) -> ibis.Table:
    """Point-in-time features of every send.

    Args:
        clock: of the data, from `clock.data_clock`; default: the newest delivery.

    Returns:
        Keys, the label (1, 0, or null while it has not matured), `matured_at`, and the features of
        `features_of(problem)`; ordered by time. A label has matured once the data's own clock is at least
        the label window later, so that old files give the same answer every day.
    """
    events = events_of(core_users, problem)
    narrow = events.select(*KEYS, *HISTORY)
    rows = with_email_history(user_history(narrow, problem), narrow, label_window=problem.label.window)
    newest = events["at"].max().as_scalar() if clock is None else microseconds(ibis.timestamp(clock))
    return completed(rows.drop("theme", "category"), events, problem, newest=newest)


def completed(rows: ibis.Table, events: ibis.Table, problem: Problem, newest: ibis.Value) -> ibis.Table:
    """Rows of `send_features` from sends that have their history.

    Profile and content are looked up after the windows, which sort all rows: at 10 M sends half the time.

    Args:
        rows: keys, at, lost, last_at, and the features of both histories.
        events: of the core table, where the users and emails of these rows are.
        newest: the data's clock, in microseconds since 1970.
    """
    rows = _look_up(rows, events, "user_id", ("date_joined", *PROFILE))
    rows = _look_up(rows, events, "email_id", ("created_at", *CONTENT))
    rows = rows.mutate(**_moments(rows))
    matured_at = rows.delivered_at + _interval(problem.label.window)
    matured = rows["at"] + micros(problem.label.window) <= newest
    label = ibis.ifelse(matured, rows.lost.cast("int8"), ibis.null("int8"))
    features = [feature.name for feature in features_of(problem)]
    return rows.select(
        *KEYS, **{LABEL: label, "matured_at": matured_at}, **{name: rows[name] for name in features}
    ).order_by("delivered_at", "user_id", "email_id", LABEL)


def user_state(core_users: ibis.Table, user_profiles: ibis.Table, problem: Problem, as_of: datetime) -> ibis.Table:
    """What is known at an instant about every user who had joined by then, of what does not depend on the email.

    Returns:
        One row per user: user_id, as_of, date_joined, profile columns, history columns, and `last_delivered_at`.
    """
    instant = ibis.timestamp(as_of)
    events = events_of(core_users, problem)
    members = user_profiles.filter(~(user_profiles.date_joined > instant).fill_null(False))
    asked = members.select(user_id="id", as_of=instant)
    earlier = events.filter(events.delivered_at < instant)
    # What is older enters as one count per user: a window over all that a user was ever sent takes twice as long.
    cut = as_of - max(problem.label.window, timedelta(days=max(RECENT_DAYS.values())))
    older, recent = earlier.filter(earlier.delivered_at < cut), earlier.filter(earlier.delivered_at >= cut)
    records = user_records(older, themes=problem.themes, categories=problem.categories)
    state = with_user_records(_asked_history(asked, recent, problem), records)
    return _with_profiles(state, user_profiles, problem).order_by("user_id")


def email_state(core_users: ibis.Table, email_content: ibis.Table, problem: Problem, as_of: datetime) -> ibis.Table:
    """What is known about every email that exists at an instant: content, age, and its own record."""
    instant = ibis.timestamp(as_of)
    existing = email_content.filter(email_content.created_at <= instant)
    asked = existing.select(email_id="id", as_of=instant)
    return _emails_at(asked, events_of(core_users, problem), email_content, problem).drop("as_of").order_by("email_id")


def last_sends(send_features: ibis.Table, problem: Problem, as_of: datetime) -> ibis.Table:
    """The newest send of each user before an instant, with its features as of its own delivery: its outcome is in none.

    Returns:
        One row per user who was ever sent an email: keys and the features that models may use. Of sends at the same
        instant, the one with the largest email id.
    """
    names = [feature.name for feature in features_of(problem) if feature.for_models]
    earlier = send_features.filter(send_features.delivered_at < ibis.timestamp(as_of))
    newest = earlier.group_by("user_id").aggregate(delivered_at=earlier.delivered_at.max())
    tied = earlier.semi_join(newest, ["user_id", "delivered_at"])
    chosen = tied.group_by("user_id", "delivered_at").aggregate(email_id=tied.email_id.max())
    return tied.semi_join(chosen, KEYS).select(*KEYS, *names).order_by("user_id")


def pair_features(users: ibis.Table, emails: ibis.Table, problem: Problem) -> ibis.Table:
    """Features of every pair of a user and a candidate email at the users' `as_of`.

    Args:
        users: rows of `user_state`.
        emails: rows of `email_state` at the same instant.
    """
    pairs = users.cross_join(emails)
    return _with_moments(pairs.mutate(delivered_at=pairs.as_of), problem)


def features_at(
    asked: ibis.Table, core_users: ibis.Table, user_profiles: ibis.Table, email_content: ibis.Table, problem: Problem
) -> ibis.Table:
    """Features of any pairs at any instants, by the path that scores: state of the user, state of the email, moment.

    At the instant of a real send they equal that send's row of `send_features`.

    Args:
        asked: user_id, email_id and delivered_at, the instant; `as_of` where the states are older than that, as
            those of the feature store are.

    Returns:
        Keys, `as_of` and features, rows in any order; none for a user or an email that is not known.
    """
    events = events_of(core_users, problem)
    pairs = asked.select(*KEYS, as_of=asked.as_of if "as_of" in asked.columns else asked.delivered_at)
    who, what = pairs.select("user_id", "as_of").distinct(), pairs.select("email_id", "as_of").distinct()
    users = _users_at(who, events.semi_join(who, "user_id"), user_profiles, problem)
    emails = _emails_at(what, events, email_content, problem)
    return _with_moments(
        pairs.inner_join(users, ["user_id", "as_of"]).inner_join(emails, ["email_id", "as_of"]), problem
    )


def _users_at(asked: ibis.Table, events: ibis.Table, user_profiles: ibis.Table, problem: Problem) -> ibis.Table:
    """State of each user at its own instant.

    Args:
        asked: user_id and as_of.
        events: the sends of these users.
    """
    return _with_profiles(_asked_history(asked, events, problem), user_profiles, problem)


def _asked_history(asked: ibis.Table, events: ibis.Table, problem: Problem) -> ibis.Table:
    """The history of each user at its own instant: user_id, at, last_at and the counts."""
    probes = asked.select(
        user_id="user_id",
        at=microseconds(asked.as_of),
        lost=ibis.literal(False),
        theme=ibis.null("string"),
        category=ibis.null("string"),
        is_send=ibis.literal(False),
    )
    sends = events.select("user_id", *HISTORY, is_send=ibis.literal(True))
    state = user_history(sends.union(probes), problem)
    return state.filter(~state.is_send)


def _with_profiles(state: ibis.Table, user_profiles: ibis.Table, problem: Problem) -> ibis.Table:
    """Rows of the feature store from histories."""
    profiles = user_profiles.rename(profile_id="id")
    joined = state.inner_join(profiles, state.user_id == profiles.profile_id)
    counts = [feature.name for feature in features_of(problem) if feature.origin == "user_history"]
    return joined.select(
        "user_id",
        "date_joined",
        *PROFILE,
        *counts,
        as_of=_instant(joined["at"]),
        last_delivered_at=_instant(joined.last_at),
    )


def _emails_at(asked: ibis.Table, events: ibis.Table, email_content: ibis.Table, problem: Problem) -> ibis.Table:
    """State of each email at its own instant.

    Args:
        asked: email_id and as_of.
        events: all sends.
    """
    content = email_content.rename(content_id="id")
    probes = asked.inner_join(content, asked.email_id == content.content_id).mutate(at=microseconds(asked.as_of))
    state = with_email_history(probes, events, label_window=problem.label.window)
    return state.select("email_id", "as_of", "created_at", *CONTENT, *EMAIL_HISTORY)


def _with_moments(pairs: ibis.Table, problem: Problem) -> ibis.Table:
    """Pairs of states, with what follows from the instant: keys and features as in `send_features`, and `as_of`."""
    pairs = pairs.mutate(at=microseconds(pairs.delivered_at), last_at=microseconds(pairs.last_delivered_at))
    pairs = pairs.mutate(**_moments(pairs))
    return pairs.select(*KEYS, "as_of", *[feature.name for feature in features_of(problem)])


def events_of(core_users: ibis.Table, problem: Problem) -> ibis.Table:
    """The sends of the core table, as events that count."""
    sends = core_users.filter(core_users.delivered_at.notnull())
    return sends.mutate(
        at=microseconds(sends.delivered_at),
        lost=sends.unsubscribed == problem.label.positive,
    )


def _look_up(rows: ibis.Table, events: ibis.Table, key: str, columns: tuple[str, ...]) -> ibis.Table:
    """Add columns of the core table that depend on one key alone."""
    known = events.select(key, *columns).distinct().rename(known_key=key)
    return rows.left_join(known, rows[key] == known.known_key).drop("known_key")


def user_history(events: ibis.Table, problem: Problem) -> ibis.Table:
    """`with_user_history` as the problem has it."""
    return with_user_history(
        events, label_window=problem.label.window, themes=problem.themes, categories=problem.categories
    )


def _moments(rows: ibis.Table) -> dict[str, ibis.Value]:
    return moment_features(
        at=rows["at"],
        joined_at=microseconds(rows.date_joined),
        created_at=microseconds(rows.created_at),
        last_at=rows.last_at,
    )


def microseconds(time: ibis.Value) -> ibis.Value:
    """A time as int64 since 1970."""
    return time.delta(ibis.timestamp(_EPOCH), unit="microsecond")


def _instant(microseconds: ibis.Value) -> ibis.Value:
    return ibis.timestamp(_EPOCH) + microseconds.as_interval("us")


def _interval(span: timedelta) -> ibis.Value:
    return ibis.interval(seconds=int(span.total_seconds()))
