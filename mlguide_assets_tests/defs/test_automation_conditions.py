"""Why each sensor is written by hand: what a declarative automation condition in its place would request.

Both are asked in the same state, on the real assets. What holds here is a reason in the table of `defs/README.md`:
where a release of Dagster makes one of these tests fail, that sensor may have become a condition.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from mlguide_assets.definitions import defs
from mlguide_assets.defs import new_data, observe, retrain
from mlguide_assets.defs.days import known_days
from mlguide_assets.defs.workspace import SCORING_DATES
from mlguide_assets.prepare.sources.simulation_clock import WORLD_TIME_VARIABLE
from mlguide_assets_tests.defs.house import REACHED, House

AC = dg.AutomationCondition
MORNING = datetime(2026, 1, 10, 2, 30, tzinfo=UTC)
"""Of the wall: half an hour before the daily training."""
HOUR = timedelta(hours=1)


# To put conditions on assets that are defined already is preview in 1.13, and only done here.
pytestmark = pytest.mark.filterwarnings("ignore:Function `Definitions.map_resolved:dagster.PreviewWarning")


@pytest.fixture(scope="module")
def definitions() -> Iterator[dg.Definitions]:
    with dg.DagsterInstance.ephemeral():
        yield defs()


class Conditions:
    """The real assets, some of them under a condition, evaluated look after look as the daemon does."""

    def __init__(self, definitions: dg.Definitions, house: House, **conditions: Any) -> None:
        logging.getLogger("dagster.automation_condition_tester").setLevel(logging.WARNING)
        self.definitions = definitions.map_resolved_asset_specs(
            selection=dg.AssetSelection.assets(*conditions),
            func=lambda spec: spec.replace_attributes(automation_condition=conditions[spec.key.to_user_string()]),
        )
        self._instance, self._names = house.instance, [*conditions]
        self._cursor: Any = None

    def look(self, at: datetime | None = None) -> dict[str, list[Any]]:
        """The assets that are requested, each with its partitions."""
        selection, now = dg.AssetSelection.all(), at or datetime.now(UTC)
        found = dg.evaluate_automation_conditions(
            self.definitions, self._instance, selection, evaluation_time=now, cursor=self._cursor
        )
        self._cursor = found.cursor
        requested = {name: sorted(found.get_requested_partitions(dg.AssetKey(name))) for name in self._names}
        return {name: partitions for name, partitions in requested.items() if partitions}


def made(house: House, *names: str, version: str = "1") -> None:
    """Report assets as materialised with this content."""
    for name in names:
        event = dg.AssetMaterialization(name, tags={"dagster/data_version": version})
        house.instance.report_runless_asset_event(event)


@pytest.fixture
def house(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Thirty days of sends and a champion, in a world that has reached the next day."""
    monkeypatch.setenv(WORLD_TIME_VARIABLE, REACHED.isoformat())
    house.land()
    house.install()
    return house


CHANGED = AC.any_deps_match(AC.data_version_changed()).since_last_handled()


@pytest.mark.parametrize("changed", ["champion_model", "user_emails"])
@pytest.mark.parametrize("condition", [AC.any_deps_updated().since_last_handled(), CHANGED], ids=["updated", "changed"])
def test_a_condition_requests_every_day_there_is_and_not_the_one_that_has_begun(
    changed: str, condition: Any, definitions: dg.Definitions, house: House
) -> None:
    """`in_latest_time_window`, which `eager` begins with, is all days here: they are not the calendar's."""
    conditions = Conditions(definitions, house, batch_predictions=AC.in_latest_time_window() & condition)
    (request,) = house.requested(new_data.score_on_new_day)
    assert request.partition_key == REACHED.isoformat()
    made(house, changed)
    assert conditions.look() == {}
    made(house, changed, version="2")
    days = list(house.instance.get_dynamic_partitions(str(SCORING_DATES.name)))
    assert conditions.look() == {"batch_predictions": days}
    assert len(days) > 20


def test_a_condition_does_not_know_which_days_have_landed_again(definitions: dg.Definitions, house: House) -> None:
    known_days(house.instance, house.workspace)
    conditions = Conditions(definitions, house, data_drift=CHANGED)
    made(house, "landed_days")
    conditions.look()
    made(house, "landed_days", version="2")
    requested = conditions.look()["data_drift"]
    (request,) = house.requested(observe.check_drift_on_new_data)
    after = [day for day in requested if day >= request.tags["dagster/asset_partition_range_start"]]
    assert len(after) < len(requested), "days of the champion's own reference are none to check"


def test_a_condition_reads_by_the_walls_clock(definitions: dg.Definitions, house: House) -> None:
    hourly = AC.cron_tick_passed("0 * * * *").since_last_handled()
    conditions = Conditions(definitions, house, user_emails=hourly, landed_days=hourly)
    house.train(until=REACHED)
    (request,) = house.requested(new_data.refresh_on_new_day)
    assert conditions.look(MORNING) == {}, "what is due already waits for the next tick"
    house.run("refresh_job", **request.tags)
    assert house.requested(new_data.refresh_on_new_day) == []
    assert [*conditions.look(MORNING + HOUR)] == ["user_emails", "landed_days"], "no day of the world has passed"


@pytest.mark.parametrize("schedule", [retrain.retrain_daily, retrain.retrain_on_new_outcomes], ids=lambda it: it.name)
def test_a_condition_follows_the_walls_clock_and_not_what_has_matured(
    schedule: Any, definitions: dg.Definitions, house: House
) -> None:
    tick = AC.cron_tick_passed("0 3 * * *").since_last_handled()
    conditions = Conditions(definitions, house, candidate_model=tick, test_predictions=tick)
    conditions.look(MORNING)
    house.train(until=date(2025, 12, 1))
    house.land(rows=9_000)
    request = house.tick(schedule)
    assert isinstance(request, dg.RunRequest)
    assert conditions.look(MORNING + HOUR / 6) == {}, "a day of the world is over, and none of the wall's"
    house.run("retraining_job", **request.tags)
    house.train(until=REACHED)
    assert isinstance(house.tick(schedule), dg.SkipReason)
    assert [*conditions.look(MORNING + HOUR)] == ["candidate_model", "test_predictions"]


def test_a_condition_trains_on_the_first_day_that_drifts(definitions: dg.Definitions, house: House) -> None:
    drifts = AC.asset_matches("data_drift", AC.any_checks_match(AC.check_failed()))
    conditions = Conditions(definitions, house, candidate_model=drifts.newly_true().since_last_handled())
    conditions.look()
    for day, by_sensor, by_condition in ((8, dg.SkipReason, ["candidate_model"]), (9, dg.RunRequest, [])):
        house.note_drift(date(2026, 1, day), "act")
        red = dg.AssetCheckEvaluation(asset_key=dg.AssetKey("data_drift"), check_name="no_feature_drift", passed=False)
        house.instance.report_runless_asset_event(red)
        assert [type(each) for each in house.look(retrain.retrain_on_drift)] == [by_sensor]
        assert [*conditions.look()] == by_condition


@pytest.mark.filterwarnings("ignore:Parameter `use_user_code_server`:dagster.BetaWarning")
def test_a_run_that_conditions_request_is_of_no_job_of_ours_and_does_not_say_which_of_them_held(
    definitions: dg.Definitions, house: House
) -> None:
    """Jobs bring the configuration of `leakage_alarms`; retries, alerts and the log of retraining go by job and tag."""
    held = {"core_users": AC.missing(), "registered_model": AC.missing()}
    sensor = dg.AutomationConditionSensorDefinition("conditions", target=[*held], use_user_code_server=True)
    conditioned = dg.Definitions.merge(
        Conditions(definitions, house, **held).definitions, dg.Definitions(sensors=[sensor])
    )
    with dg.build_sensor_context(house.instance, repository_def=conditioned.get_repository_def()) as context:
        (request,) = sensor.evaluate_tick(context).run_requests or ()
    assert {key.to_user_string() for key in request.asset_selection or ()} == held.keys()
    assert (request.job_name, request.run_config) == ("__ASSET_JOB", {})
    assert request.tags == {"dagster/sensor_name": "conditions"}
