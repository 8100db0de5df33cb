"""How instants and shares are written on the page."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from mlguide_assets.observe.page.markup import Html, tag
from mlguide_assets.statistics.missing import nan_if_none

State = Literal["good", "careful", "bad", "none"]
_SIGNS: Mapping[State, str] = {"good": "●", "careful": "▲", "bad": "✖", "none": "○"}
"""Distinguished by their shape, not by their colour alone."""

_STATES: Mapping[State, str] = {
    "good": "in order",
    "careful": "worth a look",
    "bad": "calls for action",
    "none": "not known",
}


def badge(state: State, text: str) -> Html:
    """A sign before a text that says what it stands for."""
    return tag("span", tag("span", _SIGNS[state], aria_hidden="true"), f" {text}", class_=f"badge {state}")


def sign(state: State) -> Html:
    """A sign alone, and its meaning for those who do not see it."""
    meaning = tag("span", _STATES[state], class_="unseen")
    return tag(
        "span", tag("span", _SIGNS[state], aria_hidden="true"), meaning, class_=f"badge {state}", title=_STATES[state]
    )


def instant(text: str) -> datetime:
    """An ISO 8601 time; without a zone it is UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def written(at: datetime | str | None) -> str:
    """An instant to the minute, UTC."""
    if at is None:
        return "–"
    found = instant(at) if isinstance(at, str) else at
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def when(at: datetime | str | None) -> Html:
    """The same for a cell of a table, where it is not broken into lines."""
    return tag("time", written(at))


def sentence(text: str | None) -> str:
    """With a full stop, which those who wrote it may have left out; nothing of nothing."""
    found = (text or "").strip()
    return found if not found or found[-1] in ".!?" else f"{found}."


def percent(value: Any, digits: int = 1) -> str:
    number = nan_if_none(value)
    return f"{100 * number:.{digits}f}%" if math.isfinite(number) else "–"
