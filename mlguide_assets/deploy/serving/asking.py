"""From a request to the features of its pairs, or to the reason why there are none."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mlguide_assets.define.operations import Serving
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import Snapshot
from mlguide_assets.deploy.prediction_log import now_utc
from mlguide_assets.deploy.serving.features import Features, of_last_sends, of_pairs
from mlguide_assets.deploy.serving.messages import PredictRequest, RecommendRequest

Asked = PredictRequest | RecommendRequest


class RefusedError(Exception):
    """A request that gets no prediction: the HTTP status, and why, in one sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Slot(NamedTuple):
    """One place of the answer: a user, an email, and the row of their features; None where there are none."""

    user_id: int
    email_id: int | None
    row: int | None


@dataclass
class Question:
    """A request, looked up: the places of its answer in order, and the features that they need.

    Args:
        emails: how many places each user has.
    """

    slots: list[Slot]
    features: Features
    emails: int
    unknown_users: list[int]
    unknown_emails: list[int] = field(default_factory=list)
    degraded: list[str] = field(default_factory=list)


def look_up(asked: Asked, snapshot: Snapshot, names: tuple[str, ...], problem: Problem) -> Question:
    """Look up what a request asks about.

    Args:
        names: the features that the model's problem has.
        problem: the home's, whose `serving` says where to stop.

    Raises:
        RefusedError: it asks for too much, for features that know the future, or for ones that are too old.
        StoreError: the store does not answer.
    """
    if isinstance(asked, PredictRequest) and asked.email_ids is None:
        return _last_sends(asked, snapshot, names, problem)
    emails = _candidates(asked, snapshot, problem)
    _refuse_too_many(asked, len(asked.user_ids) * len(emails), problem.serving)
    feature_time = snapshot.publication.as_of
    instant = _utc(asked.as_of) if asked.as_of else now_of(problem, feature_time)
    degraded = _judge_age(instant, feature_time, problem.serving, given=asked.as_of is not None)
    users, contents = snapshot.look_up("users", asked.user_ids), snapshot.look_up("emails", emails)
    offered = [email for email in emails if email in contents]
    what_if = asked.what_if.model_dump(exclude_none=True) if asked.what_if else None
    return Question(
        _slots(asked, users, offered),
        of_pairs(
            [users[user] for user in asked.user_ids if user in users],
            [contents[email] for email in offered],
            names,
            instant=instant,
            feature_time=feature_time,
            what_if=what_if,
        ),
        emails=len(offered),
        unknown_users=[user for user in dict.fromkeys(asked.user_ids) if user not in users],
        unknown_emails=[email for email in dict.fromkeys(emails) if email not in contents],
        degraded=degraded,
    )


def now_of(problem: Problem, feature_time: datetime) -> datetime:
    """Now, by the clock of the problem, UTC."""
    return feature_time if problem.clock == "data" else now_utc()


def in_days(span: timedelta) -> str:
    """A span as people say it."""
    hours = span.total_seconds() / 3600
    return f"{hours / 24:,.0f} days" if hours >= 72 else f"{hours:.0f} hours"


def _last_sends(asked: PredictRequest, snapshot: Snapshot, names: tuple[str, ...], problem: Problem) -> Question:
    """The last email that each user was sent, as of its own delivery, so that its outcome is in no feature."""
    if asked.as_of or asked.what_if:
        raise RefusedError(
            422,
            "as_of and what_if need email_ids: without them, the last email that each user was sent is judged as of "
            "its own delivery.",
        )
    _refuse_too_many(asked, len(asked.user_ids), problem.serving)
    feature_time = snapshot.publication.as_of
    degraded = _judge_age(now_of(problem, feature_time), feature_time, problem.serving, given=False)
    sends = snapshot.look_up("last_sends", asked.user_ids)
    slots: list[Slot] = []
    rows = 0
    for user in asked.user_ids:
        if user in sends:
            slots.append(Slot(user, sends[user]["email_id"], rows))
            rows += 1
        elif asked.on_unknown == "base_rate":
            slots.append(Slot(user, None, None))
    return Question(
        slots,
        of_last_sends([sends[user] for user in asked.user_ids if user in sends], names),
        emails=1,
        unknown_users=[user for user in dict.fromkeys(asked.user_ids) if user not in sends],
        degraded=degraded,
    )


def _slots(asked: Asked, users: Container[int], offered: Sequence[int]) -> list[Slot]:
    slots: list[Slot] = []
    rows = 0
    for user in asked.user_ids:
        for email in offered:
            if user in users:
                slots.append(Slot(user, email, rows))
                rows += 1
            elif isinstance(asked, PredictRequest) and asked.on_unknown == "base_rate":
                slots.append(Slot(user, email, None))
    return slots


def _candidates(asked: Asked, snapshot: Snapshot, problem: Problem) -> list[int]:
    if asked.email_ids is not None:
        return asked.email_ids
    newest = list(snapshot.publication.newest_emails[: problem.scoring.candidates])
    if not newest:
        raise RefusedError(503, "The online store knows no email to recommend: publish one first, with 'mlguide run'.")
    return newest


def _refuse_too_many(asked: Asked, pairs: int, serving: Serving) -> None:
    limit = serving.max_explained_pairs if asked.explain else serving.max_pairs
    if pairs > limit:
        what = "pairs to explain" if asked.explain else "pairs"
        raise RefusedError(
            422,
            f"The request has {pairs:,} {what} of a user and an email; at most {limit:,} are answered: split it.",
        )


def _judge_age(instant: datetime, feature_time: datetime, serving: Serving, *, given: bool) -> list[str]:
    """Say so where the features are old; refuse them where they are too old, or would know the future.

    Args:
        given: whether the request named the instant; what is wrong with it is then the request's.
    """
    age = instant - feature_time
    if age < timedelta(0):
        raise RefusedError(
            422 if given else 503,
            f"The instant {instant.isoformat()} lies before that of the features, {feature_time.isoformat()}, so they "
            f"would know the future: ask for a later as_of.",
        )
    if age > serving.refuse_after:
        raise RefusedError(
            422 if given else 503,
            f"The features are of {feature_time.isoformat()}, {in_days(age)} before the instant asked for, and past "
            f"{in_days(serving.refuse_after)} nothing is answered (serving.refuse_after of the problem file): publish "
            f"newer ones with 'mlguide run', or ask with an earlier as_of.",
        )
    if age > serving.stale_after:
        return [
            f"The features are {in_days(age)} older than the instant asked for (serving.stale_after: "
            f"{in_days(serving.stale_after)})."
        ]
    return []


def _utc(instant: datetime) -> datetime:
    """Without a time zone, as all times here; one without is UTC already."""
    if instant.tzinfo is None:
        return instant
    try:
        return instant.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise RefusedError(
            422, f"as_of {instant.isoformat()} is no instant that UTC can say: ask for another."
        ) from error
