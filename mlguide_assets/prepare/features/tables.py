"""The features of the email case from its joined core table, for what changes that table and looks what moves."""

from datetime import datetime

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import decisions_of, features_table

KEYS = ("user_id", "email_id", "delivered_at")
LABEL = "unsubscribed"


def send_features(core_users: ibis.Table, problem: Problem, *, clock: datetime | None = None) -> ibis.Table:
    """Point-in-time features of every send, as `building.features_table` gives them.

    Args:
        core_users: profiles, sends and content side by side, as `core.core_rows` makes it.
        clock: of the data; default: the newest delivery, whatever the days before it have.
    """
    tables = separated(core_users, problem)
    newest = clock or core_users.delivered_at.max().to_pyarrow().as_py() or datetime(1970, 1, 1)
    return features_table(tables, decisions_of(tables, problem, clock=newest), problem)


def separated(core_users: ibis.Table, problem: Problem) -> dict[str, ibis.Table]:
    """The tables that a core table was joined from, without users and emails of whom there is no send."""
    sends = core_users.filter(core_users.delivered_at.notnull())
    found = {}
    for name, table in problem.schema.entity_tables.items():
        others = [column for column in table.columns if column != table.key and column in sends.columns]
        found[name] = sends.select(*others, **{table.key: f"{table.entity}_id"}).distinct()
    for name, event in problem.schema.event_tables.items():
        found[name] = sends.select(*(column for column in event.columns if column in sends.columns))
    return found
