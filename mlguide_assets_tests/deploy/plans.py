"""Predictions of a day with risks that a test chooses, for the send plan to choose from."""

from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.deploy.batch import predictions_schema
from mlguide_assets.deploy.choices import plan_schema

DAY = date(2024, 4, 20)
NOW = datetime(2024, 4, 19, 22, 30)
"""Before the day."""

THRESHOLD = 0.04
IDS = pa.schema([("user_id", pa.int64()), ("email_id", pa.int64())])
PREDICTIONS_SCHEMA, PLAN = predictions_schema(IDS), plan_schema(IDS)


def predictions_of(risks: npt.NDArray[np.float64], *, version: str = "7") -> pa.Table:
    """What a champion said of users 1 to n with emails 1 to k, from risks (n, k)."""
    users, emails = risks.shape
    values = {
        "scoring_date": [DAY] * risks.size,
        "user_id": np.repeat(np.arange(1, users + 1), emails),
        "email_id": np.tile(np.arange(1, emails + 1), users),
        "probability": risks.ravel(),
        "decision": np.where(risks.ravel() >= THRESHOLD, "withhold", "send"),
        "model_version": [version] * risks.size,
        "feature_time": [datetime.combine(DAY, datetime.min.time())] * risks.size,
        "run_id": ["scoring"] * risks.size,
    }
    return pa.table(
        {name: pa.array(values[name], PREDICTIONS_SCHEMA.field(name).type) for name in PREDICTIONS_SCHEMA.names}
    )
