"""The log of alerts: bounded, read once, shared by processes, and whole after a crash."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts import book as book_module
from mlguide_assets.observe.alerts.alert import Alert
from mlguide_assets.observe.alerts.book import LOG, OLDER_LOG, AlertBook
from mlguide_assets.observe.alerts.incidents import follower_of
from mlguide_assets.prepare.hosts.event_log import Added, EventLog, Place
from mlguide_assets_tests.observe.alerts.cases import DRIFT, HOUR, NOW, WORSE
from mlguide_assets_tests.observe.receivers import receiver


def test_the_log_is_bounded_and_loses_nothing_that_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "LARGEST_LOG", 3_000)
    book, writer = AlertBook(tmp_path), AlertBook(tmp_path)
    with receiver(500, 500, 500) as hook:
        book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
    book.raise_alert(dataclasses.replace(DRIFT, key="gone"), now=NOW, webhook=None)
    book.acknowledge(DRIFT.key, "ada", NOW + HOUR)
    before = book.incidents()[0]
    book.resolve("gone", now=NOW + HOUR, webhook=None)
    for hour in range(60):
        writer.raise_alert(DRIFT, now=NOW + hour * HOUR, webhook=None)
        assert (tmp_path / LOG).stat().st_size < 6_000
    (after,) = book.incidents()
    assert after == dataclasses.replace(before, times=before.times + 60, raised_at=NOW + 59 * HOUR)
    assert (tmp_path / OLDER_LOG).exists()
    follower_of.cache_clear()
    assert book.incidents() == [after]


def test_only_what_was_added_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book, read = AlertBook(tmp_path), list[int]()
    for number in range(20):
        book.raise_alert(dataclasses.replace(DRIFT, key=str(number)), now=NOW, webhook=None)
    book.incidents()
    lines_after = EventLog.lines_after

    def counted(log: EventLog, place: Place | None) -> Added:
        added = lines_after(log, place)
        read.append(len(added.lines))
        return added

    monkeypatch.setattr(EventLog, "lines_after", counted)
    assert len(book.incidents()) == 20
    book.raise_alert(DRIFT, now=NOW, webhook=None)
    assert len(book.incidents()) == 21
    assert sum(read) == 1


RAISE = """
    import sys, time
    from datetime import UTC, datetime
    from pathlib import Path
    from mlguide_assets.observe.alerts.alert import Alert
    from mlguide_assets.observe.alerts.book import AlertBook

    folder, url, start = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    now = datetime(2024, 5, 1, tzinfo=UTC)
    book = AlertBook(folder)
    for key in range(int(sys.argv[4])):
        alert = Alert(str(key), "failure", "act", "Title", "Happened.", now, "Bad.", "Do.")
        time.sleep(max(0, start + key * 0.02 - time.time()))
        print(book.raise_alert(alert, now=now, webhook=url).status)
"""


def test_processes_that_raise_the_same_keys_at_once_tell_each_once(tmp_path: Path) -> None:
    keys = 60
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with receiver() as hook:
        arguments = [str(tmp_path), hook.url, str(time.time() + 0.6), str(keys)]
        command = [sys.executable, "-c", textwrap.dedent(RAISE), *arguments]
        racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
        said = [process.communicate(timeout=30)[0].split() for process in racing]
    assert [process.returncode for process in racing] == [0, 0]
    assert sorted(body["alert"]["key"] for body in hook.received) == sorted(str(key) for key in range(keys))
    assert sum(statuses.count("delivered") for statuses in said) == keys
    assert [incident.times for incident in AlertBook(tmp_path).incidents()] == [2] * keys


@given(kept=st.integers(min_value=0))
def test_torn_last_line_is_ignored_and_spoils_nothing(tmp_path_factory: pytest.TempPathFactory, kept: int) -> None:
    folder = tmp_path_factory.mktemp("torn")
    book = AlertBook(folder)
    book.raise_alert(DRIFT, now=NOW, webhook=None)
    whole = (folder / LOG).read_bytes()
    book.raise_alert(WORSE, now=NOW + HOUR, webhook=None)
    last = (folder / LOG).read_bytes()[len(whole) :]
    # At most all but the closing brace: without its line break only, the line is complete.
    (folder / LOG).write_bytes(whole + last[: kept % (len(last) - 1)])
    (incident,) = book.incidents()
    assert (incident.alert, incident.times) == (DRIFT, 1)
    book.raise_alert(WORSE, now=NOW + 2 * HOUR, webhook=None)
    (incident,) = book.incidents()
    assert (incident.alert, incident.times) == (WORSE, 2)


def test_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    book = AlertBook(tmp_path / "file" / "alerts")
    with pytest.raises(InputError) as raised:
        book.raise_alert(DRIFT, now=NOW, webhook=None)
    assert "cannot be written (Not a directory): fix its permissions" in str(raised.value)
    assert "\n" not in str(raised.value)
    (tmp_path / "taken" / LOG).mkdir(parents=True)
    with pytest.raises(InputError, match="cannot be read"):
        AlertBook(tmp_path / "taken").incidents()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / LOG).symlink_to("/dev/full")
    with pytest.raises(InputError, match="cannot be written"), EventLog(tmp_path / LOG, "alert log").locked() as log:
        log.append({"event": "raised", "at": "", "key": ""})


def test_reading_before_the_first_alert_creates_nothing(tmp_path: Path) -> None:
    assert AlertBook(tmp_path / "new").incidents() == []
    assert not (tmp_path / "new").exists()


def test_alert_survives_the_log(tmp_path: Path) -> None:
    odd = dataclasses.replace(DRIFT, title='Quote " newline \n ümlaut \ud800', facts={"nested": {"deep": [1, None]}})
    AlertBook(tmp_path).raise_alert(odd, now=NOW, webhook=None)
    assert AlertBook(tmp_path).incidents()[0].alert == odd
    assert Alert.from_json(odd.to_json()) == odd
