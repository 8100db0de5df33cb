"""What the webhook is sent, and the lines with which the log keeps that."""

import hashlib
import re
from datetime import UTC, datetime

from mlguide_assets.observe.alerts.alert import Alert, written
from mlguide_assets.observe.alerts.incidents import Event, Notice
from mlguide_assets.prepare.hosts.event_log import Line

_EVERYBODY = re.compile(r"@(?=everyone|here|channel|all)", re.IGNORECASE)
_HEADINGS = {"opened": "", "worse": "Worse: ", "reminder": "Still open: ", "resolved": "Resolved: "}


def text_of(event: Event, alert: Alert) -> str:
    """All of a message in one paragraph."""
    since = alert.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = f"{_HEADINGS[event]}[{alert.level}] {alert.title}. {alert.happened}"
    return _as_chat(f"{what} Since {since}. {alert.severity} Next: {alert.next_step}")


def _as_chat(text: str) -> str:
    """Names and values from data as text in a chat: no mention of everybody, link or picture (`<!here>`, `](`)."""
    plain = text.translate({ord("<"): "‹", ord(">"): "›"}).replace("](", "] (")
    return _EVERYBODY.sub("@ ", "".join(mark if mark.isprintable() else " " for mark in plain))


def noted(key: str, notice: Notice, now: datetime) -> Line:
    """The line of a notice that is about to be sent."""
    return {
        "event": "sending",
        "at": written(now),
        "key": key,
        "id": notice.id,
        "claimed_until": notice.claimed_until,
        "payload": dict(notice.payload),
    }


def receiver_id(webhook: str) -> str:
    """A hash that identifies an address without quoting it: it may hold a token."""
    return hashlib.sha256(webhook.encode()).hexdigest()[:16]
