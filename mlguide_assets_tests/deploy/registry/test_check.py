"""What others did to the registry: put right, or refused in one sentence before anything is trained."""

import sqlite3
import traceback
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.deploy.gate.comparison import CHALLENGER, Comparison, Incomparable, Past, compare_with_champion
from mlguide_assets.deploy.gate.criteria import beats_champion
from mlguide_assets.deploy.registry.check import _refuse_unreachable_artifacts, local_folder, prepare_registry
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.registry.registry import LostVersionError, Registry
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.storage import load_facts
from mlguide_assets_tests.deploy.registered import register
from mlguide_assets_tests.deploy.scores import saved
from mlguide_assets_tests.train.sends import PROBLEM, matured

NOTHING: dict[str, Any] = {"params": {}, "metrics": {}, "tags": {}}


@pytest.fixture
def registry(home: Home) -> Registry:
    return registry_of(home, PROBLEM)


def prepared(registry: Registry) -> list[str]:
    said: list[str] = []
    prepare_registry(Registry(registry.root, registry.model), said.append)
    return said


def runs(registry: Registry) -> list[str]:
    assert registry.own_database is not None
    with closing(sqlite3.connect(registry.own_database)) as connection:
        return [status for (status,) in connection.execute("select status from runs")]


def test_where_nothing_is_amiss_mlflow_is_not_asked(home: Home, trained: Candidate) -> None:
    register(home, saved(trained, home.candidates("sample")))
    registry = registry_of(home, PROBLEM)
    prepare_registry(registry, lambda said: pytest.fail(said), search=True)
    assert "client" not in vars(registry)


def test_a_deleted_experiment_is_restored(home: Home, registry: Registry, trained: Candidate) -> None:
    register(home, saved(trained, home.candidates("sample")))
    registry.client.delete_experiment(registry.client.get_experiment_by_name("sample").experiment_id)
    (said,) = prepared(registry)
    assert said == "The experiment sample was deleted in MLflow and is restored, with all its runs."
    assert register(home, saved(trained, home.candidates("sample"), "other data")) == "2"


def test_a_run_that_was_killed_is_ended(home: Home, registry: Registry, trained: Candidate) -> None:
    register(home, saved(trained, home.candidates("sample")))
    registry.client.create_run(registry.client.get_experiment_by_name("sample").experiment_id)
    assert sorted(runs(registry)) == ["FINISHED", "RUNNING"]
    (said,) = prepared(registry)
    assert "never ended" in said
    assert sorted(runs(registry)) == ["FINISHED", "KILLED"]


@pytest.mark.parametrize(
    ("revision", "expected"),
    [("bd07f7e963c5", "older MLflow .*'mlflow db upgrade"), ("ffffffffffff", "another MLflow, probably a newer")],
)
def test_the_schema_of_another_mlflow_is_refused_and_left(registry: Registry, revision: str, expected: str) -> None:
    database = registry.root / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update alembic_version set version_num = ?", [revision])
    before = database.read_bytes()
    for ask in (lambda: prepared(registry), Registry(registry.root, "sample").versions):
        with pytest.raises(InputError, match=expected):
            ask()
    assert database.read_bytes() == before


@pytest.mark.parametrize("revision", [None, "bd07f7e963c5"])
def test_a_database_that_mlflow_was_stopped_while_making_is_made_anew(tmp_path: Path, revision: str | None) -> None:
    """A first run that fails ends while it is made in the background, which takes seconds."""
    registry = Registry(tmp_path, "sample")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("create table experiments (experiment_id integer, name text)")
        connection.execute("create table alembic_version (version_num text)")
        if revision:
            connection.execute("insert into alembic_version values (?)", [revision])
    prepared(registry)
    assert registry.versions() == []


@pytest.mark.parametrize(
    ("damage", "lacks"),
    [("drop table metrics", "metrics"), ("delete from alembic_version", "alembic_version")],
)
def test_a_database_in_use_that_is_not_whole_is_refused(
    home: Home, registry: Registry, trained: Candidate, damage: str, lacks: str
) -> None:
    register(home, saved(trained, home.candidates("sample")))
    with closing(sqlite3.connect(registry.root / "mlflow.db")) as connection, connection:
        connection.execute(damage)
    with pytest.raises(InputError, match=rf"mlflow\.db is not whole: .* in {lacks}\. Restore it from a backup"):
        prepared(registry)


def test_a_folder_in_the_place_of_the_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(InputError, match="is no file, so no database"):
        prepared(Registry(tmp_path, "sample"))


def test_a_database_that_another_program_holds_is_not_to_be_moved_away(
    home: Home, registry: Registry, trained: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(home, saved(trained, home.candidates("sample")))
    at_once = partial(sqlite3.connect, timeout=0)
    with closing(sqlite3.connect(registry.root / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("begin exclusive")
        monkeypatch.setattr(sqlite3, "connect", at_once)
        with pytest.raises(InputError, match=r"held by another program .*try again") as told:
            prepared(registry)
    assert "move" not in str(told.value)


@pytest.mark.parametrize("port", ["9", "none"])
def test_a_server_that_is_away_is_said_before_training_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    monkeypatch.setenv("MLGUIDE_TRACKING_URI", f"http://user:hidden@127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(InputError, match=r"The tracking server http://user:\*\*\*@127.* cannot be used") as told:
        prepared(Registry(tmp_path, "sample"))
    # Dagster keeps the whole chain.
    assert "hidden" not in "".join(traceback.format_exception(told.value))


def test_a_damaged_database_is_refused(registry: Registry) -> None:
    (registry.root / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(InputError, match=r"cannot be read .*Restore it from a backup"):
        prepared(registry)


def test_what_fails_while_registering_leaves_no_version_and_no_running_run(
    home: Home, registry: Registry, trained: Candidate
) -> None:
    candidate = saved(trained, home.candidates("sample"))
    (home.registry / "artifacts").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="cannot be used"):
        register(home, candidate)
    assert runs(registry) == ["FAILED"]
    assert registry.versions() == []


def test_an_emptied_registry_gives_no_number_twice(home: Home, registry: Registry, trained: Candidate) -> None:
    candidate = saved(trained, home.candidates("sample"))
    assert registry.register(candidate, "one", **NOTHING, above=3) == "4"
    assert registry.register(candidate, "other", **NOTHING, above=3) == "5"
    assert registry.versions() == ["4", "5"]


def test_changed_files_of_a_version_are_not_fetched(
    home: Home, registry: Registry, trained: Candidate, tmp_path: Path
) -> None:
    version = register(home, saved(trained, home.candidates("sample")))
    assert registry.fetch(version, tmp_path / "whole").is_dir()
    (changed,) = (home.registry / "artifacts").rglob("candidate/calibration.json")
    changed.write_text(changed.read_text().replace("1.0", "1.5"))
    with pytest.raises(LostVersionError, match="version 1 in the registry were changed since it was registered"):
        registry.fetch(version, tmp_path / "changed")


def test_a_deleted_version_is_lost_and_gets_no_alias(
    home: Home, registry: Registry, trained: Candidate, tmp_path: Path
) -> None:
    version = register(home, saved(trained, home.candidates("sample")))
    registry.client.delete_model_version("sample", version)
    registry.record_champion(version)
    with pytest.raises(LostVersionError, match="no longer has version 1"):
        registry.fetch(version, tmp_path)


def test_a_champion_without_its_twin_is_compared_on_later_sends_or_not_at_all(
    trained: Candidate, tmp_path: Path
) -> None:
    folder = saved(trained, tmp_path)
    rows = 10
    times = np.datetime64(load_facts(folder)["refit_until"]) + np.arange(rows) * np.timedelta64(1, "h")
    test = pa.table({"delivered_at": times, "label": np.ones(rows, np.int8), CHALLENGER: np.full(rows, 0.5)})
    found = compare_with_champion(test, "3", Past(load_facts(folder), folder, None), PROBLEM)
    assert isinstance(found, Incomparable)
    assert not found.champion_is_unfit
    assert "the registry no longer has that version" in found.reason


def test_a_champion_whose_features_are_gone_is_compared_with_nothing(trained: Candidate, tmp_path: Path) -> None:
    folder = saved(trained, tmp_path)
    times = np.datetime64(load_facts(folder)["test_from"]) + np.arange(2) * np.timedelta64(1, "h")
    test = pa.table({"delivered_at": times, "label": np.array([0, 1], np.int8), CHALLENGER: np.full(2, 0.5)})
    found = compare_with_champion(test, "3", Past.of_candidate(folder), PROBLEM)
    assert isinstance(found, Incomparable)
    assert found.champion_is_unfit
    lost = trained.model.encoding.names[0]
    assert found.reason.startswith(f"The champion knows the feature {lost!r}, which the problem no longer has")


def test_the_place_of_artifacts_is_tried_before_anything_depends_on_it(tmp_path: Path) -> None:
    said: list[str] = []
    _refuse_unreachable_artifacts(str(tmp_path / "of the server" / "1"), said.append)
    assert str(tmp_path / "of the server") in said[0]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written here .*Nothing was trained"):
        _refuse_unreachable_artifacts((tmp_path / "file" / "1").as_uri(), said.append)
    with pytest.raises(InputError, match="cannot be reached from here"):
        _refuse_unreachable_artifacts("nowhere://bucket/1", said.append)


def test_only_folders_are_written_by_the_client_itself() -> None:
    assert local_folder("file:///data/a%20b") == Path("/data/a b")
    assert local_folder("/data/1") == Path("/data/1")
    assert local_folder("mlflow-artifacts:/1") is None


def test_the_highest_number_that_was_decided_on_is_never_given_again(home: Home, trained: Candidate) -> None:
    from mlguide_assets.deploy.gate.history import record
    from mlguide_assets.prepare.lake.lake import Lake

    record(
        Lake(home.lake(PROBLEM.key)),
        version="7",
        trained_at="2025-01-01",
        verdict="promoted",
        reasons=[],
        champion_before=None,
        decided_by="gate",
    )
    assert register(home, saved(trained, home.candidates("sample"))) == "8"


def with_scores(sends: pa.Table, labels: np.ndarray[Any, Any], probability: float) -> pa.Table:
    """Matured rows with other outcomes, and a challenger whose probabilities are about right."""
    test = sends.append_column("label", pa.array(labels.astype(np.int8)))
    return test.append_column(CHALLENGER, pa.array(np.linspace(0.9, 1.1, sends.num_rows) * probability))


@pytest.mark.parametrize("frequent", [False, True])
def test_a_champion_of_another_outcome_gives_way_where_its_probabilities_are_wrong_by_now(
    trained: Candidate, sends: pa.Table, tmp_path: Path, frequent: bool
) -> None:
    folder = saved(trained, tmp_path)
    label = PROBLEM.label.model_copy(update={"window": timedelta(days=14), "ends_unit": False})
    changed = PROBLEM.model_copy(update={"predict": PROBLEM.predict.model_copy(update={"label": label})})
    known = matured(sends)
    labels, often = known[PROBLEM.label.column].to_numpy(), 0.7
    test = with_scores(known, labels, labels.mean())
    if frequent:
        test = with_scores(known, np.random.default_rng(0).random(known.num_rows) < often, often)
    same, other = (compare_with_champion(test, "3", Past.of_candidate(folder), each) for each in (PROBLEM, changed))
    assert isinstance(same, Comparison)
    assert same.note == ""
    decided = beats_champion(other, changed)
    assert "The outcome has changed: the champion learned {column: unsubscribed, " in decided.reason
    assert decided.reason.count("window: 7d") == decided.reason.count("window: 14d") == 1
    assert "ends_unit" not in decided.reason
    assert isinstance(other, Incomparable) == frequent
    if frequent:
        assert decided.passed
        assert "So it gives way" in decided.reason
