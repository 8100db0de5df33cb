"""A home whose run history, registry and alerts are in a database that other hosts share. PostgreSQL is a real one."""

import functools
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg2
import pytest
import sqlalchemy
import yaml
from dagster_postgres.utils import DagsterPostgresException, retry_pg_connection_fn

from mlguide_assets.console import environment, shared_history
from mlguide_assets.console.dead_runs import PROCESS_TAG, end_dead_runs, instance_of
from mlguide_assets.console.environment import DAGSTER_YAML, enter
from mlguide_assets.console.machine import refusal
from mlguide_assets.console.run import refuse_failure
from mlguide_assets.console.run_history import recording
from mlguide_assets.console.ui import ui_lock
from mlguide_assets.deploy.registry.registry import Registry
from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts.alerting import book_of, raise_or_resolve
from mlguide_assets.observe.alerts.failed_runs import Work, failed_run_alert
from mlguide_assets.prepare.hosts.host_lock import this_process
from mlguide_assets.prepare.hosts.run_lock import run_lock
from mlguide_assets.settings import DATABASE_VARIABLE, Home
from mlguide_assets_tests.postgres import PASSWORD, Postgres
from mlguide_assets_tests.train.sends import PROBLEM

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def hosts(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Home, Home]]:
    """Two homes that share a database."""
    for name in ("MLGUIDE_HOME", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    for home in (other, one):
        enter(home)
    yield one, other
    held = [path for path in tmp_path.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert not held, "the password was written down"


@dg.asset
def number() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"value": 1})


def test_what_one_host_recorded_another_reads(hosts: tuple[Home, Home]) -> None:
    one, other = hosts
    with recording(one) as instance:
        assert dg.materialize([number], instance=instance).success
    with instance_of(other) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("number")) is not None
    assert not (one.dagster / "history").exists()


def test_versions_of_one_host_are_those_of_the_other(hosts: tuple[Home, Home], tmp_path: Path) -> None:
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate" / "facts.json").write_text("{}")
    one, other = (Registry(home.registry, "sample") for home in hosts)
    version = one.register(
        tmp_path / "candidate", "lineage", params={}, metrics={"auc": 0.8}, tags={"trained_at": "now"}
    )
    assert (other.versions(), other.metrics(version)) == ([version], {"auc": 0.8})
    assert not (hosts[0].registry / "mlflow.db").exists()


def test_an_alert_of_one_host_is_open_on_the_other(hosts: tuple[Home, Home]) -> None:
    one, other = (book_of(home, PROBLEM) for home in hosts)
    alert = failed_run_alert(Work("job"), "run", "it broke", NOW)
    raise_or_resolve(one, alert.key, alert, NOW)
    assert [incident.alert for incident in other.incidents()] == [alert]
    raise_or_resolve(other, alert.key, None, NOW)
    assert one.incidents() == []


@pytest.mark.parametrize(("process", "status"), [("gone", "FAILURE"), (None, "STARTED")])
def test_a_run_of_another_host_is_dead_only_once_its_process_is(
    process: str | None, status: str, hosts: tuple[Home, Home]
) -> None:
    with instance_of(hosts[0]) as instance, run_lock(hosts[0], print):
        run = instance.create_run_for_job(dg.Definitions([number]).resolve_implicit_global_asset_job_def())
        instance.add_run_tags(run.run_id, {PROCESS_TAG: process or this_process()})
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, run.job_name), run.run_id
        )
        end_dead_runs(hosts[1], instance, print, idle={})
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status.value == status


def test_one_host_works_as_the_ui(hosts: tuple[Home, Home]) -> None:
    with (
        ui_lock(hosts[0], "here"),
        pytest.raises(InputError, match=rf"on another host \({this_process()}\): use that one"),
        ui_lock(hosts[1], "there"),
    ):
        pass


def test_a_run_while_the_database_is_restarted_ends_well_or_in_one_sentence(
    hosts: tuple[Home, Home], postgres_of_session: Postgres
) -> None:
    @dg.asset
    def slow() -> None:
        postgres_of_session.stop()
        postgres_of_session.start()

    with recording(hosts[0]) as instance:
        try:
            assert dg.materialize([slow], instance=instance).success
        except Exception as error:
            message = refusal(error, hosts[0].root)
            assert message is not None
            assert message.startswith("The database postgresql://")
            assert PASSWORD not in message
    with recording(hosts[0]) as instance:
        assert dg.materialize([number], instance=instance).success


def test_a_database_that_is_away_for_longer_than_dagster_asks_is_reported_in_one_sentence(
    hosts: tuple[Home, Home], postgres_of_session: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = functools.partial(retry_pg_connection_fn, retry_limit=0)
    monkeypatch.setattr("dagster_postgres.utils.retry_pg_connection_fn", once)
    with instance_of(hosts[0]) as instance:
        postgres_of_session.stop()
        try:
            with pytest.raises(Exception, match="DB connection") as failed:
                dg.materialize([number], instance=instance)
        finally:
            postgres_of_session.start()
    told = refusal(failed.value, hosts[0].root)
    assert told is not None
    assert told.startswith("The database postgresql://lifecycle:***@127.0.0.1")
    assert told.endswith("check that it runs and can be reached, then run again; what was there before is untouched.")


def test_tries_to_reach_a_database_that_is_away_are_said_once_and_in_one_line(
    hosts: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with instance_of(hosts[0]):
        pass
    monkeypatch.setattr(shared_history.tries, "said", -math.inf)
    away = sqlalchemy.create_engine(f"postgresql+psycopg2://lifecycle:{PASSWORD}@127.0.0.1:9/test")
    with pytest.raises(DagsterPostgresException, match="too many retries"):
        retry_pg_connection_fn(away.connect, retry_limit=2, retry_wait=0.01)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("The database does not answer, and is asked again: connection to server at ")


def test_a_step_that_the_database_ends_is_reported_in_one_sentence(
    hosts: tuple[Home, Home], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dg.asset
    def lost() -> None:
        psycopg2.connect(database.replace(f":{PASSWORD}@", ":wrong@"))

    with recording(hosts[0]) as instance:
        result = dg.materialize([lost], instance=instance, raise_on_error=False)
    with pytest.raises(
        InputError, match=r"^The database postgresql://lifecycle:\*\*\*@.*password authentication failed"
    ):
        refuse_failure(result, hosts[0])


def test_a_registry_whose_database_is_gone_is_reported_in_one_sentence(
    hosts: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(hosts[0].registry, "sample")
    assert registry.versions() == []
    monkeypatch.setattr("mlguide_assets.prepare.hosts.database.RETRY_SECONDS", 0.3)
    monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql://lifecycle:{PASSWORD}@127.0.0.1:9/test")
    with pytest.raises(InputError, match="check that it runs and can be reached") as message:
        Registry(hosts[0].registry, "sample").versions()
    assert PASSWORD not in str(message.value)


class TestSettingsOfDagster:
    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The file as it is written without a database."""
        for name in ("MLGUIDE_HOME", "DAGSTER_HOME"):
            monkeypatch.setenv(name, str(tmp_path))
        enter(Home(tmp_path))
        monkeypatch.setattr(environment, "prepare_database", lambda: None)
        return Home(tmp_path).dagster / "dagster.yaml"

    @staticmethod
    def storage(path: Path) -> Any:
        return yaml.safe_load(path.read_text()).get("storage")

    def test_the_storage_comes_and_goes_with_the_variable(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_text(before := f"{DAGSTER_YAML}retention: {{}}\n")
        monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql://u:{PASSWORD}@host/db")
        enter(Home(path.parents[1]))
        assert self.storage(path)["custom"]["config"] == {"postgres_url": {"env": DATABASE_VARIABLE}}
        monkeypatch.delenv(DATABASE_VARIABLE)
        enter(Home(path.parents[1]))
        assert path.read_text() == before

    def test_a_schedule_whose_look_fails_looks_again(self, path: Path) -> None:
        with instance_of(Home(path.parents[1])) as instance:
            assert getattr(instance.scheduler, "max_tick_retries", 0) > 0

    def test_a_storage_of_the_users_own_is_not_overruled(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_text("storage:\n  sqlite:\n    base_dir: /elsewhere\n")
        enter(Home(path.parents[1]))
        monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql://u:{PASSWORD}@host/db")
        with pytest.raises(InputError, match="names a storage of its own, and MLGUIDE_DATABASE another"):
            enter(Home(path.parents[1]))
