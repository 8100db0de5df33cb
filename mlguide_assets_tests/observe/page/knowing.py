"""What a home may know, in full: months of days, every kind of event, and text that means harm."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.page.report_data import Champion, ReportData

NOW = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)
TODAY = NOW.date()
WINDOW = 7
HARM = '<script>alert("x")</script><img src=x onerror=alert(1)>'
SLICES = (("(all)", "(all)"), ("country", "US"), ("country", "KO"), ("country", HARM))

EMPTY = ReportData(
    "planeswalker", "Too many emails.", "roc_auc", WINDOW, NOW, timedelta(hours=36), "sends", "withheld", "user"
)
"""A home in which nothing was run."""


def day_of(at: int) -> date:
    """So many days before today."""
    return TODAY - timedelta(days=at)


def moment(at: float) -> str:
    return (NOW - timedelta(days=at)).isoformat()


def decision(at: float, version: str, verdict: str, *, before: str | None, by: str = "gate") -> dict[str, Any]:
    reasons = ["Its ROC AUC is better than the base rate's by 0.33.", "It passes all 10 behaviour tests.", HARM]
    return {
        "decided_at": moment(at),
        "version": version,
        "trained_at": moment(at + 0.01),
        "verdict": verdict,
        "reasons": reasons,
        "criteria": "[]",
        "champion_before": before,
        "decided_by": by,
        "run_id": "",
    }


def tick(at: float, decided: str, outcome: str | None = None, version: str | None = None) -> dict[str, Any]:
    return {
        "tick_at": moment(at),
        "trigger": "daily",
        "data_until": moment(at + 0.3)[:10],
        "decision": decided,
        "reason": f"1,240 sends have matured since the last training {HARM}.",
        "evidence": "{}",
        "run_id": "r1" if decided == "run" else None,
        "outcome": outcome,
        "outcome_reason": "It was not shown to beat the champion." if outcome else None,
        "version": version,
        "ended_at": moment(at - 0.02) if outcome else None,
    }


def incident(key: str, opened: float, closed: float | None, level: Any = "act") -> Incident:
    alert = Alert(
        key=key,
        kind="drift",
        level=level,
        title=f"The sends drift {HARM}",
        happened="2026-03-30: 4 of 28 columns call for action",
        since=NOW - timedelta(days=opened),
        severity="3 days in a row call for action.",
        next_step="Look at the report of the day.",
    )
    at = NOW - timedelta(days=opened)
    resolved = None if closed is None else NOW - timedelta(days=closed)
    return Incident(key, alert, opened_at=at, raised_at=at, resolved_at=resolved)


def measured(day: date, metric: str, value: float, half: float, place: tuple[str, str] = SLICES[0]) -> dict[str, Any]:
    supported = place[1] != "KO"
    return {
        "model_version": "12",
        "day": day,
        "window_days": WINDOW,
        "column": place[0],
        "slice": place[1],
        "rows": 7_893,
        "positives": 113.0,
        "metric": metric,
        "value": value,
        "low": value - half if supported else float("nan"),
        "high": value + half if supported else float("nan"),
        "noise": half / 2,
        "supported": supported,
    }


def drifted(day: date, name: str, level: str, psi: float | None, importance: float = 0.0) -> dict[str, Any]:
    return {
        "day": day.isoformat(),
        "source": "sends",
        "model_version": "12",
        "column": name,
        "rows": 1228,
        "psi": psi,
        "importance": importance,
        "level": level,
        "check": "distribution",
        "reason": f"PSI {psi}, mostly as 5.6% are from 12.99 to 20.07, against 10.0% in the reference {HARM}",
    }


def asked(day: date, endpoint: str, version: str) -> dict[str, Any]:
    busy = 300 + 40 * (day.toordinal() % 7)
    return {
        "day": day,
        "endpoint": endpoint,
        "model_version": version,
        "requests": busy,
        "latency_p50": 1.2,
        "latency_p99": 4.0 + day.toordinal() % 5,
        "pairs": 3 * busy,
        "base_rates": 2,
        "mean_probability": 0.02,
        "withheld_share": 0.11,
        "feature_hours": 14.5,
        "model_days": 3.0,
    }


def fault(day: date, status: int, requests: int) -> dict[str, Any]:
    return {"day": day, "endpoint": "/predict", "status": status, "requests": requests}


def full(days: int = 90, features: int = 30) -> ReportData:
    """Everything at once: users react otherwise in the last weeks, and one feature has gone astray."""
    noise = np.random.default_rng(3)
    performance, estimate, gaps = [], [], []
    for at in range(days, -1, -1):
        day, matured, late = day_of(at), at >= WINDOW, at < WINDOW + 14
        for metric, level, half in (("roc_auc", 0.83, 0.02), ("base_rate", 0.02, 0.002), ("withheld_share", 0.1, 0.01)):
            expected = level + half * float(noise.normal()) / 4
            estimate.append(measured(day, metric, expected, half))
            if not matured:
                continue
            found = expected - (2 * half if late else 0)
            performance += [measured(day, metric, found, half, place) for place in SLICES]
            row = {"model_version": "12", "day": day, "window_days": WINDOW, "rows": 7893, "metric": metric}
            bounds = {"value": found - expected, "low": found - expected - half, "high": found - expected + half}
            gaps.append({**row, "realised": found, "estimated": expected, **bounds, "sees_concept_drift": late})
    return replace(
        EMPTY,
        statement=f"Too many emails make a user unsubscribe. {HARM}",
        champion=Champion("12", moment(40.01), card=".mlguide/cards/12/card.html"),
        decisions=_decisions(days),
        performance=performance,
        estimate=estimate,
        gaps=gaps,
        verdict={
            "model_version": "12",
            "day": day_of(WINDOW).isoformat(),
            "verdict": "dropped",
            "reference": 0.84,
            "reason": "It dropped: ROC AUC 0.7900, 0.0500 worse than the 0.8400 at training.",
        },
        watch={
            "model_version": "12",
            "verdict": "holds",
            "reason": f"Version 12 is 0.0040 better than version 10 {HARM}",
        },
        trusted={"roc_auc": True, "base_rate": False},
        drift=_drift(days, features),
        reports={day_of(at).isoformat(): f".mlguide/reports/{day_of(at)}.html" for at in range(14)},
        serving=[asked(day_of(at), end, "12") for at in range(days) for end in ("predict", "recommend") if at != 9],
        faults=[fault(day_of(1), 422, 7), fault(day_of(0), 500, 2)],
        incidents=[
            incident("drift-sends", 30, 26),
            incident("drift-sends", 3, None),
            incident("failure-retraining_job", 12, 11.5, "warn"),
        ],
        retraining=_ticks(days),
        experiments=[_experiment(days)],
    )


def _experiment(days: int) -> dict[str, Any]:
    """One that ended with its second look."""
    return {
        "experiment": "fewer_losses",
        "version": 2,
        "state": "finished",
        "hypothesis": f"Actions chosen per user lose fewer users {HARM}.",
        "start": day_of(days).isoformat(),
        "looks": [day_of(at).isoformat() for at in (20, 13, 6)],
        "who": "person:me",
        "reason": HARM,
        "results": [_look(1, 20, "unhealthy", None, HARM), _look(2, 13, "ship", (0.71, 0.55, 0.9), "It loses fewer.")],
    }


def _look(number: int, at: int, verdict: str, ratio: tuple[float, float, float] | None, reason: str) -> dict[str, Any]:
    value, low, high = ratio or (None, None, None)
    return {
        "look": number,
        "looks": 3,
        "look_day": day_of(at).isoformat(),
        "verdict": verdict,
        "variant": "personal" if verdict == "ship" else None,
        "reason": reason,
        "ratio": value,
        "ratio_low": low,
        "ratio_high": high,
        "effects": [{"arm": "personal", "ratio": value, "ratio_low": low, "ratio_high": high}] if ratio else [],
        "units": 8200,
        "waiting": 300,
    }


def _decisions(days: int) -> list[dict[str, Any]]:
    kept = [decision(at, str(13 + days - at), "kept", before="12") for at in range(38, 2, -3)]
    return [
        decision(days - 1, "10", "promoted", before=None),
        decision(60, "11", "promoted", before="10"),
        decision(50, "10", "rolled_back", before="11", by="ada"),
        decision(40, "12", "promoted", before="10"),
        *kept,
        decision(2, "90", "refused", before="12"),
        decision(1, "91", "waiting", before="12"),
    ]


def _ticks(days: int) -> list[dict[str, Any]]:
    runs = [tick(at + 0.05, "run", "kept", str(13 + days - at)) for at in range(38, 2, -3)]
    last = [tick(2.05, "run", "refused", "90"), tick(1.05, "run", "waiting", "91"), tick(0.5, "run", "failed")]
    first = [tick(60.05, "run", "promoted", "11"), tick(40.05, "run", "promoted", "12")]
    back = {**tick(50, "roll_back", "rolled_back", "10"), "trigger": "watch"}
    return [first[0], back, first[1], *runs, *last, tick(0.2, "run"), tick(0.1, "wait")]


def _drift(days: int, features: int) -> list[dict[str, Any]]:
    noise = np.random.default_rng(4)
    rows = []
    for at in (at for at in range(days - 1, -1, -1) if at != 40):
        day, late = day_of(at), at < 3
        level = "act" if late else "none"
        rows.append({**drifted(day, "(all)", level, None), "reason": f"{level}: 1 of {features} columns {HARM}"})
        rows.append(drifted(day, "(volume)", "too_few" if at > days - 6 else "none", None))
        for k in range(features):
            name = f"number_of_email_category_{k}" if k % 3 else f"feature_{k}"
            psi = abs(float(noise.normal())) * 0.03
            sick = "act" if late and k == 4 else "warn" if psi > 0.085 else "none"
            rows.append(drifted(day, name, sick, 0.4 if sick == "act" else psi, 1 / (k + 2)))
    return rows
