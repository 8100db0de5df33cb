"""Partitions follow the data: they end with the day that can be scored, and shrink where data were taken back."""

from datetime import date, datetime

import dagster as dg
import pytest

from mlguide_assets.defs.days import chosen_day, known_days
from mlguide_assets.defs.deploy import feature_stores
from mlguide_assets.defs.ended_runs import causes, refusal_in
from mlguide_assets.defs.experiment import experiment_assignments
from mlguide_assets.defs.workspace import SCORING_DATES
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.defs.house import House
from mlguide_assets_tests.samples import arrow


@pytest.mark.parametrize(("first", "last"), [(5, 9), (5, 12), (5, 7), (2, 9), (6, 9)])
def test_partitions_are_the_days_that_can_be_scored_in_their_order(first: int, last: int, house: House) -> None:
    assert known_days(house.instance, house.workspace) == []
    for start, end in ((5, 9), (first, last)):
        house.land(end - start + 1, last=date(2025, 3, end))
        wanted = [f"2025-03-{day:02d}" for day in range(start, end + 2)]
        assert known_days(house.instance, house.workspace) == wanted
        assert list(house.instance.get_dynamic_partitions(str(SCORING_DATES.name))) == wanted


@pytest.mark.parametrize("asset", [experiment_assignments, *feature_stores], ids=lambda asset: str(asset.key.path[-1]))
def test_a_day_whose_data_were_taken_back_before_its_run_began_is_refused(
    asset: dg.AssetsDefinition, house: House
) -> None:
    """By each asset that a scoring begins with: Dagster's own words for a partition that is gone are for developers."""
    _land_sends(house.lake, datetime(2025, 3, 9, 12))
    with pytest.raises(InputError, match="2025-03-11 cannot be scored: the data reach as far as 2025-03-09"):
        asset(context=dg.build_asset_context(partition_key="2025-03-11"), workspace=house.workspace)


def _land_sends(lake: Lake, at: datetime) -> None:
    send = {"user_id": 1, "email_id": 1, "unsubscribed": "no", "delivered_at": at}
    for table, rows in {"user_profiles": [], "email_content": [], "user_emails": [send]}.items():
        lake.write(table, arrow(table, rows))


def test_a_run_without_a_day_is_told_to_choose_one() -> None:
    """As a launch of `lifecycle` by a program has none."""

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2026-01-01"]))
    def scores(context: dg.AssetExecutionContext) -> str:
        return chosen_day(context)

    job = dg.Definitions([scores], jobs=[dg.define_asset_job("all")]).resolve_job_def("all")
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, partition_key="2026-01-01").success
        failed = job.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = [each for each in failed.all_events if each.is_step_failure]
    said = refusal_in(causes(event.step_failure_data.error))
    assert said == "This run has no day to score for: launch it for a partition, or use 'mlguide run'."
