"""An alert: what went wrong, how bad it is, and what to do. A value; nothing is sent here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args

Kind = Literal["drift", "performance", "failure", "serving", "data"]
Level = Literal["warn", "act"]

PERFORMANCE_DROP, PERFORMANCE_GAP, ROLLBACK = "performance-drop", "performance-gap", "rollback"
OUTCOMES_MISSING, ROWS_LOST, DATA_OLD = "outcomes-missing", "rows-lost", "data-old"
CANARY_ABORT, EXPERIMENT_PLANS = "canary-abort", "experiment-plans"
EXPERIMENT_VERSIONS, EXPERIMENT_WITHDRAWN = "experiment-versions", "experiment-withdrawn"
"""Keys of incidents of which there is one at a time. A run that failed has a key of its own, see `failed_runs`."""

RANK = {level: rank for rank, level in enumerate(get_args(Level))}


@dataclass(frozen=True)
class Alert:
    """What went wrong.

    `key` says what it is about (equal keys are one incident), `happened` what happened and `severity` how bad it is
    with numbers, in sentences; `next_step` is a command or a page. `facts` are the numbers for machines. Raises
    ValueError for an unknown kind or level, a `since` without a time zone, and facts that JSON cannot hold.
    `cost_effect` is what it adds to the cost of 1,000 decisions, negative where it saves; None if not known.
    """

    key: str
    kind: Kind
    level: Level
    title: str
    happened: str
    since: datetime
    severity: str
    next_step: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    cost_effect: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("kind", self.kind, get_args(Kind)), ("level", self.level, get_args(Level))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        written(self.since)
        try:
            json.dumps([dict(self.facts), self.cost_effect], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"facts must be what JSON can hold: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """All of it, `since` as an ISO 8601 time in UTC."""
        return {**self.__dict__, "since": written(self.since), "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Alert":
        return cls(**{**content, "since": datetime.fromisoformat(content["since"])})


def drift_key(source: str) -> str:
    """The key of the incident that a source drifts, such as the sends or the traffic.

    >>> drift_key("sends")
    'drift-sends'
    """
    return f"drift-{source}"


def written(instant: datetime) -> str:
    if instant.tzinfo is None:
        raise ValueError(f"times need a time zone, got {instant}")
    return instant.astimezone(UTC).isoformat()
