"""Alerts: told once, told again where that helps, never lost, and never stopped by the webhook."""

import dataclasses
import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlguide_assets.errors import InputError
from mlguide_assets.observe import alerts
from mlguide_assets.observe.alerts import LOG, OLDER_LOG, Alert, AlertBook, _follower
from mlguide_assets.observe.runbook import BY_KIND
from mlguide_assets.observe.webhook import host_of, post
from mlguide_assets.prepare.event_log import Added, EventLog, Place
from mlguide_assets_tests.observe.receivers import HANG_UP, closed_port, receiver

NOW = datetime(2024, 5, 1, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

DRIFT = Alert(
    key="drift/emails_last_7_days",
    kind="drift",
    level="warn",
    title="emails_last_7_days drifted",
    happened="Its distribution moved in two windows in a row.",
    since=datetime(2024, 4, 29, 22, 30, tzinfo=timezone(timedelta(hours=-2))),
    severity="PSI 0.14, from 0.1 on it is a warning.",
    next_step="mlguide report",
    facts={"psi": 0.14, "windows": ["2024-04-29", "2024-04-30"]},
)
WORSE = dataclasses.replace(DRIFT, level="act", severity="PSI 0.31, from 0.2 on it asks to act.")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def test_payload_is_as_documented(tmp_path: Path) -> None:
    with receiver() as hook:
        delivery = AlertBook(tmp_path).raise_alert(DRIFT, now=NOW, webhook=hook.url)
    (body,), (headers,) = hook.received, hook.headers
    assert (delivery.status, delivery.event, delivery.attempts, delivery.error) == ("delivered", "opened", 1, None)
    assert body == {
        "id": delivery.id,
        "event": "opened",
        "at": "2024-05-01T06:00:00+00:00",
        "opened_at": "2024-05-01T06:00:00+00:00",
        "text": (
            "[warn] emails_last_7_days drifted. Its distribution moved in two windows in a row. Since 2024-04-30 00:30 "
            "UTC. PSI 0.14, from 0.1 on it is a warning. Next: mlguide report"
        ),
        "alert": {
            "key": "drift/emails_last_7_days",
            "kind": "drift",
            "level": "warn",
            "title": "emails_last_7_days drifted",
            "happened": "Its distribution moved in two windows in a row.",
            "since": "2024-04-30T00:30:00+00:00",
            "severity": "PSI 0.14, from 0.1 on it is a warning.",
            "next_step": "mlguide report",
            "facts": {"psi": 0.14, "windows": ["2024-04-29", "2024-04-30"]},
            "cost_effect": None,
        },
        "runbook": BY_KIND["drift"].__dict__,
    }
    assert headers["Content-Type"] == "application/json; charset=utf-8"


def test_data_are_text_in_a_chat(tmp_path: Path) -> None:
    harm = "<!channel> <http://127.0.0.1:9|x> ![x](http://127.0.0.1:9) @everyone \x1b[31m"
    with receiver() as hook:
        AlertBook(tmp_path).raise_alert(replace(DRIFT, happened=harm), now=NOW, webhook=hook.url)
    text = hook.received[0]["text"]
    assert "‹!channel› ‹http://127.0.0.1:9|x› ![x] (http://127.0.0.1:9) @ everyone  [31m" in text
    assert hook.received[0]["alert"]["happened"] == harm


def test_same_key_is_told_once_and_logged_each_time(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver() as hook:
        book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
        again = [book.raise_alert(DRIFT, now=NOW + hours * HOUR, webhook=hook.url) for hours in (1, 12, 23)]
        other = book.raise_alert(dataclasses.replace(DRIFT, key="drift/other"), now=NOW, webhook=hook.url)
    assert {delivery.status for delivery in again} == {"not_due"}
    assert other.status == "delivered"
    assert [body["alert"]["key"] for body in hook.received] == [DRIFT.key, "drift/other"]
    assert [line["at"] for line in logged(tmp_path) if line["event"] == "raised" and line["key"] == DRIFT.key] == [
        f"2024-05-{day}:00:00+00:00" for day in ("01T06", "01T07", "01T18", "02T05")
    ]
    first, second = AlertBook(tmp_path).incidents()
    assert (first.alert, first.times, first.opened_at, first.raised_at) == (DRIFT, 4, NOW, NOW + 23 * HOUR)
    assert (second.key, second.times) == ("drift/other", 1)


def test_worse_goes_through_and_better_does_not(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver() as hook:
        for alert in (DRIFT, WORSE, DRIFT, WORSE):
            book.raise_alert(alert, now=NOW, webhook=hook.url)
    assert hook.events == ["opened", "worse"]
    assert hook.received[1]["text"].startswith("Worse: [act] emails_last_7_days drifted.")
    assert len({body["id"] for body in hook.received}) == 2


def test_reminds_after_a_day_until_acknowledged(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver() as hook:
        for hours in (0, 23, 24, 25, 47, 48):
            book.raise_alert(DRIFT, now=NOW + hours * HOUR, webhook=hook.url)
        assert hook.events == ["opened", "reminder", "reminder"]
        assert hook.received[1]["text"].startswith("Still open: ")
        assert hook.received[2]["opened_at"] == "2024-05-01T06:00:00+00:00"

        book.acknowledge(DRIFT.key, "ada", NOW + 49 * HOUR)
        assert book.raise_alert(DRIFT, now=NOW + 500 * HOUR, webhook=hook.url).status == "not_due"
        assert book.incidents()[0].acknowledged_by == "ada"
        assert book.raise_alert(WORSE, now=NOW + 501 * HOUR, webhook=hook.url).event == "worse"

        book.resolve(DRIFT.key, now=NOW + 502 * HOUR, webhook=hook.url)
        anew = book.raise_alert(DRIFT, now=NOW + 503 * HOUR, webhook=hook.url)
        assert (anew.status, anew.event) == ("delivered", "opened")
        assert book.incidents()[0].acknowledged_by is None


def test_acknowledging_what_is_not_open_names_what_is(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with pytest.raises(InputError, match=r"'typo' is open.*: open are none\."):
        book.acknowledge("typo", "ada", NOW)
    book.raise_alert(DRIFT, now=NOW, webhook=None)
    with pytest.raises(InputError, match=r"open are drift/emails_last_7_days\."):
        book.acknowledge("typo", "ada", NOW)


def test_resolved_is_told_once(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver() as hook:
        assert book.resolve(DRIFT.key, now=NOW, webhook=hook.url).status == "not_due"
        book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
        told = book.resolve(DRIFT.key, now=NOW + HOUR, webhook=hook.url)
        assert book.resolve(DRIFT.key, now=NOW + HOUR, webhook=hook.url).status == "not_due"
    assert (told.status, told.event) == ("delivered", "resolved")
    assert hook.events == ["opened", "resolved"]
    assert hook.received[1]["opened_at"] == "2024-05-01T06:00:00+00:00"
    assert book.incidents() == []
    (closed,) = book.incidents(resolved=True)
    assert closed.resolved_at == NOW + HOUR


def test_without_a_webhook_all_is_logged_and_one_given_later_is_told(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    assert book.raise_alert(DRIFT, now=NOW, webhook=None).status == "no_webhook"
    assert not book.incidents()[0].undelivered
    with receiver() as hook:
        assert book.raise_alert(DRIFT, now=NOW + HOUR, webhook=hook.url).event == "opened"
        book.raise_alert(dataclasses.replace(DRIFT, key="other"), now=NOW, webhook=None)
        assert book.resolve("other", now=NOW, webhook=hook.url).status == "not_due", "nobody knew of it"
    assert hook.events == ["opened"]


def test_receiver_that_is_down_gets_it_later_with_the_same_id(tmp_path: Path) -> None:
    port, book = closed_port(), AlertBook(tmp_path)
    url = f"http://127.0.0.1:{port}/hooks/s3cret-token"
    down = book.raise_alert(DRIFT, now=NOW, webhook=url)
    assert (down.status, down.attempts) == ("undelivered", 3)
    assert down.error == f"127.0.0.1:{port}: Connection refused"
    assert book.incidents()[0].undelivered
    (still,) = book.retry_undelivered(now=NOW + HOUR, webhook=url)
    assert (still.status, still.id) == ("undelivered", down.id)
    with receiver(port=port) as hook:
        up = book.raise_alert(DRIFT, now=NOW + 2 * HOUR, webhook=hook.url)
    assert (up.status, up.event, up.id) == ("delivered", "opened", down.id)
    assert hook.received[0]["id"] == down.id
    assert not book.incidents()[0].undelivered


def test_retry_sends_all_that_is_owed_and_nothing_twice(tmp_path: Path) -> None:
    port, book = closed_port(), AlertBook(tmp_path, retries=0)
    url = f"http://127.0.0.1:{port}/"
    for key in ("a", "b", "c", "d"):
        book.raise_alert(dataclasses.replace(DRIFT, key=key), now=NOW, webhook=url)
    book.resolve("b", now=NOW, webhook=None)
    book.resolve("c", now=NOW, webhook=url)
    assert book.retry_undelivered(now=NOW, webhook=url) == [], "not yet"
    later = NOW + timedelta(minutes=5)
    assert [each.status for each in book.retry_undelivered(now=later, webhook=url)] == ["undelivered"], (
        "stops: it is down"
    )
    with receiver() as hook:
        deliveries = book.retry_undelivered(now=NOW + HOUR, webhook=hook.url)
        assert book.retry_undelivered(now=NOW + HOUR, webhook=hook.url) == []
    assert [each.status for each in deliveries] == ["delivered"] * 3
    sent = [(body["alert"]["key"], body["event"]) for body in hook.received]
    assert sent == [("a", "opened"), ("c", "resolved"), ("d", "opened")]


def test_failing_receiver_is_asked_again_at_once(tmp_path: Path) -> None:
    with receiver(500, HANG_UP) as hook:
        delivery = AlertBook(tmp_path).raise_alert(DRIFT, now=NOW, webhook=hook.url)
    assert (delivery.status, delivery.attempts) == ("delivered", 3)
    assert len({body["id"] for body in hook.received}) == 1


@pytest.mark.parametrize(
    ("answers", "attempts", "error"),
    [
        ((500, 503, 500), 3, "it answered 500"),
        ((429, 429, 429), 3, "it answered 429"),
        ((408, 408, 408), 3, "it answered 408"),
        ((404,), 1, "it answered 404"),
        ((HANG_UP,) * 3, 3, "RemoteDisconnected"),
    ],
)
def test_receiver_that_refuses(answers: tuple[int, ...], attempts: int, error: str) -> None:
    with receiver(*answers) as hook:
        posted = post(hook.url, {"event": "opened"})
    assert (posted.delivered, posted.attempts, posted.error) == (False, attempts, error)
    assert len(hook.received) == attempts


def test_a_receiver_that_refuses_for_good_is_asked_once_and_that_is_said(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver(404) as hook:
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "undelivered"
        for day in range(1, 5):
            assert book.raise_alert(DRIFT, now=NOW + day * 24 * HOUR, webhook=hook.url).status == "paused"
            assert book.retry_undelivered(now=NOW + day * 24 * HOUR, webhook=hook.url) == []
        assert len(hook.received) == 1
        problem = book.incidents()[0].delivery_problem
        assert problem is not None
        assert "refused this alert for good (127.0.0.1" in problem
        assert "it answered 404" in problem
    with receiver() as other:
        assert [each.status for each in book.retry_undelivered(now=NOW, webhook=other.url)] == ["delivered"]
    assert book.incidents()[0].delivery_problem is None


def test_a_receiver_that_fails_is_asked_again_after_pauses_that_double(tmp_path: Path) -> None:
    book, url = AlertBook(tmp_path, retries=0), f"http://127.0.0.1:{closed_port()}/"
    book.raise_alert(DRIFT, now=NOW, webhook=url)
    minutes = [m for m in range(1, 24 * 60) if book.retry_undelivered(now=NOW + timedelta(minutes=m), webhook=url)]
    assert minutes == [1, 3, 7, 15, 31, 63, 127, 255, 511, 871, 1231]
    problem = book.incidents()[0].delivery_problem
    assert problem is not None
    assert "asked 12 times" in problem


def test_the_log_is_bounded_and_loses_nothing_that_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "LARGEST_LOG", 3_000)
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
    _follower.cache_clear()
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


@pytest.mark.parametrize("drip", [False, True], ids=["silent", "a byte at a time"])
def test_slow_receiver_costs_the_timeout_and_no_more(tmp_path: Path, drip: bool) -> None:
    book = AlertBook(tmp_path, timeout=0.4)
    with receiver(delay=0.0 if drip else 600.0, drip=drip) as hook:
        start = time.monotonic()
        delivery = book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
        assert time.monotonic() - start >= 0.4
        # It goes on, and nobody listens.
        assert not hook.released.is_set()
    assert delivery.status == "undelivered"
    assert delivery.error == f"{host_of(hook.url)}: no answer in time"
    assert delivery.attempts == 1
    assert book.incidents()[0].undelivered


def test_slow_receiver_holds_up_nobody_else(tmp_path: Path) -> None:
    book = AlertBook(tmp_path, timeout=3)
    with receiver(delay=30.0) as hook:
        slow = threading.Thread(target=lambda: book.raise_alert(DRIFT, now=NOW, webhook=hook.url), daemon=True)
        slow.start()
        while not hook.received:
            time.sleep(0.01)
        meanwhile = book.raise_alert(dataclasses.replace(DRIFT, key="other"), now=NOW, webhook=None)
        same = book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
        assert slow.is_alive()
        hook.released.set()
        slow.join()
    assert (meanwhile.status, same.status) == ("no_webhook", "in_flight")
    assert hook.events == ["opened"]


def test_sender_that_died_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = AlertBook(tmp_path)
    monkeypatch.setattr("mlguide_assets.observe.alerts.post", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        book.raise_alert(DRIFT, now=NOW, webhook="http://127.0.0.1:1/")
    monkeypatch.undo()
    with receiver() as hook:
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "in_flight"
        later = time.time() + 36
        monkeypatch.setattr("mlguide_assets.observe.alerts.time.time", lambda: later)
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "delivered"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "/elsewhere", "ftp://127.0.0.1/x"])
@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_refused(location: str, status: int) -> None:
    with receiver(status, location=location) as hook:
        posted = post(hook.url, {"event": "opened"})
    assert (posted.delivered, posted.attempts) == (False, 1)
    assert posted.error == f"it answered {status}, and redirects are not followed"
    assert hook.events == ["opened"]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://host/s3cret",
        "host/s3cret",
        "http:///s3cret",
        "http://host:99999/s3cret",
        "http://[s3cret",
        "https://user:s3cret@host/",
        "http://host/s3cret\r\nX-Injected: 1",
        "http://höst/s3cret",
        "",
    ],
)
def test_unusable_address_is_an_undelivered_alert(tmp_path: Path, url: str) -> None:
    delivery = AlertBook(tmp_path).raise_alert(DRIFT, now=NOW, webhook=url)
    assert (delivery.status, delivery.attempts) == ("undelivered", 0)
    assert delivery.error is not None
    assert "must be http://… or https://…" in delivery.error
    assert "s3cret" not in delivery.error + (tmp_path / LOG).read_text()


def test_address_is_never_written_down(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    book = AlertBook(tmp_path, timeout=0.5)
    with receiver(500, 404, HANG_UP, 200) as hook:
        for key in ("a", "b", "c"):
            book.raise_alert(dataclasses.replace(DRIFT, key=key), now=NOW, webhook=hook.url)
    book.raise_alert(dataclasses.replace(DRIFT, key="d"), now=NOW, webhook=hook.url)
    book.raise_alert(dataclasses.replace(DRIFT, key="e"), now=NOW, webhook="http://no-such-host.invalid/s3cret")
    out, err = capfd.readouterr()
    written = (tmp_path / LOG).read_text() + repr(book.incidents()) + caplog.text + out + err
    assert "s3cret" not in written
    assert "127.0.0.1" in written


RAISE = """
    import sys, time
    from datetime import UTC, datetime
    from pathlib import Path
    from mlguide_assets.observe.alerts import Alert, AlertBook

    folder, url, start = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    now = datetime(2024, 5, 1, tzinfo=UTC)
    book = AlertBook(folder)
    for key in range(int(sys.argv[4])):
        alert = Alert(str(key), "failure", "act", "Title", "Happened.", now, "Bad.", "Do.")
        while time.time() < start + key * 0.02:
            pass
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
    assert "cannot be written (Not a directory): mend its permissions" in str(raised.value)
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"since": datetime(2024, 5, 1)}, "time zone"),
        ({"kind": "weather"}, "kind must be one of drift, performance, failure, serving, data"),
        ({"level": "panic"}, "level must be one of warn, act"),
        ({"facts": {"auc": float("nan")}}, "facts must be what JSON can hold"),
        ({"facts": {"auc": object()}}, "facts must be what JSON can hold"),
    ],
)
def test_alert_that_says_nothing_sound_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(DRIFT, **change)


def test_alert_survives_the_log(tmp_path: Path) -> None:
    odd = dataclasses.replace(DRIFT, title='Quote " newline \n ümlaut \ud800', facts={"nested": {"deep": [1, None]}})
    AlertBook(tmp_path).raise_alert(odd, now=NOW, webhook=None)
    assert AlertBook(tmp_path).incidents()[0].alert == odd
    assert Alert.from_json(odd.to_json()) == odd
