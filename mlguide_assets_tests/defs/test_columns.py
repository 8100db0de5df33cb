"""Every table says what its own columns mean, and no table what another's mean."""

from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from mlguide_assets import definitions
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.values import slug
from mlguide_assets.defs import experiment as defs_of_experiment
from mlguide_assets.defs.columns import column_meanings
from mlguide_assets.defs.workspace import PROBLEM, SCORING_DATES, LakeIOManager
from mlguide_assets.deploy import predictions_table
from mlguide_assets.deploy.gate import history, recorded_criteria
from mlguide_assets.deploy.log import fault_landing, log_table
from mlguide_assets.deploy.plan import plan_table, policies
from mlguide_assets.experiment import exposure, ledger, results_table
from mlguide_assets.experiment.canary import record as canary
from mlguide_assets.experiment.off_policy import record as off_policy
from mlguide_assets.observe import online_parity
from mlguide_assets.observe.drift import data_drift
from mlguide_assets.observe.performance import champion_watch, model_performance
from mlguide_assets.observe.performance import verdict as performance_verdict
from mlguide_assets.prepare.column_lineage import parents_of
from mlguide_assets.retrain import ticks
from mlguide_assets.settings import Home
from mlguide_assets.train.backtest import staleness
from mlguide_assets.train.backtest import windows as training_windows
from mlguide_assets.train.evaluation import slices
from mlguide_assets.train.tuning import search, trials
from mlguide_assets_tests import other_tables
from mlguide_assets_tests.defs.described import described
from mlguide_assets_tests.defs.house import House
from mlguide_assets_tests.email_case import counted_values
from mlguide_assets_tests.other_tables import problem_of
from mlguide_assets_tests.samples import arrow

IDS = pa.schema([("user_id", pa.int64()), ("email_id", pa.int64())])
PAYMENTS = problem_of(other_tables.PAYMENTS, Path("nowhere"))
ORDERS = problem_of(
    {
        **other_tables.ORDERS,
        "features": {
            "declared": {
                "web_orders_30d": {"count": "order", "by": "customer", "within": "30d", "where": {"channel": "web"}},
                "last_channel": {"last": "order.channel", "by": "customer"},
                "days_since_last": {"since_last": "order", "by": "customer"},
                "month": {"calendar": "month"},
            }
        },
    },
    Path("nowhere"),
)
SCHEMAS: dict[str, pa.Schema] = {
    "batch_predictions": predictions_table.predictions_schema(IDS),
    "best_email_per_user": predictions_table.predictions_schema(IDS),
    "request_faults": fault_landing.FAULTS_SCHEMA,
    "promotion_decisions": history._SCHEMA,
    "gate_criteria": recorded_criteria._SCHEMA,
    "prediction_log": log_table.log_schema(PROBLEM.decision),
    "send_plan": plan_table.plan_schema(IDS),
    "experiments": ledger._SCHEMA,
    "experiment_assignments": policies.assigned_schema(pa.int64()),
    "exposures": exposure.exposures_schema(pa.int64()),
    "experiment_results": results_table.SCHEMA,
    "offline_and_online": off_policy.SCHEMA,
    "canary_steps": canary._SCHEMA,
    "data_drift": data_drift.SCHEMA,
    "online_parity": online_parity.SCHEMA,
    "champion_watch": champion_watch.SCHEMA,
    "retraining_decisions": ticks.SCHEMA,
    "backtest_windows": training_windows.WINDOWS,
    "staleness_curve": staleness.PERIODS,
    "training_recipe": search._SCHEMA,
    "slice_metrics": slices.SCHEMA,
    "group_metrics": slices.SCHEMA,
    "tuning_trials": trials.TRIALS,
}
OF_A_VERSION = {
    "model_performance": model_performance.KEPT_SCHEMA,
    "estimated_performance": model_performance.KEPT_SCHEMA,
    "performance_gap": performance_verdict.GAP_SCHEMA,
    "performance_verdicts": performance_verdict.VERDICTS_SCHEMA,
}


@pytest.mark.parametrize("table", SCHEMAS)
def test_the_meanings_of_a_table_are_those_of_its_columns(table: str) -> None:
    assert set(column_meanings(table, PROBLEM)) == set(SCHEMAS[table].names)


def test_every_table_of_a_whole_run_says_what_its_columns_mean(sample_home: Path) -> None:
    found, meanings = described(Home(sample_home / "home"))
    assert found == meanings
    assert all(text for columns in meanings.values() for text in columns.values())


def test_no_table_of_the_graph_is_left_out(sample_home: Path) -> None:
    """Those that a run of the sample does not write are held against their schemas."""
    specs = definitions.defs().resolve_all_asset_specs()
    tables = {spec.key.to_user_string() for spec in specs if "parquet" in spec.kinds}
    assert "canary_steps" in tables
    assert tables - {*described(Home(sample_home / "home"))[0], *SCHEMAS} == set()


@pytest.mark.parametrize("table", OF_A_VERSION)
def test_what_is_measured_of_a_version_names_it(table: str) -> None:
    assert set(column_meanings(table, PROBLEM)) == {"model_version", *OF_A_VERSION[table].names}


def test_one_name_means_another_thing_in_another_table() -> None:
    positives = {column_meanings(name, PROBLEM)["positives"] for name in ("slice_metrics", "estimated_performance")}
    kinds = {column_meanings(name, PROBLEM)["kind"] for name in ("data_drift", "behaviour_results")}
    assert (len(positives), len(kinds)) == (2, 2)
    assert column_meanings("no such table", PROBLEM) == {}


@pytest.mark.parametrize("problem", [PROBLEM, PAYMENTS, ORDERS], ids=lambda each: str(each.name))
def test_every_column_has_an_origin_that_exists(problem: Problem) -> None:
    made = (problem.core_table, problem.features_table, *problem.decision.store_tables.values())
    for table in made:
        parents = parents_of(table, problem)
        # The instant of a state is that of the partition; a cut-off, and so its month, are in no table.
        assert set(column_meanings(table, problem)) - set(parents) <= {"as_of", "month"}
        for column, sources in parents.items():
            assert sources, column
            for source, name in sources:
                assert name in column_meanings(source, problem), (column, source, name)


def test_a_feature_comes_from_what_its_declaration_names() -> None:
    of_orders = parents_of("customer_features", ORDERS)
    assert of_orders["web_orders_30d"] == [("orders", "channel"), ("orders", "ordered")]
    assert of_orders["last_channel"] == [("orders", "channel"), ("orders", "ordered")]
    assert of_orders["days_since_last"] == [("orders", "ordered")]
    of_payments = parents_of("payment_features", PAYMENTS)
    assert of_payments["shop_frauds_14d"] == [("payments", "fraud"), ("payments", "paid")]
    assert of_payments["age_days"] == [("cards", "issued"), ("payments", "paid")]
    assert of_payments["card_id"] == [("cards", "card")]
    assert of_payments["shop_id"] == [("payments", "shop")]
    of_sends = parents_of("send_features", PROBLEM)
    (theme, *_) = counted_values(PROBLEM, "theme")
    assert of_sends[f"number_of_email_theme_{slug(theme)}"] == [
        ("email_content", "theme"),
        ("user_emails", "delivered_at"),
    ]


@pytest.mark.parametrize("problem", [PAYMENTS, ORDERS], ids=lambda each: str(each.name))
def test_the_meanings_of_other_tables_name_nothing_of_emails(problem: Problem) -> None:
    tables = (
        *SCHEMAS,
        *OF_A_VERSION,
        "landed_days",
        "serving_health",
        "experiment_results",
        problem.decision.plan_table,
    )
    words = {word for table in tables for text in column_meanings(table, problem).values() for word in text.split()}
    assert not {each for each in words if each.strip(".,:;()").lower() in EMAIL_WORDS}
    assert set(column_meanings(problem.decision.plan_table, problem)) >= {
        "rank",
        "decision",
        *problem.decision.scored_keys,
    }


EMAIL_WORDS = {"email", "emails", "send", "sends", "user", "users", "unsubscribe", "unsubscribes", "withhold"}


def test_sources_are_described_where_they_are_defined() -> None:
    for name, table in PROBLEM.tables.items():
        meanings = {column: each.description for column, each in table.columns.items()}
        assert column_meanings(name, PROBLEM) == meanings


KEPT = {
    "canary_steps": defs_of_experiment.canary_steps,
    "experiment_results": defs_of_experiment.experiment_results,
    "exposures": defs_of_experiment.exposures,
    "offline_and_online": defs_of_experiment.offline_and_online,
}


@pytest.mark.parametrize("table", KEPT)
def test_the_ui_shows_rows_and_columns_of_what_experiments_keep(
    table: str, house: House, instance: dg.DagsterInstance
) -> None:
    read = ("user_profiles", "email_content", "user_emails")
    for name in read:
        house.lake.write(name, arrow(name, []))
    house.lake.write(table, SCHEMAS[table].empty_table())
    resources = {"workspace": house.workspace, "io_manager": LakeIOManager(workspace=house.workspace)}
    day = "2026-01-01" if KEPT[table].partitions_def else None
    instance.add_dynamic_partitions(SCORING_DATES.name, ["2026-01-01"])
    sources = [dg.AssetSpec(name) for name in read]
    assets, kept = [KEPT[table], *sources], KEPT[table].key
    assert dg.materialize(assets, instance=instance, resources=resources, partition_key=day).success
    event = instance.get_latest_materialization_event(kept)
    assert event is not None
    assert event.asset_materialization is not None
    columns = event.asset_materialization.metadata["dagster/column_schema"].value
    assert [each.name for each in columns.columns] == SCHEMAS[table].names
