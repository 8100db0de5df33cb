"""What training a version again is held to: the same bytes, or each metric within the interval that it had.

On one machine equal rows give equal bytes, whichever trainer learns from them. On Spark the sums that XGBoost adds up
follow from the cluster as well: what it learned there is as good again, and what it did not learn there has the same
bytes.
"""

from collections.abc import Mapping
from typing import Any

from mlguide_assets.define.training import SPARK
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.files import BOOSTED, HOLDOUT
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.storage import model_name

TEST_PREDICTIONS = "predictions of the test window"
"""Of all models."""


def promise(facts: Mapping[str, Any]) -> str:
    """What training a version again is held to, as a sentence."""
    if not METRICS.keys() & learned_on_spark(facts):
        return "It learned on one machine: the same bytes are promised."
    return (
        f"XGBoost learned {facts['learned_where']}: an interval is promised. Each metric is to be within the 95 % "
        "interval that it had; encoding and calibration, which come from rows in memory, are to be the same bytes."
    )


def learned_on_spark(facts: Mapping[str, Any]) -> set[str]:
    """What of a version follows from sums that a cluster adds up."""
    if facts.get("trainer") != SPARK:
        return set()
    of_model = {BOOSTED, f"{HOLDOUT}/{BOOSTED}", *METRICS} if model_name(facts) == XGBOOST else set[str]()
    return {TEST_PREDICTIONS} | of_model
