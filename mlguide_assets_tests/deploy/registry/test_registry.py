"""The registry, on a real MLflow with SQLite: what a version carries, and that nothing is written elsewhere."""

import contextlib
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.registry.registry import Registry
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import load_facts, load_model
from mlguide_assets_tests.deploy.registered import register
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.train.sends import PROBLEM


@pytest.fixture
def registry(home: Home) -> Registry:
    return registry_of(home, PROBLEM)


@pytest.mark.ml_test_score("model-1")
def test_a_version_carries_metrics_params_and_lineage(home: Home, registry: Registry, trained: Candidate) -> None:
    candidate = saved(trained, home.candidates("sample"))
    version = register(home, candidate)
    stored = registry.client.get_model_version("sample", version)
    run = registry.client.get_run(stored.run_id)
    lineage = load_facts(candidate)["lineage"]
    expected = {"xgboost_roc_auc": 0.8, "xgboost_roc_auc_low": 0.7, "xgboost_roc_auc_high": 0.9, "xgboost_brier": 0.02}
    assert {name: value for name, value in run.data.metrics.items() if not math.isnan(value)} == {
        **expected,
        "base_rate_roc_auc": 0.5,
    }
    assert math.isnan(run.data.metrics["xgboost_brier_low"])
    assert run.data.params["max_depth"] == "4"
    assert run.data.params["rounds"] == str(trained.model.rounds)
    assert run.info.status == "FINISHED"
    assert {
        "lineage": lineage["id"],
        "problem": "sample",
        "data_hash": "data",
        "code_version": "0.1.0+code",
        "snapshot.send_features": "000001-abc",
        "snapshot.core_users": "000001-def",
    }.items() <= stored.tags.items()


def test_the_candidates_folder_with_its_plots_is_among_the_artifacts(
    home: Home, registry: Registry, trained: Candidate, tmp_path: Path
) -> None:
    candidate = saved(trained, home.candidates("sample"))
    fetched = registry.fetch(register(home, candidate), tmp_path)
    files = {path.relative_to(candidate): path.read_bytes() for path in candidate.rglob("*") if path.is_file()}
    assert {path.relative_to(fetched): path.read_bytes() for path in fetched.rglob("*") if path.is_file()} == files
    assert Path("plots/roc_curve.png") in files
    assert load_model(fetched).rounds == trained.model.rounds


def test_the_same_lineage_is_one_version(home: Home, trained: Candidate) -> None:
    candidate = saved(trained, home.candidates("sample"))
    assert [register(home, candidate) for _ in range(3)] == ["1", "1", "1"]
    assert register(home, saved(trained, home.candidates("sample"), "other data")) == "2"
    assert register(home, candidate) == "1"


def test_the_challenger_is_the_version_registered_last(home: Home, registry: Registry, trained: Candidate) -> None:
    first, other = (saved(trained, home.candidates("sample"), data) for data in ("data", "other data"))
    for candidate, version in ((first, "1"), (other, "2"), (first, "1")):
        register(home, candidate)
        assert str(registry.client.get_model_version_by_alias("sample", "challenger").version) == version


def test_a_verdict_is_written_on_the_version(home: Home, registry: Registry, trained: Candidate) -> None:
    version = register(home, saved(trained, home.candidates("sample")))
    registry.record_verdict(version, "refused", ["Because.", "And because."])
    stored = registry.client.get_model_version("sample", version)
    assert stored.tags["verdict"] == "refused"
    assert stored.description == "- Because.\n- And because."
    assert dict(registry.client.get_registered_model("sample").aliases).keys() == {"challenger"}


def test_the_alias_champion_moves(home: Home, registry: Registry, trained: Candidate) -> None:
    for data in ("data", "other data"):
        version = register(home, saved(trained, home.candidates("sample"), data))
        registry.record_champion(version)
        assert str(registry.client.get_model_version_by_alias("sample", "champion").version) == version


def test_a_lost_database_is_not_taken_for_an_empty_one(home: Home, trained: Candidate) -> None:
    candidate = saved(trained, home.candidates("sample"))
    (home.registry / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(Exception, match="not a database"):
        register(home, candidate)


def test_two_problems_share_a_registry_and_count_apart(home: Home, trained: Candidate) -> None:
    candidate = saved(trained, home.candidates("sample"))
    lineage = load_facts(candidate)["lineage"]["id"]
    arguments: dict[str, Any] = {"params": {}, "metrics": {}, "tags": {}}
    assert Registry(home.registry, "one").register(candidate, lineage, **arguments) == "1"
    assert Registry(home.registry, "two").register(candidate, lineage, **arguments) == "1"


@pytest.mark.slow
def test_a_copied_home_and_a_moved_one_keep_to_themselves(home: Home, trained: Candidate, tmp_path: Path) -> None:
    candidate = saved(trained, home.candidates("sample"))
    register(home, candidate)
    copy = Home(tmp_path / "50% [copy] #1?" / "home")
    shutil.copytree(home.root, copy.root)
    before = {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()}
    assert register(copy, saved(trained, copy.candidates("sample"), "other data")) == "2"
    fetched = registry_of(copy, PROBLEM).fetch("1", tmp_path / "fetched")
    assert load_model(fetched).rounds == trained.model.rounds
    assert {path: path.read_bytes() for path in home.root.rglob("*") if path.is_file()} == before

    moved = Home(tmp_path / "moved")
    copy.root.rename(moved.root)
    assert registry_of(moved, PROBLEM).fetch("2", tmp_path / "fetched again").is_dir()
    assert not copy.root.exists()


def test_nothing_is_written_outside_the_home(tmp_path: Path, trained: Candidate) -> None:
    """A new process, a new database, its own working and home directory: only the home is filled."""
    root, work, user = (tmp_path / name for name in ("root", "work", "user"))
    work.mkdir()
    user.mkdir()
    candidate = saved(trained, root / "candidates")
    code = (
        "import sys; from pathlib import Path; from mlguide_assets.deploy.registry.registry import Registry;"
        "r = Registry(Path(sys.argv[1]) / 'registry', 'sample');"
        "v = r.register(Path(sys.argv[2]), 'abc', params={'a': 1}, metrics={'b': 2.0}, tags={});"
        "r.record_verdict(v, 'promoted', ['Good.']); r.record_champion(v); r.fetch(v, Path(sys.argv[1]))"
    )
    environment = {**os.environ, "HOME": str(user), "TMPDIR": str(work)}
    subprocess.run([sys.executable, "-c", code, str(root), str(candidate)], check=True, cwd=work, env=environment)
    assert list(work.iterdir()) == []
    assert list(user.iterdir()) == []
    assert {path.name for path in root.iterdir()} == {"candidates", "registry", "candidate"}
    assert {path.name for path in (root / "registry").iterdir()} == {"mlflow.db", "artifacts"}


def test_the_trials_of_a_search_are_runs_below_it(registry: Registry) -> None:
    trials = [
        {"trial": 0, "state": "finished", "seconds": 1.5, "log_loss": 0.3, "max_depth": 4},
        {"trial": 1, "state": "pruned", "seconds": 0.5, "log_loss": None, "max_depth": 7},
    ]
    registry.record_trials(trials, ["max_depth"], "The default stays.")
    experiment = registry.client.get_experiment_by_name("sample_tuning").experiment_id
    runs = {run.info.run_name: run for run in registry.client.search_runs([experiment])}
    assert set(runs) == {"search", "trial 0", "trial 1"}
    assert runs["search"].data.tags["mlflow.note.content"] == "The default stays."
    for number, measured in ((0, {"seconds": 1.5, "log_loss": 0.3}), (1, {"seconds": 0.5})):
        trial = runs[f"trial {number}"]
        assert trial.data.tags["mlflow.parentRunId"] == runs["search"].info.run_id
        assert trial.data.metrics == measured
        assert trial.data.params == {"max_depth": str(trials[number]["max_depth"])}


def test_a_tracker_that_does_not_answer_is_reported_in_one_sentence(
    home: Home, trained: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[object]()

    def hang_up(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = server.accept()
                tries.append(caller)
                connection.close()

    candidate = saved(trained, home.candidates("sample"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        monkeypatch.setenv("MLGUIDE_TRACKING_URI", f"http://user:secret@127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(InputError, match=r"The tracking server .* cannot be used") as told:
            register(home, candidate)
    # MLflow by itself tries eight times, for minutes.
    assert len(tries) == 2
    # With all that it was raised from, which Dagster keeps.
    assert "secret" not in "".join(traceback.format_exception(told.value))
    assert str(told.value).endswith("the champion is as it was.")
