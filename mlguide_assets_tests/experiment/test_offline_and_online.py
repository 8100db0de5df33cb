"""The record of estimates and results: rows are only added, and the two of a policy stand side by side."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.define.policies import Policies
from mlguide_assets.experiment.off_policy.comparing import compare_policies
from mlguide_assets.experiment.off_policy.record import (
    EVERY,
    SCHEMA,
    Result,
    estimates,
    is_estimate_due,
    record,
    recorded,
    results,
)
from mlguide_assets.experiment.results_table import SCHEMA as LOOKS
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.tables import RESULTS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets_tests.deploy.plans import DAY
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM
from mlguide_assets_tests.experiment.planned import decisions_of, planned
from mlguide_assets_tests.experiment.worlds import started

NOW = datetime(2024, 5, 1, tzinfo=UTC)
PAIR = ("champion", "random")


@pytest.fixture(scope="module")
def decisions() -> pa.Table:
    return decisions_of(planned())


def result(began: date) -> Result:
    return Result("personal", 1, 3, "ship", "champion", "random", began, Estimate(0.8, 0.7, 0.9))


def later(sends: pa.Table) -> pa.Table:
    """As many sends to others, when the outcomes of the first are final."""
    moved = pc.add(sends["delivered_at"], pa.scalar(PROBLEM.label.window + timedelta(days=2)))
    return sends.set_column(0, "user_id", pc.add(sends["user_id"], 1_000_000)).set_column(2, "delivered_at", moved)


def last_look(ran: Started) -> dict[str, Any]:
    name, version = ran.key
    ratio = {"value": 0.8, "low": 0.7, "high": 0.9}
    evidence = {"results": [{"variant": "personal", "role": role, "ratio": ratio} for role in ("primary", "guardrail")]}
    found = {"look": 3, "is_final": True, "verdict": "ship", "evidence": json.dumps(evidence)}
    return {"experiment": name, "version": version, **found}


def test_an_estimate_and_the_later_result_stand_side_by_side(decisions: pa.Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    offline = estimates(decisions, [PAIR], now=NOW, run_id="one")
    record(lake, offline)
    online = results(recorded(lake), [result(DAY + timedelta(days=1))], now=NOW + timedelta(days=40), run_id="two")
    record(lake, online)
    first, second = recorded(lake)
    assert first == offline[0]
    assert first["supported"]
    assert first["estimate_low"] < first["estimate"] < first["estimate_high"] < 1
    assert first["result"] is None
    same = SCHEMA.names[SCHEMA.names.index("policy") : SCHEMA.names.index("experiment")]
    assert [second[name] for name in same] == [first[name] for name in same]
    assert (second["result"], second["verdict"], second["recorded_at"]) == (0.8, "ship", "2024-06-10T00:00:00+00:00")
    assert results(recorded(lake), [result(DAY + timedelta(days=1))], now=NOW, run_id="three") == []


def test_an_estimate_from_days_of_the_experiment_is_not_held_beside_its_result(decisions: pa.Table) -> None:
    offline = estimates(decisions, [PAIR], now=NOW, run_id="one")
    (online,) = results(offline, [result(DAY)], now=NOW, run_id="two")
    assert online["estimate"] is None
    assert online["result"] == 0.8


def test_estimates_are_due_at_first_and_when_a_week_of_days_has_come(decisions: pa.Table) -> None:
    known = estimates(decisions, [PAIR], now=NOW, run_id="one")
    assert is_estimate_due([], DAY)
    assert not is_estimate_due(known, DAY + EVERY - timedelta(days=1))
    assert is_estimate_due(known, DAY + EVERY)


def test_a_refused_estimate_is_recorded_with_the_reason() -> None:
    decisions = decisions_of(planned(policies=Policies(champion=1.0), share=0.0))
    (row,) = estimates(decisions, [("random", "champion")], now=NOW, run_id="one")
    assert row["supported"] is False
    assert "random: " in row["reason"]
    assert row["estimate"] is None


def test_a_challenger_that_was_not_scored_is_not_estimated(decisions: pa.Table) -> None:
    assert estimates(decisions, [("challenger", "champion")], now=NOW, run_id="one") == []


def test_without_decisions_there_is_nothing_to_estimate(decisions: pa.Table) -> None:
    assert estimates(decisions.slice(0, 0), [PAIR], now=NOW, run_id="one") == []


def test_a_home_records_its_estimates_once_and_the_result_of_its_experiment_beside_them(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    world = planned(policies=Policies(champion=0.5, random=0.25, generic=0.25))
    lake.write_partition(SEND_PLAN, DAY.isoformat(), world.plan)
    lake.write("user_emails", pa.concat_tables([world.sends, later(world.sends)]))
    ran = started(lake, day=DAY + timedelta(days=1), start=str(DAY + timedelta(days=1)))
    tables = {"user_emails": lake.read("user_emails")}
    found = compare_policies(lake, PROBLEM, tables=tables, run_id="one")
    assert (found.estimates, found.supported, found.results) == (2, 2, 0)
    assert compare_policies(lake, PROBLEM, tables=tables, run_id="two").version == found.version
    lake.append(RESULTS, small_table([last_look(ran)], LOOKS))
    assert compare_policies(lake, PROBLEM, tables=tables, run_id="three").results == 1
    *_, row = recorded(lake)
    assert (row["policy"], row["against"], row["experiment"]) == ("champion", "generic", "fewer_losses")
    assert (row["result"], row["result_low"], row["result_high"]) == (0.8, 0.7, 0.9)
    assert row["estimate_low"] < row["estimate"] < row["estimate_high"]
    assert compare_policies(lake, PROBLEM, tables=tables, run_id="four").results == 0
