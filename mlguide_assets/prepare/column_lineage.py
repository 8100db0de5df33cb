"""Which columns a column is made from, for the tables that this stage computes and the users' states.

What a feature only needs to know its row by, such as the user of a history, is not named: it would be everywhere.
"""

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import Feature, features_of
from mlguide_assets.prepare.features.registry import CONTENT, PROFILE, category_count, theme_count

Parents = dict[str, list[tuple[str, str]]]
"""Column → the (table, column) that it is made from."""

_HISTORY = {
    "number_of_emails": ("delivered_at",),
    "number_of_unsubscribes": ("unsubscribed", "delivered_at"),
    "emails_last_7_days": ("delivered_at",),
    "emails_last_30_days": ("delivered_at",),
    "email_matured_sends": ("email_id", "unsubscribed", "delivered_at"),
    "email_unsubscribe_rate": ("email_id", "unsubscribed", "delivered_at"),
    "tenure_days": ("date_joined", "delivered_at"),
    "email_age_days": ("created_at", "delivered_at"),
    "days_since_last_email": ("delivered_at",),
    "day_of_week": ("delivered_at",),
    "hour_of_day": ("delivered_at",),
}
"""Features that are computed → the columns of `core_users` that they are computed from."""


def parents_of(table: str, problem: Problem) -> Parents:
    """Where each column of a table comes from; empty for a table of which it is not known."""
    if not problem.has_email_tables:
        return {}
    if table == "core_users":
        return _core(problem)
    if table == "send_features":
        keys = {name: [("core_users", name)] for name in ("user_id", "email_id", "delivered_at", "unsubscribed")}
        computed = {each.name: _of_core(_sources(each, problem)) for each in features_of(problem)}
        return {**keys, "matured_at": [("core_users", "delivered_at")], **computed}
    if table == "user_feature_store":
        history = [each for each in features_of(problem) if each.origin == "history" and each.noun == "user"]
        return {
            "user_id": [("user_profiles", "id")],
            **{name: [("user_profiles", name)] for name in ("date_joined", *PROFILE)},
            **{each.name: _of_core(_sources(each, problem)) for each in history},
            "last_delivered_at": [("core_users", "delivered_at")],
        }
    return {}


def _core(problem: Problem) -> Parents:
    sends = {name: [("user_emails", name)] for name in problem.tables["user_emails"].columns}
    profiles = {name: [("user_profiles", name)] for name in ("date_joined", *PROFILE)}
    content = {name: [("email_content", name)] for name in (*CONTENT, "created_at")}
    # Users who were never sent anything are rows, too.
    return {**sends, "user_id": [("user_emails", "user_id"), ("user_profiles", "id")], **profiles, **content}


def _sources(feature: Feature, problem: Problem) -> tuple[str, ...]:
    if feature.origin == "column":
        return (feature.name,)
    if feature.name in {theme_count(theme) for theme in problem.themes}:
        return ("theme", "delivered_at")
    if feature.name in {category_count(category) for category in problem.categories}:
        return ("category", "delivered_at")
    return _HISTORY[feature.name]


def _of_core(columns: tuple[str, ...]) -> list[tuple[str, str]]:
    return [("core_users", column) for column in columns]
