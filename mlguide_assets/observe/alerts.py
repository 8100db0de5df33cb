"""Telling people what went wrong, once: alerts go to a log file, and from there to a webhook.

Alerts of one key are one incident. It is told when it opens, when it gets worse, once a day while nobody has
acknowledged it, and when it is resolved. Whatever the webhook does, the log has it, and what was not delivered is
sent again with the next alert of that key or `AlertBook.retry_undelivered`, after a pause that doubles each time. What
a receiver refused for good (4xx but 408 and 429) it is not sent again, unless the webhook's address changes.

The body of every POST is
`{"id", "event": "opened" | "worse" | "reminder" | "resolved", "at", "opened_at", "text", "alert": Alert.to_json(),
"runbook": {"meaning", "action", "command"}}`.
Delivery is at least once; a repeated one has the same id. `text` says it all in one paragraph, as chats want it.
"""

import contextlib
import functools
import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, get_args

from mlguide_assets.errors import InputError
from mlguide_assets.observe.runbook import runbook_of
from mlguide_assets.observe.webhook import RETRIES, TIMEOUT, host_of, post
from mlguide_assets.prepare.event_log import EventLog, Line, Place, Writer

LOG, OLDER_LOG = "alerts.jsonl", "alerts.1.jsonl"
_EVERYBODY = re.compile(r"@(?=everyone|here|channel|all)", re.IGNORECASE)
REMIND_AFTER = timedelta(hours=24)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
"""Before a message that was not delivered is sent again: the first, doubled with every failure up to the longest."""

LARGEST_LOG = 1_000_000
"""Bytes of the log beyond which it begins again with what is open; the lines before are kept in one older file."""

Kind = Literal["drift", "performance", "failure", "serving", "data"]
Level = Literal["warn", "act"]
Event = Literal["opened", "worse", "reminder", "resolved"]

_RANK = {level: rank for rank, level in enumerate(get_args(Level))}
_HEADINGS = {"opened": "", "worse": "Worse: ", "reminder": "Still open: ", "resolved": "Resolved: "}

_GRACE = 30.0
"""Seconds after its time limit before a sender that says nothing counts as dead."""


@dataclass(frozen=True)
class Alert:
    """What went wrong.

    `key` says what it is about (equal keys are one incident), `happened` what happened and `severity` how bad it is
    with numbers, in sentences; `next_step` is a command or a page. `facts` are the numbers for machines. Raises
    ValueError for an unknown kind or level, a `since` without a time zone, and facts that JSON cannot hold.
    `cost_effect` is what it adds to the cost of 1,000 decisions, negative where it saves; None if not known.
    """

    key: str
    kind: Kind
    level: Level
    title: str
    happened: str
    since: datetime
    severity: str
    next_step: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    cost_effect: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (("kind", self.kind, get_args(Kind)), ("level", self.level, get_args(Level))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
        _written(self.since)
        try:
            json.dumps([dict(self.facts), self.cost_effect], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"facts must be what JSON can hold: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """All of it, `since` as an ISO 8601 time in UTC."""
        return {**self.__dict__, "since": _written(self.since), "facts": dict(self.facts)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Alert":
        return cls(**{**content, "since": datetime.fromisoformat(content["since"])})


def _written(instant: datetime) -> str:
    if instant.tzinfo is None:
        raise ValueError(f"times need a time zone, got {instant}")
    return instant.astimezone(UTC).isoformat()


@dataclass(frozen=True)
class Notice:
    """One message to the webhook: what was sent or is to be sent, and how that went.

    `claimed_until` is when, by this machine's clock (seconds since 1970), whoever sends it must have finished.
    """

    id: str
    event: Event
    payload: Mapping[str, Any]
    claimed_until: float
    delivered_at: datetime | None = None
    error: str | None = None
    failures: int = 0
    failed_at: datetime | None = None
    refused_by: str | None = None
    """The receiver that refused it for good, as `_receiver_id`."""

    @property
    def next_try(self) -> datetime | None:
        """When it may be sent again; None where it may be at once."""
        if self.failed_at is None:
            return None
        return self.failed_at + min(FIRST_PAUSE * 2.0 ** min(self.failures - 1, 20), LONGEST_PAUSE)

    def may_be_sent(self, receiver: str, now: datetime) -> bool:
        """Whether trying (again) makes sense by now."""
        if self.delivered_at is not None or self.in_flight:
            return False
        if self.refused_by is not None:
            return self.refused_by != receiver
        return self.next_try is None or now >= self.next_try

    @property
    def in_flight(self) -> bool:
        return self.delivered_at is None and self.error is None and time.time() < self.claimed_until


@dataclass(frozen=True)
class Incident:
    """What equal keys add up to. `alert` is the newest; `notice` the newest message about it, None before any."""

    key: str
    alert: Alert
    opened_at: datetime
    raised_at: datetime
    times: int = 1
    notified_level: Level | None = None
    notice: Notice | None = None
    acknowledged_by: str | None = None
    resolved_at: datetime | None = None

    def to_line(self) -> Line:
        """All of it as one line, with which a log begins again."""
        written = {name: _plain(value) for name, value in self.__dict__.items()}
        return {"event": "kept", "at": _written(self.opened_at), "key": self.key, "incident": written}

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> "Incident":
        """The incident that `to_line` wrote."""
        stored = dict(line["incident"])
        notice = stored.pop("notice")
        alert = Alert.from_json(stored.pop("alert"))
        return cls(**_instants(stored), alert=alert, notice=Notice(**_instants(notice)) if notice else None)

    @property
    def delivery_problem(self) -> str | None:
        """Why the webhook has not told anybody, in one sentence; None where it has, or where there is none."""
        notice = self.notice
        if notice is None or notice.delivered_at is not None or notice.error is None:
            return None
        if notice.refused_by is not None:
            return (
                f"The webhook refused this alert for good ({notice.error}) and is not asked again; check its address."
            )
        again = f"; it is asked again after {notice.next_try:%Y-%m-%d %H:%M} UTC" if notice.next_try else ""
        times = "once" if notice.failures == 1 else f"{notice.failures} times"
        return f"The webhook did not take this alert, asked {times} ({notice.error}){again}."

    @property
    def undelivered(self) -> bool:
        """Somebody ought to have been told and, as far as is known, was not."""
        return self.notice is not None and self.notice.delivered_at is None


@dataclass(frozen=True)
class Delivery:
    """What became of an alert beyond the log.

    - delivered: the receiver has it. undelivered: it has not, `error` says why, and it will be sent again.
    - not_due: people were told before. in_flight: another process is telling them. no_webhook: none was given.
    - paused: the receiver failed or refused before, and is not asked again yet, or not at all.
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
        remind_after: an open incident that nobody acknowledged is told again after this long.
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
        self._log = EventLog(folder / LOG, "alert log")
        self._older = EventLog(folder / OLDER_LOG, "older alert log")
        self._remind_after = remind_after
        self._timeout = timeout
        self._retries = retries

    def raise_alert(self, alert: Alert, *, now: datetime, webhook: str | None) -> Delivery:
        """Log the alert, and tell the webhook unless it knows: see `Delivery`."""
        with self._locked() as log:
            incident = self._open().get(alert.key)
            raised: Line = {"event": "raised", "at": _written(now), "key": alert.key}
            if incident is None or incident.alert != alert:
                raised["alert"] = alert.to_json()
            due = self._due(incident, alert, now)
            if webhook is None:
                log.append(raised)
                return Delivery("no_webhook", due)
            if due:
                notice = self._notice(due, alert, now, incident.opened_at if incident else now)
            elif incident and incident.notice and incident.notice.may_be_sent(_receiver_id(webhook), now):
                notice = self._claimed(incident.notice)
            else:
                log.append(raised)
                return Delivery(_why_not_sent(incident))
            log.append(raised, _noted(alert.key, notice, now))
        return self._send(alert.key, notice, now, webhook)

    def resolve(self, key: str, *, now: datetime, webhook: str | None) -> Delivery:
        """Close the incident; the webhook is told once, if it was told, or to be told, of the incident at all."""
        with self._locked() as log:
            incident = self._open().get(key)
            if incident is None:
                return Delivery("not_due")
            resolved = {"event": "resolved", "at": _written(now), "key": key}
            if webhook is None or incident.notice is None:
                log.append(resolved)
                return Delivery("not_due" if webhook else "no_webhook")
            notice = self._notice("resolved", incident.alert, now, incident.opened_at)
            log.append(resolved, _noted(key, notice, now))
        return self._send(key, notice, now, webhook)

    def acknowledge(self, key: str, by: str, now: datetime) -> None:
        """Somebody is on it: no reminders until it is resolved. That it got worse is still told.

        Raises InputError where no incident of that key is open.
        """
        with self._locked() as log:
            known = self._open()
            if key not in known:
                names = ", ".join(sorted(known)) or "none"
                raise InputError(f"No incident {key!r} is open, so it cannot be acknowledged: open are {names}.")
            log.append({"event": "acknowledged", "at": _written(now), "key": key, "by": by})

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
        receiver = _receiver_id(webhook)
        while not deliveries or deliveries[-1].status == "delivered":
            if not any(_is_owed(each, receiver, now) for each in self._all()):
                break
            with self._locked() as log:
                incident = next((each for each in self._all() if _is_owed(each, receiver, now)), None)
                if incident is None or incident.notice is None:
                    break
                notice = self._claimed(incident.notice)
                log.append(_noted(incident.key, notice, now))
            deliveries.append(self._send(incident.key, notice, now, webhook))
        return deliveries

    def _all(self) -> list[Incident]:
        """What the log tells, read from where the last reading in this process ended."""
        return _follower(self._log).incidents()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[Writer]:
        """The log, locked, and of bounded size."""
        with self._log.locked() as log:
            if log.size <= LARGEST_LOG:
                yield log
                return
            kept = [each.to_line() for each in self._all() if each.resolved_at is None or each.undelivered]
            log.begin_again(kept, self._older.path)
        with self._log.locked() as log:
            yield log

    def _open(self) -> dict[str, Incident]:
        return {incident.key: incident for incident in self.incidents()}

    def _due(self, incident: Incident | None, alert: Alert, now: datetime) -> Event | None:
        if incident is None or incident.notice is None or incident.notified_level is None:
            return "opened"
        if _RANK[alert.level] > _RANK[incident.notified_level]:
            return "worse"
        told = incident.notice.delivered_at
        if told is None or incident.acknowledged_by is not None:
            return None
        return "reminder" if now - told >= self._remind_after else None

    def _notice(self, event: Event, alert: Alert, now: datetime, opened_at: datetime) -> Notice:
        name = uuid.uuid4().hex
        payload = {
            "id": name,
            "event": event,
            "at": _written(now),
            "opened_at": _written(opened_at),
            "text": _text(event, alert),
            "alert": alert.to_json(),
            "runbook": dict(runbook_of(alert.key, alert.kind).__dict__),
        }
        return self._claimed(Notice(name, event, payload, 0.0))

    def _claimed(self, notice: Notice) -> Notice:
        return replace(notice, claimed_until=time.time() + self._timeout + _GRACE, error=None)

    def _send(self, key: str, notice: Notice, now: datetime, webhook: str) -> Delivery:
        # Outside the lock: a slow receiver must not hold up whoever has something else to log.
        posted = post(webhook, notice.payload, timeout=self._timeout, retries=self._retries)
        status: Literal["delivered", "undelivered"] = "delivered" if posted.delivered else "undelivered"
        error = None if posted.delivered else f"{host_of(webhook)}: {posted.error}"
        with self._locked() as log:
            log.append(
                {
                    "event": status,
                    "at": _written(now),
                    "key": key,
                    "id": notice.id,
                    "host": host_of(webhook),
                    "attempts": posted.attempts,
                    "error": error,
                    "refused_by": _receiver_id(webhook) if posted.refused else None,
                }
            )
        return Delivery(status, notice.event, notice.id, posted.attempts, error)


def _text(event: Event, alert: Alert) -> str:
    since = alert.since.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    what = f"{_HEADINGS[event]}[{alert.level}] {alert.title}. {alert.happened}"
    return _as_chat(f"{what} Since {since}. {alert.severity} Next: {alert.next_step}")


def _as_chat(text: str) -> str:
    """Names and values from data as text in a chat: no mention of everybody, link or picture (`<!here>`, `](`)."""
    plain = text.translate({ord("<"): "‹", ord(">"): "›"}).replace("](", "] (")
    return _EVERYBODY.sub("@ ", "".join(mark if mark.isprintable() else " " for mark in plain))


def _noted(key: str, notice: Notice, now: datetime) -> Line:
    """The line of a notice that is about to be sent."""
    return {
        "event": "sending",
        "at": _written(now),
        "key": key,
        "id": notice.id,
        "claimed_until": notice.claimed_until,
        "payload": dict(notice.payload),
    }


def _receiver_id(webhook: str) -> str:
    """Tells addresses apart without saying them: they may hold a token."""
    return hashlib.sha256(webhook.encode()).hexdigest()[:16]


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


@dataclass
class Incidents:
    """All incidents, the oldest first, as lines of the log tell them."""

    found: list[Incident] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    """The position of the newest incident of each key."""

    def after(self, lines: Sequence[Line]) -> "Incidents":
        """What they are after more lines."""
        found, newest = list(self.found), dict(self.newest)
        for line in lines:
            key = line["key"]
            at = newest.get(key)
            begins = at is None or found[at].resolved_at is not None
            if line["event"] == "kept" or (line["event"] == "raised" and begins):
                newest[key] = len(found)
                found.append(_first(line))
            elif at is not None:
                found[at] = _after(found[at], line)
        return Incidents(found, newest)


class _Follower:
    """A log of alerts as this process knows it; each look reads only what was added since the last."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._known = Incidents()
        self._place: Place | None = None
        self._looking = threading.Lock()

    def incidents(self) -> list[Incident]:
        with self._looking:
            added = self._log.lines_after(self._place)
            self._known = (self._known if added.goes_on else Incidents()).after(added.lines)
            self._place = added.place
            return (self._known.after([added.last]) if added.last else self._known).found


@functools.lru_cache(maxsize=16)
def _follower(log: EventLog) -> _Follower:
    return _Follower(log)


def _plain(value: Any) -> Any:
    """A value of an incident as JSON can hold it."""
    if isinstance(value, datetime):
        return _written(value)
    if isinstance(value, Alert):
        return value.to_json()
    if isinstance(value, Notice):
        return {name: _plain(each) for name, each in value.__dict__.items()}
    return dict(value) if isinstance(value, Mapping) else value


def _instants(stored: Mapping[str, Any]) -> dict[str, Any]:
    """With the times of an incident or a notice as such."""
    return {
        name: datetime.fromisoformat(value) if name.endswith("_at") and value else value
        for name, value in stored.items()
    }


def _first(line: Line) -> Incident:
    """The incident that a line begins."""
    if line["event"] == "kept":
        return Incident.from_line(line)
    instant = datetime.fromisoformat(line["at"])
    return Incident(line["key"], Alert.from_json(line["alert"]), instant, instant)


def _after(incident: Incident, line: Line) -> Incident:
    """The incident as a line leaves it."""
    at, notice = datetime.fromisoformat(line["at"]), incident.notice
    match line["event"]:
        case "raised":
            alert = Alert.from_json(line["alert"]) if "alert" in line else incident.alert
            return replace(incident, alert=alert, raised_at=at, times=incident.times + 1)
        case "sending":
            payload = line["payload"]
            levels = [level for level in (incident.notified_level, payload["alert"]["level"]) if level]
            told = Notice(line["id"], payload["event"], payload, line["claimed_until"])
            if notice is not None and notice.id == told.id:
                told = replace(told, failures=notice.failures, failed_at=notice.failed_at)
            return replace(incident, notice=told, notified_level=max(levels, key=lambda level: _RANK[level]))
        case "delivered" if notice and notice.id == line["id"]:
            return replace(incident, notice=replace(notice, delivered_at=at, error=None))
        case "undelivered" if notice and notice.id == line["id"] and notice.delivered_at is None:
            failed = replace(notice, error=line["error"], failures=notice.failures + 1, failed_at=at)
            return replace(incident, notice=replace(failed, refused_by=line.get("refused_by")))
        case "acknowledged":
            return replace(incident, acknowledged_by=line["by"])
        case "resolved":
            return replace(incident, resolved_at=at)
    return incident
