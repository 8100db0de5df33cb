"""Send features for the tests of training: from the sample's tables, or made up row by row."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets_tests.email_case import by_name, send_features
from mlguide_assets_tests.samples import Tables, sample_problem

PROBLEM = sample_problem("nowhere")


def features_of_tables(tables: Tables) -> pa.Table:
    """The features of every send of the three tables."""
    return send_features(by_name(tables), PROBLEM).to_pyarrow()


def replaced(table: pa.Table, name: str, values: Sequence[Any] | np.ndarray[Any, Any] | pa.Array) -> pa.Table:
    """The table with other values in one column, of the same type."""
    position = table.column_names.index(name)
    column = pa.array(values, table.schema.field(name).type)
    return table.set_column(position, table.schema.field(name), column)


def matured(table: pa.Table) -> pa.Table:
    return table.filter(table["unsubscribed"].is_valid())


def plans_of_sends(sends: pa.Table, *, share: float, candidates: int = 5) -> pa.Table:
    """Send plans that chose the sends to every other user: to every third of these drawn, else as the best."""
    others = share * (candidates - 1) / candidates
    rows = [
        {
            "scoring_date": send["delivered_at"].date(),
            "user_id": send["user_id"],
            "email_id": send["email_id"],
            "decision": "send",
            "propensity": share / candidates if share and send["user_id"] % 3 == 0 else 1 - others,
            "candidates": candidates,
            "exploration_share": share,
            "planned_at": datetime.combine(send["delivered_at"].date(), datetime.min.time()) - timedelta(hours=1),
        }
        for send in sends.select(["user_id", "email_id", "delivered_at"]).to_pylist()
        if send["user_id"] % 2 == 0
    ]
    return pa.Table.from_pylist(rows)
