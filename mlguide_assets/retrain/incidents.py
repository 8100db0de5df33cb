"""What is wrong with the champion, its rows and its outcomes: the alerts that the sensors open and close."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.training import Costs
from mlguide_assets.deploy.bundle import metadata_of_version, pointed_version
from mlguide_assets.experiment.plan_alert import experiment_alerts
from mlguide_assets.observe.alerts.alert import (
    DATA_OLD,
    OUTCOMES_MISSING,
    PERFORMANCE_DROP,
    PERFORMANCE_GAP,
    ROWS_LOST,
    Alert,
)
from mlguide_assets.observe.alerts.alerting import drop_alert, gap_alert
from mlguide_assets.observe.alerts.cost_effect import last_window, window_cost
from mlguide_assets.observe.freshness.landed import landed_rows
from mlguide_assets.observe.freshness.lost_rows import lost_rows_alert
from mlguide_assets.observe.freshness.missing_outcomes import missing_outcomes_alert
from mlguide_assets.observe.freshness.old_data import old_data_alert
from mlguide_assets.observe.performance.verdict import VERDICTS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.decision_alerts import decision_alerts
from mlguide_assets.retrain.trigger_state import rows_of
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import model_name


def incidents(home: Home, lake: Lake, problem: Problem, *, today: date) -> dict[str, Alert | None]:
    """The alerts about the champion, its rows and outcomes, by the key of the incident; None where there is none.

    Args:
        today: by the clock of the wall, UTC.
    """
    bundles, metric = home.bundles(problem.key), problem.metric.primary
    version = pointed_version(bundles)
    verdicts = rows_of(lake, VERDICTS, version)
    found = rows_of(lake, "performance_gap", version)
    length = max((row["window_days"] for row in found), default=0)
    windows = [row for row in found if row["window_days"] == length]
    gaps = [row for row in windows if row["metric"] == metric]
    facts = _known_of(bundles, version)
    trained_cost = facts.get("evaluation", {}).get(f"{model_name(facts)}_cost_per_1000")
    against_training, against_estimate = cost_effects(windows, trained_cost, problem.costs)
    days = landed_rows(lake)
    return {
        PERFORMANCE_DROP: drop_alert(verdicts, cost_effect=against_training),
        PERFORMANCE_GAP: gap_alert(gaps, cost_effect=against_estimate),
        **decision_alerts(lake, version),
        **experiment_alerts(lake, problem),
        OUTCOMES_MISSING: missing_outcomes_alert(days, problem),
        DATA_OLD: old_data_alert(days, problem, today=today),
        ROWS_LOST: lost_rows_alert(lake, problem),
    }


def _known_of(bundles: Path, version: str | None) -> dict[str, Any]:
    """The facts of the champion; none where its bundle is damaged or gone, which keeps no other alert from people."""
    try:
        return metadata_of_version(bundles, version) if version else {}
    except (OSError, ValueError):
        return {}


def cost_effects(
    windows: Sequence[Mapping[str, Any]], at_training: float | None, costs: Costs
) -> tuple[float | None, float | None]:
    """What 1,000 decisions of the newest window cost more than at training, and than the champion's probabilities say.

    Args:
        windows: rows of `performance_gap` of one version and length of window, all metrics.
        at_training: cost per 1,000 on the champion's test window; None where it was not recorded.
    """
    realised, estimated = last_window(windows, "realised"), last_window(windows, "estimated")
    if realised is None or estimated is None:
        return None, None
    cost = window_cost(realised, costs)
    return None if at_training is None else cost - at_training, cost - window_cost(estimated, costs)
