"""What the API refuses or fails on is counted, survives the server, and lands in the lake by day."""

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlguide_assets.deploy.log.fault_landing import FAULTS_SCHEMA, REQUEST_FAULTS, land_faults
from mlguide_assets.deploy.log.fault_log import FaultCounter, files_by_day, read_counts
from mlguide_assets.deploy.log.landing import KEPT_DAYS
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.deploy.serving.serving import House, Server
from mlguide_assets_tests.train.sends import PROBLEM

NOON = datetime(2026, 3, 1, 12)
TODAY = NOON.date()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "faults"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def rows(lake: Lake) -> list[tuple[date, str, int, int]]:
    table = lake.read_arrow(REQUEST_FAULTS)
    assert table.schema == FAULTS_SCHEMA
    return [tuple(row.values()) for row in table.to_pylist()]  # type: ignore[misc]


def test_a_server_leaves_its_counts_behind(house: House, tmp_path: Path) -> None:
    copied = house.copy(tmp_path / "home")
    with Server(copied.home) as server:
        client = server.client()
        client.predict(3, email_ids=[1])
        assert client.get("/nowhere").status == 404
        assert [client.post("/predict", body).status for body in ({}, {"user_ids": "x"})] == [422, 422]
        client.close()
        assert server.stop() == 0
    land_faults(copied.home.faults(PROBLEM.key), copied.lake, today=datetime.now(UTC).date())
    assert [row[1:] for row in rows(copied.lake)] == [("/predict", 422, 2), ("other", 404, 1)]


def test_counts_of_several_servers_and_moments_add_up_by_day(folder: Path, lake: Lake) -> None:
    for server in (FaultCounter(folder), FaultCounter(folder)):
        for moment in (NOON, NOON + timedelta(hours=1), NOON + timedelta(days=1)):
            server.count("/predict", 422)
            server.count("/predict", 200)
            server.write(moment)
            server.write(moment)
    for _ in range(2):
        land_faults(folder, lake, today=TODAY)
        assert rows(lake) == [(TODAY, "/predict", 422, 4), (TODAY + timedelta(days=1), "/predict", 422, 2)]


@pytest.mark.parametrize("content", [b'[["/pre', b"5", b"[5]", b'[["/predict", "many", {}]]', b"\xff", b""])
def test_a_damaged_file_counts_nothing_and_the_others_land(folder: Path, lake: Lake, content: bytes) -> None:
    counter = FaultCounter(folder)
    counter.count("/predict", 500)
    counter.write(NOON)
    (folder / "2026-03-01-1-damaged.json").write_bytes(content)
    land_faults(folder, lake, today=TODAY)
    assert rows(lake) == [(TODAY, "/predict", 500, 1)]


def test_a_clock_that_is_ahead_or_goes_back_loses_and_doubles_nothing(folder: Path, lake: Lake) -> None:
    """The file is removed while its server goes on, then the server writes it again, as does another."""
    first, second = FaultCounter(folder), FaultCounter(folder)
    for counter, ahead in ((first, 9), (first, 0), (second, 9), (first, 0)):
        counter.count("/predict", 422)
        counter.write(NOON)
        land_faults(folder, lake, today=TODAY + timedelta(days=ahead))
    assert rows(lake) == [(TODAY, "/predict", 422, 4)]


def test_a_disk_that_refuses_loses_no_count(folder: Path) -> None:
    counter = FaultCounter(folder)
    counter.count("/predict", 503)
    folder.write_text("in the way")
    counter.write(NOON)
    folder.unlink()
    counter.count("/predict", 503)
    counter.write(NOON)
    (path,) = files_by_day(folder)["2026-03-01"]
    assert read_counts(path) == {("/predict", 503): 2}


def test_files_go_once_they_have_landed_and_are_old_and_their_rows_stay(folder: Path, lake: Lake) -> None:
    counter = FaultCounter(folder)
    counter.count("/predict", 429)
    counter.write(NOON)
    for later in (0, KEPT_DAYS + 1, KEPT_DAYS + 2):
        land_faults(folder, lake, today=TODAY + timedelta(days=later))
        assert [row[1:] for row in rows(lake)] == [("/predict", 429, 1)]
    assert not files_by_day(folder)


def test_before_the_first_fault_there_is_a_table_without_rows(folder: Path, lake: Lake) -> None:
    land_faults(folder, lake, today=TODAY)
    assert rows(lake) == []


def test_threads_that_count_while_it_is_written_lose_nothing(folder: Path) -> None:
    counter = FaultCounter(folder)
    threads = [threading.Thread(target=lambda: [counter.count("/predict", 422) for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counter.write(NOON)
    counter.write(NOON)
    (path,) = files_by_day(folder)["2026-03-01"]
    assert read_counts(path) == {("/predict", 422): 8000}


def test_a_file_that_comes_back_with_fewer_counts_lowers_none(folder: Path, lake: Lake) -> None:
    """A home that was copied, or restored, has what was counted by then."""
    counter = FaultCounter(folder)
    counter.count("/predict", 429)
    counter.write(NOON)
    (path,) = files_by_day(folder)["2026-03-01"]
    earlier = path.read_bytes()
    counter.count("/predict", 429)
    counter.write(NOON)
    for content in (path.read_bytes(), earlier):
        path.write_bytes(content)
        land_faults(folder, lake, today=TODAY)
        assert rows(lake) == [(TODAY, "/predict", 429, 2)]
