"""What alerts of equal keys add up to: incidents, with the messages about them, as the lines of the log say."""

import functools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from mlguide_assets.instants import is_over
from mlguide_assets.observe.alerts.alert import RANK, Alert, Level, written
from mlguide_assets.prepare.hosts.event_log import Line, Log, Place

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)
"""Before a message that was not delivered is sent again: the first, doubled with every failure up to the longest."""

_LONGEST_CLAIM = timedelta(minutes=10).total_seconds()
"""No sender takes as long: a claim that ends later was made before the clock was set back."""
Event = Literal["opened", "worse", "reminder", "resolved"]


@dataclass(frozen=True)
class Notice:
    """One message to the webhook: what was sent or is to be sent, and how that went.

    `claimed_until` is when, by the clock of its machine (seconds since 1970), its sender must have finished.
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
    """The receiver that refused it permanently, as `receiver_id`."""

    @property
    def next_try(self) -> datetime | None:
        """When it may be sent again; None where it may be at once."""
        return None if self.failed_at is None else self.failed_at + self._pause

    def may_be_sent(self, receiver: str, now: datetime) -> bool:
        """Whether trying (again) makes sense by now."""
        if self.delivered_at is not None or self.in_flight:
            return False
        if self.refused_by is not None:
            return self.refused_by != receiver
        return self.failed_at is None or is_over(self._pause, since=self.failed_at, now=now)

    @property
    def in_flight(self) -> bool:
        left = self.claimed_until - time.time()
        return self.delivered_at is None and self.error is None and 0 < left < _LONGEST_CLAIM

    @property
    def _pause(self) -> timedelta:
        return min(FIRST_PAUSE * 2.0 ** min(self.failures - 1, 20), LONGEST_PAUSE)


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
        stored = {name: _plain(value) for name, value in self.__dict__.items()}
        return {"event": "kept", "at": written(self.opened_at), "key": self.key, "incident": stored}

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> "Incident":
        """The incident that `to_line` wrote."""
        stored = dict(line["incident"])
        notice = stored.pop("notice")
        alert = Alert.from_json(stored.pop("alert"))
        return cls(**_instants(stored), alert=alert, notice=Notice(**_instants(notice)) if notice else None)

    @property
    def delivery_problem(self) -> str | None:
        """Why the webhook did not deliver, in one sentence; None where it did, or where there is none."""
        notice = self.notice
        if notice is None or notice.delivered_at is not None or notice.error is None:
            return None
        if notice.refused_by is not None:
            return (
                f"The webhook refused this alert permanently ({notice.error}) and gets it no more; check its address."
            )
        again = f"; the next attempt is after {notice.next_try:%Y-%m-%d %H:%M} UTC" if notice.next_try else ""
        times = "once" if notice.failures == 1 else f"{notice.failures} times"
        return f"The webhook did not accept this alert, tried {times} ({notice.error}){again}."

    @property
    def undelivered(self) -> bool:
        """A message is due that, as far as is known, was not delivered."""
        return self.notice is not None and self.notice.delivered_at is None


@dataclass
class Incidents:
    """All incidents, the oldest first, as read from the lines of the log."""

    found: list[Incident] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)
    """The position of the newest incident of each key."""
    notices: dict[str, int] = field(default_factory=dict)
    """The position of the incident that each message was about: its key may have opened again since."""

    def after(self, lines: Sequence[Line]) -> "Incidents":
        """What they are after more lines."""
        found, newest, notices = list(self.found), dict(self.newest), dict(self.notices)
        for line in lines:
            key = line["key"]
            at = notices.get(line.get("id", ""), newest.get(key))
            begins = at is None or found[at].resolved_at is not None
            if line["event"] == "kept" or (line["event"] == "raised" and begins):
                newest[key] = at = len(found)
                found.append(_first(line))
            elif at is not None:
                found[at] = _after(found[at], line)
            if at is not None and (notice := found[at].notice):
                notices[notice.id] = at
        return Incidents(found, newest, notices)


class _Follower:
    """A log of alerts as this process knows it; each look reads only what was added since the last."""

    def __init__(self, log: Log) -> None:
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
def follower_of(log: Log) -> _Follower:
    return _Follower(log)


def _plain(value: Any) -> Any:
    """A value of an incident as JSON can hold it."""
    if isinstance(value, datetime):
        return written(value)
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
            sent = Notice(line["id"], payload["event"], payload, line["claimed_until"])
            if notice is not None and notice.id == sent.id:
                sent = replace(sent, failures=notice.failures, failed_at=notice.failed_at)
            return replace(incident, notice=sent, notified_level=max(levels, key=lambda level: RANK[level]))
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
