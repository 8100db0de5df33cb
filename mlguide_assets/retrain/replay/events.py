"""What happened in a replay: events, and what they add up to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Side = Literal["planted", "noticed", "action"]

Kind = Literal["drift", "performance", "data", "training", "rollback", "decision", "experiment", "planted"]
"""What an event is about. The first five may be false alarms."""


@dataclass(frozen=True)
class Event:
    """Something on a day of a replay.

    Attributes:
        side: planted by the scenario, noticed by the system, or done by it.
        kind: what it is about.
        alarm: it reports a problem; a scheduled training or a promotion does not.
    """

    day: int
    side: Side
    kind: Kind
    what: str
    alarm: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"day": self.day, "kind": self.side, "about": self.kind, "what": self.what}


@dataclass(frozen=True)
class Answer:
    """What became of a planted event.

    Attributes:
        noticed, acted: the first event of each side that it explains; None where there was none.
    """

    planted: Event
    noticed: Event | None
    acted: Event | None


def false_alarms(events: Sequence[Event], explains: Callable[[int, Kind], bool]) -> list[Event]:
    """Alarms that nothing planted by then explains."""
    return [event for event in events if event.alarm and not explains(event.day, event.kind)]


def answers(events: Sequence[Event], explained_by: Callable[[Event, Event], bool]) -> list[Answer]:
    """For each planted event, what was noticed first and done first.

    Args:
        explained_by: whether an event can follow from a planted one.
    """
    planted = [event for event in events if event.side == "planted"]

    def first(plant: Event, side: Side) -> Event | None:
        after = (event for event in events if event.side == side and event.day >= plant.day)
        return next((event for event in after if explained_by(event, plant)), None)

    return [Answer(plant, first(plant, "noticed"), first(plant, "action")) for plant in planted]
