"""The record of ticks: what each trigger decided, on what evidence, and what became of the trainings it started.

Triggers and runs are processes of their own, so they write to a log of events; the asset `retraining_decisions` lands
it in the lake, one row per tick. A trigger that looks every few seconds and goes on waiting for the same reason is
one tick.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.instants import CLOCKS_APART, is_over
from mlguide_assets.prepare.hosts.event_log import Writer, open_log
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.settings import Home

RETRAINING_DECISIONS = "retraining_decisions"

Trigger = Literal["daily", "new_outcomes", "drift", "performance_drop", "watch", "by_hand"]
Decision = Literal["run", "wait", "roll_back"]
EVIDENCE_TRIGGERS: tuple[Trigger, ...] = ("drift", "performance_drop")
"""Those that look whether the champion still fits, rather than whether there is anything new to learn. They wait for
one another's cool-down."""
RUN: Decision = "run"
WAIT: Decision = "wait"
ROLL_BACK: Decision = "roll_back"
FAILED = "failed"
AFTER_TRAINING = "A training is under way; this is decided when it has ended."
"""The reason of a tick of a schedule that comes while a model is trained: a schedule does not look again by itself."""

PAUSE = timedelta(minutes=10)
"""After a training that evidence asked for has failed, doubled with every further failure up to a day: its cause, such
as a kill or a full disk, may be gone, and evidence lasts."""

_A_MOMENT = timedelta(minutes=1)
_A_DAY = timedelta(days=1)

SCHEMA = pa.schema(
    [
        ("tick_at", pa.string()),
        ("trigger", pa.string()),
        ("data_until", pa.string()),
        ("decision", pa.string()),
        ("reason", pa.string()),
        ("evidence", pa.string()),
        ("run_id", pa.string()),
        ("outcome", pa.string()),
        ("outcome_reason", pa.string()),
        ("version", pa.string()),
        ("ended_at", pa.string()),
    ]
)

COLUMNS = {
    "tick_at": "When the trigger looked, UTC.",
    "trigger": "Which trigger: daily, new_outcomes, drift, performance_drop, watch, or by_hand.",
    "data_until": "The newest day of data then.",
    "decision": "What follows: run, wait or roll_back.",
    "reason": "Why, in words.",
    "evidence": "The numbers behind the decision, as JSON.",
    "run_id": "The Dagster run that trained; null where none did.",
    "outcome": "How the training ended: the gate's verdict, failed, or rolled_back; null while unknown.",
    "outcome_reason": "Why it ended so.",
    "version": "The version that came of it.",
    "ended_at": "When it ended, UTC.",
}
"""Column → meaning."""
"""Of the table: when and who looked, the newest day of data then, what was decided and why, and how it ended."""

_ENDING = ("run_id", "outcome", "outcome_reason", "version", "ended_at")


@dataclass(frozen=True)
class Tick:
    """One look of a trigger: `reason` is a sentence, `evidence` the numbers behind it, as JSON can hold them."""

    trigger: Trigger
    decision: Decision
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class TickLog:
    """The ticks of one problem; safe to share between processes.

    Raises InputError, in one sentence, where the log cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._log = open_log(path, "log of retraining")

    def note(self, tick: Tick, *, data_until: date | None, now: datetime | None = None) -> str:
        """Add a tick, and return its id; one that only goes on waiting is the tick before."""
        with self._log.locked() as log:
            return self._add(log, tick, data_until, now or datetime.now(UTC))

    def request_run(self, tick: Tick, *, data_until: date | None, now: datetime | None = None) -> tuple[str, Tick]:
        """Add a tick that may request a run, unless another trigger has just requested one, or a run that this one
        requested has just failed: then it waits.

        Triggers look at the same time, and a requested run is seen only once the daemon has made it.

        Returns:
            Its id, and the tick as it was recorded.
        """
        at = now or datetime.now(UTC)
        with self._log.locked() as log:
            ticks = self.ticks()
            requested = [
                each["trigger"]
                for each in ticks
                if each["decision"] == RUN
                and each["trigger"] != tick.trigger
                and not each["outcome"]
                and -CLOCKS_APART <= at - datetime.fromisoformat(each["at"]) < _A_MOMENT + CLOCKS_APART
            ]
            if tick.decision == RUN and requested:
                reason = f"{tick.reason} {requested[-1]} has just requested a training."
                tick = replace(tick, decision=WAIT, reason=reason)
            elif tick.decision == RUN and (until := _paused_until(ticks, tick.trigger, at)):
                reason = f"{tick.reason} The training that it asked for failed: again after {until:%Y-%m-%d %H:%M} UTC."
                tick = replace(tick, decision=WAIT, reason=reason)
            return self._add(log, tick, data_until, at), tick

    def _add(self, log: Writer, tick: Tick, data_until: date | None, at: datetime) -> str:
        before = next((each for each in reversed(self.ticks()) if each["trigger"] == tick.trigger), None)
        if before and tick.decision == WAIT == before["decision"] and before["reason"] == tick.reason:
            return str(before["key"])
        key = uuid.uuid4().hex
        log.append(
            {
                "event": "tick",
                "at": at.isoformat(timespec="seconds"),
                "key": key,
                "trigger": tick.trigger,
                "data_until": data_until.isoformat() if data_until else None,
                "decision": tick.decision,
                "reason": tick.reason,
                "evidence": dict(tick.evidence),
            }
        )
        return key

    def end(
        self, key: str, *, outcome: str, reason: str, run_id: str = "", version: str = "", now: datetime | None = None
    ) -> None:
        """Say how it ended; said twice of the same run, the first time counts."""
        at = (now or datetime.now(UTC)).isoformat(timespec="seconds")
        ending = {"run_id": run_id, "outcome": outcome, "outcome_reason": reason, "version": version, "ended_at": at}
        with self._log.locked() as log:
            if any(line["event"] == "ended" and line["key"] == key for line in self._log.lines()):
                return
            log.append({"event": "ended", "at": at, "key": key, **ending})

    def ticks(self) -> list[dict[str, Any]]:
        """Every tick, the oldest first, with `outcome` and what goes with it where it has ended."""
        lines = self._log.lines()
        endings = {line["key"]: line for line in reversed(lines) if line["event"] == "ended"}
        return [
            {**line, **{name: endings.get(line["key"], {}).get(name) or None for name in _ENDING}}
            for line in lines
            if line["event"] == "tick"
        ]

    def unanswered(self, trigger: Trigger, *, now: datetime | None = None) -> str | None:
        """The id of a trigger's newest request for a run, of the last day, while neither it nor any later one ended."""
        since, ticks = (now or datetime.now(UTC)) - _A_DAY, self.ticks()
        place = max(
            (n for n, each in enumerate(ticks) if each["trigger"] == trigger and each["decision"] == RUN), default=None
        )
        if place is None or datetime.fromisoformat(ticks[place]["at"]) < since:
            return None
        return None if any(each["outcome"] for each in ticks[place:]) else str(ticks[place]["key"])

    def put_off(self) -> list[Trigger]:
        """The triggers whose last tick is to be decided when the training that was under way has ended."""
        last = {each["trigger"]: each for each in self.ticks()}
        return [trigger for trigger, tick in last.items() if tick["reason"] == AFTER_TRAINING]

    def table(self) -> pa.Table:
        """The ticks as `SCHEMA`."""
        rows = [
            {**{name: tick.get(name) for name in SCHEMA.names}, "tick_at": tick["at"]}
            | {"evidence": json.dumps(tick["evidence"], sort_keys=True)}
            for tick in self.ticks()
        ]
        return small_table(rows, SCHEMA)


def ticks_of(home: Home, problem: Problem) -> TickLog:
    """The record of a problem."""
    return TickLog(home.ticks(problem.key))


def _paused_until(ticks: Sequence[Mapping[str, Any]], trigger: Trigger, now: datetime) -> datetime | None:
    """When evidence may ask for a training again; None where it may now."""
    asked = (each for each in reversed(ticks) if each["trigger"] == trigger and each["decision"] == RUN)
    failed = [*takewhile(lambda each: each["outcome"] == FAILED, asked)]
    if not failed or trigger not in EVIDENCE_TRIGGERS:
        return None
    pause, ended = min(PAUSE * 2.0 ** min(len(failed) - 1, 20), _A_DAY), datetime.fromisoformat(failed[0]["ended_at"])
    return None if is_over(pause, since=ended, now=now) else ended + pause


def asked_by_evidence(ticks: TickLog, key: str | None) -> bool:
    """Whether a tick requested a run because the champion no longer fits; None is no tick."""
    return any(each["key"] == key and each["trigger"] in EVIDENCE_TRIGGERS for each in ticks.ticks() if key)
