"""`offline_and_online`: what plans said of a policy before an experiment, beside what the experiment found.

Rows are only ever added. An estimate is a row; a result is another, which repeats the last estimate that was made of
the same two policies before the experiment began, so that the two stand side by side. Both are ratios: of the value
of a policy to that of the one it is compared with, below 1 where it does better on an outcome that is not wanted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.policies import Policy
from mlguide_assets.experiment.off_policy.candidate import AGAINST, MODEL, ModelValue
from mlguide_assets.experiment.off_policy.planned import PolicyValue, policy_value, scored_policies
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.statistics.missing import finite_or_none

OFFLINE_AND_ONLINE = "offline_and_online"

DIAGNOSTICS = ("mean_weight", "effective_sample_size", "max_weight_share", "unsupported_share")
"""Of the policy that is evaluated; rows of before these were recorded lack them."""

SCHEMA = pa.schema(
    [
        ("recorded_at", pa.string()),
        ("policy", pa.string()),
        ("against", pa.string()),
        ("model_version", pa.string()),
        ("first_day", pa.string()),
        ("last_day", pa.string()),
        ("estimated_at", pa.string()),
        ("estimate", pa.float64()),
        ("estimate_low", pa.float64()),
        ("estimate_high", pa.float64()),
        *((name, pa.float64()) for name in DIAGNOSTICS),
        ("supported", pa.bool_()),
        ("reason", pa.string()),
        ("experiment", pa.string()),
        ("experiment_version", pa.int64()),
        ("look", pa.int64()),
        ("verdict", pa.string()),
        ("result", pa.float64()),
        ("result_low", pa.float64()),
        ("result_high", pa.float64()),
        ("run_id", pa.string()),
    ]
)

COLUMNS = {
    "recorded_at": "When it was recorded, UTC.",
    "policy": "The policy that is evaluated.",
    "against": "The policy that it is compared with.",
    "model_version": "The model version that is evaluated, where the policy is one of a challenger that decides "
    "nothing yet; else the versions whose scores the plans were made from.",
    "first_day": "The first day of the plans that the estimate is made from.",
    "last_day": "The last one.",
    "estimated_at": "When the estimate was made, UTC.",
    "estimate": "Value of the policy over that of the other, by the plans (SNIPS); null where it is withheld.",
    "estimate_low": "Lower end of its 95 % interval.",
    "estimate_high": "Upper end of it.",
    "mean_weight": "Mean weight of the decisions: 1 where the propensities are right.",
    "effective_sample_size": "Decisions of equal weight that would be as informative.",
    "max_weight_share": "Share of all weight that the largest one has.",
    "unsupported_share": "Share of the policy's actions that the plans never take, at least.",
    "supported": "Whether the plans support the estimate.",
    "reason": "Why, or why not.",
    "experiment": "The experiment that the result is of; null for an estimate alone.",
    "experiment_version": "Its version.",
    "look": "The look that ended it.",
    "verdict": "ship, keep or inconclusive.",
    "result": "Rate of the outcome with the policy over that with the other, by the experiment.",
    "result_low": "Lower end of its interval.",
    "result_high": "Upper end of it.",
    "run_id": "The Dagster run that recorded it.",
}
"""Column → meaning."""

EVERY = timedelta(days=7)
"""Estimates are made again when the days whose outcomes are final have grown by so much."""

EVERY_OF_A_MODEL = timedelta(days=28)
"""A challenger is valued when it is new, and again when all planned days are others: its scores take longer."""

_OFFLINE = SCHEMA.names[1 : SCHEMA.names.index("reason") + 1]
_EMPTY: Mapping[str, Any] = dict.fromkeys(SCHEMA.names)


@dataclass(frozen=True)
class Result:
    """What an experiment found of a policy beside that of its control, at its last look.

    Attributes:
        began: its first day.
    """

    experiment: str
    version: int
    look: int
    verdict: str
    policy: Policy
    against: Policy
    began: date
    ratio: Estimate


def is_estimate_due(known: Iterable[Mapping[str, Any]], last_day: date) -> bool:
    """Whether there are enough new days, up to the last whose outcomes are final, for another estimate.

    Args:
        known: rows of the record.
    """
    of_all = (row for row in known if row["experiment"] is None and row["policy"] != MODEL)
    made = [date.fromisoformat(row["last_day"]) for row in of_all]
    return not made or last_day - max(made) >= EVERY


def estimates(
    decisions: pa.Table, pairs: Iterable[tuple[Policy, Policy]], *, now: datetime, run_id: str
) -> list[dict[str, Any]]:
    """A row for each of the pairs that the plans know the propensities of.

    Args:
        decisions: as `planned_decisions` gives them.
        pairs: a policy and what it is compared with.
        now: UTC.
    """
    if not decisions.num_rows:
        return []
    scored = scored_policies(decisions)
    return [
        _estimate(policy_value(decisions, policy, against), decisions, now=now, run_id=run_id)
        for policy, against in dict.fromkeys(pairs)
        if policy in scored and against in scored
    ]


def model_estimate(found: ModelValue, *, last_day: date, now: datetime, run_id: str) -> dict[str, Any]:
    """The row of a model that decides nothing yet; where no day could be taken, it says so.

    Args:
        last_day: the last whose outcomes are final, be it of the days taken or not.
    """
    same = {"model_version": found.version, "last_day": last_day.isoformat()}
    if found.value is None:
        at = now.isoformat(timespec="seconds")
        known = {"recorded_at": at, "estimated_at": at, "policy": MODEL, "against": AGAINST, "run_id": run_id}
        return {**_EMPTY, **known, **same, "supported": False, "reason": found.which}
    row = _estimate(found.value, found.decisions, now=now, run_id=run_id)
    return {**row, **same, "reason": f"Of each {found.which}. {row['reason']}"}


def is_model_due(known: Iterable[Mapping[str, Any]], version: str, last_day: date) -> bool:
    """Whether a model has no estimate yet, or none of the newest planned days whose outcomes are final."""
    own = [row for row in known if (row["policy"], row["model_version"]) == (MODEL, version)]
    made = [date.fromisoformat(row["last_day"]) for row in own if row["experiment"] is None]
    return not made or last_day - max(made) >= EVERY_OF_A_MODEL


def results(
    known: Sequence[Mapping[str, Any]], found: Iterable[Result], *, now: datetime, run_id: str
) -> list[dict[str, Any]]:
    """The rows of results that are not on record, each with the estimate that was made before its experiment.

    Args:
        known: rows of the record.
        now: UTC.
    """
    there = {(row["experiment"], row["experiment_version"], row["policy"]) for row in known}
    return [
        {
            **_EMPTY,
            **_estimate_before(known, each),
            "recorded_at": now.isoformat(timespec="seconds"),
            "policy": each.policy,
            "against": each.against,
            "experiment": each.experiment,
            "experiment_version": each.version,
            "look": each.look,
            "verdict": each.verdict,
            **_bounds("result", each.ratio),
            "run_id": run_id,
        }
        for each in found
        if (each.experiment, each.version, each.policy) not in there
    ]


def record(lake: Lake, rows: Sequence[Mapping[str, Any]]) -> Snapshot:
    """Add rows."""
    return lake.append(OFFLINE_AND_ONLINE, small_table(rows, SCHEMA))


def recorded(lake: Lake) -> list[dict[str, Any]]:
    """Every row, oldest first."""
    rows: list[dict[str, Any]] = (
        lake.read_arrow(OFFLINE_AND_ONLINE).to_pylist() if lake.exists(OFFLINE_AND_ONLINE) else []
    )
    return rows


def _estimate(value: PolicyValue, decisions: pa.Table, *, now: datetime, run_id: str) -> dict[str, Any]:
    days, measured = pc.min_max(decisions["scoring_date"]).as_py(), value.evaluation.diagnostics
    at = now.isoformat(timespec="seconds")
    return {
        **_EMPTY,
        "recorded_at": at,
        "policy": value.policy,
        "against": value.against,
        "model_version": ", ".join(sorted(pc.unique(decisions["model_version"]).drop_null().to_pylist())),
        "first_day": days["min"].isoformat(),
        "last_day": days["max"].isoformat(),
        "estimated_at": at,
        **(_bounds("estimate", value.ratio) if value.ratio else {}),
        **{name: getattr(measured, name) for name in DIAGNOSTICS},
        "supported": value.ratio is not None,
        "reason": value.reason,
        "run_id": run_id,
    }


def _estimate_before(known: Sequence[Mapping[str, Any]], result: Result) -> dict[str, Any]:
    """The last estimate of the same two policies from days before the experiment; of later ones, its units are part."""
    began = result.began.isoformat()
    for row in reversed(known):
        same = (row["policy"], row["against"]) == (result.policy, result.against)
        if same and row["experiment"] is None and row["last_day"] < began:
            return {name: row.get(name) for name in _OFFLINE}
    return {}


def _bounds(name: str, estimate: Estimate) -> dict[str, float | None]:
    values = {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return {each: finite_or_none(value) for each, value in values.items()}
