"""The features of a request: stored states, and what follows from the moment. The definitions are training's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mlguide_assets.deploy.online_store.store import Row, StoreError
from mlguide_assets.prepare.features.moment import moment_features

_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Pair:
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
    """Feature columns, and the pair that each row is of."""

    names: tuple[str, ...]
    pairs: list[Pair] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.columns = self.columns or {name: [] for name in self.names}

    def row(self, position: int) -> dict[str, Any]:
        return {name: self.columns[name][position] for name in self.names}

    def extend(self, other: "Features") -> None:
        self.pairs += other.pairs
        for name, column in self.columns.items():
            column += other.columns[name]


def of_pairs(
    pairs: Sequence[tuple[Row, Row]],
    names: tuple[str, ...],
    *,
    instant: datetime,
    feature_time: datetime,
    what_if: Mapping[str, float] | None = None,
) -> Features:
    """Features of pairs of a user's and an email's stored state, at an instant.

    Args:
        what_if: features of the moment that are set by hand.
    """
    moments = moment_features(
        at=microseconds(instant),
        joined_at=_times(user["date_joined"] for user, _ in pairs),
        created_at=_times(email["created_at"] for _, email in pairs),
        last_at=_times(user["last_delivered_at"] for user, _ in pairs),
    )
    columns: dict[str, list[Any]] = {}
    for name in names:
        if name in moments:
            given = (what_if or {}).get(name)
            columns[name] = [given] * len(pairs) if given is not None else _plain(moments[name], len(pairs))
        else:
            side = 0 if pairs and name in pairs[0][0] else 1
            columns[name] = [_value(pair[side], name) for pair in pairs]
    judged = [Pair(user["user_id"], email["email_id"], instant, feature_time) for user, email in pairs]
    return Features(names, judged, columns)


def of_last_sends(sends: Sequence[Row], names: tuple[str, ...]) -> Features:
    """Features of sends that were made, each as of its own delivery."""
    times = [datetime.fromisoformat(send["delivered_at"]) for send in sends]
    pairs = [Pair(send["user_id"], send["email_id"], at, at) for send, at in zip(sends, times, strict=True)]
    return Features(names, pairs, {name: [_value(send, name) for send in sends] for name in names})


def _value(row: Row, name: str) -> Any:
    try:
        return row[name]
    except KeyError:
        raise StoreError(
            f"The online store has no feature {name!r}, which the champion was trained with: 'mlguide run' publishes "
            f"those of the problem, or 'mlguide promote' a model that was trained for it."
        ) from None


def microseconds(instant: datetime) -> int:
    """Since 1970, UTC."""
    return (instant - _EPOCH) // _MICROSECOND


def _times(texts: Iterable[str | None]) -> Any:
    """Microseconds since 1970, NaN for a time that there is not; float64 is exact to the year 2255."""
    return np.array(
        [float("nan") if text is None else microseconds(datetime.fromisoformat(text)) for text in texts], np.float64
    )


def _plain(values: Any, rows: int) -> list[Any]:
    """A column as numbers or None; what is the same for every pair is one number."""
    if not isinstance(values, np.ndarray):
        return [values] * rows
    return [None if value != value else value for value in values.tolist()]
