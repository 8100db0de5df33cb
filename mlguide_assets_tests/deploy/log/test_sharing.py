"""What servers of other hosts have logged reaches the host that lands it, also what a killed server left."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from mlguide_assets.deploy.log import sharing
from mlguide_assets.deploy.log.fault_log import FaultCounter, files_by_day, read_counts
from mlguide_assets.deploy.log.forgotten_rows import ForgottenRows
from mlguide_assets.deploy.log.prediction_log import LogWriter, remove_unused, segments
from mlguide_assets.deploy.log.sharing import Uploader, arrived_logs, change_stored_logs, log_folders, upload_logs
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, Forgotten, entity_of
from mlguide_assets.prepare.hosts import shared_files
from mlguide_assets.prepare.lake import bucket as bucket_module
from mlguide_assets.prepare.lake.bucket import Bucket
from mlguide_assets.settings import DATABASE_VARIABLE, HOME_VARIABLE, LAKE_VARIABLE, Home
from mlguide_assets_tests.deploy.logged import read_day
from mlguide_assets_tests.object_store import ObjectServer
from mlguide_assets_tests.train.sends import PROBLEM

NOW = datetime(2026, 3, 2, 12)
DAY, KEPT_SINCE = "2026-03-02", date(2026, 2, 23)


@pytest.fixture
def server(objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a server's logs on a host that shares its files."""
    monkeypatch.setenv(LAKE_VARIABLE, objects.address())
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql://nobody@127.0.0.1:9/none")
    return on_host("server", tmp_path, monkeypatch).served("sample")


def on_host(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / name))
    return Home(tmp_path / name)


def logged(folder: Path) -> list[str]:
    return [request["request_id"] for request in read_day(folder, DAY)]


def write(log: LogWriter, request: str, users: tuple[int, ...] = ()) -> None:
    line = {"request_id": request, "rows": [{"user_id": user} for user in users]}
    log.append([json.dumps(line).encode()], NOW)


def forgotten_users(tmp_path: Path, *users: int) -> ForgottenRows:
    known = ForgetList(tmp_path / "forgotten.json", "salt")
    for user in users:
        known = known.with_entry(Forgotten(known.hash_of(user, entity_of(PROBLEM, "user")), NOW.isoformat()))
    return ForgottenRows(known, PROBLEM)


def users_in(folder: Path) -> str:
    """The users of all rows in the files of a folder, one digit each."""
    return "".join(str(row["user_id"]) for request in read_day(folder, DAY) for row in request["rows"])


def users_in_store() -> str:
    """Those of the one file of the store."""
    bucket = shared_files.shared_bucket()
    assert bucket is not None
    (stored,) = bucket.listing("served/sample")
    found = bucket.get(f"served/sample/{stored.name}")
    assert found is not None
    lines = [json.loads(line) for line in found[0].splitlines()]
    return "".join(str(row["user_id"]) for line in lines for row in line["rows"])


def test_lines_arrive_while_the_server_goes_on_and_leave_it_once_all_have(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    upload_logs(server)
    assert len(segments(server, DAY)) == 1, "the server may write more"
    landing = on_host("landing", tmp_path, monkeypatch).served("sample")
    with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
        assert logged(folder) == ["first"]
    on_host("server", tmp_path, monkeypatch)
    write(log, "second")
    log.close()
    upload_logs(server)
    assert not (server / DAY).exists()
    on_host("landing", tmp_path, monkeypatch)
    with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
        assert logged(folder) == ["first", "second"]


def test_what_cannot_be_stored_stays_until_it_can(
    server: Path, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "RETRY_SECONDS", 0.5)
    log = LogWriter(server)
    write(log, "first")
    log.close()
    with objects.failing(lambda method, _: "503 SlowDown" if method == "PUT" else None), pytest.raises(InputError):
        upload_logs(server)
    assert logged(server) == ["first"]
    upload_logs(server)
    assert not (server / DAY).exists()


def test_a_file_that_landed_and_was_removed_is_not_fetched_again(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    log.close()
    upload_logs(server)
    landing = on_host("landing", tmp_path, monkeypatch).served("sample")
    with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
        (path,) = segments(folder, DAY)
        (folder / DAY / "landed.json").write_text(json.dumps({path.name: path.stat().st_size}))
        assert remove_unused(path, path.stat().st_size)
    with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
        assert segments(folder, DAY) == []


def test_old_days_go_only_once_they_have_landed(
    server: Path, objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    log.close()
    upload_logs(server)
    later = date.fromisoformat(DAY) + timedelta(days=1)
    landing = on_host("landing", tmp_path, monkeypatch).served("sample")
    with pytest.raises(RuntimeError), arrived_logs(landing, kept_since=later):
        raise RuntimeError("the lake is full")
    bucket = shared_files.shared_bucket()
    assert bucket is not None
    assert len(bucket.listing("served/sample")) == 1
    with arrived_logs(landing, kept_since=later):
        pass
    assert bucket.listing("served/sample") == []


def test_what_is_added_while_an_old_day_is_removed_stays(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a server that was away for days, and goes on at that moment."""
    log = LogWriter(server)
    write(log, "first")
    upload_logs(server)
    landing, delete = on_host("landing", tmp_path, monkeypatch).served("sample"), Bucket.delete

    def while_added_to(bucket: Bucket, names: list[str]) -> None:
        monkeypatch.setattr(Bucket, "delete", delete)
        on_host("server", tmp_path, monkeypatch)
        write(log, "second")
        log.close()
        upload_logs(server)
        delete(bucket, names)

    with arrived_logs(landing, kept_since=date.fromisoformat(DAY) + timedelta(days=1)):
        monkeypatch.setattr(Bucket, "delete", while_added_to)
    assert not (server / DAY).exists()
    # Landing leaves out what it has twice.
    assert set(arrived(tmp_path, monkeypatch)) == {"first", "second"}


def test_an_old_day_that_was_being_removed_when_its_host_was_killed_is_no_log(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    log.close()
    upload_logs(server)
    landing, later = on_host("landing", tmp_path, monkeypatch).served("sample"), date.max
    with pytest.MonkeyPatch.context() as killed, arrived_logs(landing, kept_since=later):
        killed.setattr(Bucket, "delete", lambda *_: None)
    for _ in range(2):
        with arrived_logs(landing, kept_since=later) as folder:
            assert logged(folder) == ["first"]
    bucket = shared_files.shared_bucket()
    assert bucket is not None
    assert bucket.listing("served/sample") == []


def test_counts_of_faults_arrive_each_time_they_grow(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, landing = FaultCounter(server / "faults"), Home(tmp_path / "landing").faults("sample")
    for requests in (1, 2):
        counter.count("/predict", 503)
        counter.write(NOW)
        on_host("server", tmp_path, monkeypatch)
        upload_logs(server)
        on_host("landing", tmp_path, monkeypatch)
        with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
            (path,) = files_by_day(folder)[DAY]
            assert read_counts(path) == {("/predict", 503): requests}


def test_stored_lines_are_changed_in_place(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogWriter(server)
    write(log, "first")
    write(log, "other")
    log.close()
    upload_logs(server)
    assert change_stored_logs(server, lambda line: b"{}".ljust(len(line)) if b"first" in line else line) == 1
    landing = on_host("landing", tmp_path, monkeypatch).served("sample")
    with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
        assert logged(folder) == ["other"]
    assert folder in log_folders(landing)


def test_a_copied_home_leaves_what_is_stored_as_it_is(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy was made while the server went on, or the disk was restored to an earlier state."""
    log = LogWriter(server)
    write(log, "first")
    copied = copy_of(server, tmp_path)
    write(log, "second")
    log.close()
    upload_logs(server)
    on_host("copy", tmp_path, monkeypatch)
    upload_logs(copied)
    assert not (copied / DAY).exists(), "all of it is stored"
    assert arrived(tmp_path, monkeypatch) == ["first", "second"]


def test_what_a_copy_has_alone_is_added(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host that began the file was lost after it had stored the first line."""
    log = LogWriter(server)
    write(log, "first")
    upload_logs(server)
    write(log, "second")
    copied = copy_of(server, tmp_path)
    on_host("copy", tmp_path, monkeypatch)
    upload_logs(copied)
    assert not (copied / DAY).exists()
    assert arrived(tmp_path, monkeypatch) == ["first", "second"]


@pytest.mark.parametrize("own", ["other", "other, and longer"])
def test_a_host_that_was_cloned_while_it_served_stores_its_lines_beside_those(
    own: str, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    (cloned,) = segments(copy_of(server, tmp_path), DAY)
    write(log, "second")
    log.close()
    upload_logs(server)
    for request in (own, "last"):
        with cloned.open("ab") as going_on:
            going_on.write(json.dumps({"request_id": request, "rows": []}).encode() + b"\n")
    on_host("copy", tmp_path, monkeypatch)
    upload_logs(cloned.parent.parent)
    assert sorted(arrived(tmp_path, monkeypatch)) == sorted(["first", "second", "first", own, "last"])


def test_a_line_that_is_still_being_written_is_stored_once_it_has_its_end(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    (path,) = segments(server, DAY)
    line = b'{"request_id": "second", "rows": []}\n'
    for part in (line[:9], line[9:]):
        with path.open("ab") as written:
            written.write(part)
        upload_logs(server)
    log.close()
    with path.open("ab") as torn:
        torn.write(line[:9])
    upload_logs(server)
    assert not (server / DAY).exists(), "the torn line was never acknowledged"
    assert arrived(tmp_path, monkeypatch) == ["first", "second"]


def test_what_is_stored_while_lines_are_changed_stays(
    server: Path, objects: ObjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    upload_logs(server)

    def growing(line: bytes) -> bytes:
        if not grown:
            grown.append(line)
            write(log, "second")
            log.close()
            upload_logs(server)
        return b"{}".ljust(len(line)) if b"first" in line else line

    grown: list[bytes] = []
    assert change_stored_logs(server, growing) == 1
    assert not (server / DAY).exists()
    assert arrived(tmp_path, monkeypatch) == ["second"]


def test_what_was_erased_from_the_store_is_not_stored_again(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    write(log, "second")
    upload_logs(server)
    assert change_stored_logs(server, erased("first")) == 1
    write(log, "third")
    upload_logs(server)
    log.close()
    upload_logs(server)
    assert arrived(tmp_path, monkeypatch) == ["second", "third"]


def test_who_was_forgotten_on_another_host_leaves_the_server_and_does_not_come_back(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first", users=(1, 2))
    upload_logs(server, forgotten_users(tmp_path))
    assert "1" in users_in(server) + users_in_store()
    landing = on_host("landing", tmp_path, monkeypatch).served("sample")
    with arrived_logs(landing, kept_since=KEPT_SINCE, forgotten=forgotten_users(tmp_path)) as folder:
        assert users_in(folder) == "12"
    on_host("server", tmp_path, monkeypatch)
    write(log, "second", users=(2, 1))
    upload_logs(server, forgotten_users(tmp_path, 1))
    assert (users_in(server), users_in_store()) == ("22", "22")
    write(log, "third", users=(3, 1))
    upload_logs(server, forgotten_users(tmp_path, 1))
    assert (users_in(server), users_in_store()) == ("223", "223")
    on_host("landing", tmp_path, monkeypatch)
    (path,) = segments(folder, DAY)
    first = path.stat().st_size
    with arrived_logs(landing, kept_since=KEPT_SINCE, forgotten=forgotten_users(tmp_path, 1)) as folder:
        assert path.stat().st_size > first
        assert users_in(folder) == "223"
    with arrived_logs(landing, kept_since=KEPT_SINCE, forgotten=forgotten_users(tmp_path, 1, 3)) as folder:
        assert users_in(folder) == "22", "also what has arrived before"


def test_a_server_reads_the_list_that_all_hosts_share(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten = Home(tmp_path / "server").forgotten("sample")
    log = LogWriter(server)
    write(log, "first", users=(1, 2))
    uploader = Uploader(server, lambda: ForgottenRows(ForgetList.load(forgotten), PROBLEM))
    elsewhere = on_host("elsewhere", tmp_path, monkeypatch).forgotten("sample")
    replace(forgotten_users(tmp_path, 1).forgotten, path=elsewhere).save()
    on_host("server", tmp_path, monkeypatch)
    uploader.start()
    uploader.stop()
    assert (users_in(server), users_in_store()) == ("2", "2")


@pytest.mark.parametrize("is_known", [False, True])
def test_a_store_that_is_away_does_not_hold_a_server_that_stops(
    is_known: bool, server: Path, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "STOP_SECONDS", 0.2)
    log = LogWriter(server)
    write(log, "first")
    log.close()
    uploader = Uploader(server, lambda: ForgottenRows(ForgetList.load(server / "forgotten"), PROBLEM))
    uploader._fault = "It does not answer." if is_known else None
    with objects.failing(lambda *_: "503 SlowDown"):
        uploader.start()
        began = time.monotonic()
        uploader.stop()
        assert time.monotonic() - began < 5
        assert logged(server) == ["first"]
    uploader._thread.join(30)


def test_what_was_being_stored_while_a_user_was_forgotten_leaves_the_store_again(server: Path, tmp_path: Path) -> None:
    log = LogWriter(server)
    write(log, "first", users=(1, 2))
    upload_logs(server, forgotten_users(tmp_path))
    change_stored_logs(server, forgotten_users(tmp_path, 1).removed_from)
    write(log, "second", users=(1, 3))
    # It had read the list before.
    upload_logs(server, forgotten_users(tmp_path))
    assert users_in_store() == "213"
    upload_logs(server, forgotten_users(tmp_path, 1))
    assert (users_in(server), users_in_store()) == ("23", "23")


def test_what_came_to_an_old_file_while_it_landed_stays(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogWriter(server)
    write(log, "first")
    upload_logs(server)
    later = date.fromisoformat(DAY) + timedelta(days=1)
    landing = on_host("landing", tmp_path, monkeypatch).served("sample")
    with arrived_logs(landing, kept_since=later):
        on_host("server", tmp_path, monkeypatch)
        write(log, "second")
        log.close()
        upload_logs(server)
        on_host("landing", tmp_path, monkeypatch)
    assert arrived(tmp_path, monkeypatch) == ["first", "second"]


def test_stored_counts_never_fall(server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copied home has those of the moment in which it was copied."""
    counter, landing = FaultCounter(server / "faults"), Home(tmp_path / "landing").faults("sample")
    counter.count("/predict", 503)
    counter.write(NOW)
    copied = copy_of(server, tmp_path)
    counter.count("/predict", 503)
    counter.write(NOW)
    upload_logs(server)
    on_host("copy", tmp_path, monkeypatch)
    upload_logs(copied)
    on_host("landing", tmp_path, monkeypatch)
    with arrived_logs(landing, kept_since=KEPT_SINCE) as folder:
        (path,) = files_by_day(folder)[DAY]
        assert read_counts(path) == {("/predict", 503): 2}


def copy_of(server: Path, tmp_path: Path) -> Path:
    """The folder of logs in a copy of the server's home."""
    shutil.copytree(tmp_path / "server", tmp_path / "copy")
    return tmp_path / "copy" / server.relative_to(tmp_path / "server")


def arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that reach a host which lands them."""
    with arrived_logs(on_host("landing", tmp_path, monkeypatch).served("sample"), kept_since=KEPT_SINCE) as folder:
        return logged(folder)


def erased(request: str) -> Callable[[bytes], bytes]:
    """What forgetting does to the lines of a request."""
    return lambda line: b"{}".ljust(len(line)) if request.encode() in line else line
