"""The database that hosts share: its locks and logs, and what is said where it fails. PostgreSQL is a real one."""

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import Timeout

from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.database_erasing import erase_from_database
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.forgetting.forget_list import Entity
from mlguide_assets.prepare.hosts import database as module
from mlguide_assets.prepare.hosts import host_lock
from mlguide_assets.prepare.hosts.database import connected, prepare_database, shared_database
from mlguide_assets.prepare.hosts.event_log import Log, open_log
from mlguide_assets.prepare.hosts.host_lock import holder_on_all_hosts, locked_on_all_hosts, this_process
from mlguide_assets.prepare.hosts.run_lock import run_lock, run_lock_holder
from mlguide_assets.settings import DATABASE_VARIABLE, Home
from mlguide_assets_tests.postgres import PASSWORD, Postgres

HOLD = """
import sys, time
from pathlib import Path
from mlguide_assets.prepare.hosts.host_lock import this_process
from mlguide_assets.prepare.hosts.run_lock import run_lock
from mlguide_assets.settings import Home
with run_lock(Home(Path(sys.argv[1])), print):
    print(this_process(), flush=True)
    time.sleep(60)
"""


@contextmanager
def run_of_another_host(home: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that holds the run lock of another home, and what it calls itself."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def line(number: int) -> dict[str, Any]:
    return {"event": "raised", "at": "2026-01-01T00:00:00+00:00", "key": str(number), "odd": "\ud800 \0"}


class TestLocks:
    def test_a_run_of_another_host_is_waited_for_until_it_is_killed(self, database: str, tmp_path: Path) -> None:
        messages: list[str] = []
        with run_of_another_host(tmp_path / "other") as (process, name):
            home = Home(tmp_path / "home")
            with run_lock_holder(home) as holder:
                assert holder == name
            threading.Timer(0.5, process.kill).start()
            with run_lock(home, messages.append):
                assert process.poll() is not None
                assert holder_on_all_hosts("run") == this_process()
            with run_lock_holder(home) as holder:
                assert holder is None
        assert messages == [f"Another run is working on {home.root} (process {name}): waiting for it."]

    def test_locks_of_other_names_and_databases_are_free(
        self, database: str, postgres_of_session: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with locked_on_all_hosts(tmp_path / "a.lock", "one"):
            with pytest.raises(Timeout), locked_on_all_hosts(tmp_path / "b.lock", "one", wait=False):
                pass
            with locked_on_all_hosts(tmp_path / "c.lock", "two", wait=False):
                pass
            monkeypatch.setenv(DATABASE_VARIABLE, postgres_of_session.database())
            assert holder_on_all_hosts("one") is None
            with locked_on_all_hosts(tmp_path / "d.lock", "one", wait=False):
                pass

    def test_a_database_that_is_restarted_takes_the_lock_from_none(
        self, database: str, postgres_of_session: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_lock, "_GRACE_SECONDS", 1.5)
        monkeypatch.setattr(host_lock, "_KEEP_SECONDS", 0.3)
        with locked_on_all_hosts(tmp_path / "a.lock", "one"):
            postgres_of_session.stop()
            threading.Timer(0.5, postgres_of_session.start).start()
            # It tries until the database is there, sooner than the holder looks.
            with pytest.raises(Timeout), locked_on_all_hosts(tmp_path / "b.lock", "one", wait=False):
                pass
            assert holder_on_all_hosts("one") == this_process()


class TestLogs:
    @pytest.fixture(params=["file", "database"])
    def log(self, request: pytest.FixtureRequest, tmp_path: Path) -> Log:
        if request.param == "database":
            request.getfixturevalue("database")
        return open_log(tmp_path / "alerts" / "a.jsonl", "alert log")

    def test_what_was_written_is_read_in_order(self, log: Log) -> None:
        assert log.lines() == []
        with log.locked() as writer:
            assert writer.size == 0
            writer.append(line(1), line(2))
            writer.append(line(3))
            assert writer.size > 0
        assert log.lines() == [line(1), line(2), line(3)]

    def test_a_reader_goes_on_where_it_was_until_the_log_begins_again(self, log: Log, tmp_path: Path) -> None:
        with log.locked() as writer:
            writer.append(line(1))
        first = log.lines_after(None)
        with log.locked() as writer:
            writer.append(line(2))
        second = log.lines_after(first.place)
        assert (second.lines, second.goes_on) == ([line(2)], True)
        assert log.lines_after(second.place).lines == []
        with log.locked() as writer:
            writer.begin_again([line(3)], "older.jsonl")
        third = log.lines_after(second.place)
        assert (third.lines, third.goes_on) == ([line(3)], False)
        assert open_log(tmp_path / "alerts" / "older.jsonl", "older log").lines() == [line(1), line(2)]

    def test_logs_of_one_database_are_distinguished(self, database: str, tmp_path: Path) -> None:
        for name in ("a", "b"):
            with open_log(tmp_path / name / "x.jsonl", "log").locked() as writer:
                writer.append(line(ord(name)))
        assert open_log(tmp_path / "b" / "x.jsonl", "log").lines() == [line(ord("b"))]
        assert list(tmp_path.iterdir()) == []

    def test_writers_take_turns(self, log: Log) -> None:
        def count() -> None:
            for _ in range(10):
                with log.locked() as writer:
                    writer.append(line(len(log.lines())))

        threads = [threading.Thread(target=count) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert [each["key"] for each in log.lines()] == [str(number) for number in range(20)]


def no_password(address: str) -> str:
    return address.replace(f":{PASSWORD}@", ":wrong-word@")


def no_such_database(address: str) -> str:
    return f"{address}x"


def nobody_there(address: str) -> str:
    return f"postgresql://lifecycle:{PASSWORD}@127.0.0.1:9/test"


REFUSALS: dict[str, tuple[Callable[[str], str], str]] = {
    "password": (no_password, "password authentication failed.*check MLGUIDE_DATABASE and what its user may do"),
    "database": (no_such_database, "does not exist.*check MLGUIDE_DATABASE and what its user may do"),
    "server": (nobody_there, "[Cc]onnection refused.*check that it runs and can be reached"),
    "scheme": (lambda _: f"mysql://u:{PASSWORD}@host/db", "must be the address of a PostgreSQL, such as postgresql://"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_database_that_refuses_is_reported_in_one_sentence_without_the_password(
    refusal: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, words = REFUSALS[refusal]
    monkeypatch.setenv(DATABASE_VARIABLE, change(database))
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.3)
    with pytest.raises(InputError, match=words) as messages:
        prepare_database()
    assert "\n" not in str(messages.value)
    assert not {PASSWORD, "wrong-word"} & set(str(messages.value).replace("@", ":").split(":"))
    assert messages.value.__cause__ is None


def test_a_missing_driver_is_reported_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://host/db")
    monkeypatch.setattr(
        module, "find_spec", lambda name: None if name == "psycopg2" else importlib.util.find_spec(name)
    )
    with pytest.raises(InputError, match=r"not installed \(psycopg2\): install it with .*\[hosts\]"):
        shared_database()


def test_a_server_that_is_starting_is_waited_for(database: str, postgres_of_session: Postgres) -> None:
    postgres_of_session.stop()
    starting = threading.Timer(0.5, postgres_of_session.start)
    starting.start()
    with connected() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    starting.join()


def test_mentions_of_who_is_forgotten_go_from_every_text(database: str, tmp_path: Path) -> None:
    log = open_log(tmp_path / "alerts" / "a.jsonl", "alert log")
    with log.locked() as writer:
        writer.append({**line(1), "error": "user_id 77 is unknown"}, {**line(2), "error": "user_id 7 is unknown"})
    assert erase_from_database(Erasure(Entity("user", "user_id", "user_profiles", "id"), 77)) == 1
    assert [each["error"] for each in log.lines()] == ["user_id -1 is unknown", "user_id 7 is unknown"]
