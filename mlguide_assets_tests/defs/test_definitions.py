"""The code location: what every asset shows, and what loading it may cost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from mlguide_assets.console.graph import mermaid
from mlguide_assets.define.decision import OWN_TABLES, may_be_own
from mlguide_assets.definitions import defs
from mlguide_assets.defs.workspace import PROBLEM, RUN_TAGS
from mlguide_assets.train.checks import LEAKAGE_ALARMS, behaviours
from mlguide_assets_tests.commands import python
from mlguide_assets_tests.samples import PROBLEM as SAMPLE

ROOT = Path(__file__).parents[2]
PROMISED = {
    "problem_definition", "user_profiles", "email_content", "user_emails", "core_users", "send_features",
    "candidate_model", "model_evaluation", "model_explanations", "champion_model", "user_feature_store",
    "batch_predictions",
}  # fmt: skip
STAGES = ("define", "prepare", "train", "deploy", "observe", "experiment", "retrain")
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
def definitions() -> Iterator[dg.Definitions]:
    # Dagster asks the instance that was entered last, which an earlier test may have closed.
    with dg.DagsterInstance.ephemeral():
        yield defs()


def test_definitions_are_loadable(definitions: dg.Definitions) -> None:
    dg.Definitions.validate_loadable(definitions)


def test_no_table_of_a_source_may_be_called_as_an_asset_is(definitions: dg.Definitions) -> None:
    named = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    made = named - set(PROBLEM.tables)
    of_nouns = {"core_users", "send_features", "send_plan", "user_feature_store", "best_email_per_user"}
    assert made - OWN_TABLES == of_nouns
    assert all(map(may_be_own, made))


def test_every_promised_asset_exists_and_says_what_it_is(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    nodes = {key.to_user_string(): graph.get(key) for key in graph.get_all_asset_keys()}
    assert set(nodes) >= PROMISED
    for name, node in nodes.items():
        assert node.description, name
        assert node.owners, name
        assert node.kinds, name
        assert node.group_name in STAGES, name


def test_what_is_said_of_a_check_is_prose_for_the_ui(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    said = {str(key): graph.get_check_spec(key).description for key in graph.asset_check_keys}
    assert [key for key, text in said.items() if not text or "\n    " in text] == [], "it is shown as code"
    # Dagster says that each is non-blocking, since not the check but our own step ends the run.
    blocking = [text for text in said.values() if text and "action: block" in text]
    assert blocking
    assert all("On failure the run ends, and what was read before stays" in text for text in blocking)


def test_every_rule_alarm_and_behaviour_is_an_asset_check(definitions: dg.Definitions) -> None:
    checks = {
        f"{key.asset_key.to_user_string()}.{key.name}" for key in definitions.resolve_asset_graph().asset_check_keys
    }
    rules = {rule.name for rule in PROBLEM.rules}
    alarms = {f"send_features.{name}" for name in LEAKAGE_ALARMS}
    behaved = {f"behaviour_results.{name}" for name in behaviours(PROBLEM)}
    watched = {
        "core_users.every_decision_is_there_once",
        "data_drift.no_feature_drift",
        "performance_verdicts.performance_holds",
        "online_parity.logged_features_agree",
        "send_plan.propensities_are_exact",
        "online_store.features_are_fresh",
        "experiment_results.experiments_are_healthy",
    }
    assert checks == rules | alarms | behaved | watched


def test_leakage_alarms_block_what_comes_after_the_features(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in LEAKAGE_ALARMS:
        assert graph.get(dg.AssetCheckKey(dg.AssetKey("send_features"), name)).blocking


def made_by(definitions: dg.Definitions, job: str) -> tuple[set[str], set[str]]:
    """The assets and the checks of a job."""
    layer = definitions.resolve_job_def(job).asset_layer
    checks = {f"{key.asset_key.to_user_string()}.{key.name}" for key in layer.asset_graph.asset_check_keys}
    return {key.to_user_string() for key in layer.selected_asset_keys}, checks


ALARMS = {f"send_features.{name}" for name in LEAKAGE_ALARMS}


def test_the_retraining_job_reads_searches_trains_and_decides(definitions: dg.Definitions) -> None:
    made, checked = made_by(definitions, "retraining_job")
    assert {"user_emails", "training_recipe", "candidate_model", "promotion_decisions", "champion_model"} <= made
    assert {"champion_watch", "champion_rollback", "retraining_decisions"} <= made
    assert "batch_predictions" not in made
    assert checked >= ALARMS


def test_a_new_day_is_read_and_looked_at_without_any_training(definitions: dg.Definitions) -> None:
    made, checked = made_by(definitions, "refresh_job")
    assert {"user_emails", "send_features", "landed_days", "performance_verdicts", "prediction_log"} <= made
    assert not {"candidate_model", "training_recipe", "promotion_decisions"} & made
    # What was found in the same data before; nothing is examined, which takes longer than all else.
    assert checked >= ALARMS
    config = definitions.resolve_job_def("refresh_job").run_config
    assert config
    assert config["ops"]["leakage_alarms"]["config"] == {"known_only": True}
    assert checked >= {rule.name for rule in PROBLEM.rules}, "every reading is validated"
    assert "core_users.every_decision_is_there_once" in checked


def test_whoever_opens_the_ui_has_everything_running(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    statuses = {each.name: each.default_status for each in (*repository.schedule_defs, *repository.sensor_defs)}
    assert {str(status.value) for status in statuses.values()} == {"RUNNING"}
    assert set(statuses) >= {
        *("refresh_on_new_day", "score_on_new_day", "check_drift_on_new_data"),
        *("retrain_daily", "retrain_on_new_outcomes", "retrain_on_drift", "retrain_on_performance_drop"),
        *("alert_on_drift", "alert_on_performance", "alert_on_failure"),
    }


def test_every_run_of_a_job_names_its_problem(definitions: dg.Definitions) -> None:
    """Problems of one home share the names of jobs; Dagster's own job for assets that a person chooses has no tag."""
    tags = {job.name: definitions.resolve_job_def(job.name).run_tags for job in definitions.jobs or ()}
    assert len(tags) == 5
    assert [name for name, found in tags.items() if not RUN_TAGS.items() <= found.items()] == []


LOCAL = """
import json
from datetime import datetime
from zoneinfo import ZoneInfo
from dagster._utils.schedules import cron_string_iterator
from mlguide_assets.defs.retrain import retrain_daily as each
start = datetime(2026, 3, 27, tzinfo=ZoneInfo("UTC")).timestamp()
ticks = cron_string_iterator(start, each.cron_schedule, each.execution_timezone)
print(json.dumps([str(next(ticks).astimezone(ZoneInfo("UTC"))) for _ in range(4)]))
"""


def test_schedules_keep_their_local_hour_when_the_clocks_change(tmp_path: Path) -> None:
    """On 29 March 2026 there is no 2:30 in Berlin; every day has its tick all the same."""
    source = {"kind": "simulator"}
    problem = {**SAMPLE, "source": source, "retraining": {"daily": "30 2 * * *", "timezone": "Europe/Berlin"}}
    given = {"MLGUIDE_HOME": str(tmp_path), "MLGUIDE_PROBLEM": yaml.safe_dump(problem)}
    assert python(LOCAL, cwd=tmp_path, **given).json() == [
        "2026-03-27 01:30:00+00:00",
        "2026-03-28 01:30:00+00:00",
        "2026-03-29 01:00:00+00:00",
        "2026-03-30 00:30:00+00:00",
    ]


def test_every_job_schedule_and_sensor_says_what_it_does(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    named = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    for each in (*named, *repository.schedule_defs, *repository.sensor_defs):
        assert each.description, each.name


def test_the_lifecycle_is_the_graph_without_what_is_made_for_each_day(definitions: dg.Definitions) -> None:
    made, checked = made_by(definitions, "lifecycle")
    graph = definitions.resolve_asset_graph()
    materialisable = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert materialisable - made == {"data_drift"}
    assert checked >= ALARMS


def test_every_asset_links_to_its_code(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        (reference,) = graph.get(key).metadata["dagster/code_references"].code_references
        path, line = Path(reference.file_path), reference.line_number
        assert path.parent == ROOT / "mlguide_assets" / "defs"
        assert path.read_text(encoding="utf-8").splitlines()[line - 1].lstrip().startswith(("@dg.", "def ")), (
            key,
            line,
        )


def test_predictions_are_partitioned_by_day(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for name in ("user_feature_store", "batch_predictions", "best_email_per_user", "send_plan"):
        partitions = graph.get(dg.AssetKey(name)).partitions_def
        assert isinstance(partitions, dg.DynamicPartitionsDefinition)


def test_the_readme_shows_the_graph_as_it_is(definitions: dg.Definitions) -> None:
    assert mermaid(definitions) in (ROOT / "mlguide_assets/defs/README.md").read_text(), (
        "print the picture again with: python -m mlguide_assets.console.graph"
    )


def test_loading_the_code_location_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; from mlguide_assets.definitions import defs; defs(); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"MLGUIDE_HOME": str(tmp_path)}
    ).stdout.split()
    assert not HEAVY & set(loaded)
