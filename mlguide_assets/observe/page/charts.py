"""Lines with their bands, and bars, by day: inline SVG in the page's own colours, twice as wide as narrow."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.page.markup import Html, joined, tag
from mlguide_assets.observe.page.scales import Scale, Times, around, time_ticks, value_ticks

WIDE, NARROW = 880, 380
"""Pixels: letters keep their size on a phone because it is shown another picture, not a smaller one."""

_LEFT, _RIGHT, _BELOW = 56, 10, 24
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Point:
    """A value on a day, with its bounds if there are any; NaN is no value."""

    day: date
    value: float
    low: float = math.nan
    high: float = math.nan
    loud: bool = False


@dataclass(frozen=True)
class Series:
    """Points in the order of their days. `style` is a class of the page's style sheet."""

    name: str
    style: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Mark:
    """Something that happened on a day."""

    day: date
    text: str


@dataclass(frozen=True)
class Chart:
    """What is to be drawn.

    Attributes:
        title, description: for those who do not see it.
        tooltip: the text for a day, in lines.
        levels: values to compare with, drawn across.
        include: values that the axis must reach.
        percent: write values times 100.
    """

    title: str
    description: str
    tooltip: Callable[[date], str]
    first: date
    last: date
    lines: Sequence[Series] = ()
    intervals: Sequence[Series] = ()
    bars: Sequence[Series] = ()
    marks: Sequence[Mark] = ()
    levels: Sequence[float] = ()
    include: Sequence[float] = ()
    percent: bool = False
    height: int = 230

    @property
    def series(self) -> tuple[Series, ...]:
        return (*self.lines, *self.intervals, *self.bars)


def drawn(chart: Chart) -> Html:
    """The chart, for a wide and for a narrow screen."""
    return joined(
        [tag("div", svg(chart, WIDE), class_="wide"), tag("div", svg(chart, NARROW), class_="narrow")],
    )


def legend(*entries: tuple[str, str]) -> Html:
    """Style and name of what a chart shows."""
    return tag("ul", *(tag("li", tag("span", class_=f"key {style}"), name) for style, name in entries), class_="legend")


def svg(chart: Chart, width: int) -> Html:
    """One picture of so many pixels."""
    frame = _Frame.of(chart, width)
    parts = [
        tag("title", chart.title),
        tag("desc", chart.description),
        *frame.axes(chart),
        *(frame.band(each) for each in chart.lines),
        *(part for each in chart.bars for part in frame.columns(each)),
        *(frame.across(value) for value in chart.levels),
        *frame.marks(chart.marks),
        *(part for each in chart.intervals for part in frame.intervals(each)),
        *(part for each in chart.lines for part in frame.line(each)),
        *frame.hits(chart),
    ]
    return tag("svg", *parts, viewBox=f"0 0 {width} {chart.height}", role="img", class_="chart")


@dataclass(frozen=True)
class _Frame:
    x: Times
    y: Scale
    top: float
    bottom: float

    @classmethod
    def of(cls, chart: Chart, width: int) -> "_Frame":
        points = [point for series in chart.series for point in series.points]
        values = [value for point in points for value in (point.value, point.low, point.high)]
        low, high = around(values, including=(*chart.include, *chart.levels))
        if chart.bars:
            low = 0.0
        top, bottom = (26.0 if any(mark.text for mark in chart.marks) else 10.0), float(chart.height - _BELOW)
        # Half a day at either end, so that the first and the last day have their whole width.
        first, last = zoned_midnight(chart.first) - _DAY / 2, zoned_midnight(chart.last) + _DAY / 2
        return cls(Times(first, last, _LEFT, width - _RIGHT), Scale(low, high, bottom, top), top, bottom)

    @property
    def day(self) -> float:
        return (self.x.end - self.x.start) / ((self.x.last - self.x.first) / _DAY)

    def at(self, day: date) -> float:
        return self.x(zoned_midnight(day))

    def axes(self, chart: Chart) -> Iterator[Html]:
        factor = 100.0 if chart.percent else 1.0
        for value, text in value_ticks(self.y.low * factor, self.y.high * factor, int(chart.height / 36)):
            y = self.y(value / factor)
            yield tag("line", x1=self.x.start, x2=self.x.end, y1=y, y2=y, class_="grid")
            yield tag("text", f"{text}%" if chart.percent else text, x=self.x.start - 6, y=y + 4, class_="end")
        span = self.x.end - self.x.start
        for instant, text in time_ticks(self.x.first, self.x.last, int(span / 85), shortest=_DAY):
            x = self.x(instant)
            yield tag("line", x1=x, x2=x, y1=self.bottom, y2=self.bottom + 4, class_="axis")
            yield tag("text", text, x=x, y=self.bottom + 17, class_=_anchor(x, self.x))
        yield tag("line", x1=self.x.start, x2=self.x.end, y1=self.bottom, y2=self.bottom, class_="axis")

    def line(self, series: Series) -> Iterator[Html]:
        for run in _runs([point for point in series.points if math.isfinite(point.value)]):
            if len(run) == 1:
                x, point = self.at(run[0].day), run[0]
                # A band of one day has no width.
                if math.isfinite(point.low) and math.isfinite(point.high):
                    ends = {"y1": self.y(point.low), "y2": self.y(point.high)}
                    yield tag("line", x1=x, x2=x, **ends, class_=f"whisker {series.style}")
                yield tag("circle", cx=x, cy=self.y(point.value), r=2.5, class_=f"dot {series.style}")
            else:
                places = " ".join(self._place(point.day, point.value) for point in run)
                yield tag("polyline", points=places, class_=f"line {series.style}")

    def band(self, series: Series) -> Html:
        bounded = [point for point in series.points if math.isfinite(point.low) and math.isfinite(point.high)]
        parts = []
        for run in _runs(bounded):
            there = [self._place(point.day, point.high) for point in run]
            back = [self._place(point.day, point.low) for point in reversed(run)]
            parts.append(tag("polygon", points=" ".join(there + back), class_=f"band {series.style}"))
        return joined(parts)

    def intervals(self, series: Series) -> Iterator[Html]:
        for point in series.points:
            if not math.isfinite(point.value):
                continue
            x, style = self.at(point.day), f"{series.style} {'loud' if point.loud else 'quiet'}"
            if math.isfinite(point.low) and math.isfinite(point.high):
                yield tag("line", x1=x, x2=x, y1=self.y(point.low), y2=self.y(point.high), class_=f"whisker {style}")
            yield tag("circle", cx=x, cy=self.y(point.value), r=min(3.5, self.day / 2.4), class_=f"dot {style}")

    def columns(self, series: Series) -> Iterator[Html]:
        for point in series.points:
            if math.isfinite(point.value):
                wide, y = min(0.8 * self.day, 36), self.y(point.value)
                yield tag(
                    "rect",
                    x=self.at(point.day) - wide / 2,
                    y=y,
                    width=wide,
                    height=max(self.bottom - y, 0),
                    class_=f"column {series.style}",
                )

    def across(self, value: float) -> Html:
        """A line at a value to compare with."""
        return tag("line", x1=self.x.start, x2=self.x.end, y1=self.y(value), y2=self.y(value), class_="level")

    def marks(self, marks: Sequence[Mark]) -> Iterator[Html]:
        """A line for each, and its text as far as there is room."""
        taken = -math.inf
        for mark in sorted(marks, key=lambda each: each.day):
            x, width = self.at(mark.day), 7.0 * len(mark.text)
            yield tag("line", tag("title", mark.text), x1=x, x2=x, y1=self.top - 6, y2=self.bottom, class_="mark")
            left = min(max(x - width / 2, self.x.start), self.x.end - width)
            if left > taken:
                yield tag("text", mark.text, x=left, y=self.top - 11, class_="start")
                taken = left + width

    def hits(self, chart: Chart) -> Iterator[Html]:
        """Where to point at for a day's numbers."""
        for day in sorted({point.day for series in chart.series for point in series.points}):
            yield tag(
                "rect",
                tag("title", chart.tooltip(day)),
                x=self.at(day) - self.day / 2,
                y=self.top,
                width=self.day,
                height=self.bottom - self.top,
                class_="hit",
            )

    def _place(self, day: date, value: float) -> str:
        return f"{self.at(day):.1f},{self.y(value):.1f}"


def _anchor(x: float, line: Times) -> str:
    """Towards the middle at both ends, or letters are cut off."""
    return "start" if x < line.start + 20 else "end" if x > line.end - 30 else "middle"


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Points of days that follow one another: a line says nothing of a day between."""
    runs: list[list[Point]] = []
    for point in points:
        if runs and point.day - runs[-1][-1].day == _DAY:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def without_band(series: Series) -> Series:
    return replace(series, points=[replace(point, low=math.nan, high=math.nan) for point in series.points])
