"""What alerts cost: the cost of a window of decisions from its metrics, and the order of alerts by `cost_effect`.

The README of this stage states how `Alert.cost_effect` is found for each kind of alert.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from mlguide_assets.define.training import Costs
from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.train.evaluation.decisions import PER


def window_cost(metrics: Mapping[str, float], costs: Costs) -> float:
    """Cost of 1,000 decisions, from base_rate, recall, withheld_share and precision of a window.

    Positives that were not withheld cost `missed` each, negatives that were withheld `false_alarm` each.
    """
    # Without positives there is no recall, without withheld rows no precision; neither then costs anything.
    missed = metrics["base_rate"] * (1 - metrics["recall"]) if metrics["base_rate"] else 0.0
    needless = metrics["withheld_share"] * (1 - metrics["precision"]) if metrics["withheld_share"] else 0.0
    return PER * (missed * costs.missed + needless * costs.false_alarm)


def last_window(gaps: Iterable[Mapping[str, Any]], side: str) -> dict[str, float] | None:
    """Metric → value of the newest day in rows of `performance_gap` with one length of window; None without rows.

    Args:
        side: 'realised' or 'estimated'.
    """
    rows = list(gaps)
    newest = max((row["day"] for row in rows), default=None)
    return {row["metric"]: row[side] for row in rows if row["day"] == newest} or None


def ranked(incidents: Iterable[Incident]) -> list[Incident]:
    """The largest effect on cost first, in either direction.

    Those whose effect is not known come last, 'act' before 'warn', then the oldest first.
    """

    def order(incident: Incident) -> tuple[bool, float, bool, float]:
        cost = incident.alert.cost_effect
        return cost is None, -abs(cost or 0.0), incident.alert.level != "act", incident.opened_at.timestamp()

    return sorted(incidents, key=order)
