"""Receivers that fail, refuse, are slow or cannot be reached: nothing is lost, and nothing is sent twice."""

import dataclasses
import socket
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.observe.alerts.book import LOG, AlertBook
from mlguide_assets.observe.alerts.webhook import host_of, post
from mlguide_assets_tests.observe.alerts.cases import DRIFT, HOUR, NOW
from mlguide_assets_tests.observe.receivers import HANG_UP, closed_port, receiver


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


def test_of_what_was_over_and_opened_again_while_the_receiver_was_down_the_newest_is_sent_once(tmp_path: Path) -> None:
    """Also the one that is over now, and only of the last time."""
    port, book = closed_port(), AlertBook(tmp_path, retries=0)
    url, ended = f"http://127.0.0.1:{port}/", dataclasses.replace(DRIFT, key="ended")
    with receiver(port=port) as hook:
        for alert in (DRIFT, ended):
            book.raise_alert(alert, now=NOW, webhook=hook.url)
    for alert in (DRIFT, ended):
        book.resolve(alert.key, now=NOW, webhook=url)
        book.raise_alert(alert, now=NOW + HOUR, webhook=url)
    book.resolve("ended", now=NOW + HOUR, webhook=url)
    with receiver() as hook:
        deliveries = book.retry_undelivered(now=NOW + 2 * HOUR, webhook=hook.url)
        assert book.retry_undelivered(now=NOW + 3 * HOUR, webhook=hook.url) == []
    assert [each.status for each in deliveries] == ["delivered"] * 2
    sent = [(body["alert"]["key"], body["event"], body["opened_at"][11:13]) for body in hook.received]
    assert sent == [(DRIFT.key, "opened", "07"), ("ended", "resolved", "07")]


def test_an_end_that_is_delivered_after_the_same_opened_again_is_on_record(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver() as hook:
        book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
    with receiver(delay=0.5) as slow:
        ending = threading.Thread(target=lambda: book.resolve(DRIFT.key, now=NOW, webhook=slow.url))
        ending.start()
        while not slow.received:
            time.sleep(0.01)
        book.raise_alert(DRIFT, now=NOW + HOUR, webhook=None)
        ending.join()
    before, again = book.incidents(resolved=True)
    assert (before.undelivered, again.notice, again.resolved_at) == (False, None, None)


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
        ((HANG_UP,) * 3, 3, "it closed the connection without an answer"),
    ],
)
def test_receiver_that_refuses(answers: tuple[int, ...], attempts: int, error: str) -> None:
    with receiver(*answers) as hook:
        posted = post(hook.url, {"event": "opened"})
    assert (posted.delivered, posted.attempts, posted.error) == (False, attempts, error)
    assert len(hook.received) == attempts


def test_a_receiver_that_refuses_permanently_is_tried_once_and_that_is_said(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver(404) as hook:
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "undelivered"
        for day in range(1, 5):
            assert book.raise_alert(DRIFT, now=NOW + day * 24 * HOUR, webhook=hook.url).status == "paused"
            assert book.retry_undelivered(now=NOW + day * 24 * HOUR, webhook=hook.url) == []
        assert len(hook.received) == 1
        problem = book.incidents()[0].delivery_problem
        assert problem is not None
        assert "refused this alert permanently (127.0.0.1" in problem
        assert "it answered 404" in problem
    with receiver() as other:
        assert [each.status for each in book.retry_undelivered(now=NOW, webhook=other.url)] == ["delivered"]
    assert book.incidents()[0].delivery_problem is None


def test_a_receiver_that_fails_is_tried_again_after_pauses_that_double(tmp_path: Path) -> None:
    book, url = AlertBook(tmp_path, retries=0), f"http://127.0.0.1:{closed_port()}/"
    book.raise_alert(DRIFT, now=NOW, webhook=url)
    minutes = [m for m in range(1, 24 * 60) if book.retry_undelivered(now=NOW + timedelta(minutes=m), webhook=url)]
    assert minutes == [1, 3, 7, 15, 31, 63, 127, 255, 511, 871, 1231]
    problem = book.incidents()[0].delivery_problem
    assert problem is not None
    assert "tried 12 times" in problem


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


def test_a_host_whose_clock_is_a_minute_ahead_does_not_take_over_what_another_is_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, ahead = AlertBook(tmp_path, timeout=3), timedelta(minutes=1)
    with receiver(delay=30.0) as hook:
        slow = threading.Thread(target=lambda: book.raise_alert(DRIFT, now=NOW, webhook=hook.url), daemon=True)
        slow.start()
        while not hook.received:
            time.sleep(0.01)
        clock = time.time() + ahead.total_seconds()
        with monkeypatch.context() as other:
            other.setattr("mlguide_assets.observe.alerts.incidents.time.time", lambda: clock)
            assert AlertBook(tmp_path).retry_undelivered(now=NOW + ahead, webhook=hook.url) == []
        hook.released.set()
        slow.join()
    assert hook.events == ["opened"]


def test_sender_that_died_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = AlertBook(tmp_path)
    monkeypatch.setattr(
        "mlguide_assets.observe.alerts.book.post", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        book.raise_alert(DRIFT, now=NOW, webhook="http://127.0.0.1:1/")
    monkeypatch.undo()
    with receiver() as hook:
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "in_flight"
        later = time.time() + 96
        monkeypatch.setattr("mlguide_assets.observe.alerts.incidents.time.time", lambda: later)
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "delivered"


@pytest.mark.parametrize("location", ["file:///etc/passwd", "/elsewhere", "ftp://127.0.0.1/x"])
@pytest.mark.parametrize("status", [302, 307])
def test_redirects_are_refused(location: str, status: int) -> None:
    with receiver(status, location=location) as hook:
        posted = post(hook.url, {"event": "opened"})
    assert (posted.delivered, posted.attempts) == (False, 1)
    assert posted.error == f"it answered {status}, and redirects are not followed"
    assert hook.events == ["opened"]


@pytest.mark.parametrize(("status", "again"), [(302, True), (303, True), (307, True), (301, False), (308, False)])
def test_what_was_redirected_for_the_moment_is_sent_again(tmp_path: Path, status: int, again: bool) -> None:
    book = AlertBook(tmp_path)
    with receiver(status, location="/elsewhere") as hook:
        assert book.raise_alert(DRIFT, now=NOW, webhook=hook.url).status == "undelivered"
        problem = book.incidents()[0].delivery_problem
        assert ("permanently" in str(problem)) is not again
        sent = book.retry_undelivered(now=NOW + timedelta(minutes=2), webhook=hook.url)
        assert [each.status for each in sent] == ["delivered"] * again


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


def test_a_clock_that_was_set_back_holds_up_no_alert(tmp_path: Path) -> None:
    """What failed or was reported before then has a time in the future."""
    book, back = AlertBook(tmp_path, retries=0), NOW - timedelta(days=3)
    with receiver(503) as hook:
        book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
        (again,) = book.retry_undelivered(now=back, webhook=hook.url)
        reminder = book.raise_alert(DRIFT, now=back - timedelta(days=3), webhook=hook.url)
    assert (again.status, reminder.event) == ("delivered", "reminder")


def test_a_claim_of_before_the_clock_was_set_back_holds_up_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, tomorrow = AlertBook(tmp_path), time.time() + 86_400

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr("mlguide_assets.observe.alerts.book.post", die)
        dying.setattr(time, "time", lambda: tomorrow)
        with pytest.raises(KeyboardInterrupt):
            book.raise_alert(DRIFT, now=NOW, webhook="http://127.0.0.1:1/")
    with receiver() as hook:
        assert [each.status for each in book.retry_undelivered(now=NOW, webhook=hook.url)] == ["delivered"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 2", b"HTTP/1.1 200 " + b"a" * 70_000], ids=["cut short", "too long"])
def test_what_is_no_answer_is_said_in_plain_words(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer_once() -> None:
            connection, _ = server.accept()
            with connection:
                request = b""
                while not request.endswith(b"{}"):
                    request += connection.recv(65_536)
                connection.sendall(answer)

        threading.Thread(target=answer_once, daemon=True).start()
        assert post(f"http://127.0.0.1:{server.getsockname()[1]}/", {}, retries=0).error == "its answer is not HTTP"


def test_a_receiver_without_tls_is_named_so() -> None:
    with receiver() as hook:
        posted = post(hook.url.replace("http:", "https:"), {}, retries=0, timeout=1)
    assert posted.error == "it does not speak TLS as https:// needs it"
