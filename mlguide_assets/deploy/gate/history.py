"""The record of decisions: which version became champion or did not, when, why, by whom. Rows are only ever added.

It imports neither Ibis nor MLflow, so that a rollback need not wait for them.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mlguide_assets.deploy.gate.held_challenger import CANARY_STEPS, held_challenger
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.prepare.lake.snapshots import Snapshot

DECISIONS = "promotion_decisions"
PROMOTED, ROLLED_BACK = "promoted", "rolled_back"
WAITING, KEPT, REFUSED = "waiting", "kept", "refused"
CANARY, ABORTED = "canary", "aborted"
"""A version that passed and goes live by canary, and one whose canary did harm."""

UNDECIDED = (WAITING, CANARY)
"""Verdicts after which more is decided on the same version, without it being trained again."""

GATE = "gate"
PERSON = "person:"
"""How it is said who decided; of a person, the name follows."""


class DecidedMeanwhileError(InputError):
    """Somebody else decided on a version that was waiting, or went live step by step, while it was evaluated."""


_SCHEMA = pa.schema(
    [
        ("decided_at", pa.string()),
        ("version", pa.string()),
        ("trained_at", pa.string()),
        ("verdict", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("criteria", pa.string()),
        ("champion_before", pa.string()),
        ("decided_by", pa.string()),
        ("run_id", pa.string()),
    ]
)

COLUMNS = {
    "decided_at": "When it was decided, UTC.",
    "version": "The version that was decided on.",
    "trained_at": "When that version was trained, UTC.",
    "verdict": "promoted, canary (goes live step by step), aborted (its canary did harm), waiting for an "
    "experiment or a person, kept (it does not become champion), refused, or rolled_back.",
    "reasons": "What the decision rests on.",
    "criteria": "Every criterion with its value, interval, threshold and result, as JSON.",
    "champion_before": "The champion until then; null where there was none.",
    "decided_by": "The gate, a person, the watch over a new champion, or a canary.",
    "run_id": "The Dagster run in which the gate decided; empty for a person.",
}
"""Column → meaning."""


def record(
    lake: Lake,
    *,
    version: str,
    trained_at: str,
    verdict: str,
    reasons: Sequence[str],
    champion_before: str | None,
    decided_by: str,
    criteria: str = "[]",
    run_id: str = "",
) -> Snapshot:
    """Add a decision. One on who is champion comes after those on the versions that do not go live by canary for it.

    Args:
        version: the version that was evaluated; of a rollback, the one that is champion again.
        criteria: JSON, a list of the gate's criteria; empty where a person decided.
    """
    row = {
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version,
        "trained_at": trained_at,
        "verdict": verdict,
        "reasons": list(reasons),
        "criteria": criteria,
        "champion_before": champion_before,
        "decided_by": decided_by,
        "run_id": run_id,
    }
    # In one write: after a crash between two, the others would never end.
    return lake.append(DECISIONS, small_table([*_ended_by(row, lake), row], _SCHEMA))


def _ended_by(row: Mapping[str, Any], lake: Lake) -> list[dict[str, Any]]:
    """Of a decision on who is champion, those that follow on the other versions that were to go live by canary."""
    if row["verdict"] not in (PROMOTED, ROLLED_BACK):
        return []
    why = f"Version {row['version']} is champion from now on, and this one was not compared with it."
    ended = {"verdict": KEPT, "reasons": [f"{why} It does not go live."], "criteria": "[]"}
    others = (each for each in canaries(lake) if each["version"] != row["version"])
    return [{**row, **ended, "version": each["version"], "trained_at": each["trained_at"]} for each in others]


def decisions(lake: Lake) -> list[dict[str, Any]]:
    """Every decision, oldest first."""
    rows: list[dict[str, Any]] = lake.read_arrow(DECISIONS).to_pylist() if lake.exists(DECISIONS) else []
    return rows


def last_decision(lake: Lake) -> dict[str, Any] | None:
    """The newest row of the record, or None before the first."""
    return next(reversed(decisions(lake)), None)


def last_gate_decision(lake: Lake) -> dict[str, Any] | None:
    """The newest row that the gate wrote."""
    return next((row for row in reversed(decisions(lake)) if row["decided_by"] == GATE), None)


def deciding_reason(row: Mapping[str, Any]) -> str:
    """What a decision rests on, where there is room for one reason: of a version that failed, what it failed by.

    Before that stands why this model was chosen among the candidates, which says nothing of the verdict.

    >>> row = {"verdict": "kept", "reasons": ["It is better than a simpler model.", "It is not shown to be better."]}
    >>> deciding_reason({**row, "criteria": '[{"passed": false, "reason": "It is not shown to be better."}]'})
    'It is not shown to be better.'
    """
    reasons = [str(reason) for reason in row["reasons"] or ()]
    if row["verdict"] in (KEPT, REFUSED):
        failed = {each["reason"] for each in json.loads(row["criteria"]) if not each["passed"]}
        reasons = [reason for reason in reasons if reason in failed] or reasons
    return next(iter(reasons), "")


def candidate_decision(lake: Lake) -> dict[str, Any] | None:
    """The newest decision on the version that the gate decided on last, whoever made it; None before the first."""
    gated = last_gate_decision(lake)
    if gated is None:
        return None
    return next((row for row in reversed(decisions(lake)) if row["version"] == gated["version"]), None)


def rightful_champion(lake: Lake) -> dict[str, Any] | None:
    """The newest row that made a version champion, or None before the first."""
    return next((row for row in reversed(decisions(lake)) if row["verdict"] in (PROMOTED, ROLLED_BACK)), None)


def rightful_challenger(lake: Lake) -> dict[str, Any] | None:
    """The version that a running experiment decides by, or whose canary runs; else the newest that passed but waits, or
    did not beat the champion.

    Of the last, none once another became champion since, or a canary was aborted.
    """
    if held := held_challenger(lake):
        return next((row for row in reversed(decisions(lake)) if row["version"] == held.version), None)
    if going_live := canaries(lake):
        return going_live[0]
    # The champion itself, trained again from the same data, is kept too.
    others = (row for row in reversed(decisions(lake)) if row["version"] != row["champion_before"])
    newest = next((row for row in others if row["verdict"] in (PROMOTED, ROLLED_BACK, WAITING, KEPT, ABORTED)), None)
    return newest if newest is not None and newest["verdict"] in (WAITING, KEPT) else None


def canaries(lake: Lake) -> list[dict[str, Any]]:
    """The versions that are to go live by canary: the first is the one that does, the others wait for its end.

    Where none has begun, as after the end of the one before, the newest goes live. None once another became champion
    since: they were not compared with it.
    """
    last: dict[str, dict[str, Any]] = {}
    for row in decisions(lake):
        if row["verdict"] in (PROMOTED, ROLLED_BACK):
            last.clear()
        last.pop(row["version"], None)
        last[row["version"]] = row
    waiting = [row for row in last.values() if row["verdict"] == CANARY]
    return waiting if len(waiting) < 2 or _has_begun(lake, waiting[0]["version"]) else waiting[::-1]


def _has_begun(lake: Lake, version: str) -> bool:
    return lake.exists(CANARY_STEPS) and version in lake.read_arrow(CANARY_STEPS)["version"].to_pylist()


def champion_before(lake: Lake, version: str) -> str | None:
    """Who was champion when a version was promoted for the last time; None where there was none."""
    promoted = (row for row in reversed(decisions(lake)) if row["verdict"] == PROMOTED and row["version"] == version)
    return next((row["champion_before"] for row in promoted), None)


def training_times(lake: Lake) -> dict[str, str]:
    """When each version that was decided on was trained."""
    return {row["version"]: row["trained_at"] for row in decisions(lake)}


def verdicts_of_registry(lake: Lake) -> dict[str, tuple[str, list[str]]]:
    """What the registry says of each version: the last verdict that gate or canary came to, and its reasons.

    A person who promotes a version, or goes back to it, leaves it as it was.
    """
    return {
        row["version"]: (row["verdict"], row["reasons"])
        for row in decisions(lake)
        if row["verdict"] != ROLLED_BACK and not (row["verdict"] == PROMOTED and row["decided_by"].startswith(PERSON))
    }


def withdrawal(lake: Lake, version: str) -> str | None:
    """When, by whom and why a version was rolled back or its canary aborted, unless it was promoted again since."""
    row = withdrawing_decision(lake, version)
    if row is None:
        return None
    return f"on {row['decided_at'][:10]} by {row['decided_by']} ({'; '.join(row['reasons'])})"


def withdrawing_decision(lake: Lake, version: str) -> dict[str, Any] | None:
    """The newest decision that took a version out of service, unless it was promoted again since."""
    found: dict[str, Any] | None = None
    for row in decisions(lake):
        left = row["champion_before"] if row["verdict"] == ROLLED_BACK else row["version"]
        if row["verdict"] in (PROMOTED, ROLLED_BACK, ABORTED) and left == version:
            found = None if row["verdict"] == PROMOTED else row
    return found
