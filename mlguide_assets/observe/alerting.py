"""What is worth an alert, in words: from facts that assets and runs left behind to incidents."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.observe.alerts import Alert, AlertBook, Delivery
from mlguide_assets.settings import Home

WEBHOOK_VARIABLE = "MLGUIDE_ALERT_WEBHOOK"
"""Where alerts are posted, if anywhere. It may hold a token, so it is in the environment and in no file."""

IN_A_ROW = 2
"""Days that call for action one after the other before anybody is told: one may be chance."""


def book_of(home: Home, problem: Problem) -> AlertBook:
    """The record of alerts of a problem."""
    return AlertBook(home.alerts(problem.key))


def failure_key(job: str) -> str:
    return f"failure-{job}"


def failed_run(job: str, run_id: str, error: str, now: datetime) -> Alert:
    """A run failed; further failures of the same job are the same incident until one succeeds."""
    return Alert(
        key=failure_key(job),
        kind="failure",
        level="act",
        title=f"A run of {job} failed",
        happened=f"Run {run_id} of {job} failed: {error}",
        since=now,
        severity="What depends on it is as old as its last success.",
        next_step=f"Open the run {run_id} in the Dagster UI ('mlguide ui'), mend the cause, and run the job again.",
        facts={"job": job, "run_id": run_id},
    )


def drifted(verdicts: Sequence[Mapping[str, Any]], source: str) -> Alert | None:
    """The last days of a source all call for action; None where they do not.

    Args:
        verdicts: rows on whole days, as `data_drift.verdicts` gives them.
    """
    days = [row for row in verdicts if row["source"] == source and row["level"] != "too_few"]
    last = days[-IN_A_ROW:]
    if len(last) < IN_A_ROW or any(row["level"] != "act" for row in last):
        return None
    run = 0
    for row in reversed(days):
        if row["level"] != "act":
            break
        run += 1
    first, newest = days[-run], days[-1]
    return Alert(
        key=f"drift-{source}",
        kind="drift",
        level="act",
        title=f"The {source} drift away from what the champion was trained on",
        happened=f"{newest['day']}: {newest['reason']}",
        since=datetime.fromisoformat(first["day"]).replace(tzinfo=UTC),
        severity=f"{run} days in a row call for action, the last over {newest['rows']:,} rows.",
        next_step="Look at the report of the day (asset data_drift); if the change is real, 'mlguide run' trains anew.",
        facts={"days": run, "model_version": newest["model_version"]},
    )


def tell(book: AlertBook, key: str, alert: Alert | None, now: datetime) -> Delivery | None:
    """Raise an alert, or resolve the incident of its key where there is none any more."""
    webhook = os.environ.get(WEBHOOK_VARIABLE) or None
    if alert is not None:
        return book.raise_alert(alert, now=now, webhook=webhook)
    if any(incident.key == key for incident in book.incidents()):
        return book.resolve(key, now=now, webhook=webhook)
    return None


def retry(book: AlertBook, now: datetime) -> None:
    """Send again what no receiver took."""
    webhook = os.environ.get(WEBHOOK_VARIABLE)
    if webhook and any(incident.undelivered for incident in book.incidents()):
        book.retry_undelivered(now=now, webhook=webhook)
