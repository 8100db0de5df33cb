"""Plans that are made when their day is over decide nothing: that is said, is a fault, and the experiment ends."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.experiment.actions import tables_of_actions
from mlguide_assets.experiment.day import expose_day, look_day
from mlguide_assets.experiment.ledger import find, results, running
from mlguide_assets.experiment.off_policy.comparing import late_plans
from mlguide_assets.experiment.plan_alert import plan_warnings
from mlguide_assets.experiment.plan_faults import plan_faults
from mlguide_assets.experiment.plans import late_plan
from mlguide_assets.observe.alerts.alert import EXPERIMENT_PLANS
from mlguide_assets.observe.alerts.runbook import runbook_of
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.incidents import incidents
from mlguide_assets.settings import Home
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM
from mlguide_assets_tests.experiment.worlds import DAY, START, history, home_with_champion, plan, sends, started

NEXT = DAY + timedelta(days=1)
SAID = "The plan of 2024-03-01 was made at 2024-03-02 08:00 UTC, when its day was over: it decided nothing"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_with_champion(tmp_path)


def look(home: Home, days: float) -> Any:
    lake = Lake(home.lake(PROBLEM.key))
    lake.write("user_emails", history(*((unit, days, False) for unit in range(1, 400))))
    return look_day(home, lake, PROBLEM, tables=tables_of_actions(lake, PROBLEM), run_id="run")


def test_a_late_plan_is_said_in_the_run_and_is_a_fault_until_one_is_in_time(home: Home) -> None:
    lake, said = Lake(home.lake(PROBLEM.key)), list[str]()
    started(lake)
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: "generic", 2: "personal"}, late=True))
    assert expose_day(lake, PROBLEM, DAY, report=said.append) == 0
    assert [each.startswith(f"fewer_losses, version 1: {SAID}") for each in said] == [True]
    (warning,) = plan_warnings(lake, PROBLEM)
    assert warning.startswith(f"fewer_losses, version 1: {SAID}")
    alert = incidents(Home(home.root / "no model"), lake, PROBLEM, today=NEXT)[EXPERIMENT_PLANS]
    assert alert is not None
    assert (alert.happened, runbook_of(alert.key, alert.kind).command) == (warning, "mlguide experiment status")
    (fault,) = look(home, 1.0).faults
    assert fault.startswith(f"fewer_losses, version 1: {SAID}")
    lake.write_partition(SEND_PLAN, NEXT.isoformat(), plan({1: "generic", 2: "personal"}, NEXT))
    assert expose_day(lake, PROBLEM, NEXT, report=pytest.fail) == 2
    assert plan_warnings(lake, PROBLEM) == []
    assert incidents(Home(home.root / "no model"), lake, PROBLEM, today=NEXT)[EXPERIMENT_PLANS] is None
    assert not any("was made at" in each for each in look(home, 1.5).faults)


def test_where_units_meet_their_arms_by_the_api_a_late_plan_is_no_fault(home: Home) -> None:
    lake, said = Lake(home.lake(PROBLEM.key)), list[str]()
    begun = started(lake)
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: "generic"}, late=True))
    schema = log_schema(PROBLEM.decision)
    row = {"request_id": "r", "answered_at": START + timedelta(hours=9), "endpoint": "recommend", "user_id": 2}
    named = {"experiment": "fewer_losses", "experiment_version": 1, "arm": "personal", "model_version": "7"}
    rows = [dict.fromkeys(schema.names) | row | named | {"variant": "champion"}]
    lake.write_partition(PREDICTION_LOG, DAY.isoformat(), pa.Table.from_pylist(rows, schema=schema))
    assert expose_day(lake, PROBLEM, DAY, report=said.append) == 1
    assert len(said) == 1
    assert list(plan_faults(lake, PROBLEM, begun)) == []


def test_looks_without_an_exposed_unit_are_on_record_and_the_last_one_ends_the_experiment(home: Home) -> None:
    lake = Lake(home.lake(PROBLEM.key))
    begun = started(lake)
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: "generic", 2: "personal"}, late=True))
    assert look(home, 21.0).verdicts == "fewer_losses, look 1: unhealthy"
    assert running(lake) == [begun]
    assert look(home, 22.0).verdicts == "no look was due"
    found = look(home, 36.0)
    assert (found.verdicts, found.running) == ("fewer_losses, look 3: unhealthy", 0)
    assert [(row["look"], row["rule"], row["is_final"], row["units"]) for row in results(lake, begun)] == [
        (1, "no_exposure", False, 0),
        (3, "no_exposure", True, 0),
    ]
    ended = find(lake, "fewer_losses")
    assert ended.state == "finished"
    assert ended.reason.startswith("unhealthy: No exposure")


def test_plans_without_arms_and_plans_in_time_are_not_late(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert late_plan(lake, PROBLEM, "fewer_losses") is None
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: None}, late=True))
    assert late_plan(lake, PROBLEM, "fewer_losses") is None
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: "generic"}))
    assert late_plan(lake, PROBLEM, "fewer_losses") is None
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: "generic"}, late=True))
    assert str(late_plan(lake, PROBLEM, "fewer_losses")).startswith(SAID)
    assert late_plan(lake, PROBLEM, "canary-2") is None


def test_plans_that_are_all_late_say_why_they_value_no_policy(tmp_path: Path) -> None:
    lake, actions = Lake(tmp_path), ibis.memtable(sends((1, 40.0, False)))
    assert late_plans(lake, PROBLEM, actions) is None
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({1: None}, late=True))
    assert "were all made when their days were over" in str(late_plans(lake, PROBLEM, actions))
    lake.write_partition(SEND_PLAN, NEXT.isoformat(), plan({1: None}, NEXT))
    assert late_plans(lake, PROBLEM, actions) is None
