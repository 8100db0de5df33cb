"""What the API's log tells of a canary: who got no answer, and whom a model kept waiting, by arm."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.experiment.canary.counts import canary_counts
from mlguide_assets.experiment.canary.record import Progress, progress_of
from mlguide_assets.experiment.tables import CANARY_STEPS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.statistics.confidence_sequences import Stage
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM
from mlguide_assets_tests.experiment.worlds import sends
from mlguide_assets_tests.samples import sample_problem

SCHEMA = log_schema(PROBLEM.decision)

DAY, NOON = date(2024, 3, 1), datetime(2024, 3, 1, 12)
SLOW_MS = 50.0
FIRST = 2
"""The version of the route at the first share."""


def answered(user: int, arm: str, variant: str, **values: Any) -> dict[str, Any]:
    known = {"request_id": f"r{user}", "answered_at": NOON, "endpoint": "predict", "user_id": user, "arm": arm}
    measured = {"latency_ms": 90.0, "scoring_ms": 2.0}
    named = {"experiment": "canary-2", "experiment_version": FIRST, "variant": variant, "model_version": "1"}
    return {**dict.fromkeys(SCHEMA.names), **known, **measured, **named, **values}


def counted(tmp_path: Path, *rows: dict[str, Any]) -> Any:
    lake = Lake(tmp_path)
    lake.write_partition(PREDICTION_LOG, DAY.isoformat(), pa.Table.from_pylist(list(rows), schema=SCHEMA))
    progress = Progress("2", "1", "advance", 1, 0.2, "", DAY, DAY, DAY, DAY, (0.05, 0.2))
    made = ibis.memtable(sends())
    return canary_counts(lake, PROBLEM, progress, actions=made, until=NOON, slow_ms=SLOW_MS)


def test_errors_are_units_without_an_answer_by_their_own_model(tmp_path: Path) -> None:
    found = counted(
        tmp_path,
        answered(1, "canary", "routed"),
        answered(2, "canary", "fallback"),
        answered(3, "canary", "failed", scoring_ms=None),
        # The same unit again counts once.
        answered(3, "canary", "failed", request_id="again", scoring_ms=None),
        answered(4, "champion", "failed", scoring_ms=None),
        answered(5, "champion", "champion"),
        # At the next share, though the clock was set back before.
        answered(6, "canary", "failed", answered_at=NOON - timedelta(hours=9), scoring_ms=None, experiment_version=3),
        # By a server that an earlier version of this project told of its route.
        answered(7, "canary", "failed", scoring_ms=None, experiment_version=1),
    )
    assert found["errors"] == [Stage(1, 2, 0.05), Stage(0, 1, 0.2)]


def test_slow_is_what_the_own_model_takes_not_the_wait_for_the_other(tmp_path: Path) -> None:
    found = counted(
        tmp_path,
        # Answered together: both waited 90 ms, and one model took them.
        answered(1, "canary", "routed", scoring_ms=85.0),
        answered(2, "champion", "champion", scoring_ms=3.0),
        # Logged by a server of an earlier version.
        answered(3, "champion", "champion", scoring_ms=None),
        # Nobody waited for an answer that never came.
        answered(4, "champion", "failed", scoring_ms=None),
    )
    assert found["slow"] == [Stage(1, 1, 0.05)]


def test_answers_of_after_the_clock_was_set_back_count(tmp_path: Path) -> None:
    lake, days = Lake(tmp_path), (DAY, DAY - timedelta(days=3))
    for share, day in zip((0.05, 0.2), days, strict=True):
        step = {"recorded_at": f"{day}T12:00:00+00:00", "day": "2024-03-01", "version": "2", "champion": "1"}
        values = {"action": "advance", "step": 0, "share": share, "reason": "", "evidence": "[]"}
        lake.append(CANARY_STEPS, pa.Table.from_pylist([step | values]))
    rows = [answered(1, "canary", "failed"), answered(2, "canary", "failed", experiment_version=3)]
    for day, row in zip(days, rows, strict=True):
        lake.write_partition(PREDICTION_LOG, day.isoformat(), pa.Table.from_pylist([row], schema=SCHEMA))
    progress = progress_of(lake, "2")
    assert progress is not None
    found = canary_counts(lake, PROBLEM, progress, actions=ibis.memtable(sends()), until=NOON, slow_ms=SLOW_MS)
    assert found["errors"] == [Stage(0, 1, 0.05), Stage(0, 1, 0.2)]


@pytest.mark.parametrize(("until", "units"), [(timedelta(days=16), 0), (timedelta(days=17), 1)])
def test_an_outcome_counts_once_the_last_row_of_its_time_has_arrived(
    until: timedelta, units: int, tmp_path: Path
) -> None:
    late = sample_problem("nowhere", tables={"user_emails": {"arrives_within": "10d"}})
    shares = {"challenger": 0.5, "champion": 0.5}
    planned = {
        "scoring_date": DAY,
        "planned_at": NOON - timedelta(hours=12),
        "policy_shares": shares,
        "decision": "send",
    }
    arms = [{"user_id": unit, "arm": arm, "experiment": "canary-2"} for unit, arm in ((1, "canary"), (2, "champion"))]
    lake = Lake(tmp_path)
    lake.write_partition(SEND_PLAN, DAY.isoformat(), pa.Table.from_pylist([planned | each for each in arms]))
    progress = Progress("2", "1", "advance", 1, 0.5, "", DAY, DAY, DAY, DAY, (0.5,))
    made = ibis.memtable(sends((1, 0.5, True), (2, 0.5, False)))
    found = canary_counts(lake, late, progress, actions=made, until=NOON + until, slow_ms=SLOW_MS)
    assert sum(stage.treatment for stage in found["outcome"]) == units
