"""Drift by feature and day, as a table whose cells are coloured.

A table, not a drawing: its first column stays in sight where it scrolls, and those who do not see it can walk
through it.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from mlguide_assets.observe.page.markup import Html, scrolling, tag

STEPS = (0.02, 0.05, 0.1, 0.2)
"""Where a shade begins. A high PSI is not a verdict: one day of the week is always far from all seven."""

_ROOMY = 28
"""Days up to which a cell is about as wide as half a date."""

SIGNS: Mapping[str, str] = {"act": "!", "warn": "•", "too_few": "?", "none": ""}
LEVEL_NAMES: Mapping[str, str] = {
    "act": "calls for action",
    "warn": "worth a look",
    "too_few": "too few rows to test",
    "none": "no drift worth a warning",
}
"""From bad to good."""


@dataclass(frozen=True)
class Cell:
    """What was found of a row on a day; `psi` is None where there is none."""

    level: str
    psi: float | None
    reason: str


@dataclass(frozen=True)
class HeatRow:
    """A row of the map: its name, what is said of the name, and its cells by day."""

    name: str
    about: str
    cells: Mapping[date, Cell]


def heat_map(rows: Sequence[HeatRow], *, caption: str) -> Html:
    """The map of all days from the first to the last of any row; a day that was not tested is empty."""
    shown = sorted({day for row in rows for day in row.cells})
    days = [shown[0] + timedelta(days=k) for k in range((shown[-1] - shown[0]).days + 1)]
    head = tag("tr", tag("th", "feature", scope="col"), *_weeks(days))
    body = (
        tag("tr", tag("th", tag("bdi", row.name), scope="row", title=row.about), *(_cell(row, day) for day in days))
        for row in rows
    )
    whole = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", head),
        tag("tbody", *body),
        class_="heat",
        style=f"--days: {len(days)}; --longest: {max(len(row.name) for row in rows)}",
    )
    return scrolling(whole, caption)


def key() -> Html:
    """What the colours and signs mean."""
    bounds = (
        "below 0.02",
        *(f"{low:g} to {high:g}" for low, high in pairwise(STEPS)),
        "0.2 and more",
    )
    colours = [tag("li", tag("span", class_=f"swatch p{at}"), text) for at, text in enumerate(bounds)]
    signs = [
        tag("li", tag("b", SIGNS[level], class_=f"swatch {level}"), LEVEL_NAMES[level])
        for level in LEVEL_NAMES
        if SIGNS[level]
    ]
    return tag("ul", tag("li", "PSI:"), *colours, *signs, class_="legend")


def _weeks(days: Sequence[date]) -> list[Html]:
    """Headings over the days of each week, which most have no room for their own."""
    weeks: list[list[date]] = []
    for day in days:
        if weeks and day.weekday():
            weeks[-1].append(day)
        else:
            weeks.append([day])
    enough = 2 if len(days) <= _ROOMY else 5
    return [
        tag(
            "th", f"{week[0]:%b} {week[0].day}" if len(week) >= enough else "", colspan=str(len(week)), scope="colgroup"
        )
        for week in weeks
    ]


def _cell(row: HeatRow, day: date) -> Html:
    cell = row.cells.get(day)
    monday = " monday" if day.weekday() == 0 else ""
    if cell is None:
        return tag("td", class_=f"no{monday}")
    alarming = cell.level in ("warn", "act")
    shade = cell.level if alarming else f"p{0 if cell.psi is None else bisect_right(STEPS, cell.psi)}"
    psi = "" if cell.psi is None else f", PSI {cell.psi:.3f}"
    tooltip = f"{row.name}, {day:%a} {day}{psi}: {LEVEL_NAMES.get(cell.level, cell.level)}\n{cell.reason}"
    return tag("td", SIGNS.get(cell.level), class_=f"{shade}{monday}", title=tooltip)
