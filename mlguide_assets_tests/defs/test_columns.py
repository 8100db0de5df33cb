"""Every table says what its own columns mean, and no table what another's mean."""

import pyarrow as pa
import pytest

from mlguide_assets.define.tables import TABLES
from mlguide_assets.defs.columns import column_meanings
from mlguide_assets.defs.workspace import PROBLEM
from mlguide_assets.deploy import batch, fault_landing, history, landing, send_plan
from mlguide_assets.observe import champion_watch, data_drift, online_parity, performance_verdict, windows
from mlguide_assets.prepare.column_lineage import parents_of
from mlguide_assets.retrain import ticks
from mlguide_assets.train import search, slices, tuning
from mlguide_assets.train.backtest import staleness
from mlguide_assets.train.backtest import windows as training_windows

SCHEMAS: dict[str, pa.Schema] = {
    "batch_predictions": batch.PREDICTIONS,
    "best_email_per_user": batch.PREDICTIONS,
    "request_faults": fault_landing.FAULTS,
    "promotion_decisions": history._SCHEMA,
    "prediction_log": landing.SCHEMA,
    "send_plan": send_plan.SCHEMA,
    "data_drift": data_drift.SCHEMA,
    "online_parity": online_parity.SCHEMA,
    "champion_watch": champion_watch.SCHEMA,
    "retraining_decisions": ticks.SCHEMA,
    "backtest_windows": training_windows.WINDOWS,
    "staleness_curve": staleness.PERIODS,
    "training_recipe": search._SCHEMA,
    "slice_metrics": slices.SCHEMA,
    "group_metrics": slices.SCHEMA,
    "tuning_trials": tuning.TRIALS,
}
OF_A_VERSION = {
    "model_performance": windows.SCHEMA,
    "estimated_performance": windows.SCHEMA,
    "performance_gap": performance_verdict.GAP_SCHEMA,
    "performance_verdicts": performance_verdict.VERDICTS_SCHEMA,
}


@pytest.mark.parametrize("table", SCHEMAS)
def test_the_meanings_of_a_table_are_those_of_its_columns(table: str) -> None:
    assert set(column_meanings(table, PROBLEM)) == set(SCHEMAS[table].names)


@pytest.mark.parametrize("table", OF_A_VERSION)
def test_what_is_measured_of_a_version_names_it(table: str) -> None:
    assert set(column_meanings(table, PROBLEM)) == {"model_version", *OF_A_VERSION[table].names}


def test_one_name_means_another_thing_in_another_table() -> None:
    positives = {column_meanings(name, PROBLEM)["positives"] for name in ("slice_metrics", "estimated_performance")}
    kinds = {column_meanings(name, PROBLEM)["kind"] for name in ("data_drift", "behaviour_results")}
    assert (len(positives), len(kinds)) == (2, 2)
    assert column_meanings("no such table", PROBLEM) == {}


@pytest.mark.parametrize("table", ["core_users", "send_features", "user_feature_store"])
def test_every_column_has_an_origin_that_exists(table: str) -> None:
    parents = parents_of(table, PROBLEM)
    # The instant of a state is that of the partition.
    assert set(column_meanings(table, PROBLEM)) - set(parents) <= {"as_of"}
    for column, sources in parents.items():
        assert sources, column
        for source, name in sources:
            assert name in column_meanings(source, PROBLEM), (column, source, name)


def test_sources_are_described_where_they_are_defined() -> None:
    for name, table in TABLES.items():
        meanings = {column: each.description for column, each in table.columns.items()}
        assert column_meanings(name, PROBLEM) == meanings
