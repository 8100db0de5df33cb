"""Section: the experiments, each with its hypothesis, its effect over the looks, and the decision."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mlguide_assets.english import agreeing, counted
from mlguide_assets.observe.page.charts import Chart, Point, Series, drawn, legend
from mlguide_assets.observe.page.markup import Html, joined, paragraph, table, tag
from mlguide_assets.observe.page.report_data import ReportData
from mlguide_assets.observe.page.wording import State, badge, sentence
from mlguide_assets.statistics.comparison import NO_EFFECT
from mlguide_assets.statistics.missing import nan_if_none

VERDICTS: Mapping[str, tuple[State, str]] = {
    "ship": ("good", "ship"),
    "keep": ("none", "keep the control"),
    "inconclusive": ("careful", "inconclusive: the control stays"),
    "unhealthy": ("bad", "unhealthy: no numbers"),
}


def experiments_section(report: ReportData) -> Html:
    """The newest experiment first."""
    if not report.experiments and not report.chooses:
        said = "Experiments compare ways to choose, and nothing is chosen here (predict.choose of the problem file)."
        return paragraph(said, class_="empty")
    if not report.experiments:
        said = "No experiment was started yet: 'mlguide experiment plan FILE' says what one needs."
        return paragraph(said, class_="empty")
    return joined([part for each in reversed(report.experiments) for part in _experiment(each)])


def _experiment(experiment: Mapping[str, Any]) -> list[Html]:
    looks = experiment["results"]
    parts = [
        tag("h3", f"{experiment['experiment']}, version {experiment['version']}"),
        paragraph(experiment["hypothesis"]),
        paragraph(_decision(experiment)),
    ]
    arms = dict.fromkeys(each["arm"] for row in looks for each in row["effects"])
    for arm in arms:
        measured = [(row, each) for row in looks for each in row["effects"] if each["arm"] == arm]
        if shown := [(row, each) for row, each in measured if each["ratio"] is not None]:
            parts.append(_effect(experiment, f"{arm} / control" if len(arms) > 1 else "treatment / control", shown))
    if looks:
        header = ("look", "verdict", "treatment / control", "units", "waiting", "why")
        parts.append(table(header, [_row(row) for row in looks], caption="Looks", stacks=True))
    return parts


def _decision(experiment: Mapping[str, Any]) -> Html:
    looks = experiment["results"]
    if experiment["state"] == "stopped":
        return badge("careful", f"stopped by {experiment['who']}: {sentence(experiment['reason'])}")
    if not looks:
        return badge("none", f"running since {experiment['start']}; the first look is due on {experiment['looks'][0]}")
    state, verdict = VERDICTS.get(looks[-1]["verdict"], ("none", looks[-1]["verdict"]))
    if experiment["state"] == "running":
        to_come = len(experiment["looks"]) - looks[-1]["look"]
        left = f"{counted(to_come, 'look')} {agreeing(to_come, 'is')}"
        return badge("none", f"running; at look {looks[-1]['look']}: {verdict}, and {left} to come")
    arm = f" {looks[-1]['variant']}" if looks[-1]["variant"] else ""
    return badge(state, f"{verdict}{arm}. {sentence(looks[-1]['reason'])}")


def _effect(experiment: Mapping[str, Any], name: str, looks: list[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Html:
    """The ratio of one arm at each look that has it."""
    points = [
        Point(
            date.fromisoformat(row["look_day"]),
            nan_if_none(effect["ratio"]),
            nan_if_none(effect["ratio_low"]),
            nan_if_none(effect["ratio_high"]),
            loud=not _includes(effect, NO_EFFECT),
        )
        for row, effect in looks
    ]
    tooltip = {
        point.day: f"look {row['look']}: {_interval(effect)}"
        for point, (row, effect) in zip(points, looks, strict=True)
    }
    chart = Chart(
        title=f"{experiment['experiment']}: {name}, by look",
        description=f"At the last look with numbers: {_interval(looks[-1][1])}.",
        tooltip=lambda day: tooltip[day],
        first=points[0].day,
        last=points[-1].day,
        intervals=(Series(name, "gap", points),),
        levels=(NO_EFFECT,),
        height=180,
    )
    keys = legend(("gap quiet", name), ("gap loud", "interval without 1"), ("across", "no difference"))
    return tag("figure", keys, drawn(chart))


def _row(row: Mapping[str, Any]) -> list[Html | str]:
    return [
        f"{row['look']} of {row['looks']}, {row['look_day']}",
        badge(*VERDICTS.get(row["verdict"], ("none", row["verdict"]))),
        _intervals(row["effects"]),
        f"{row['units']:,}",
        f"{row['waiting']:,}",
        sentence(row["reason"]),
    ]


def _intervals(effects: Sequence[Mapping[str, Any]]) -> Html:
    """Of each arm a line, which names it where there are several."""
    if len(effects) < 2:
        return tag("span", *map(_interval, effects) if effects else "–", class_="figure")
    return joined([tag("div", f"{each['arm']} ", tag("span", _interval(each), class_="figure")) for each in effects])


def _interval(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None:
        return "–"
    return f"{row['ratio']:.3f} ({_number(row['ratio_low'])} to {_number(row['ratio_high'])})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _includes(row: Mapping[str, Any], value: float) -> bool:
    low, high = nan_if_none(row["ratio_low"]), nan_if_none(row["ratio_high"])
    return math.isnan(low) or math.isnan(high) or low <= value <= high
