"""The clock of a simulated world that goes on in real time: how much of it is visible now.

It starts when a home first reads the world. No row is made here: `read_source` takes the instant.
"""

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import Strict
from mlguide_assets.define.sources import AnySimulator, Live
from mlguide_assets.define.values import Duration
from mlguide_assets.errors import InputError
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.hosts.file_lock import locked
from mlguide_assets.prepare.hosts.shared_files import change, read
from mlguide_assets.prepare.lake.failures import writing

WORLD_TIME_VARIABLE = "MLGUIDE_WORLD_TIME"


@dataclass(frozen=True)
class Visible:
    """A world is seen `until` this instant (UTC without a zone), and no further than the start of the day `end`."""

    until: datetime
    end: date

    @property
    def ended(self) -> bool:
        return self.until >= midnight(self.end)

    def description(self) -> str:
        if self.ended:
            return f"the world has ended on {self.end} and its clock has stopped; a later source.live.end lets it go on"
        return f"the world is seen until {self.until:%Y-%m-%d %H:%M}, of days until {self.end}"


def world_time(live: Live, first_read: datetime, now: datetime, *, end: date = date.max) -> datetime:
    """The instant that the world has reached: always the start of a day, UTC without a zone.

    One day has passed in the world for each whole `day_every` since `first_read`, from `start` on and up to
    `end`; none while `now` is before `first_read`. Both have a zone.
    """
    passed = min((now - first_read) // live.day_every, (end - live.start).days)
    return midnight(date.fromordinal(live.start.toordinal() + max(passed, 0)))


def visible(problem: Problem, clock: Path, now: datetime | None = None) -> Visible | None:
    """How much of the problem's world is seen now; None where it is no simulated world, or one without a clock.

    `MLGUIDE_WORLD_TIME` names the instant, without touching the clock. Else the clock starts with the first
    call. It never goes back, though the machine's may, and stops at the world's end.

    Args:
        clock: the file in which the first reading is kept (`Home.simulation_clock`).
        now: with a zone; default: this instant.

    Raises:
        InputError: the variable is not a time within the world, or the file is not what was written.
    """
    source = problem.source
    if not isinstance(source, AnySimulator):
        return None
    end = source.end(problem.history_start)
    if text := os.environ.get(WORLD_TIME_VARIABLE):
        return Visible(min(_named(text, problem), midnight(end)), end)
    if source.live is None:
        return None
    read = _read(clock, source.live, now or datetime.now(UTC), end)
    return Visible(world_time(source.live, read.first_read, read.last_read, end=end), end)


def day_reached(problem: Problem, clock: Path, now: datetime) -> date:
    """The day that it is: of a simulated world, the day until which it is seen; else the wall's, UTC."""
    if not isinstance(problem.source, AnySimulator):
        return now.astimezone(UTC).date()
    seen = visible(problem, clock, now)
    return seen.until.date() if seen else problem.source.end(problem.history_start)


class _Reading(Strict):
    """The clock's file. Another `start` is another clock, which starts again.

    Attributes:
        first_read: when the world was at its start, had it always gone on at this pace.
    """

    first_read: AwareDatetime
    last_read: AwareDatetime
    start: date
    day_every: Duration


def _read(path: Path, live: Live, now: datetime, end: date) -> _Reading:
    """The readings with this one added. Processes take turns, so all agree on the first."""

    def read_now(stored: bytes | None) -> bytes:
        before = _load(stored, path, live) if stored is not None else None
        if before is None or before.start != live.start:
            before = _Reading(first_read=now, last_read=now, start=live.start, day_every=live.day_every)
        read = before.model_copy(update={"last_read": max(now, before.last_read)})
        return _at_pace(read, live.day_every, end).model_dump_json(indent=2).encode()

    try:
        with writing("The world's clock", path.parent), locked(path.with_suffix(".lock")):
            return _load(change(path, read_now), path, live)
    except InputError:
        # A command that only reads must work on a full disk: what is kept gives the same answer.
        if (kept := read(path)) is None:
            raise
        return _load(read_now(kept), path, live)


def _at_pace(read: _Reading, day_every: timedelta, end: date) -> _Reading:
    """The same instant of the world, which goes on at this pace from here.

    Processes that know different problem files, as a UI that was started before one was changed, look in turns: would
    each start the clock again, no day ever passed.
    """
    if read.day_every == day_every:
        return read
    passed = min((read.last_read - read.first_read) / read.day_every, float((end - read.start).days))
    return read.model_copy(update={"day_every": day_every, "first_read": read.last_read - passed * day_every})


def _load(content: bytes, path: Path, live: Live) -> _Reading:
    try:
        return _Reading.model_validate_json(content)
    except ValidationError as error:
        raise InputError(
            f"{path} no longer says when this world was first read: delete it, and the world starts again "
            f"from {live.start}."
        ) from error


def _named(text: str, problem: Problem) -> datetime:
    try:
        given = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{WORLD_TIME_VARIABLE} is {text!r}: write a time such as 2025-12-10T00:00:00, or unset it."
        ) from error
    instant = given.astimezone(UTC).replace(tzinfo=None) if given.tzinfo else given
    if instant <= midnight(problem.history_start):
        raise InputError(
            f"{WORLD_TIME_VARIABLE} is {text}, but the world starts on {problem.history_start}: name a later time, "
            f"or unset it."
        )
    return instant
