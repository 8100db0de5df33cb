"""`mlguide run` from end to end on a small world, and what the other commands say of it."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from mlguide_assets.console.status import collect
from mlguide_assets.define.loading import load_problem
from mlguide_assets.defs.columns import column_meanings
from mlguide_assets.prepare.column_lineage import parents_of
from mlguide_assets.prepare.features.building import resolved_from
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.files import BOOSTED, LINEAR
from mlguide_assets_tests.commands import Done, mlguide, python
from mlguide_assets_tests.console.guarded import SECRET, files_with_secret, guarded
from mlguide_assets_tests.guide import Guide
from mlguide_assets_tests.homes import copied, said_by
from mlguide_assets_tests.samples import PROBLEM, Tables, sample_tables, write_sample

METRICS = {"roc_auc", "pr_auc", "log_loss", "brier"}
ASSETS = {
    "user_profiles", "email_content", "user_emails", "core_users", "send_features", "candidate_model",
    "model_evaluation", "model_explanations", "user_feature_store", "batch_predictions",
}  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "home"


@pytest.fixture(scope="module")
def first_run(home: Path) -> Done:
    return mlguide("run", "--sends", "40000", "--home", str(home), cwd=home.parent)


@pytest.mark.ml_test_score("infra-3")
def test_the_whole_graph_runs_and_the_report_says_all(first_run: Done) -> None:
    assert first_run.code == 0, first_run.err
    for words in ("Read", "Contract", "Quality", "Gate", "Results", "Next", "oracle", "base_rate"):
        assert words in first_run.out
    assert "✓ best_email_per_user" in first_run.err


def test_status_has_the_promised_shape(first_run: Done, home: Path) -> None:
    status = mlguide("status", "--json", "--home", str(home), cwd=home.parent).json()
    assert status["problem"] == "planeswalker"
    assert set(status["champion"]) == {"version", "trained_at"}
    assert status["last_decision"]["verdict"] == "promoted"
    assert status["last_decision"]["reasons"]
    evaluation = status["evaluation"]
    assert set(evaluation["baselines"]) == {"base_rate", "logistic_regression", "linear_svm"}
    for model in (evaluation["xgboost"], evaluation["oracle"], *evaluation["baselines"].values()):
        assert set(model) == METRICS
        assert all(set(estimate) == {"value", "low", "high"} for estimate in model.values())
    assert evaluation["oracle"]["roc_auc"]["value"] > 0.75
    assert status["decision_metrics"][evaluation["candidate"]]["lift"]["value"] > 1
    assert all(set(row) == {"criterion", "value", "low", "high", "threshold", "passed"} for row in status["gate"])
    assert all(row["passed"] for row in status["gate"])
    assert {"beats_champion", "is_calibrated", "behaves"} < {row["criterion"] for row in status["gate"]}
    assert all(set(rule) == {"rule", "violations", "rows", "action", "cause"} for rule in status["contracts"])
    assert set(status["tables"]) >= ASSETS
    assert status["tables"]["user_emails"]["rows"] >= 40_000
    assert "oracle" not in status["tables"]


def test_the_page_shows_the_run(first_run: Done, home: Path) -> None:
    out = home.parent / "pages" / "report.html"
    out.parent.mkdir()
    done = mlguide("report", "--out", str(out), "--home", str(home), cwd=home.parent)
    assert done.code == 0, done.err
    assert done.out.startswith(f"The report is {out} (")
    page = out.read_text()
    for words in (
        "<b>Version 1</b>, trained",
        "all sends",
        "category: promotional",
        "▲ version 1",
        "No day was tested",
    ):
        assert words in page, words
    card = re.search('href="([^"]+card.html)"', page)
    assert card is not None
    assert (out.parent / card[1]).is_file()


def test_a_killed_run_leaves_whole_tables_and_another_changes_nothing_but_the_record(
    sample_home: Path, tmp_path: Path
) -> None:
    place = copied(sample_home, tmp_path / "place")

    def status() -> Any:
        return collect(Home(place / "home"))

    before, again = status(), ("run", "--json", "--home", "home")
    assert before["champion"]["version"] == "1"
    assert mlguide(*again, cwd=place, kill_at="✓ promotion_decisions").code == -9
    killed = status()
    for unchanged in ("champion", "evaluation", "recipe"):
        assert killed[unchanged] == before[unchanged], unchanged
    done = mlguide(*again, cwd=place)
    assert done.code == 0, done.err
    after = done.json()
    assert after["last_decision"]["verdict"] == "kept"
    for unchanged in ("champion", "evaluation", "recipe"):
        assert after[unchanged] == before[unchanged], unchanged
    changed = {name for name, table in after["tables"].items() if table != before["tables"][name]}
    # These say when or in which run they were made.
    recorded = {"promotion_decisions", "retraining_decisions"}
    assert changed <= {"candidate_model", "registered_model", "batch_predictions", "best_email_per_user", "send_plan",
                       *recorded}  # fmt: skip
    rows = {name: table["rows"] for name, table in after["tables"].items()}
    assert rows == {name: table["rows"] + (name in recorded) for name, table in killed["tables"].items()}


def test_every_user_has_every_candidate_email_once(first_run: Done, home: Path) -> None:
    out = home.parent / "predictions.parquet"
    assert mlguide("export", "batch_predictions", "--out", str(out), "--home", str(home), cwd=home.parent).code == 0
    predictions = pd.read_parquet(out)
    users = predictions.user_id.nunique()
    assert len(predictions) == users * 20
    assert not predictions.duplicated(["scoring_date", "user_id", "email_id"]).any()
    assert predictions.probability.between(0, 1).all()
    best = home.parent / "best.csv"
    mlguide("export", "best_email_per_user", "--out", str(best), "--home", str(home), cwd=home.parent)
    lowest = predictions.groupby("user_id").probability.min()
    pd.testing.assert_series_equal(
        pd.read_csv(best).set_index("user_id").probability.sort_index(), lowest, check_exact=False
    )
    plan = home.parent / "plan.csv"
    assert mlguide("export", "send_plan", "--out", str(plan), "--home", str(home), cwd=home.parent).code == 0
    planned = pd.read_csv(plan)
    columns = ["user_id", "email_id", "decision"]
    others = planned.experiment.isna()
    pd.testing.assert_frame_equal(planned[others][columns], pd.read_csv(best)[others][columns])
    # The default problem does not explore; its experiment begins with a tenth of the users.
    assert (planned[others].propensity == 1).all()
    assert (~others).mean() == pytest.approx(0.1, abs=0.05)
    assert set(planned[~others].arm) == {"generic", "personalised"}


BACKFILL = """
import dagster as dg
from mlguide_assets.definitions import defs
keys = [dg.AssetKey(name) for name in ("user_feature_store", "batch_predictions", "best_email_per_user", "send_plan")]
with dg.DagsterInstance.get() as instance:
    job = defs().resolve_implicit_global_asset_job_def()
    for day in ("2025-09-01", "2025-09-01"):
        assert job.execute_in_process(asset_selection=keys, partition_key=day, instance=instance).success
"""


def test_earlier_days_can_be_scored_and_scoring_a_day_again_replaces_it(first_run: Done, home: Path) -> None:
    environment = {"MLGUIDE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    done = python(BACKFILL, cwd=home.parent, **environment)
    assert done.code == 0, done.err
    out = home.parent / "predictions.parquet"
    mlguide("export", "batch_predictions", "--all", "--out", str(out), "--home", str(home), cwd=home.parent)
    predictions = pd.read_parquet(out)
    days = predictions.groupby(predictions.scoring_date.astype(str))
    assert set(days.groups) == {"2025-09-01", "2026-01-01"}
    assert not predictions.duplicated(["scoring_date", "user_id", "email_id"]).any()
    assert (predictions.feature_time == pd.to_datetime(predictions.scoring_date)).all()
    users = days.user_id.nunique()
    # Whoever had not joined yet is not scored.
    assert users["2025-09-01"] < users["2026-01-01"]
    assert (days.size() == users * 20).all()
    plan = home.parent / "plan.csv"
    mlguide("export", "send_plan", "--all", "--out", str(plan), "--home", str(home), cwd=home.parent)
    assert pd.read_csv(plan).groupby("scoring_date").user_id.nunique().to_dict() == users.to_dict()


def test_everything_is_below_the_home(first_run: Done, home: Path) -> None:
    litter = {path.name for path in home.parent.iterdir()} - {home.name}
    assert litter <= {"predictions.parquet", "best.csv", "plan.csv", "pages"}
    assert {"lake", "registry", "bundles", "cards", "dagster", "oracle", "online"} <= {
        path.name for path in home.iterdir()
    }


def test_no_file_of_a_run_is_a_pickle(first_run: Done, home: Path) -> None:
    models = [path for folder in ("bundles", "candidates", "registry") for path in (home / folder).rglob("*")]
    assert {path.name for path in models} & {BOOSTED, LINEAR}
    assert not [path for path in models if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert not [path for path in models if path.is_file() and path.read_bytes()[:2] in (b"\x80\x04", b"\x80\x05")]


def test_the_card_opens_without_a_network_and_has_its_pictures_inside(first_run: Done, home: Path) -> None:
    page = (home / "cards" / "planeswalker_simulated" / "1" / "card.html").read_text()
    for heading in ("What it is for", "Data", "Quality", "Slices", "Fairness", "Behaviour", "Limits", "Lineage"):
        assert f"<h2>{heading}</h2>" in page
    assert page.count("data:image/png;base64,") >= 7
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "<script" not in page


@pytest.mark.ml_test_score("infra-1")
def test_another_process_trains_the_same_bytes(first_run: Done, home: Path) -> None:
    done = mlguide("reproduce", "1", "--home", str(home), cwd=home.parent)
    assert done.code == 0, done.err + done.out
    assert re.search(rf"The same, byte for byte: ({BOOSTED}|{LINEAR}), encoding.json", done.out)
    assert "Different" not in done.out


def test_a_person_needs_a_reason_and_an_earlier_champion(first_run: Done, home: Path) -> None:
    def said(*arguments: str) -> tuple[int, str]:
        done = mlguide(*arguments, "--home", str(home), cwd=home.parent)
        return done.code, done.err

    assert said("rollback") == (2, "mlguide: A rollback needs a reason for those who come later: --reason 'why'.\n")
    assert said("rollback", "--reason", "x")[0] == 2
    assert said("promote", "1", "--reason", "x") == (2, "mlguide: Version 1 is champion already.\n")
    code, words = said("promote", "9", "--reason", "x")
    assert (code, "no version 9" in words) == (2, True)
    message = mlguide("history", "--home", str(home), cwd=home.parent).out
    assert "version 1 promoted, no champion before, by gate" in message
    assert message.rstrip().endswith("Champion now: version 1")


def test_a_feature_that_gives_the_outcome_away_stops_the_run_before_training(tmp_path: Path) -> None:
    """The column `purchases` was filled after the fact: whoever unsubscribed bought nothing."""
    tables = sample_tables(sends=3000)
    users = tables["user_emails"]["user_id"].to_pylist()
    outcomes = ["yes" if user % 10 == 0 else "no" for user in users]
    bought = [0 if user % 10 == 0 else 50 + user for user in tables["user_profiles"]["id"].to_pylist()]
    emails, profiles = tables["user_emails"], tables["user_profiles"]
    leaky: Tables = {
        **tables,
        "user_emails": emails.set_column(emails.column_names.index("unsubscribed"), "unsubscribed", [outcomes]),
        "user_profiles": profiles.set_column(profiles.column_names.index("purchases"), "purchases", [bought]),
    }
    write_sample(tmp_path / "tables", tables=leaky)
    (tmp_path / "sample.yaml").write_text(yaml.safe_dump({**PROBLEM, "source": {"kind": "files", "uri": "tables"}}))
    done = mlguide("run", "--problem", "sample.yaml", cwd=tmp_path)
    assert done.code == 2
    assert "purchases" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / ".mlguide" / "candidates").exists()
    assert not (tmp_path / ".mlguide" / "registry" / "mlflow.db").exists()


def test_a_thorough_run_searches_and_every_later_training_uses_what_was_chosen(sample_home: Path) -> None:
    done, home = said_by(sample_home), sample_home / "home"
    tables = done.json()["tables"]
    # A week of so few sends is too short for a verdict, and two are not.
    assert "over the 14 days to" in done.json()["monitoring"]["performance"]["reason"]
    assert done.json()["monitoring"]["drift"]["reason"].startswith("No day was tested for drift yet")
    assert tables["tuning_trials"]["rows"] == 3
    found = done.json()["recipe"]
    assert len(found.pop("reasons")) == 2
    assert tables["backtest_windows"]["rows"] > 0
    assert "backtest" in done.err
    assert "trial 2 of 2" in done.err
    lake = home / "lake/sample"
    problem = resolved_from(Lake(lake), load_problem(str(sample_home / "sample.yaml")))
    columns = {path.parts[-3]: set(pq.read_schema(path).names) for path in lake.glob("*/data/*.parquet")}
    assert {name: set(column_meanings(name, problem)) for name in columns} == columns
    assert {name: set(parents_of(name, problem)) - columns[name] for name in columns} == {
        name: set() for name in columns
    }
    recipe = json.loads(pd.read_parquet(next((lake / "training_recipe/data").iterdir())).recipe[0])
    (candidate,) = (home / "candidates/sample").iterdir()
    assert json.loads((candidate / "recipe.json").read_text()) == recipe == found


@pytest.mark.parametrize("guide_tables", ["look-alike"], indirect=True)
def test_on_the_guides_tables_the_gate_refuses_and_nothing_is_scored(guide_tables: Guide, tmp_path: Path) -> None:
    """Read from the web with a password, which the home keeps where it must, to read there again."""
    with guarded(guide_tables.folder) as address:
        done = mlguide("run", "--problem", "guide", "--source", address, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert SECRET not in done.out + done.err
    kept = files_with_secret(tmp_path / ".mlguide")
    assert sorted((path.name, path.stat().st_mode & 0o077) for path in kept) == [("guide.yaml", 0), ("problem.yaml", 0)]
    status = done.json()
    assert status["champion"] is None
    assert status["last_decision"]["verdict"] == "refused"
    assert status["tables"]["core_users"]["rows"] == guide_tables.sends + guide_tables.silent
    assert status["tables"]["send_features"]["rows"] == guide_tables.sends
    assert status["tables"]["batch_predictions"]["rows"] == 0
    violations = {rule["rule"]: rule["violations"] for rule in status["contracts"]}
    assert violations["user_emails.delivered_at_is_not_before_date_joined"] == guide_tables.before_joined
    assert violations["user_emails.delivered_at_is_not_before_created_at"] == guide_tables.before_created
