"""People are told once, when it opens, gets worse, stays open, and is resolved."""

import dataclasses
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts.book import AlertBook
from mlguide_assets.observe.alerts.runbook import BY_KIND
from mlguide_assets_tests.observe.alerts.cases import DRIFT, HOUR, NOW, WORSE, logged
from mlguide_assets_tests.observe.receivers import receiver


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


def test_same_key_is_reported_once_and_logged_each_time(tmp_path: Path) -> None:
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
        again = book.raise_alert(DRIFT, now=NOW + 503 * HOUR, webhook=hook.url)
        assert (again.status, again.event) == ("delivered", "opened")
        assert book.incidents()[0].acknowledged_by is None


def test_acknowledging_what_is_not_open_names_what_is(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with pytest.raises(InputError, match=r"'typo' is open.*: open are none\."):
        book.acknowledge("typo", "ada", NOW)
    book.raise_alert(DRIFT, now=NOW, webhook=None)
    with pytest.raises(InputError, match=r"open are drift/emails_last_7_days\."):
        book.acknowledge("typo", "ada", NOW)


def test_resolved_is_reported_once(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    with receiver() as hook:
        assert book.resolve(DRIFT.key, now=NOW, webhook=hook.url).status == "not_due"
        book.raise_alert(DRIFT, now=NOW, webhook=hook.url)
        resolved = book.resolve(DRIFT.key, now=NOW + HOUR, webhook=hook.url)
        assert book.resolve(DRIFT.key, now=NOW + HOUR, webhook=hook.url).status == "not_due"
    assert (resolved.status, resolved.event) == ("delivered", "resolved")
    assert hook.events == ["opened", "resolved"]
    assert hook.received[1]["opened_at"] == "2024-05-01T06:00:00+00:00"
    assert book.incidents() == []
    (closed,) = book.incidents(resolved=True)
    assert closed.resolved_at == NOW + HOUR


def test_without_a_webhook_all_is_logged_and_one_given_later_is_reported(tmp_path: Path) -> None:
    book = AlertBook(tmp_path)
    assert book.raise_alert(DRIFT, now=NOW, webhook=None).status == "no_webhook"
    assert not book.incidents()[0].undelivered
    with receiver() as hook:
        assert book.raise_alert(DRIFT, now=NOW + HOUR, webhook=hook.url).event == "opened"
        book.raise_alert(dataclasses.replace(DRIFT, key="other"), now=NOW, webhook=None)
        assert book.resolve("other", now=NOW, webhook=hook.url).status == "not_due", "nobody knew of it"
    assert hook.events == ["opened"]


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
