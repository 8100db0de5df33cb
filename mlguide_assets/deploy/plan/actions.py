"""The actions that no model chooses: the same one for all units of a day, and one at random. Both follow from draws."""

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from mlguide_assets.statistics.draws import Unit, draw_index

Id = TypeVar("Id", int, str)


def generic_action(candidates: Sequence[Id], *, salt: str, day: date) -> Id:
    """The one action of the generic policy on a day: a draw from the candidates by the day, not by the unit.

    >>> generic_action([146, 147, 148], salt="exploration", day=date(2026, 1, 1))
    147
    """
    return sorted(candidates)[draw_index(f"{salt}/generic", day.isoformat(), len(candidates))]


def random_action(candidates: Sequence[Id], unit: Unit, *, salt: str, day: date) -> Id:
    """The action of the random policy for a unit on a day, as the plan draws it."""
    return sorted(candidates)[draw_index(f"{salt}/random:{day.isoformat()}", unit, len(candidates))]
