"""What units met on days without a plan: there all arms were treated alike, which is a fault and no small effect."""

from datetime import timedelta
from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.sources import Live, SimulatorSource
from mlguide_assets.experiment.exposure import API, exposed_by_plan, record_exposures
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.unplanned import unplanned_actions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM
from mlguide_assets_tests.experiment.worlds import DAY, START, plan, sends, started

ARMS: dict[int, str | None] = {unit: ("generic", "personal")[unit % 2] for unit in range(1, 21)}
LATER = DAY + timedelta(days=2)
MET = sends(*((unit, 0.5, False) for unit in ARMS), *((unit, 2.5, False) for unit in ARMS), (99, 1.5, False))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture
def begun(lake: Lake) -> Started:
    """An experiment whose units met their arms by the plan of its first day."""
    begun = started(lake)
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan(ARMS))
    record_exposures(lake, exposed_by_plan(ibis.memtable(plan(ARMS)), begun, "user_id"))
    return begun


def fault(lake: Lake, begun: Started, met: pa.Table = MET) -> str | None:
    return unplanned_actions(lake, PROBLEM, begun, ibis.memtable(met), START + timedelta(days=30))


def test_what_units_met_on_a_day_without_a_plan_is_a_fault_until_it_has_one(lake: Lake, begun: Started) -> None:
    said = "20 of 40 sends to its units were on 1 day without a plan, the last on 2024-03-03"
    assert str(fault(lake, begun)).startswith(said)
    lake.write_partition(SEND_PLAN, LATER.isoformat(), plan(ARMS, LATER, late=True))
    assert str(fault(lake, begun)).startswith(said), "a plan that came too late decided nothing"
    lake.write_partition(SEND_PLAN, LATER.isoformat(), plan(ARMS, LATER))
    assert fault(lake, begun) is None


def test_only_what_counts_for_an_outcome_is_looked_at(lake: Lake, begun: Started) -> None:
    first = [(unit, 0.5, False) for unit in ARMS]
    window = begun.experiment.window(PROBLEM)
    for days in (-1.0, window / timedelta(days=1) + 1, 40.0):
        assert fault(lake, begun, sends(*first, *((unit, days, False) for unit in ARMS))) is None, days
    assert fault(lake, begun, sends(*first, (1, 2.5, False))) is None, "a few do not matter"


def test_where_the_api_decides_days_need_no_plan(lake: Lake, begun: Started) -> None:
    met = exposed_by_plan(ibis.memtable(plan({30: "personal"})), begun, "user_id").mutate(origin=ibis.literal(API))
    record_exposures(lake, met)
    assert fault(lake, begun) is None


def test_in_a_simulated_world_the_remedy_is_a_slower_one(lake: Lake, begun: Started) -> None:
    live = Live(start=DAY, day_every=timedelta(seconds=30), end=DAY + timedelta(days=99))
    fast = PROBLEM.model_copy(update={"source": SimulatorSource(live=live)})
    assert "raise source.live.day_every" in str(
        unplanned_actions(lake, fast, begun, ibis.memtable(MET), START + timedelta(days=30))
    )
    assert "have each day planned before it begins" in str(fault(lake, begun))
