"""The instant of a decision, and whether the age of the features suits it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mlguide_assets.define.operations import Serving
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.serving.request import RefusedError
from mlguide_assets.english import counted
from mlguide_assets.instants import now_utc


def now_of(problem: Problem, feature_time: datetime) -> datetime:
    """Now, by the clock of the problem, UTC."""
    return feature_time if problem.clock == "data" else now_utc()


def in_days(span: timedelta) -> str:
    """A span as people say it."""
    hours = span.total_seconds() / 3600
    return counted(round(hours / 24), "day") if hours >= 72 else counted(round(hours), "hour")


def zone_of_events(problem: Problem) -> str:
    """The zone of the times of what is predicted that carry none: that of their table, as a run reads them."""
    assert isinstance(problem.predict, PredictEvent)
    event = problem.schema.event(problem.predict.each)
    noun = event.at.partition(".")[0] if "." in event.at else ""
    table = problem.schema.entity(noun) if noun else event
    return table.timezone if table else "UTC"


def utc(instant: datetime, name: str, zone: str = "UTC") -> datetime:
    """Without a time zone, as all times here.

    Args:
        name: of the field that gave it.
        zone: of an instant that carries none.

    Raises:
        RefusedError: UTC has no such instant.
    """
    if instant.tzinfo is None and zone == "UTC":
        return instant
    try:
        return (instant if instant.tzinfo else _in_zone(instant, ZoneInfo(zone))).astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise RefusedError(422, f"{name} {instant.isoformat()} is not a valid UTC timestamp: give another.") from error


def _in_zone(instant: datetime, zone: ZoneInfo) -> datetime:
    """A time of a zone's clocks, as `read_times` has it: of an hour that comes twice, the second; one that clocks leave
    out is as much later."""
    second = instant.replace(tzinfo=zone, fold=1)
    comes = second.astimezone(UTC).astimezone(zone).replace(tzinfo=None, fold=0) == instant
    return second if comes else instant.replace(tzinfo=zone, fold=0)


def check_age(instant: datetime, feature_time: datetime, serving: Serving, *, given: bool, name: str) -> list[str]:
    """Warn where the features are old; refuse them where they are too old, or would know the future.

    Args:
        given: whether the request named the instant; what is wrong with it is then the request's.
        name: of the field by which it could.

    Raises:
        RefusedError
    """
    age, status = instant - feature_time, 422 if given else 503
    if age < timedelta(0):
        raise RefusedError(
            status,
            f"The instant {instant.isoformat()} lies before that of the features, {feature_time.isoformat()}, so they "
            f"would know the future: give a later {name}.",
        )
    if age > serving.refuse_after:
        ended = "" if given else " Where the data have ended, write serving: {clock: data} in the problem file."
        raise RefusedError(
            status,
            f"The features are of {feature_time.isoformat()}, {in_days(age)} before the requested instant, and past "
            f"{in_days(serving.refuse_after)} nothing is answered (serving.refuse_after of the problem file): publish "
            f"newer ones with 'mlguide run', or give an earlier {name}.{ended}",
        )
    if age > serving.stale_after:
        return [
            f"The features are {in_days(age)} older than the requested instant (serving.stale_after: "
            f"{in_days(serving.stale_after)})."
        ]
    return []
