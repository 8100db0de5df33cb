"""Section: the last window of every slice, beside all decisions."""

import math
from collections.abc import Mapping
from typing import Any

from mlguide_assets.english import plural
from mlguide_assets.observe.page.markup import Html, joined, paragraph, table, tag
from mlguide_assets.observe.page.report_data import ReportData
from mlguide_assets.observe.page.scales import Scale, around
from mlguide_assets.observe.page.wording import percent
from mlguide_assets.statistics.missing import nan_if_none
from mlguide_assets.train.evaluation.slices import ALL_ROWS
from mlguide_assets.train.figures import estimate

_WIDTH, _HEIGHT = 150, 18


def slices_section(report: ReportData) -> Html:
    rows = [row for row in report.performance if row["window_days"] == report.window_days]
    if not rows:
        return paragraph("No window has matured yet, so there is nothing to slice.", class_="empty")
    day = max(row["day"] for row in rows)
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if row["day"] == day:
            found.setdefault((row["column"], row["slice"]), {})[row["metric"]] = row
    primary = {name: metrics[report.metric] for name, metrics in found.items() if report.metric in metrics}
    bounds = [
        nan_if_none(row[bound]) for row in primary.values() for bound in ("value", "low", "high") if row["supported"]
    ]
    scale = Scale(*around(bounds), 4, _WIDTH - 4)
    whole = next((nan_if_none(row["value"]) for (column, _), row in primary.items() if column == ALL_ROWS), math.nan)
    header = ("slice", report.plural, "positives", report.primary.title, "", "rate, realised", report.above_done)
    cells = [_row(name, found[name], row, scale, whole, report) for name, row in primary.items()]
    window = report.window(day)
    caption = f"Slices over {window}"
    intro = (
        f"{window[:1].upper()}{window[1:]}, matured. The line across is all {report.plural} together; a slice "
        f"with too few {plural(report.unit)} of either outcome is shown, but not tested, and has no interval."
    )
    return joined([paragraph(intro), table(header, cells, caption=caption, stacks=True)])


def _row(
    name: tuple[str, str],
    metrics: Mapping[str, Mapping[str, Any]],
    row: Mapping[str, Any],
    scale: Scale,
    whole: float,
    report: ReportData,
) -> list[Html | str]:
    column, value = name
    return [
        f"all {report.plural}" if column == ALL_ROWS else f"{column}: {value}",
        f"{row['rows']:,}",
        f"{row['positives']:,.0f}",
        tag("span", estimate(row), class_="figure") if row["supported"] else f"too few {plural(report.unit)}",
        _interval(row, scale, whole) if row["supported"] else "",
        percent(metrics["base_rate"]["value"], 2) if "base_rate" in metrics else "–",
        percent(metrics["withheld_share"]["value"]) if "withheld_share" in metrics else "–",
    ]


def _interval(row: Mapping[str, Any], scale: Scale, whole: float) -> Html:
    """A dot with its whiskers; the table has the numbers."""
    value, low, high = (nan_if_none(row[bound]) for bound in ("value", "low", "high"))
    middle = _HEIGHT / 2
    parts = []
    if math.isfinite(whole):
        parts.append(tag("line", x1=scale(whole), x2=scale(whole), y1=0, y2=_HEIGHT, class_="level"))
    if math.isfinite(low) and math.isfinite(high):
        parts.append(tag("line", x1=scale(low), x2=scale(high), y1=middle, y2=middle, class_="whisker realised"))
    if math.isfinite(value):
        parts.append(tag("circle", cx=scale(value), cy=middle, r=3.5, class_="dot realised"))
    return tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", class_="small", aria_hidden="true")
