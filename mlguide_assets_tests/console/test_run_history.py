"""Dagster's record of a run: the same files, the same events, whoever reads them."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from mlguide_assets.console.dagster_files import refuse_damaged_history
from mlguide_assets.console.dead_runs import instance_of
from mlguide_assets.console.environment import enter
from mlguide_assets.console.run_history import OpenEventLog, recording
from mlguide_assets.errors import InputError
from mlguide_assets.settings import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("MLGUIDE_HOME", "DAGSTER_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    home = Home(tmp_path)
    enter(home)
    return home


@dg.asset(check_specs=[dg.AssetCheckSpec("is_one", asset="number")])
def number() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"value": 1}, check_results=[dg.AssetCheckResult(passed=True)])


def test_another_process_reads_what_was_recorded(home: Home) -> None:
    with recording(home) as instance:
        assert type(instance.event_log_storage) is OpenEventLog
        result = dg.materialize([number], instance=instance)
        # Dagster's UI, which reads while the run goes on.
        with dg.DagsterInstance.from_config(str(home.dagster)) as reader:
            assert type(reader.event_log_storage) is SqliteEventLogStorage
            during = reader.get_latest_materialization_event(dg.AssetKey("number"))
            assert during is not None
            assert during.run_id == result.run_id
    with dg.DagsterInstance.from_config(str(home.dagster)) as reader:
        kinds = [entry.dagster_event_type for entry in reader.all_logs(result.run_id)]
        assert kinds[0] == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        assert kinds[-1] == dg.DagsterEventType.PIPELINE_SUCCESS
    # Closed, the write-ahead log is in the file.
    assert not list((home.dagster / "history" / "runs").glob("*-wal"))


def test_what_cannot_be_recorded_is_raised_and_not_printed(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def store(storage: OpenEventLog, event: dg.EventLogEntry) -> None:
        if event.dagster_event_type in refused or event.user_message == "a line":
            raise OSError("the disk is full")
        stored(storage, event)

    @dg.asset
    def talkative(context: dg.AssetExecutionContext) -> None:
        context.log.info("a line")

    stored, refused = OpenEventLog.store_event, {dg.DagsterEventType.STEP_START}
    monkeypatch.setattr(OpenEventLog, "store_event", store)
    with recording(home) as instance, pytest.raises(OSError, match="the disk is full"):
        dg.materialize([talkative], instance=instance)
    refused.clear()
    with recording(home) as instance:
        assert dg.materialize([talkative], instance=instance).success
    assert "Exception while writing" not in capfd.readouterr().err


def test_a_storage_that_the_user_names_is_used(home: Home, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (home.dagster / "dagster.yaml").write_text(f"storage:\n  sqlite:\n    base_dir: {other}\n")
    with recording(home) as instance:
        assert type(instance.event_log_storage) is SqliteEventLogStorage
    assert (other / "history" / "runs" / "index.db").is_file()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [", r"expected the node content.* in line 1"),
        (b"run_coordinator: 5", "run_coordinator must be dict"),
        (b"nonsense: 3", 'unexpected config entry "nonsense"'),
        (b"[1]", "to parse to dictionary"),
        (b"\xb0\xff", "'utf-8'"),
    ],
)
def test_settings_that_dagster_cannot_use_are_said_in_one_sentence(home: Home, content: bytes, reason: str) -> None:
    (home.dagster / "dagster.yaml").write_bytes(content)
    for opened in (recording, instance_of):
        with pytest.raises(InputError, match=rf"dagster\.yaml .*{reason}.*: fix it, or delete it"), opened(home):
            pass
    enter(home)


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_damaged_database_is_said_before_a_daemon_starts_that_would_do_nothing(home: Home, name: str) -> None:
    with recording(home) as instance:
        dg.materialize([number], instance=instance)
    refuse_damaged_history(home)
    path = home.dagster / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(InputError, match=f"The database {path} is damaged: restore it from a backup, or remove it"):
        refuse_damaged_history(home)
