"""Lanes of what lasted and what happened, over one axis of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlguide_assets.observe.page.charts import NARROW, WIDE
from mlguide_assets.observe.page.markup import Html, joined, tag
from mlguide_assets.observe.page.scales import Times, time_ticks

SHAPES = {
    "up": "M0-6 6 5H-6Z",
    "down": "M0 6 6-5H-6Z",
    "ring": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "diamond": "M0-6 6 0 0 6-6 0Z",
    "cross": "M-5-5 5 5M5-5-5 5",
    "square": "M-4-4h8v8h-8Z",
}
"""Distinguished by their outline, so that colour only helps."""

_CHARACTER = 6.2
"""Width of a character of a label, on average."""

_LANE, _LABEL, _BELOW, _TOP = 30, 12, 24, 4


@dataclass(frozen=True)
class Happened:
    """Something at an instant. `shape` is one of `SHAPES`, `style` a class of the page's style sheet."""

    at: datetime
    shape: str
    style: str
    tooltip: str


@dataclass(frozen=True)
class Lasted:
    """Something from one instant to another; `text` is written into it where it has room."""

    start: datetime
    end: datetime
    style: str
    text: str
    tooltip: str


@dataclass(frozen=True)
class Lane:
    name: str
    spans: Sequence[Lasted] = ()
    events: Sequence[Happened] = ()


def time_line(lanes: Sequence[Lane], *, first: datetime, last: datetime, title: str, description: str) -> Html:
    """All lanes, for a wide and for a narrow screen."""
    room = (last - first) * 0.02
    pictures = (
        tag("div", _svg(lanes, first - room, last + room, title, description, width), class_=name)
        for width, name in ((WIDE, "wide"), (NARROW, "narrow"))
    )
    return joined(pictures)


def shape(name: str, style: str) -> Html:
    """A sign for a legend."""
    path = tag("path", d=SHAPES[name], class_=f"sign {style}")
    return tag("svg", path, viewBox="-8 -8 16 16", class_="glyph", aria_hidden="true")


def _svg(lanes: Sequence[Lane], first: datetime, last: datetime, title: str, description: str, width: int) -> Html:
    x = Times(first, last, 8, width - 8)
    bottom = float(_TOP + len(lanes) * (_LANE + _LABEL))
    parts = [tag("title", title), tag("desc", description), *_axis(x, bottom)]
    for at, lane in enumerate(lanes):
        parts += _lane(lane, x, float(_TOP + at * (_LANE + _LABEL)))
    return tag("svg", *parts, viewBox=f"0 0 {width} {bottom + _BELOW:.0f}", role="img", class_="chart")


def _axis(x: Times, bottom: float) -> Iterator[Html]:
    taken = x.start
    for instant, text in time_ticks(x.first, x.last, int((x.end - x.start) / 85)):
        at, width = x(instant), _CHARACTER * len(text)
        yield tag("line", x1=at, x2=at, y1=0, y2=bottom + 4, class_="grid")
        anchor = "start" if at < x.start + 40 else "end" if at > x.end - 40 else "middle"
        left = at - {"start": 0.0, "end": width, "middle": width / 2}[anchor]
        # The first label names the day as well, and may reach into the second.
        if left >= taken:
            yield tag("text", text, x=at, y=bottom + 18, class_=anchor)
            taken = left + width + _CHARACTER
    yield tag("line", x1=x.start, x2=x.end, y1=bottom, y2=bottom, class_="axis")


def _lane(lane: Lane, x: Times, top: float) -> Iterator[Html]:
    yield tag("text", lane.name, x=x.start, y=top + 11, class_="start lane")
    middle = top + _LABEL + _LANE / 2
    yield tag("line", x1=x.start, x2=x.end, y1=middle, y2=middle, class_="rail")
    for span in lane.spans:
        start, width = x(span.start), max(x(span.end) - x(span.start), 3)
        box = {"x": start, "y": middle - 9, "width": width, "height": 18, "rx": 3}
        yield tag("rect", tag("title", span.tooltip), class_=f"span {span.style}", **box)
        if width > 7 * len(span.text) + 12:
            yield tag("text", span.text, x=start + 6, y=middle + 4, class_="start within")
    for event in lane.events:
        sign = tag("path", d=SHAPES[event.shape], class_=f"sign {event.style}")
        # A finger is broader than the sign.
        spot = tag("circle", r=9, class_="hit")
        place = f"translate({x(event.at):.1f} {middle:.1f})"
        yield tag("g", tag("title", event.tooltip), sign, spot, transform=place)
