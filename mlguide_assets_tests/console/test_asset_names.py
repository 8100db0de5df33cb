"""What Dagster has recorded of a home's only problem is found under the names that it has beside a second one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)

from mlguide_assets.console import run
from mlguide_assets.console.asset_names import follow_names
from mlguide_assets.console.code_server import ALONE
from mlguide_assets.console.switches import follow_locations
from mlguide_assets.console.ui import _Processes, serve, ui_lock, works_on
from mlguide_assets.define.loading import dump_problem, load_problem
from mlguide_assets.defs.tags import PROBLEM_TAG
from mlguide_assets.settings import Home
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of
from mlguide_assets_tests.processes import free_port

TAG = PROBLEM_TAG
DAYS = dg.StaticPartitionsDefinition(["2024-01-01", "2024-01-02"])


def made(instance: dg.DagsterInstance, problem: str, *prefix: str) -> None:
    """Two tables, one of which follows from the other, a checked one and one in partitions."""

    @dg.asset(key_prefix=list(prefix))
    def users() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"rows": 7, "plot": dg.MetadataValue.md("![](x)")})

    @dg.asset(key_prefix=list(prefix), deps=[users])
    def features() -> None: ...

    @dg.asset_check(asset=features)
    def is_whole() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, metadata={"missing": 3})

    @dg.asset(key_prefix=list(prefix), partitions_def=DAYS)
    def store() -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(metadata={"rows": 2})

    tags = {TAG: problem}
    for _ in range(2):
        assert dg.materialize([users, features, is_whole], instance=instance, tags=tags).success
    for day in DAYS.get_partition_keys():
        assert dg.materialize([store], instance=instance, tags=tags, partition_key=day).success


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """With two problems."""
    home = Home(tmp_path / "home")
    home.problems.mkdir(parents=True)
    for problem in (load_problem("planeswalker"), problem_of(PAYMENTS, tmp_path)):
        (home.problems / f"{problem.key}.yaml").write_text(dump_problem(problem))
    return home


def keys(instance: dg.DagsterInstance) -> list[str]:
    return sorted(key.to_user_string() for key in instance.get_asset_keys())


def recorded(instance: dg.DagsterInstance, *path: str) -> list[dg.EventLogEntry]:
    records = instance.fetch_materializations(dg.AssetKey(path), limit=100).records
    return [record.event_log_entry for record in records]


def test_what_was_recorded_has_the_new_names(home: Home, instance: dg.DagsterInstance) -> None:
    made(instance, "planeswalker_simulated")
    made(instance, "cards", "cards")
    before = {name: recorded(instance, name) for name in ("users", "features", "store")}
    assert follow_names(home, instance, TAG) == 3
    names = ("features", "store", "users")
    assert keys(instance) == [f"{problem}/{name}" for problem in ("cards", "planeswalker") for name in names]
    for name, entries in before.items():
        after = recorded(instance, "planeswalker", name)
        assert [(each.run_id, each.timestamp) for each in after] == [(each.run_id, each.timestamp) for each in entries]
        for one, two in zip(entries, after, strict=True):
            old, new = one.asset_materialization, two.asset_materialization
            assert old is not None
            assert new is not None
            assert (new.metadata, new.partition) == (old.metadata, old.partition)
    assert instance.get_materialized_partitions(dg.AssetKey(["planeswalker", "store"])) == {*DAYS.get_partition_keys()}
    (newest, _) = recorded(instance, "planeswalker", "features")
    assert newest.asset_materialization is not None
    tags = newest.asset_materialization.tags or {}
    assert "dagster/input_data_version/planeswalker/users" in tags
    assert "dagster/input_data_version/users" not in tags
    check = dg.AssetCheckKey(dg.AssetKey(["planeswalker", "features"]), "is_whole")
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])[check]
    assert found.evaluation is not None
    assert (found.evaluation.passed, found.evaluation.metadata["missing"].value) == (False, 3)
    assert follow_names(home, instance, TAG) == 0


def test_a_ui_that_runs_keeps_the_names_that_it_knows_until_it_starts_again(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made(instance, "planeswalker_simulated")
    monkeypatch.setattr("mlguide_assets.console.run_history.recording", lambda _: contextlib.nullcontext(instance))
    assert works_on(home) is None
    with ui_lock(home, "http://127.0.0.1:3000"):
        assert str(works_on(home)).startswith("http://127.0.0.1:3000 (process ")
        run._follow_names(home, is_new=False)
        assert "The UI on" not in capsys.readouterr().err
        run._follow_names(home, is_new=True)
        assert "The UI on http://127.0.0.1:3000" in capsys.readouterr().err
        assert keys(instance) == ["features", "store", "users"]
    monkeypatch.setattr(_Processes, "run", lambda *_: 0)
    monkeypatch.setattr("mlguide_assets.console.ui.instance_of", lambda _: contextlib.nullcontext(instance))
    serve(home, "127.0.0.1", free_port())
    assert keys(instance) == ["planeswalker/features", "planeswalker/store", "planeswalker/users"]


def test_what_a_kill_left_undone_is_done_and_nothing_twice(
    home: Home, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(instance, "planeswalker_simulated")
    with monkeypatch.context() as patched:
        patched.setattr(instance, "wipe_assets", killed)
        with pytest.raises(KeyboardInterrupt):
            follow_names(home, instance, TAG)
    assert len(keys(instance)) == 4
    assert follow_names(home, instance, TAG) == 3
    assert keys(instance) == ["planeswalker/features", "planeswalker/store", "planeswalker/users"]
    assert [len(recorded(instance, "planeswalker", name)) for name in ("users", "features", "store")] == [2, 2, 2]


def killed(_: object) -> None:
    raise KeyboardInterrupt


def test_of_the_only_problem_and_of_unknown_ones_nothing_is_renamed(
    home: Home, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    made(instance, "planeswalker_simulated")
    made(instance, "gone", "gone")
    alone = Home(tmp_path / "alone")
    alone.root.mkdir()
    alone.active_problem.write_text(dump_problem(load_problem("planeswalker")))
    before = keys(instance)
    assert follow_names(alone, instance, TAG) == 0
    assert keys(instance) == before
    assert follow_names(home, instance, TAG) == 3
    assert "gone/users" in keys(instance)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance as a home has it: one that forgets everything has no place for switches."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def test_what_was_switched_off_is_off_under_the_new_name(home: Home, kept: dg.DagsterInstance, tmp_path: Path) -> None:
    def switched(location: str) -> InstigatorState:
        place = RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("host", 1, None, location), "__repository__")
        known = SensorInstigatorData(cursor="until here")
        return InstigatorState(
            place.get_instigator_origin("retrain_on_drift"), InstigatorType.SENSOR, InstigatorStatus.STOPPED, known
        )

    before, after = switched(ALONE), switched("planeswalker")
    kept.add_instigator_state(before)
    follow_locations(home, kept)
    assert kept.all_instigator_state() == [before], "whose it is, is not known"
    job = dg.GraphDefinition(name="refresh_job", node_defs=[nothing]).to_job(name="refresh_job")
    kept.create_run_for_job(
        job, tags={PROBLEM_TAG: "planeswalker_simulated", ".dagster/repository": f"__repository__@{ALONE}"}
    )
    follow_locations(Home(tmp_path / "new"), kept)
    assert kept.all_instigator_state() == [before], "it is the only problem still"
    for _ in range(2):
        follow_locations(home, kept)
        assert kept.all_instigator_state() == [after]


@dg.op
def nothing() -> None: ...
