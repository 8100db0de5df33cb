"""What the sensors of alerts do with what they found: open, close, remind, and else nothing."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from mlguide_assets.defs.workspace import Workspace

if TYPE_CHECKING:
    from mlguide_assets.observe.alerts.alert import Alert


def announce(
    context: dg.SensorEvaluationContext, workspace: Workspace, found: "Mapping[str, Alert | None]", now: datetime
) -> dg.SkipReason:
    """Open, update and close the incidents of some keys, unless the last look found the very same.

    Args:
        found: all that the sensor looks for, by its key; None where there is none.
    """
    from mlguide_assets.observe.alerts.alerting import book_of, raise_or_resolve

    seen = _seen(found, now)
    if seen == context.cursor:
        return dg.SkipReason("Nothing has changed since the last look.")
    book = book_of(workspace.home, workspace.problem)
    for key, alert in found.items():
        raise_or_resolve(book, key, alert, now)
    context.update_cursor(seen)
    return dg.SkipReason(f"Open: {', '.join(key for key, alert in found.items() if alert) or 'nothing'}.")


def _seen(found: "Mapping[str, Alert | None]", now: datetime) -> str:
    """Another text wherever anything of an alert is another: its days may be the same, and their verdicts not.

    Every hour all the same: people who have not acknowledged an incident are reminded of it.
    """
    said = json.dumps({key: alert and alert.to_json() for key, alert in found.items()}, sort_keys=True)
    return f"{now:%Y-%m-%dT%H} {hashlib.sha256(said.encode()).hexdigest()[:16]}"
