"""Section: how the API did, day by day."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from mlguide_assets.english import agreeing, counted
from mlguide_assets.observe.page.charts import Chart, Point, Series, drawn, legend
from mlguide_assets.observe.page.markup import Html, joined, long_table, paragraph, tag
from mlguide_assets.observe.page.report_data import ReportData, Rows
from mlguide_assets.observe.page.wording import percent
from mlguide_assets.statistics.missing import nan_if_none

_SHOWN = 10
_FAILED = 500
"""HTTP statuses from here on are the server's fault."""


def serving_section(report: ReportData) -> Html:
    if not report.serving and not report.faults:
        nothing = (
            "No request has reached the API, or its log has not landed: 'mlguide serve' answers, and 'mlguide run' "
            "lands its log and measures it."
        )
        return paragraph(nothing, class_="empty")
    by_day: dict[date, list[Mapping[str, Any]]] = {}
    for row in report.serving:
        by_day.setdefault(row["day"], []).append(row)
    intro = "From the logs of the servers, by day of the answer (UTC)."
    answered = [*_charts(by_day), _numbers(report)] if by_day else []
    return joined([paragraph(intro), *answered, _faults(report.faults)])


def _faults(rows: Rows) -> Html:
    if not rows:
        return paragraph("No request was refused or failed.")
    cells = [
        [
            tag("time", str(row["day"])),
            row["endpoint"],
            str(row["status"]),
            "failed" if row["status"] >= _FAILED else "refused",
            f"{row['requests']:,}",
        ]
        for row in sorted(rows, key=lambda row: (str(row["day"]), -row["status"], row["endpoint"]), reverse=True)
    ]
    header = ("day", "endpoint", "status", "what it means", "requests")
    return joined(
        [
            tag("h3", "Refused or failed"),
            long_table(header, cells, caption="What was not answered, by day", shown=_SHOWN, noun="row"),
        ]
    )


@dataclass(frozen=True)
class LastDay:
    """The newest day in one sentence, and the age of the oldest features in hours."""

    sentence: str
    oldest_features: float


def last_day(rows: Rows) -> LastDay:
    day = max(row["day"] for row in rows)
    of_day = [row for row in rows if row["day"] == day]
    requests = sum(row["requests"] for row in of_day)
    slowest, oldest = (_worst(of_day, name) for name in ("latency_p99", "feature_hours"))
    return LastDay(
        f"On {day} {counted(requests, 'request')} {agreeing(requests, 'was')} answered, 99 % of them within "
        f"{slowest:.1f} ms; features were up to "
        f"{_age(oldest)} old.",
        oldest,
    )


def _charts(by_day: Mapping[date, list[Mapping[str, Any]]]) -> list[Html]:
    days = sorted(by_day)

    def series(name: str, style: str, of_day: Callable[[list[Mapping[str, Any]]], float]) -> Series:
        return Series(name, style, [Point(day, of_day(by_day[day])) for day in days])

    def tooltip(day: date) -> str:
        return "\n".join([f"{day:%a} {day}", *(_line(row) for row in by_day[day])])

    shared = {"tooltip": tooltip, "first": days[0], "last": days[-1], "height": 150}
    requests = series("requests", "requests", lambda rows: float(sum(row["requests"] for row in rows)))
    slow = series("p99", "p99", lambda rows: _worst(rows, "latency_p99"))
    middle = series("p50", "p50", lambda rows: _worst(rows, "latency_p50"))
    span = f"{days[0]} to {days[-1]}"
    volume = Chart("Requests per day", f"{span}.", bars=(requests,), **shared)  # type: ignore[arg-type]
    latency = Chart(
        "Latency by day, milliseconds",
        f"{span}. The slowest endpoint and version of each day.",
        lines=(slow, middle),
        include=(0.0,),
        **shared,  # type: ignore[arg-type]
    )
    keys = legend(("p50", "half within"), ("p99", "99 % within; the slowest endpoint and version of the day"))
    return [
        tag("figure", tag("h3", "Requests"), drawn(volume)),
        tag("figure", tag("h3", "Latency, milliseconds"), keys, drawn(latency)),
    ]


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['endpoint']}, version {row['model_version']}: {counted(row['requests'], 'request')}, "
        f"{row['latency_p50']:.1f} / {row['latency_p99']:.1f} ms"
    )


def _numbers(report: ReportData) -> Html:
    header = (
        "day",
        "endpoint",
        "version",
        "requests",
        "p50",
        "p99",
        "pairs",
        "by base rate",
        report.above_done,
        "oldest features",
        "age of the model",
    )
    ordered = sorted(
        report.serving, key=lambda row: (str(row["day"]), row["endpoint"], row["model_version"]), reverse=True
    )
    cells = [
        [
            tag("time", str(row["day"])),
            row["endpoint"],
            row["model_version"],
            f"{row['requests']:,}",
            f"{row['latency_p50']:.1f} ms",
            f"{row['latency_p99']:.1f} ms",
            f"{row['pairs']:,}",
            f"{row['base_rates']:,.0f}",
            percent(row["withheld_share"]),
            _age(nan_if_none(row["feature_hours"])),
            _age(24 * nan_if_none(row.get("model_days"))),
        ]
        for row in ordered
    ]
    return long_table(header, cells, caption="Serving by day, endpoint and version", shown=_SHOWN, noun="row")


def _worst(rows: list[Mapping[str, Any]], name: str) -> float:
    return max((nan_if_none(row[name]) for row in rows), key=lambda value: -math.inf if value != value else value)


def _age(hours: float) -> str:
    if math.isnan(hours):
        return "–"
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} h"
