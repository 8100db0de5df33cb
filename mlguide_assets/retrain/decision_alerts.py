"""The alerts that follow from the record of decisions alone: a champion was rolled back, a canary was aborted.

The sensor of `mlguide ui` finds them, as it does all others. Whoever decides announces them, too: without the daemon,
`mlguide alerts` and the webhook would know of neither.
"""

from datetime import UTC, datetime

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import pointed_version
from mlguide_assets.deploy.gate.history import ROLLED_BACK, rightful_champion
from mlguide_assets.experiment.canary.alert import canary_alert
from mlguide_assets.instants import zoned_now
from mlguide_assets.observe.alerts.alert import CANARY_ABORT, ROLLBACK, Alert
from mlguide_assets.observe.alerts.alerting import book_of, raise_or_resolve
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.rollback import WATCHER
from mlguide_assets.settings import Home


def announce_decisions(home: Home, problem: Problem) -> None:
    """Open the alerts that the decisions on record call for, and close those that they end."""
    book, now = book_of(home, problem), zoned_now()
    found = decision_alerts(Lake(home.lake(problem.key)), pointed_version(home.bundles(problem.key)))
    for key, alert in found.items():
        raise_or_resolve(book, key, alert, now)


def decision_alerts(lake: Lake, serving: str | None) -> dict[str, Alert | None]:
    """Each alert by the key of its incident; None where there is none.

    Args:
        serving: the version in production.
    """
    return {ROLLBACK: rollback_alert(lake, serving), CANARY_ABORT: canary_alert(lake)}


def rollback_alert(lake: Lake, serving: str | None) -> Alert | None:
    """A champion was rolled back automatically, and nobody decided on another since; None otherwise.

    Args:
        serving: the version in production. One that a killed run has put on record only is not it yet.
    """
    last = rightful_champion(lake)
    if last is None or (last["verdict"], last["decided_by"]) != (ROLLED_BACK, WATCHER) or last["version"] != serving:
        return None
    return Alert(
        key=ROLLBACK,
        kind="performance",
        level="act",
        title=f"The champion was rolled back to version {serving}",
        happened=" ".join(last["reasons"]),
        since=datetime.fromisoformat(last["decided_at"]).astimezone(UTC),
        severity=f"Version {serving} serves again; what it replaced never comes back automatically.",
        next_step="'mlguide history' shows how it came; asset champion_watch has the numbers.",
        facts={"model_version": last["champion_before"], "champion": serving},
    )
