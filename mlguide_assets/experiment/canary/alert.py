"""The alert of an aborted canary: a version did harm to the few units that saw it."""

from datetime import UTC, datetime

from mlguide_assets.deploy.gate.held_challenger import experiments_that_hold
from mlguide_assets.deploy.gate.history import ABORTED, PROMOTED, decisions
from mlguide_assets.experiment.canary.record import BY, last_canary
from mlguide_assets.observe.alerts.alert import CANARY_ABORT, Alert
from mlguide_assets.prepare.lake.lake import Lake


def canary_alert(lake: Lake) -> Alert | None:
    """The last canary was aborted by its guardrails; None once another has begun, or a version was promoted.

    One that a person stopped needs no alert.
    """
    last = next((row for row in reversed(decisions(lake)) if row["verdict"] in (PROMOTED, ABORTED)), None)
    if last is None or last["verdict"] != ABORTED or last["decided_by"] != BY:
        return None
    version, champion = last["version"], last["champion_before"]
    # A version that waited for this end passed the gate before it.
    if (newest := last_canary(lake)) is not None and newest.version != version:
        return None
    held = experiments_that_hold(lake, version)
    others = f", but those of {held.named}, where version {version} goes on" if held else ""
    record = "Table canary_steps has what was counted at every look; 'mlguide history' has the decision."
    return Alert(
        key=CANARY_ABORT,
        kind="performance",
        level="act",
        title=f"The canary of version {version} was aborted",
        happened=" ".join(last["reasons"]),
        since=datetime.fromisoformat(last["decided_at"]).astimezone(UTC),
        severity=f"Version {champion} serves all units again{others}. Version {version} never goes live by itself.",
        next_step=f"If version {version} harms in the experiment, too: {held.stops}. {record}" if held else record,
        facts={"model_version": version, "champion": champion},
    )
