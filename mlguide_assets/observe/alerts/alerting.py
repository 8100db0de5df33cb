"""What is worth an alert, in words: from facts that assets and runs left behind to incidents."""

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import Any

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.alerts.alert import PERFORMANCE_DROP, PERFORMANCE_GAP, Alert, drift_key
from mlguide_assets.observe.alerts.book import AlertBook, Delivery
from mlguide_assets.observe.drift.table import is_tested
from mlguide_assets.observe.performance.window_words import window_in_words
from mlguide_assets.settings import Home
from mlguide_assets.train.evaluation.metrics import metric_named

WEBHOOK_VARIABLE = "MLGUIDE_ALERT_WEBHOOK"
"""Where alerts are posted, if anywhere. It may hold a token, so it is in the environment and in no file."""

IN_A_ROW = 2
"""Consecutive days that call for action before an alert is raised: one may be chance."""

CALM_IN_A_ROW = 7
"""Consecutive days that do not, before it ends: drift near its limit calls for action on some days only."""


def book_of(home: Home, problem: Problem) -> AlertBook:
    """The record of alerts of a problem."""
    return AlertBook(home.alerts(problem.key))


def drift_alert(verdicts: Sequence[Mapping[str, Any]], source: str, experimented: Collection[str] = ()) -> Alert | None:
    """Some days of a source in a row called for action, and since then there were not enough in a row that did not.

    A new champion has a reference of its own, so it begins without an alert.

    Args:
        verdicts: rows on whole days, as `data_drift.verdicts` gives them.
        experimented: days (ISO 8601) on which an experiment chose for some units.
    """
    days = [row for row in verdicts if row["source"] == source and is_tested(row)]
    run = _since_it_called([row for row in days if row["model_version"] == days[-1]["model_version"]])
    if not run:
        return None
    newest = run[-1]
    look = "Look at the report of the day (asset data_drift)"
    ours = all(row["day"] in experimented for row in run)
    return Alert(
        key=drift_key(source),
        kind="drift",
        level="act",
        title=f"The {source} drift away from what the champion was trained on",
        happened=f"{newest['day']}: {newest['reason']}",
        since=zoned_midnight(date.fromisoformat(run[0]["day"])),
        severity=f"{counted(len(run), 'verdict')} since then {agreeing(len(run), 'call')} for action, the last over "
        f"{counted(newest['rows'], 'row')}.",
        next_step=f"An experiment chose for some units on all these days, so this may be its doing: 'mlguide "
        f"experiment status' names it. {look}; where it is not, 'mlguide run' retrains."
        if ours
        else f"{look}; if the change is real, 'mlguide run' retrains.",
        facts={"days": len(run), "model_version": newest["model_version"]},
        cost_effect=newest.get("cost_effect"),
    )


def _since_it_called(days: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The days that call for action, from the first of `IN_A_ROW` on, after the last `CALM_IN_A_ROW` that do not."""
    calls = [row["level"] == "act" for row in days]
    calm = [end for end in range(CALM_IN_A_ROW, len(days) + 1) if not any(calls[end - CALM_IN_A_ROW : end])]
    starts = range(calm[-1] if calm else 0, len(days) - IN_A_ROW + 1)
    first = next((at for at in starts if all(calls[at : at + IN_A_ROW])), len(days))
    return [row for row, called in zip(days[first:], calls[first:], strict=True) if called]


def drop_alert(verdicts: Sequence[Mapping[str, Any]], *, cost_effect: float | None = None) -> Alert | None:
    """The champion has dropped significantly more than it may for the length of a window; None where it has not.

    Args:
        verdicts: rows of `performance_verdicts` of one version, oldest first.
        cost_effect: what 1,000 decisions cost more in the last window than at training.
    """
    tested = [row for row in verdicts if row["verdict"] != "too_few"]
    run = lasting(tested, lambda row: row["verdict"] == "dropped")
    if not run:
        return None
    newest = run[-1]
    return Alert(
        key=PERFORMANCE_DROP,
        kind="performance",
        level="act",
        title=f"Version {newest['model_version']} is no longer as good as it was at training",
        happened=newest["reason"],
        since=zoned_midnight(date.fromisoformat(run[0]["day"])),
        severity=f"{counted(len(run), 'window')} in a row {agreeing(len(run), 'has')} dropped.",
        next_step="Retraining is requested automatically ('mlguide ui'); asset performance_verdicts has every window.",
        facts={"model_version": newest["model_version"], "windows": len(run), "difference": newest["difference"]},
        cost_effect=cost_effect,
    )


def gap_alert(gaps: Sequence[Mapping[str, Any]], *, cost_effect: float | None = None) -> Alert | None:
    """Outcomes are worse than the champion's probabilities expect in the last windows; None where they are not.

    Args:
        gaps: rows of `performance_gap` of one version, metric and length of window, oldest first: all of its record.
        cost_effect: what 1,000 decisions cost more in the last window than the probabilities say.

    Better than expected is no incident: it harms nobody, and probabilities that are shrunk towards the mean, as those
    of every regularised model, expect a little less than comes.
    """
    known = [row for row in gaps if not math.isnan(row["low"])]
    run = lasting(known, lambda row: row["sees_concept_drift"] and _is_loss(row))
    if not run:
        return None
    newest = run[-1]
    over = window_in_words(newest["day"], newest["window_days"], gaps[0]["day"])
    return Alert(
        key=PERFORMANCE_GAP,
        kind="performance",
        level="warn",
        title="Outcomes are worse than the champion expects",
        happened=f"{metric_named(newest['metric']).title} over {over} is {newest['realised']:.4f}, where "
        f"{newest['estimated']:.4f} was expected of the same rows.",
        since=zoned_midnight(run[0]["day"]),
        severity=f"{counted(len(run), 'window')} in a row {agreeing(len(run), 'differ')} by more than chance: the "
        "concept has drifted, not the inputs.",
        next_step="Look at asset performance_gap; if it lasts, only outcomes from after the change help a new model.",
        facts={"model_version": newest["model_version"], "windows": len(run), "gap": newest["value"]},
        cost_effect=cost_effect,
    )


def raise_or_resolve(book: AlertBook, key: str, alert: Alert | None, now: datetime) -> Delivery | None:
    """Raise an alert, or resolve the incident of its key where there is none any more."""
    webhook = os.environ.get(WEBHOOK_VARIABLE) or None
    if alert is not None:
        return book.raise_alert(alert, now=now, webhook=webhook)
    if any(incident.key == key for incident in book.incidents()):
        return book.resolve(key, now=now, webhook=webhook)
    return None


def retry(book: AlertBook, now: datetime) -> None:
    """Send what was not delivered again."""
    webhook = os.environ.get(WEBHOOK_VARIABLE)
    if webhook:
        book.retry_undelivered(now=now, webhook=webhook)


def lasting(rows: Sequence[Mapping[str, Any]], holds: Callable[[Mapping[str, Any]], bool]) -> list[Mapping[str, Any]]:
    """The last windows without one of which something does not hold, if the first and last of them share no day.

    Windows that share days are one witness: of two in a row, a single bad day is in both. Empty otherwise.

    Args:
        rows: one per day, with the `day` that its window ends with and its length `window_days`, oldest first.

    >>> windows = [{"day": f"2026-01-{day:02}", "window_days": 7, "dropped": day > 3} for day in range(1, 12)]
    >>> [row["day"] for row in lasting(windows, lambda row: row["dropped"])][:1]
    ['2026-01-04']
    >>> lasting(windows[:-1], lambda row: row["dropped"])
    []
    """
    run = _last_run(rows, holds)
    first, last = (date.fromisoformat(str(row["day"])) for row in (run[0], run[-1])) if run else (date.max, date.min)
    return run if run and last - first >= timedelta(days=run[-1]["window_days"]) else []


def _last_run(rows: Sequence[Mapping[str, Any]], holds: Callable[[Mapping[str, Any]], bool]) -> list[Mapping[str, Any]]:
    """The last rows without one of which it does not hold."""
    return list(takewhile(holds, reversed(rows)))[::-1]


def _is_loss(row: Mapping[str, Any]) -> bool:
    """Whether the realised value of a metric is worse than the estimated one."""
    return bool(metric_named(row["metric"]).sign * row["value"] < 0)
