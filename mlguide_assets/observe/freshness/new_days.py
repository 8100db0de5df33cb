"""Which days are to be tested for drift: those that landed, or landed again, since.

It imports neither Ibis nor DuckDB.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, metadata_of, metadata_of_version, pointed_version
from mlguide_assets.english import agreeing, counted
from mlguide_assets.errors import InputError
from mlguide_assets.observe.drift.table import days_looked_at, signatures
from mlguide_assets.observe.drift.windows import Landed, decisions_on, signature_of, window_of
from mlguide_assets.observe.freshness.landed import landed_rows
from mlguide_assets.prepare.clock import last_day, usual_rows
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home

MOST_DAYS, MOST_CUT_OFFS = 14, 2
"""The last days, or cut-offs, that a new champion begins with; and the most days that one run is asked for."""


def days_to_check(home: Home, lake: Lake, problem: Problem, *, today: date) -> dict[date, str]:
    """Complete days that this champion was not compared with as they are now, oldest first; each with its signature.

    Of more than `MOST_DAYS` the newest, so that a run after a long outage is as short as the first: the others are due
    once these were tested.

    A day without events is one of them once a later one has landed: that nothing arrived is news then, and not before.
    Where decisions are made at cut-offs, only their days are. Days that the champion's own reference is made of are
    none.

    Args:
        today: by the clock of the source.
    """
    return dict([*untested(home, lake, problem, today=today).due.items()][-MOST_DAYS:])


@dataclass(frozen=True)
class Untested:
    """The complete days that the champion was not compared with as they are now.

    Attributes:
        due: those that are tested, oldest first, each with its signature.
        left_out: those that are not: they were there before the champion was trained, and no champion looked at them.
    """

    due: Mapping[date, str] = field(default_factory=dict)
    left_out: Sequence[date] = ()

    @property
    def sentence(self) -> str | None:
        """What one run does not do, and what none does; None where a run tests all."""
        said = []
        if (many := len(self.due)) > MOST_DAYS:
            said.append(
                f"{counted(many, 'day')} since {min(self.due)} are still to be tested: 'mlguide ui' tests {MOST_DAYS} "
                "in a run, the newest first."
            )
        if self.left_out:
            many, first, last = len(self.left_out), min(self.left_out), max(self.left_out)
            which = str(first) if many == 1 else f"{counted(many, 'day')} from {first} to {last}"
            said.append(
                f"{which} {agreeing(many, 'is')} not tested: data of that time were there before the champion was "
                "trained."
            )
        return " ".join(said) or None


def untested(home: Home, lake: Lake, problem: Problem, *, today: date) -> Untested:
    """What is to be tested of the days since the champion's reference, and what never is; as `days_to_check`."""
    bundles = home.bundles(problem.key)
    champion = pointed_version(bundles)
    landed = {row["day"]: row for row in landed_rows(lake)}
    if champion is None or not landed:
        return Untested()
    reference_ends = last_of_reference(metadata_of_version(bundles, champion))
    last = last_landed_day(events_by_day(landed.values()), today=today)
    first = max(reference_ends + timedelta(days=1), min(landed))
    days = days_with_decisions(
        [first + timedelta(days=back) for back in range((last - first).days + 1)], landed, problem
    )
    tested, looked_at = signatures(lake, champion), {date.fromisoformat(day) for day in days_looked_at(lake)}
    recent, trained = last - _looked_at(problem), _data_ended(reference_ends, problem)
    # Older days are news where they landed later than the champion was trained, and where they were tested: what was
    # tested may be corrected, and its outcomes become final.
    new = {day for day in days if day >= recent or (day > trained and day not in looked_at)}
    due = [day for day in days if day in new or day.isoformat() in tested]
    changed = changed_days(due, landed, tested, problem, reference_ends=reference_ends)
    return Untested(changed, [day for day in days if day not in new and day not in looked_at])


def _data_ended(reference_ends: date, problem: Problem) -> date:
    """The last day of the data that a champion was trained on, by that of its reference, whose outcomes were final."""
    return reference_ends + problem.final_after


def days_of_run(
    requested: Sequence[date],
    landed: Iterable[Landed],
    lake: Lake,
    champion: Bundle,
    problem: Problem,
    *,
    today: date,
    only_changed: bool,
) -> list[date]:
    """The days of a request that are to be tested: those that have landed and on which something is decided.

    Args:
        requested: one or more, the oldest first.
        landed: rows of `landed_days`.
        today: by the clock of the source.
        only_changed: leave out those that the champion was compared with as they are now: a sensor requests a range,
            and a person the days that they mean.

    Raises:
        InputError: none of them can be tested.
    """
    known = {row["day"]: row for row in landed}
    last = last_landed_day(events_by_day(known.values()), today=today)
    days = days_with_decisions([day for day in requested if day <= last], known, problem)
    if requested[0] <= last and not days:
        raise InputError(f"{requested[0]} cannot be tested for drift: it has no {problem.decision.noun}.")
    if not days:
        raise InputError(
            f"{requested[0]} cannot be tested for drift before it has landed; the last day that has is {last}."
        )
    if not only_changed:
        return days
    tested, ends = signatures(lake, champion.version), last_of_reference(metadata_of(champion))
    return [*changed_days(days, known, tested, problem, reference_ends=ends)]


def changed_days(
    days: Iterable[date],
    landed: Mapping[date, Landed],
    tested: Mapping[str, str],
    problem: Problem,
    *,
    reference_ends: date,
) -> dict[date, str]:
    """Those of some days that were not compared as they are now, each with its signature.

    Args:
        landed: rows of `landed_days` by their day.
        tested: what `drift_table.signatures` says of the champion.
        reference_ends: the last day of its reference.
    """
    windows = (window_of(day, landed, after=reference_ends, min_rows=problem.watching.min_rows) for day in days)
    signed = {window.last: signature_of(window, landed) for window in windows}
    return {day: sign for day, sign in signed.items() if tested.get(day.isoformat()) != sign}


def last_of_reference(facts: Mapping[str, Any]) -> date:
    """The last day of the reference of a champion, by its metadata."""
    return date.fromisoformat(facts["test_last"])


def days_with_decisions(days: Iterable[date], landed: Mapping[date, Landed], problem: Problem) -> list[date]:
    """Those of some days on which something is decided: all of them, or cut-offs alone.

    Args:
        landed: rows of `landed_days` by their day.
    """
    return [day for day in days if problem.decision.is_event or decisions_on(landed.get(day))]


def events_by_day(landed: Iterable[Landed]) -> dict[date, int]:
    """Events per day, of days that have any."""
    return {row["day"]: row["rows"] for row in landed if row["rows"]}


def _looked_at(problem: Problem) -> timedelta:
    predict = problem.predict
    if isinstance(predict, PredictEvent):
        return timedelta(days=MOST_DAYS - 1)
    return max(timedelta(days=MOST_DAYS - 1), MOST_CUT_OFFS * predict.every)


def last_landed_day(rows: Mapping[date, int], *, today: date) -> date:
    """The last day that has landed: it is over and has half of a usual day's events, or a later day has some.

    Args:
        rows: events per day, of days that have any.
        today: by the clock of the source.
    """
    newest = last_day(rows) or today
    whole = newest < today and rows[newest] >= usual_rows(rows, newest) / 2
    return newest if whole else newest - timedelta(days=1)
