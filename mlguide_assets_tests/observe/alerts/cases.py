"""An alert, a worse one, and the lines of the log."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.alerts.book import LOG

NOW = datetime(2024, 5, 1, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

DRIFT = Alert(
    key="drift/emails_last_7_days",
    kind="drift",
    level="warn",
    title="emails_last_7_days drifted",
    happened="Its distribution moved in two windows in a row.",
    since=datetime(2024, 4, 29, 22, 30, tzinfo=timezone(timedelta(hours=-2))),
    severity="PSI 0.14, from 0.1 on it is a warning.",
    next_step="mlguide report",
    facts={"psi": 0.14, "windows": ["2024-04-29", "2024-04-30"]},
)
WORSE = dataclasses.replace(DRIFT, level="act", severity="PSI 0.31, from 0.2 on it asks to act.")


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
