"""Section: how far each day's decisions, and the requests to the API, are from the champion's training data."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from mlguide_assets.english import counted
from mlguide_assets.observe.drift.table import TOGETHER, TRAFFIC, VOLUME, WHOLE_DAY, is_tested
from mlguide_assets.observe.page.heat_map import LEVEL_NAMES, Cell, HeatRow, heat_map, key
from mlguide_assets.observe.page.markup import Html, folded, joined, paragraph, table, tag
from mlguide_assets.observe.page.report_data import ReportData, Rows
from mlguide_assets.observe.page.wording import State, badge
from mlguide_assets.statistics.missing import nan_if_none

STATES: Mapping[str, State] = {"act": "bad", "warn": "careful", "none": "good", "too_few": "none"}
_NAMES = {WHOLE_DAY: "the day as a whole", VOLUME: "number of rows", TOGETHER: "columns together"}
_MOST_LISTED = 200


def drift_section(report: ReportData) -> Html:
    if not report.drift:
        return paragraph(_nothing(report), class_="empty")
    parts = [
        paragraph(
            "Every day is held against the reference profile in the champion's bundle, the most important features "
            "first. The stronger the colour of a cell, the higher its PSI; signs are verdicts, which also weigh chance "
            "and the usual variation between days. Point at a cell for the reason."
        ),
        key(),
    ]
    for source in (report.plural, TRAFFIC):
        heading, rows = _heading(source), [row for row in report.drift if row["source"] == source]
        if rows:
            parts += [tag("h3", heading), paragraph(last_day(rows)), heat_map(_by_feature(rows), caption=heading)]
    missing = [paragraph(report.untested)] if report.untested else []
    return joined([*parts, *missing, *_reports(report), _findings(report.drift)])


def _heading(source: str) -> str:
    return "Requests to the API" if source == TRAFFIC else f"The {source}"


def last_verdicts(rows: Rows, source: str) -> list[Mapping[str, Any]]:
    """The verdict on the last day of a source that was tested, and that on the newest where it was not."""
    whole = sorted((row for row in rows if row["source"] == source and row["column"] == WHOLE_DAY), key=_day)
    tested = [row for row in whole if is_tested(row)][-1:]
    return tested + [row for row in whole[-1:] if not is_tested(row)]


def _day(row: Mapping[str, Any]) -> str:
    return str(row["day"])


def said_of(verdicts: Sequence[Mapping[str, Any]]) -> tuple[State, str]:
    """The state that verdicts mean, the first counting, and all of them in words."""
    return STATES.get(verdicts[0]["level"], "none"), " ".join(f"{row['day']}: {row['reason']}" for row in verdicts)


def last_day(rows: Rows) -> Html:
    found = last_verdicts(rows, rows[0]["source"])
    return joined([badge(*said_of(found))] if found else ["No day has a verdict."])


def _nothing(report: ReportData) -> str:
    if report.champion is None:
        return "Without a champion there is no reference to compare a day with, so no day was tested."
    return (
        "No day was tested yet. Leave 'mlguide ui' running: it tests every day that lands; or materialise a "
        "partition of data_drift there."
    )


def _by_feature(rows: Rows) -> list[HeatRow]:
    cells: dict[str, dict[date, Cell]] = {}
    importance: dict[str, float] = {}
    for row in sorted(rows, key=lambda each: str(each["day"])):
        psi = nan_if_none(row["psi"])
        cell = Cell(row["level"], None if psi != psi else psi, row["reason"] or "")
        cells.setdefault(row["column"], {})[date.fromisoformat(row["day"])] = cell
        importance[row["column"]] = nan_if_none(row["importance"])
    order = {WHOLE_DAY: 0, VOLUME: 1, TOGETHER: 2}
    names = sorted(cells, key=lambda name: (order.get(name, len(order)), -_or_zero(importance[name]), name))
    return [HeatRow(_NAMES.get(name, name), _about(name, importance[name]), cells[name]) for name in names]


def _or_zero(value: float) -> float:
    return 0.0 if value != value else value


def _about(name: str, importance: float) -> str:
    if name in _NAMES:
        return _NAMES[name]
    return f"{name}: {100 * _or_zero(importance):.1f}% of the champion's contributions"


def _reports(report: ReportData) -> Iterable[Html]:
    if report.reports:
        links = [tag("li", tag("a", day, href=link)) for day, link in sorted(report.reports.items(), reverse=True)]
        text = "Evidently's reports, which open where this page was written:"
        yield tag("div", paragraph(text), tag("ul", *links, class_="links"))


def _findings(rows: Rows) -> Html:
    """What the colours say, for those who want to read it: the newest first, the worst of a day first."""
    found = [row for row in rows if row["level"] in ("warn", "act") and row["column"] != WHOLE_DAY]
    found.sort(key=lambda row: (row["day"], row["level"] == "act"), reverse=True)
    cells = [
        [
            tag("time", row["day"]),
            _heading(row["source"]).lower().replace("api", "API"),
            _NAMES.get(row["column"], row["column"]),
            LEVEL_NAMES[row["level"]],
            f"{row['psi']:.3f}" if row["psi"] is not None and row["psi"] == row["psi"] else "–",
            row["reason"] or "",
        ]
        for row in found[:_MOST_LISTED]
    ]
    if not cells:
        return paragraph("Nothing in it is worth a look.")
    header = ("day", "of", "column", "verdict", "PSI", "reason")
    which = f", the newest {_MOST_LISTED}" if len(found) > _MOST_LISTED else ""
    return folded(
        f"{counted(len(found), 'finding')} in words{which}", table(header, cells, caption="Findings", stacks=True)
    )
