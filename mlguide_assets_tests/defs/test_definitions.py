"""The code location: what every asset shows, and what loading it may cost."""

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mlguide_assets.console.graph import mermaid
from mlguide_assets.definitions import defs
from mlguide_assets.defs.workspace import PROBLEM
from mlguide_assets.train.checks import LEAKAGE_ALARMS, behaviours

ROOT = Path(__file__).parents[2]
PROMISED = {
    "problem_definition", "user_profiles", "email_content", "user_emails", "core_users", "send_features",
    "candidate_model", "model_evaluation", "model_explanations", "champion_model", "user_feature_store",
    "batch_predictions",
}  # fmt: skip
HEAVY = {
    "ibis",
    "duckdb",
    "pandas",
    "pyarrow",
    "xgboost",
    "sklearn",
    "scipy",
    "shap",
    "evidently",
    "mlflow",
    "matplotlib",
}


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return defs()


def test_definitions_are_loadable(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_every_promised_asset_exists_and_says_what_it_is(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    assert set(nodes) >= PROMISED
    for name, node in nodes.items():
        assert node.description, name
        assert node.owners, name
        assert node.kinds, name
        assert node.group_name in ("define", "prepare", "train", "deploy", "observe"), name


def test_every_rule_alarm_and_behaviour_is_an_asset_check(definitions: dg.Definitions) -> None:
    checks = {
        f"{key.asset_key.to_user_string()}.{key.name}" for key in definitions.resolve_asset_graph().asset_check_keys
    }
    rules = {rule.name for rule in PROBLEM.rules}
    alarms = {f"send_features.{name}" for name in LEAKAGE_ALARMS}
    behaved = {f"behaviour_results.{name}" for name in behaviours(PROBLEM)}
    watched = {
        "data_drift.no_feature_drift",
        "model_performance.performance_holds",
        "online_parity.logged_features_agree",
        "send_plan.propensities_are_exact",
        "user_feature_store.features_are_fresh",
    }
    assert checks == rules | alarms | behaved | watched


def test_leakage_alarms_block_what_comes_after_the_features(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in LEAKAGE_ALARMS:
        assert graph.get(dg.AssetCheckKey(dg.AssetKey("send_features"), name)).blocking


def test_the_retraining_job_searches_trains_and_decides(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("retraining_job")
    made = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
    assert {"user_emails", "training_recipe", "candidate_model", "promotion_decisions", "champion_model"} <= made
    assert "batch_predictions" not in made


def test_predictions_are_partitioned_by_day(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in ("user_feature_store", "batch_predictions", "best_email_per_user", "send_plan"):
        partitions = graph.get(dg.AssetKey(name)).partitions_def
        assert isinstance(partitions, dg.DailyPartitionsDefinition)
        assert partitions.has_partition_key(PROBLEM.history_start.isoformat())


def test_the_readme_shows_the_graph_as_it_is(definitions: dg.Definitions) -> None:
    assert mermaid(definitions) in (ROOT / "README.md").read_text(), (
        "print the picture anew with: python -m mlguide_assets.console.graph"
    )


def test_loading_the_code_location_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from mlguide_assets.definitions import defs; defs(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"MLGUIDE_HOME": str(tmp_path)}
    ).stdout.split()
    assert not HEAVY & set(loaded)
