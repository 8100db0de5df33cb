"""Section: what was retrained, promoted, rolled back and alarmed, on one time line of wall-clock time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlguide_assets.deploy.gate.history import ABORTED, CANARY, PROMOTED, ROLLED_BACK
from mlguide_assets.english import counted
from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.page.champion import verdict_badge
from mlguide_assets.observe.page.markup import Html, joined, long_table, paragraph, tag
from mlguide_assets.observe.page.report_data import ReportData, Rows
from mlguide_assets.observe.page.time_line import Happened, Lane, Lasted, shape, time_line
from mlguide_assets.observe.page.wording import badge, instant, sentence, when, written

OUTCOMES: Mapping[str, tuple[str, str, str]] = {
    "promoted": ("up", "good", "promoted"),
    "waiting": ("diamond", "careful", "passed, waits"),
    CANARY: ("diamond", "careful", "passed, goes live by canary"),
    ABORTED: ("down", "bad", "canary aborted"),
    "kept": ("ring", "none", "champion kept"),
    "refused": ("cross", "bad", "refused"),
    "failed": ("cross", "bad", "failed"),
    ROLLED_BACK: ("down", "careful", "champion again by a rollback"),
}
"""Of decisions and of retraining runs: sign, style and words."""

_RUNNING = ("square", "none", "not ended yet")
_MOST_LANES, _SHOWN = 6, 8


def events_section(report: ReportData) -> Html:
    decided = Lane("Decisions", events=[_decided(row) for row in report.decisions])
    lanes = [
        lane
        for lane in (_champions(report), decided, _retraining(report), *_incidents(report))
        if lane.spans or lane.events
    ]
    waiting = _waiting(report.retraining)
    if not lanes:
        nothing = (
            "Nothing happened yet: no retraining, no promotion, no incident. Leave 'mlguide ui' running, and its "
            "schedules and sensors write here what they do and why."
        )
        return joined([paragraph(nothing, class_="empty"), *waiting])
    first, last = _extent(lanes, report.written_at)
    trained, promoted = sum(row["decision"] == "run" for row in report.retraining), len(_promotions(report))
    said = (
        f"{promoted:,} {'promotion or rollback' if promoted == 1 else 'promotions and rollbacks'}, "
        f"{counted(trained, 'retraining run')} and {counted(len(report.incidents), 'incident')}, "
        f"{written(first)} to {written(last)}."
    )
    picture = time_line(lanes, first=first, last=last, title="Time line", description=said)
    figure = tag("figure", _legend(), picture)
    return joined(
        [paragraph(f"Wall-clock time, UTC: {said}"), figure, *waiting, *_runs_table(report), *_alarms(report)]
    )


def _extent(lanes: Sequence[Lane], now: datetime) -> tuple[datetime, datetime]:
    starts = [span.start for lane in lanes for span in lane.spans]
    times = starts + [event.at for lane in lanes for event in lane.events]
    first = min(times)
    return first, max(now, *times, first + timedelta(minutes=5))


def _promotions(report: ReportData) -> Rows:
    return [row for row in report.decisions if row["verdict"] in (PROMOTED, ROLLED_BACK)]


def _champions(report: ReportData) -> Lane:
    """Who was champion when."""
    made = _promotions(report)
    ends = [*(instant(row["decided_at"]) for row in made[1:]), report.written_at]
    spans = []
    for at, (row, end) in enumerate(zip(made, ends, strict=True) if made else ()):
        start, version = instant(row["decided_at"]), f"version {row['version']}"
        until = "champion now" if at == len(made) - 1 else f"until {written(end)}"
        spans.append(Lasted(start, max(start, end), f"champion{at % 2}", f"v{row['version']}", f"{version}\n{until}"))
    return Lane("Champion", spans)


def _decided(row: Mapping[str, Any]) -> Happened:
    sign, style, said = OUTCOMES.get(row["verdict"], _RUNNING)
    lines = [f"version {row['version']}: {said}", f"{written(row['decided_at'])}, by {row['decided_by']}"]
    return Happened(instant(row["decided_at"]), sign, style, "\n".join([*lines, *(row["reasons"] or [])[:3]]))


def _retraining(report: ReportData) -> Lane:
    return Lane("Retraining", events=[_run(row) for row in _runs(report.retraining)])


def _runs(rows: Rows) -> Rows:
    """What was done: trainings, and rollbacks of a champion that was found worse."""
    return [row for row in rows if row["decision"] != "wait"]


def _run(row: Mapping[str, Any]) -> Happened:
    sign, style, said = OUTCOMES.get(row["outcome"] or "", _RUNNING)
    lines = [
        f"{written(row['tick_at'])}: {row['trigger']}",
        sentence(row["reason"]),
        f"{said}. {sentence(row['outcome_reason'])}",
    ]
    return Happened(instant(row["tick_at"]), sign, style, "\n".join(line.strip() for line in lines if line))


def _incidents(report: ReportData) -> list[Lane]:
    """A lane per key; those that nothing was heard of for longest are left to the table."""
    keys: dict[str, list[Incident]] = {}
    for incident in report.incidents:
        keys.setdefault(incident.key, []).append(incident)
    newest = sorted(keys, key=lambda key: max(each.raised_at for each in keys[key]), reverse=True)[:_MOST_LANES]
    return [Lane(f"Incident: {key}", [_lasted(each, report.written_at) for each in keys[key]]) for key in newest]


def _lasted(incident: Incident, now: datetime) -> Lasted:
    end, alert = incident.resolved_at, incident.alert
    until = "still open" if end is None else f"over {written(end)}"
    tooltip = f"{alert.title}\n{written(incident.opened_at)}, {until}\n{alert.happened}"
    style = "bad" if alert.level == "act" else "careful"
    style += " over" if end else ""
    text = "" if end else "open"
    return Lasted(incident.opened_at, max(end or now, incident.opened_at), style, text, tooltip)


def _legend() -> Html:
    return tag("ul", *(tag("li", shape(*look), name) for name, look in _by_look()), class_="legend")


def _by_look() -> list[tuple[str, tuple[str, str]]]:
    names: dict[tuple[str, str], list[str]] = {}
    for sign, style, said in (*OUTCOMES.values(), _RUNNING):
        names.setdefault((sign, style), []).append(said)
    return [(" or ".join(said), look) for look, said in names.items()]


def _waiting(rows: Rows) -> list[Html]:
    waits = [row for row in rows if row["decision"] == "wait"]
    if not waits:
        return []
    last = waits[-1]
    said = (
        f"{counted(len(waits), 'tick')} led to no run; the last, on {written(last['tick_at'])} ({last['trigger']}): "
        f"{sentence(last['reason'])}"
    )
    return [paragraph(said)]


def _runs_table(report: ReportData) -> list[Html]:
    runs = list(reversed(_runs(report.retraining)))
    if not runs:
        said = (
            "No retraining has run: 'mlguide ui' runs it by its schedules and sensors. Each 'mlguide run' trains, too."
        )
        return [tag("h3", "Retraining"), paragraph(said, class_="empty")]
    header = ("when", "data until", "why", "outcome", "took")
    cells = [
        [
            when(row["tick_at"]),
            tag("time", (row["data_until"] or "–")[:10]),
            joined([tag("b", row["trigger"]), f": {sentence(row['reason'])}"]),
            joined([_outcome(row["outcome"]), f"{_named(row['version'])} {sentence(row['outcome_reason'])}"]),
            tag("span", _took(row["tick_at"], row["ended_at"]), class_="figure"),
        ]
        for row in runs
    ]
    runs_table = long_table(header, cells, caption="Retraining runs", shown=_SHOWN, noun="run")
    return [tag("h3", "Retraining"), runs_table]


def _named(version: str | None) -> str:
    return f", version {version}." if version else "."


def _took(start: str, end: str | None) -> str:
    if end is None:
        return "–"
    seconds = (instant(end) - instant(start)).total_seconds()
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _outcome(outcome: str | None) -> Html:
    if outcome is None:
        return badge("none", _RUNNING[2])
    return badge("bad", "failed") if outcome == "failed" else verdict_badge(outcome)


def _alarms(report: ReportData) -> list[Html]:
    if not report.incidents:
        return [tag("h3", "Incidents"), paragraph("No incident was ever opened.", class_="empty")]
    header = ("opened", "what", "level", "how it ended", "what happened")
    cells = [
        [
            when(each.opened_at),
            each.alert.title,
            badge("bad" if each.alert.level == "act" else "careful", each.alert.level),
            joined(["over ", when(each.resolved_at)]) if each.resolved_at else "still open",
            f"{sentence(each.alert.happened)} {each.alert.severity}",
        ]
        for each in sorted(report.incidents, key=lambda each: each.opened_at, reverse=True)
    ]
    return [tag("h3", "Incidents"), long_table(header, cells, caption="Incidents", shown=_SHOWN, noun="incident")]
