"""The record of estimates and results: rows are only added, and the two of a policy stand side by side."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Policies
from mlguide_assets.experiment.off_policy.record import EVERY, SCHEMA, Result, estimates, record, recorded, results
from mlguide_assets.prepare.lake import Lake
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets_tests.deploy.plans import DAY
from mlguide_assets_tests.experiment.test_planned import decisions_of, planned

NOW = datetime(2024, 5, 1, tzinfo=UTC)
PAIR = ("champion", "random")


@pytest.fixture(scope="module")
def decisions() -> pa.Table:
    return decisions_of(planned())


def result(began: date) -> Result:
    return Result("personal", 1, 3, "ship", "champion", "random", began, Estimate(0.8, 0.7, 0.9))


def test_an_estimate_and_the_later_result_stand_side_by_side(decisions: pa.Table, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    offline = estimates(decisions, recorded(lake), [PAIR], now=NOW, run_id="one")
    record(lake, offline)
    online = results(recorded(lake), [result(DAY + timedelta(days=1))], now=NOW + timedelta(days=40), run_id="two")
    record(lake, online)
    first, second = recorded(lake)
    assert first == {name: offline[0].get(name) for name in SCHEMA.names}
    assert first["supported"]
    assert first["estimate_low"] < first["estimate"] < first["estimate_high"] < 1
    assert first["result"] is None
    same = SCHEMA.names[SCHEMA.names.index("policy") : SCHEMA.names.index("experiment")]
    assert [second[name] for name in same] == [first[name] for name in same]
    assert (second["result"], second["verdict"], second["recorded_at"]) == (0.8, "ship", "2024-06-10T00:00:00+00:00")
    assert results(recorded(lake), [result(DAY + timedelta(days=1))], now=NOW, run_id="three") == []


def test_an_estimate_from_days_of_the_experiment_is_not_held_beside_its_result(decisions: pa.Table) -> None:
    offline = [dict.fromkeys(SCHEMA.names) | row for row in estimates(decisions, [], [PAIR], now=NOW, run_id="one")]
    (online,) = results(offline, [result(DAY)], now=NOW, run_id="two")
    assert "estimate" not in online
    assert online["result"] == 0.8


def test_an_estimate_is_made_again_when_a_week_of_days_has_come(decisions: pa.Table) -> None:
    known = dict.fromkeys(SCHEMA.names) | {"policy": PAIR[0], "against": PAIR[1], "last_day": str(DAY - EVERY)}
    assert len(estimates(decisions, [known], [PAIR, PAIR], now=NOW, run_id="one")) == 1
    known["last_day"] = str(DAY - EVERY + timedelta(days=1))
    assert estimates(decisions, [known], [PAIR], now=NOW, run_id="one") == []


def test_a_refused_estimate_is_recorded_with_the_reason() -> None:
    decisions = decisions_of(planned(policies=Policies(champion=1.0), share=0.0))
    (row,) = estimates(decisions, [], [("random", "champion")], now=NOW, run_id="one")
    assert row["supported"] is False
    assert "random: " in row["reason"]
    assert "estimate" not in row


def test_a_challenger_that_was_not_scored_is_not_estimated(decisions: pa.Table) -> None:
    assert estimates(decisions, [], [("challenger", "champion")], now=NOW, run_id="one") == []


def test_without_decisions_there_is_nothing_to_estimate(decisions: pa.Table) -> None:
    assert estimates(decisions.slice(0, 0), [], [PAIR], now=NOW, run_id="one") == []
