"""Section: how good the champion was, how good its own probabilities expect it to be, and what lies between."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import takewhile

from mlguide_assets.deploy.gate.history import PROMOTED, ROLLED_BACK
from mlguide_assets.english import agreeing, counted, plural
from mlguide_assets.observe.alerts.alerting import lasting
from mlguide_assets.observe.page.charts import Chart, Mark, Point, Series, drawn, legend, without_band
from mlguide_assets.observe.page.markup import Html, folded, joined, paragraph, table, tag
from mlguide_assets.observe.page.report_data import ReportData, Rows
from mlguide_assets.observe.page.wording import State, badge, instant, percent
from mlguide_assets.statistics.missing import nan_if_none
from mlguide_assets.train.evaluation.metrics import METRICS
from mlguide_assets.train.evaluation.slices import ALL_ROWS
from mlguide_assets.train.figures import estimate, number

BASE_RATE = "base_rate"
"""What concept drift moves first, and everybody understands."""

STATES: Mapping[str, State] = {"holds": "good", "dropped": "bad", "too_few": "none"}
"""Of the verdicts on a window."""


@dataclass(frozen=True)
class Followed:
    """A metric over windows that end with each day: realised, estimated, and the gap, by the day."""

    title: str
    as_percent: bool
    trusted: bool
    window_days: int
    realised: dict[date, Point]
    estimated: dict[date, Point]
    gaps: dict[date, Point]

    @classmethod
    def of(cls, report: ReportData, metric: str) -> "Followed":
        whole = [[row for row in rows if row["column"] == ALL_ROWS] for rows in (report.performance, report.estimate)]
        realised, estimated, gaps = (_points(rows, metric, report.window_days) for rows in (*whole, report.gaps))
        title = METRICS[metric].title if metric in METRICS else f"Share of {report.plural} with a positive outcome"
        is_trusted = report.trusted.get(metric, True)
        return cls(title, metric == BASE_RATE, is_trusted, report.window_days, realised, estimated, gaps)

    @property
    def days(self) -> list[date]:
        return sorted({*self.realised, *self.estimated})

    @property
    def tested(self) -> dict[date, Point]:
        """The gaps with an interval. Of others it is not known whether they are beyond chance."""
        return {day: point for day, point in self.gaps.items() if math.isfinite(point.low)}

    @property
    def loud_run(self) -> list[date]:
        """The last tested windows in a row in which 0 lay outside the gap's interval, by their days."""
        return sorted(takewhile(lambda day: self.gaps[day].loud, sorted(self.tested, reverse=True)))

    @property
    def lasts(self) -> bool:
        """Whether that run is evidence of a change, as an alert has it: its first and last window share no day."""
        rows = [{"day": day, "window_days": self.window_days} for day in sorted(self.tested)]
        return bool(lasting(rows, lambda row: self.gaps[row["day"]].loud))

    def written(self, points: dict[date, Point], day: date) -> str:
        point = points.get(day)
        if point is None or math.isnan(point.value):
            return "–"
        if self.as_percent:
            bounds = "" if math.isnan(point.low) else f" ({percent(point.low, 2)} to {percent(point.high, 2)})"
            return percent(point.value, 2) + bounds
        return estimate({"value": point.value, "low": point.low, "high": point.high})

    def tooltip(self, day: date) -> str:
        lines = [
            f"{day:%a} {day}",
            f"realised: {self.written(self.realised, day)}",
            f"estimated: {self.written(self.estimated, day)}",
            f"realised minus estimated: {self.written(self.gaps, day)}",
        ]
        return "\n".join(lines)


def performance_section(report: ReportData) -> Html:
    if reason := _nothing(report):
        return paragraph(reason, class_="empty")
    parts = [paragraph(_over(report)), *_other_version(report)]
    if report.verdict is not None:
        parts.append(paragraph(badge(STATES[report.verdict["verdict"]], report.verdict["reason"])))
    if report.verdict_age:
        parts.append(paragraph(badge("careful", report.verdict_age)))
    for metric in (report.metric, BASE_RATE):
        parts += _followed(Followed.of(report, metric), report, metric)
    return joined(parts)


def _nothing(report: ReportData) -> str | None:
    if report.champion is None and not report.performance and not report.estimate:
        return "Without a champion there is no performance to follow: see above what it waits for."
    if not Followed.of(report, report.metric).days:
        return (
            f"Nothing was measured yet: performance is that of {report.plural} the champion had not learned from. "
            f"Once such {report.plural} have landed, 'mlguide run' measures them."
        )
    return None


def _over(report: ReportData) -> str:
    begins, length = report.record_begins, timedelta(days=report.window_days)
    first = f" (before {begins + length - timedelta(days=1)}, those since {begins})" if begins else ""
    return (
        f"Each point covers the {counted(report.window_days, 'day')} that end with its day{first}, in UTC, with a 95 % "
        f"interval. Realised is measured on outcomes, so it ends a label window earlier. Estimated follows from the "
        f"champion's own probabilities, without outcomes. A lasting difference is concept drift: {report.plural} with "
        f"the same features end differently than before."
    )


def _other_version(report: ReportData) -> list[Html]:
    if not report.other_versions:
        return []
    named = ", ".join(report.other_versions)
    said = f"This is of version {named}, not yet of the champion: 'mlguide run' measures it."
    return [paragraph(badge("careful", said))]


def _followed(metric: Followed, report: ReportData, name: str) -> list[Html]:
    """The charts of a metric, what must be known to read them, and their numbers."""
    if not metric.days:
        return []
    realised = Series("realised", "realised", _ordered(metric.realised))
    estimated = Series("estimated", "estimated", _ordered(metric.estimated))
    shown = estimated if metric.trusted else without_band(estimated)
    first, last = metric.days[0], metric.days[-1]
    marks = _marks(report, first, last)
    level = nan_if_none(report.verdict["reference"]) if report.verdict and name == report.metric else math.nan
    chart = Chart(
        title=f"{metric.title}, realised and estimated, {first} to {last}",
        description=_described(metric),
        tooltip=metric.tooltip,
        first=first,
        last=last,
        lines=(shown, realised),
        marks=marks,
        levels=(level,) if math.isfinite(level) else (),
        percent=metric.as_percent,
    )
    at_training = [("across", f"at training {number(level)}")] if math.isfinite(level) else []
    keys = legend(("realised", "realised"), ("estimated", "estimated, without labels"), *at_training)
    notes = [] if metric.trusted else [paragraph(badge("careful", _NOT_TRUSTED), class_="note")]
    header = ("day", "realised", "estimated", "realised minus estimated")
    columns = (metric.realised, metric.estimated, metric.gaps)
    rows = [
        [tag("time", str(day)), *(tag("span", metric.written(each, day), class_="figure") for each in columns)]
        for day in reversed(metric.days)
    ]
    numbers = folded("The numbers", table(header, rows, caption=f"{metric.title} by day"))
    return [tag("figure", tag("h3", metric.title), keys, drawn(chart), *notes, *_gap(metric, chart, report), numbers)]


_NOT_TRUSTED = (
    "The estimate has no interval: on earlier days it missed the realised value more often than its noise allows. Do "
    "not rely on it."
)


def _gap(metric: Followed, above: Chart, report: ReportData) -> list[Html]:
    points = _ordered(metric.gaps)
    if not points:
        said = f"No gap yet: it needs a day whose {report.plural} have all matured."
        return [paragraph(said, class_="empty")]
    said = _tested(metric, report)
    chart = Chart(
        title=f"{metric.title}: realised minus estimated",
        description=said,
        tooltip=above.tooltip,
        first=above.first,
        last=above.last,
        intervals=(Series("realised minus estimated", "gap", points),),
        marks=[Mark(mark.day, "") for mark in above.marks],
        levels=(0.0,),
        percent=above.percent,
        height=130,
    )
    keys = legend(("gap quiet", "realised minus estimated"), ("gap loud", "beyond its noise"))
    return [keys, drawn(chart), paragraph(_concept(metric, said), class_="note")]


def _tested(metric: Followed, report: ReportData) -> str:
    """In how many windows the gap is beyond its noise, and how many could not be tested."""
    tested, units = len(metric.tested), plural(report.unit)
    if not tested:
        return f"No window has enough {units} of either outcome for an interval, so none is tested."
    loud = sum(point.loud for point in metric.tested.values())
    said = f"The interval of realised minus estimated excludes 0 in {loud} of {counted(tested, 'window')}."
    left = len(metric.gaps) - tested
    return f"{said} {left:,} more {agreeing(left, 'has')} too few {units} for an interval." if left else said


def _concept(metric: Followed, said: str) -> str:
    run = len(metric.loud_run)
    if not metric.tested:
        return said
    if not run:
        return f"{said} In the last window it includes 0."
    if run == 1:
        return f"{said} The last window is one of them."
    return f"{said} The last {run} windows are among them{'' if metric.lasts else ', but share days'}."


def _described(metric: Followed) -> str:
    day = max(metric.realised, default=None)
    if day is None:
        last = metric.days[-1]
        return f"Nothing has matured yet. Estimated on {last}: {metric.written(metric.estimated, last)}."
    return (
        f"On {day}, the last day that has matured: realised {metric.written(metric.realised, day)}, estimated "
        f"{metric.written(metric.estimated, day)}."
    )


def _marks(report: ReportData, first: date, last: date) -> list[Mark]:
    """When the champion changed, by the days of the data; what happened on one day is one mark."""
    found: dict[date, list[str]] = {}
    for row in report.decisions:
        if row["verdict"] in (PROMOTED, ROLLED_BACK):
            day = report.data_day(instant(row["decided_at"]))
            if day is not None and first <= day <= last:
                sign = "↩" if row["verdict"] == ROLLED_BACK else "▲"
                found.setdefault(day, []).append(f"{sign} version {row['version']}")
    return [Mark(day, ", ".join(texts)) for day, texts in found.items()]


def _ordered(points: dict[date, Point]) -> Sequence[Point]:
    return [points[day] for day in sorted(points)]


def _points(rows: Rows, metric: str, window_days: int) -> dict[date, Point]:
    return {
        row["day"]: Point(
            row["day"],
            nan_if_none(row["value"]),
            nan_if_none(row["low"]),
            nan_if_none(row["high"]),
            loud=bool(row.get("sees_concept_drift")),
        )
        for row in rows
        if row["metric"] == metric and row["window_days"] == window_days
    }
