"""What was acknowledged is in the prediction log, whatever happens to the process or the disk."""

import json
import os
import random
import resource
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.log.prediction_log import (
    LogError,
    LogWriter,
    days,
    log_bytes,
    read_segment,
    remove_unused,
    segments,
)
from mlguide_assets.deploy.serving.worker_state import ANSWERING
from mlguide_assets.instants import now_utc
from mlguide_assets_tests.deploy.logged import read_day
from mlguide_assets_tests.deploy.serving.serving import Client, Hammer, House, Server, eventually
from mlguide_assets_tests.samples import USERS

CLIENTS, KILLS = 4, 2
LATE = datetime(2024, 4, 19, 23, 59, 59, 999_999)
Pairs = list[tuple[int, int]]


def line(number: int) -> bytes:
    return json.dumps({"request_id": str(number)}).encode()


def hammer(server: Server, *, seed: int = 0) -> Hammer:
    """Clients that ask for some users and emails, and note the id and the pairs of every answer."""
    clients = [server.client() for _ in range(CLIENTS)]
    chances = [random.Random(seed + number) for number in range(CLIENTS)]

    def ask(number: int) -> tuple[str, Pairs]:
        users = chances[number].choices(range(1, USERS + 1), k=3)
        answer = clients[number].predict(*users, email_ids=chances[number].sample(range(1, 12), 2))
        return answer["request_id"], [(each["user_id"], each["email_id"]) for each in answer["predictions"]]

    return Hammer(CLIENTS, ask)


def pairs_logged(house: House) -> dict[str, Pairs]:
    """Request → its pairs; reading fails where a line that was ended does not parse."""
    return {each["request_id"]: [(row["user_id"], row["email_id"]) for row in each["rows"]] for each in house.logged()}


def kill_under_load(house: House, seconds: float, *, seed: int = 0) -> dict[str, Pairs]:
    """Start a server, have it asked, kill it in the middle; what it had acknowledged."""
    with Server(house.home) as server, hammer(server, seed=seed) as asking:
        eventually(lambda: len(asking.answers) > 50)
        time.sleep(seconds)
        server.process.kill()
        server.process.wait()
    return dict(asking.answers)


def test_what_was_acknowledged_before_a_kill_is_in_the_log(copied: Callable[..., House]) -> None:
    """Twice: a server that starts after a kill leaves what is there as it is."""
    house, chance = copied(), random.Random(0)
    acknowledged: dict[str, Pairs] = {}
    before: dict[Path, bytes] = {}
    for seed in range(KILLS):
        acknowledged |= kill_under_load(house, chance.random() / 2, seed=seed)
        after = {path: path.read_bytes() for path in files_of(house)}
        assert {path: after.get(path) for path in before} == before
        before = after
    logged = pairs_logged(house)
    assert {request_id: logged.get(request_id) for request_id in acknowledged} == acknowledged
    # At most one more per client and kill: logged, but killed on its way out.
    assert len(acknowledged) <= len(logged) <= len(acknowledged) + KILLS * CLIENTS


def test_a_line_is_complete(house: House, server: Server) -> None:
    client = server.client()
    answer = client.recommend(3, 1000, email_ids=[1, 2])
    (logged,) = house.logged_as(answer["request_id"])
    (entry,) = answer["recommendations"]
    assert (logged["endpoint"], logged["model_version"], logged["threshold"]) == ("recommend", "1", 0.09)
    assert logged["latency_ms"] > 0
    assert abs(datetime.fromisoformat(logged["answered_at"]) - now_utc()) < timedelta(minutes=1)
    by_email = {each["email_id"]: each["probability"] for each in entry["candidates"]}
    assert {row["email_id"]: row["probability"] for row in logged["rows"]} == by_email
    assert {row["variant"] for row in logged["rows"]} == {"champion"}


def test_a_log_that_cannot_be_written_answers_nothing_and_recovers(
    changing_home: House, changing: Server, patient: Client
) -> None:
    """The limit on the size of a file stands for a full disk: one write is cut short, the next ones fail."""
    before, process, served = files_of(changing_home), changing.process.pid, changing_home.served
    acknowledged = [patient.predict(user, email_ids=[1, 2])["request_id"] for user in range(1, 20)]
    smallest = min(path.stat().st_size for path in files_of(changing_home))
    limits = resource.prlimit(process, resource.RLIMIT_FSIZE)
    refused = []
    # First no file that is open can grow, then no new one can hold a line.
    for room in [smallest + 100] + [100] * 40:
        resource.prlimit(process, resource.RLIMIT_FSIZE, (room, limits[1]))
        refused.append(patient.post("/predict", {"user_ids": [1], "email_ids": list(range(1, 9))}))
    resource.prlimit(process, resource.RLIMIT_FSIZE, limits)
    # Root may write where others may not, but nobody into a file as if it were a folder.
    aside = served.rename(served.with_name("aside"))
    served.write_text("in the way")
    refused.append(patient.post("/predict", {"user_ids": [1]}))
    served.unlink()
    aside.rename(served)
    acknowledged += [patient.predict(user)["request_id"] for user in range(1, 20)]

    assert {answer.status for answer in refused} == {503}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert "File too large" in refused[0].json()["detail"]
    assert all(str(served) in answer.json()["detail"] for answer in refused)
    logged = pairs_logged(changing_home)
    assert set(acknowledged) <= logged.keys()
    assert not {answer.json()["request_id"] for answer in refused} & logged.keys()
    assert all(path.read_bytes()[-1:] in (b"", b"\n") for path in files_of(changing_home))
    # A disk that is full for an hour must not fill with the names of empty files.
    assert len(files_of(changing_home) - before) <= 3 * ANSWERING


def files_of(house: House) -> set[Path]:
    return set(house.served.glob("*/*.jsonl"))


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append([line(1), line(2)], LATE)
    writer.close()
    (path,) = segments(tmp_path, "2024-04-19")
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        assert [each["request_id"] for each in read_segment(path)] == ["1", "2"][: whole[:end].count(b"\n")]


@pytest.mark.parametrize(
    "content",
    [
        b"{]\n",
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"request_id": "1"}{"request_id": "2"}\n',
        b"[" * 100_000 + b"\n",
        b'{"names": ["age"], "rows": [{"features": [1, 2]}]}\n',
        b'{"names": ["age"], "rows": [{"features": 5}]}\n',
        b'{"names": ["age"]}\n',
    ],
)
def test_a_line_that_was_changed_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path, damaged = tmp_path / "changed.jsonl", list[bytes]()
    path.write_bytes(line(1) + b"\n" + content + line(3) + b"\n")
    assert [each["request_id"] for each in read_segment(path, damaged.append)] == ["1", "3"]
    assert damaged == [content]


@pytest.mark.parametrize("content", [b"\n", b"    \n", b"{}   \n"])
def test_a_line_that_was_forgotten_is_left_out(tmp_path: Path, content: bytes) -> None:
    path, damaged = tmp_path / "forgotten.jsonl", list[bytes]()
    path.write_bytes(line(1) + b"\n" + content + line(3) + b"\n")
    assert [each["request_id"] for each in read_segment(path, damaged.append)] == ["1", "3"]
    assert damaged == []


def test_a_file_that_its_server_holds_is_not_removed(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append([line(1)], LATE)
    (path,) = segments(tmp_path, "2024-04-19")
    size = path.stat().st_size
    assert not remove_unused(path, size)
    writer.close()
    assert not remove_unused(path, size - 1)
    assert remove_unused(path, size)
    assert remove_unused(path, size)
    assert not path.exists()


def test_a_day_ends_at_midnight_utc(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append([line(1)], LATE)
    writer.append([line(2)], LATE + timedelta(microseconds=1))
    writer.append([line(3)], LATE + timedelta(hours=23))
    writer.close()
    assert days(tmp_path) == ["2024-04-19", "2024-04-20"]
    assert [each["request_id"] for each in read_day(tmp_path, "2024-04-19")] == ["1"]
    assert [each["request_id"] for each in read_day(tmp_path, "2024-04-20")] == ["2", "3"]


def test_a_large_file_is_followed_by_another(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=100)
    for number in range(20):
        writer.append([line(number)], LATE + timedelta(seconds=number - 100))
    writer.close()
    files = segments(tmp_path, "2024-04-19")
    assert len(files) == 4
    assert all(100 <= path.stat().st_size < 150 for path in files[:-1])
    assert [each["request_id"] for each in read_day(tmp_path, "2024-04-19")] == [str(n) for n in range(20)]


def test_a_full_log_begins_no_new_file(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, most_bytes=500)
    while log_bytes(tmp_path) < 500:
        writer.append([line(1)], LATE)
    with pytest.raises(LogError, match=r"serving\.max_log_gigabytes"):
        [writer.append([line(number)], LATE) for number in range(10)]
    assert log_bytes(tmp_path) < 600
    for path in segments(tmp_path, "2024-04-19"):
        path.unlink()
    writer.append([line(1)], LATE)


def test_the_names_of_the_features_are_in_a_line_once(house: House, client: Client) -> None:
    answer = client.predict(3, 5, email_ids=[1, 2])
    (logged,) = house.logged_as(answer["request_id"])
    written = next(
        line
        for path in house.served.glob("*/*.jsonl")
        for line in path.read_text().splitlines()
        if answer["request_id"] in line
    )
    assert written.count('"tenure_days"') == 1
    assert all("tenure_days" in row["features"] for row in logged["rows"])


def test_writers_never_share_a_file(tmp_path: Path) -> None:
    writers = [LogWriter(tmp_path) for _ in range(3)]
    for number in range(30):
        writers[number % 3].append([line(number)], LATE)
    assert len(segments(tmp_path, "2024-04-19")) == 3
    assert {each["request_id"] for each in read_day(tmp_path, "2024-04-19")} == {str(n) for n in range(30)}


def test_lines_are_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, Any]] = []
    for name in ("fsync", "fdatasync"):
        real = getattr(os, name)

        def noted(handle: int, real: Callable[[int], None] = real) -> None:
            real(handle)
            synced.append((str(Path(f"/proc/self/fd/{handle}").readlink()), os.fstat(handle).st_size))

        monkeypatch.setattr(os, name, noted)
    writer = LogWriter(tmp_path / "served" / "problem")
    writer.append([line(1)], LATE)
    (path,) = segments(tmp_path / "served" / "problem", "2024-04-19")
    assert synced[-1] == (str(path), len(line(1)) + 1)
    # The names that lead to it, too.
    assert {str(path.parent), str(path.parent.parent)} <= {name for name, _ in synced}


def test_a_log_that_fails_keeps_nothing_of_the_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(tmp_path)
    writer.append([line(1)], LATE - timedelta(seconds=9))

    def fails(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fails)
        with pytest.raises(LogError, match="No space left on device"):
            writer.append([line(2), line(3)], LATE)
    writer.append([line(4)], LATE)
    assert [each["request_id"] for each in read_day(tmp_path, "2024-04-19")] == ["1", "4"]
