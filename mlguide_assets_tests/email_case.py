"""The tables of the email case in tests, and their features."""

from collections.abc import Mapping
from datetime import datetime

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.features.catalogue import split_values

KEYS = ("user_id", "email_id", "delivered_at")
LABEL = "unsubscribed"
SEND_PLAN = "send_plan"


def by_name(tables: Mapping[str, pa.Table]) -> dict[str, ibis.Table]:
    """Tables in memory, as stages take them."""
    return {name: ibis.memtable(rows) for name, rows in tables.items()}


def send_features(tables: Mapping[str, ibis.Table], problem: Problem, *, clock: datetime | None = None) -> ibis.Table:
    """The features of every send.

    Args:
        clock: of the data; default: the newest delivery, since tests have days of few sends.
    """
    newest = tables["user_emails"].delivered_at.max().to_pyarrow().as_py()
    return features_from(tables, problem, clock=clock or newest or datetime(1970, 1, 1))


def counted_values(problem: Problem, column: str) -> tuple[str, ...]:
    """The themes, or the categories, whose sends are counted."""
    name = f"number_of_email_{column}_*"
    return split_values(name, problem.features.declared[name], problem)
