"""The features of a request: stored states, and what follows from the moment. The definitions are training's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mlguide_assets.deploy.online_store.store import Row, StoreError
from mlguide_assets.prepare.features.moment import moment_features

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = float("nan")


class Pair(NamedTuple):
    """A user and an email to judge.

    Args:
        instant: when the email would be delivered.
        feature_time: the instant whose knowledge the stored features hold.
    """

    user_id: int
    email_id: int
    instant: datetime
    feature_time: datetime


@dataclass
class Features:
    """The values of features, one row per pair, in the order of their names."""

    names: tuple[str, ...]
    pairs: list[Pair] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        columns: Iterable[Sequence[Any]] = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.names)
        return dict(zip(self.names, columns, strict=True))

    def row(self, position: int) -> dict[str, Any]:
        return dict(zip(self.names, self.rows[position], strict=True))

    def extend(self, other: "Features") -> None:
        self.pairs += other.pairs
        self.rows += other.rows


def of_pairs(
    users: Sequence[Row],
    emails: Sequence[Row],
    names: tuple[str, ...],
    *,
    instant: datetime,
    feature_time: datetime,
    what_if: Mapping[str, float] | None = None,
) -> Features:
    """Features of stored states at an instant: each user with each email, user by user.

    Args:
        what_if: features of the moment that are set by hand.
    """
    features, at = Features(names), microseconds(instant)
    created = [_time(email["created_at"]) for email in emails]
    for user in users:
        joined_at, last_at = _time(user["date_joined"]), _time(user["last_delivered_at"])
        for email, created_at in zip(emails, created, strict=True):
            # Of one pair at a time, in plain numbers: most requests have few, for which arrays cost more.
            moment = moment_features(at=at, joined_at=joined_at, created_at=created_at, last_at=last_at)
            row = {**email, **user, **moment, **(what_if or {})}
            features.rows.append(_values(row, names))
            features.pairs.append(Pair(user["user_id"], email["email_id"], instant, feature_time))
    return features


def of_last_sends(sends: Sequence[Row], names: tuple[str, ...]) -> Features:
    """Features of sends that were made, each as of its own delivery."""
    times = [datetime.fromisoformat(send["delivered_at"]) for send in sends]
    pairs = [Pair(send["user_id"], send["email_id"], at, at) for send, at in zip(sends, times, strict=True)]
    return Features(names, pairs, [_values(send, names) for send in sends])


def _values(row: Row, names: tuple[str, ...]) -> tuple[Any, ...]:
    """The features of a row; one that is no number, as the days since an email that there never was, is None."""
    try:
        return tuple([None if (value := row[name]) != value else value for name in names])
    except KeyError as error:
        raise StoreError(
            f"The online store has no feature {error.args[0]!r}, which the champion was trained with: 'mlguide run' "
            f"publishes those of the problem, or 'mlguide promote' a model that was trained for it."
        ) from None


def microseconds(instant: datetime) -> int:
    """Since 1970, UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def _time(text: str | None) -> float:
    """Microseconds since 1970, NaN for a time that there is not; a float is exact to the year 2255."""
    return _NEVER if text is None else float(microseconds(datetime.fromisoformat(text)))
