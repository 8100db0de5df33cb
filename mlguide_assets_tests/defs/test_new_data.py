"""The sensors of a new day follow the data, whatever the date of this machine is, and take turns."""

from datetime import UTC, date, datetime, timedelta

import pytest

from mlguide_assets.defs import new_data
from mlguide_assets.defs.new_data import refresh_on_new_day, score_on_new_day, scores_come_first
from mlguide_assets.defs.observe import check_drift_on_new_data
from mlguide_assets.defs.run_requests import AGAIN_AFTER, READING, REASON
from mlguide_assets.defs.workspace import SCORING_DATES
from mlguide_assets.deploy.online_store.store import Publication, State
from mlguide_assets_tests.defs.house import House


@pytest.fixture
def house(house: House) -> House:
    """A champion whose reference ends on 10 November, and sends until the 20th, a year before today."""
    house.land(20, last=date(2025, 11, 20))
    house.train(until=date(2025, 11, 10))
    house.install(reference_ends=date(2025, 11, 10))
    return house


def test_the_day_after_the_last_send_is_scored(house: House) -> None:
    (request,) = house.requested(score_on_new_day)
    assert request.partition_key == "2025-11-21"
    assert list(house.instance.get_dynamic_partitions(str(SCORING_DATES.name)))[-1] == "2025-11-21"


def test_days_are_checked_for_drift_from_the_reference_to_the_last_that_has_landed(house: House) -> None:
    (request,) = house.requested(check_drift_on_new_data)
    bounds = [request.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")]
    assert bounds == ["2025-11-11", "2025-11-20"]


@pytest.mark.parametrize("reader", READING)
def test_a_day_that_was_read_is_scored_before_the_next_is_read(reader: str, house: House) -> None:
    """In a world that is faster than its runs, a reading would always be due."""
    instance, workspace, now = house.instance, house.workspace, datetime.now(UTC)
    assert not scores_come_first(instance, workspace, now), "nothing was read by the daemon yet"
    house.run(reader)
    now = datetime.now(UTC)
    assert scores_come_first(instance, workspace, now)
    assert house.requested(refresh_on_new_day) == []
    assert not scores_come_first(instance, workspace, now + AGAIN_AFTER + timedelta(minutes=1)), "it waits for a while"
    (request,) = house.requested(score_on_new_day)
    house.run("scoring_job", **{REASON: request.tags[REASON]})
    assert not scores_come_first(instance, workspace, now)
    assert len(house.requested(refresh_on_new_day)) == 1


def test_what_the_online_store_has_lost_is_published_again_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a Redis that was restarted empty has."""
    (first,) = house.requested(score_on_new_day)
    house.run("scoring_job", **{REASON: first.tags[REASON]})
    assert house.requested(score_on_new_day) == [], "it was scored just now"
    monkeypatch.setattr(new_data, "AGAIN_AFTER", timedelta(0))
    (again,) = house.requested(score_on_new_day)
    assert again.partition_key == first.partition_key
    house.run("scoring_job", fails=True, **{REASON: again.tags[REASON]})
    assert house.requested(score_on_new_day) == [], "it has just failed"
    house.workspace.online_store.publish(State(Publication(datetime(2025, 11, 21), {}, {}, (), {}), {}))
    assert house.requested(score_on_new_day) == []
