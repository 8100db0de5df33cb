"""Predictions of a day with risks that a test chooses, for the send plan to choose from."""

from datetime import date, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.policies import POLICIES, Policies
from mlguide_assets.deploy.plan.plan_table import plan_schema
from mlguide_assets.deploy.plan.policies import assigned_schema
from mlguide_assets.deploy.predictions_table import predictions_schema

DAY = date(2024, 4, 20)
NOW = datetime(2024, 4, 19, 22, 30)
"""Before the day."""

THRESHOLD = 0.04
IDS = pa.schema([("user_id", pa.int64()), ("email_id", pa.int64())])
PREDICTIONS_SCHEMA, PLAN = predictions_schema(IDS), plan_schema(IDS)
EVERYTHING = Policies(generic=0.1, champion=0.5, challenger=0.25, random=0.15)


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


def arms(users: int, treated: dict[str, float]) -> pa.Table:
    """The first users in an experiment whose arms, one per policy, have these weights."""
    shares = {policy: treated.get(policy, 0.0) for policy in POLICIES}
    policies = np.repeat(list(treated), np.round(np.array(list(treated.values())) * users).astype(int))
    rows = [
        {
            "unit_id": unit,
            "experiment": "content, version 1",
            "arm": f"arm_{policy}",
            "policy": policy,
            "policy_shares": shares,
        }
        for unit, policy in enumerate(policies.tolist(), start=1)
    ]
    return pa.Table.from_pylist(rows, assigned_schema(pa.int64()))
