"""What a replay's record of runs keeps: what later runs and sensors ask for."""

import dagster as dg

from mlguide_assets.console.short_memory import short_memory

DAYS = dg.DynamicPartitionsDefinition(name="days")


@dg.asset(check_specs=[dg.AssetCheckSpec("is_one", asset="number")])
def number() -> dg.MaterializeResult:
    return dg.MaterializeResult(data_version=dg.DataVersion("one"), check_results=[dg.AssetCheckResult(passed=True)])


@dg.asset(deps=[number])
def follower() -> dg.MaterializeResult:
    return dg.MaterializeResult()


def test_runs_their_ends_and_partitions_are_kept() -> None:
    with short_memory() as instance:
        result = dg.materialize([number], instance=instance, tags={"mine": "yes"})
        assert result.success
        assert result.get_asset_check_evaluations()
        [record] = instance.get_run_records(dg.RunsFilter(tags={"mine": "yes"}))
        assert record.dagster_run.status is dg.DagsterRunStatus.SUCCESS
        assert record.end_time
        instance.add_dynamic_partitions("days", ["2026-01-01"])
        assert instance.get_dynamic_partitions("days") == ["2026-01-01"]


def test_a_run_knows_the_version_of_what_another_made() -> None:
    with short_memory() as instance:
        dg.materialize([number], instance=instance)
        dg.materialize([number, follower], selection=[follower], instance=instance)
        made = instance.get_latest_materialization_event(follower.key)
        assert made is not None
        assert made.asset_materialization is not None
        assert (made.asset_materialization.tags or {})["dagster/input_data_version/number"] == "one"


def test_nothing_else_is_kept() -> None:
    with short_memory() as instance:
        result = dg.materialize([number], instance=instance)
        kinds = [entry.dagster_event_type for entry in instance.all_logs(result.run_id)]
        assert kinds == [dg.DagsterEventType.ASSET_MATERIALIZATION]


def test_a_run_that_fails_is_one_that_failed() -> None:
    @dg.asset
    def broken() -> None:
        raise ValueError("no")

    with short_memory() as instance:
        result = dg.materialize([broken], instance=instance, raise_on_error=False)
        assert not result.success
        [record] = instance.get_run_records()
        assert record.dagster_run.status is dg.DagsterRunStatus.FAILURE
