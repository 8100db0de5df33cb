"""Alerts: each is written to a log file and sent to a webhook once.

Alerts of one key are one incident. It is reported when it opens, when it gets worse, once a day until it is
acknowledged, and when it is resolved. Whatever the webhook does, the log has it, and what was not delivered is
sent again with the next alert of that key or `AlertBook.retry_undelivered`, after a pause that doubles each time. What
a receiver refused permanently (4xx but 408 and 429, 301, 308) is not sent again, unless the webhook's address changes.

The body of every POST is
`{"id", "event": "opened" | "worse" | "reminder" | "resolved", "at", "opened_at", "text", "alert": Alert.to_json(),
"runbook": {"meaning", "action", "command"}}`.
Delivery is at least once; a repeated one has the same id. `text` says it all in one paragraph, as chats want it.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from mlguide_assets.errors import InputError
from mlguide_assets.instants import CLOCKS_APART, is_over
from mlguide_assets.observe.alerts.alert import RANK, Alert, written
from mlguide_assets.observe.alerts.incidents import Event, Incident, Incidents, Notice, follower_of
from mlguide_assets.observe.alerts.messages import noted, receiver_id, text_of
from mlguide_assets.observe.alerts.runbook import runbook_of
from mlguide_assets.observe.alerts.webhook import RETRIES, TIMEOUT, host_of, post
from mlguide_assets.prepare.hosts.event_log import Line, Writer, open_log

LOG, OLDER_LOG = "alerts.jsonl", "alerts.1.jsonl"
REMIND_AFTER = timedelta(hours=24)

LARGEST_LOG = 1_000_000
"""Bytes of the log beyond which it begins again with what is open; the lines before are kept in one older file."""

_GRACE = 30.0 + CLOCKS_APART.total_seconds()
"""Seconds after its time limit before a sender that says nothing counts as dead, also by another host's clock."""


@dataclass(frozen=True)
class Delivery:
    """What became of an alert beyond the log.

    - delivered: the receiver has it. undelivered: it has not, `error` says why, and it will be sent again.
    - not_due: it was reported before. in_flight: another process is sending it. no_webhook: none was given.
    - paused: the receiver failed or refused before, and is not tried again yet, or not at all.
    """

    status: Literal["delivered", "undelivered", "not_due", "in_flight", "no_webhook", "paused"]
    event: Event | None = None
    id: str | None = None
    attempts: int = 0
    error: str | None = None


class AlertBook:
    """The alerts of one installation, in the log `LOG` below a folder; safe to share between processes.

    Every method takes the present instant as `now`, with a time zone. A webhook's address is never written down nor
    quoted, its host apart. Raises InputError where the log cannot be read or written.

    Args:
        remind_after: an open incident that was not acknowledged is reported again after this long.
        timeout: seconds for one delivery, all attempts together.
    """

    def __init__(
        self,
        folder: Path,
        *,
        remind_after: timedelta = REMIND_AFTER,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        self._log = open_log(folder / LOG, "alert log")
        self._older = open_log(folder / OLDER_LOG, "older alert log")
        self._remind_after = remind_after
        self._timeout = timeout
        self._retries = retries

    def raise_alert(self, alert: Alert, *, now: datetime, webhook: str | None) -> Delivery:
        """Log the alert, and send it to the webhook unless that has it: see `Delivery`."""
        with self._locked() as log:
            incident = self._open().get(alert.key)
            raised: Line = {"event": "raised", "at": written(now), "key": alert.key}
            if incident is None or incident.alert != alert:
                raised["alert"] = alert.to_json()
            due = self._due(incident, alert, now)
            if webhook is None:
                log.append(raised)
                return Delivery("no_webhook", due)
            if due:
                notice = self._notice(due, alert, now, incident.opened_at if incident else now)
            elif incident and incident.notice and incident.notice.may_be_sent(receiver_id(webhook), now):
                notice = self._claimed(incident.notice)
            else:
                log.append(raised)
                return Delivery(_why_not_sent(incident))
            log.append(raised, noted(alert.key, notice, now))
        return self._send(alert.key, notice, now, webhook)

    def resolve(self, key: str, *, now: datetime, webhook: str | None) -> Delivery:
        """Close the incident; the webhook gets it once, if a message about the incident was sent or is due."""
        with self._locked() as log:
            incident = self._open().get(key)
            if incident is None:
                return Delivery("not_due")
            resolved = {"event": "resolved", "at": written(now), "key": key}
            if webhook is None or incident.notice is None:
                log.append(resolved)
                return Delivery("not_due" if webhook else "no_webhook")
            notice = self._notice("resolved", incident.alert, now, incident.opened_at)
            log.append(resolved, noted(key, notice, now))
        return self._send(key, notice, now, webhook)

    def acknowledge(self, key: str, by: str, now: datetime) -> None:
        """Somebody is on it: no reminders until it is resolved. It is still reported when it gets worse.

        Raises InputError where no incident of that key is open.
        """
        with self._locked() as log:
            known = self._open()
            if key not in known:
                names = ", ".join(sorted(known)) or "none"
                raise InputError(f"No incident {key!r} is open, so it cannot be acknowledged: open are {names}.")
            log.append({"event": "acknowledged", "at": written(now), "key": key, "by": by})

    def incidents(self, *, resolved: bool = False) -> list[Incident]:
        """Those that are open, the oldest first; with `resolved`, also those that were, as far as the log goes back."""
        found = self._all()
        if not resolved:
            return [each for each in found if each.resolved_at is None]
        known = {(each.key, each.opened_at) for each in found}
        before = Incidents().after(self._older.lines()).found
        return [each for each in before if each.resolved_at and (each.key, each.opened_at) not in known] + found

    def retry_undelivered(self, *, now: datetime, webhook: str) -> list[Delivery]:
        """Send what was not delivered, the oldest first, and stop where the receiver fails again."""
        deliveries: list[Delivery] = []
        receiver = receiver_id(webhook)
        # Each once, whatever becomes of the log.
        for key in [each.key for each in self._newest() if _is_owed(each, receiver, now)]:
            with self._locked() as log:
                incident = next(each for each in self._newest() if each.key == key)
                if incident.notice is None or not _is_owed(incident, receiver, now):
                    continue
                notice = self._claimed(incident.notice)
                log.append(noted(key, notice, now))
            deliveries.append(self._send(key, notice, now, webhook))
            if deliveries[-1].status != "delivered":
                break
        return deliveries

    def _all(self) -> list[Incident]:
        """The incidents of the log, read from where the last reading in this process ended."""
        return follower_of(self._log).incidents()

    def _newest(self) -> list[Incident]:
        """Of each key, the newest: that an earlier one is over is not said any more once it has opened again."""
        newest = {each.key: each for each in self._all()}
        return sorted(newest.values(), key=lambda each: each.opened_at)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Writer]:
        """The log, locked, and of bounded size."""
        with self._log.locked() as log:
            if log.size <= LARGEST_LOG:
                yield log
                return
            kept = [each.to_line() for each in self._newest() if each.resolved_at is None or each.undelivered]
            log.begin_again(kept, OLDER_LOG)
        with self._log.locked() as log:
            yield log

    def _open(self) -> dict[str, Incident]:
        return {incident.key: incident for incident in self.incidents()}

    def _due(self, incident: Incident | None, alert: Alert, now: datetime) -> Event | None:
        if incident is None or incident.notice is None or incident.notified_level is None:
            return "opened"
        if RANK[alert.level] > RANK[incident.notified_level]:
            return "worse"
        delivered = incident.notice.delivered_at
        if delivered is None or incident.acknowledged_by is not None:
            return None
        return "reminder" if is_over(self._remind_after, since=delivered, now=now) else None

    def _notice(self, event: Event, alert: Alert, now: datetime, opened_at: datetime) -> Notice:
        name = uuid.uuid4().hex
        payload = {
            "id": name,
            "event": event,
            "at": written(now),
            "opened_at": written(opened_at),
            "text": text_of(event, alert),
            "alert": alert.to_json(),
            "runbook": dict(runbook_of(alert.key, alert.kind).__dict__),
        }
        return self._claimed(Notice(name, event, payload, 0.0))

    def _claimed(self, notice: Notice) -> Notice:
        return replace(notice, claimed_until=time.time() + self._timeout + _GRACE, error=None)

    def _send(self, key: str, notice: Notice, now: datetime, webhook: str) -> Delivery:
        # Outside the lock: a slow receiver must not hold up other processes that log.
        posted = post(webhook, notice.payload, timeout=self._timeout, retries=self._retries)
        status: Literal["delivered", "undelivered"] = "delivered" if posted.delivered else "undelivered"
        error = None if posted.delivered else f"{host_of(webhook)}: {posted.error}"
        with self._locked() as log:
            log.append(
                {
                    "event": status,
                    "at": written(now),
                    "key": key,
                    "id": notice.id,
                    "host": host_of(webhook),
                    "attempts": posted.attempts,
                    "error": error,
                    "refused_by": receiver_id(webhook) if posted.refused else None,
                }
            )
        return Delivery(status, notice.event, notice.id, posted.attempts, error)


def _why_not_sent(incident: Incident | None) -> Literal["not_due", "in_flight", "paused"]:
    if incident is None or incident.notice is None or not incident.undelivered:
        return "not_due"
    return "in_flight" if incident.notice.in_flight else "paused"


def _is_owed(incident: Incident, receiver: str, now: datetime) -> bool:
    """A message waits to be sent again, and nothing that happened since made it untrue."""
    notice = incident.notice
    if notice is None or not notice.may_be_sent(receiver, now):
        return False
    return incident.resolved_at is None or notice.event == "resolved"
