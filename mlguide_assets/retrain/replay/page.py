"""The result of a replay as one HTML file that needs nothing else: a time line, the answers, and the numbers."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from mlguide_assets.english import counted
from mlguide_assets.instants import zoned_midnight
from mlguide_assets.observe.page import page as report
from mlguide_assets.observe.page.markup import Html, items, joined, paragraph, table, tag
from mlguide_assets.observe.page.time_line import Happened, Lane, Lasted, shape, time_line
from mlguide_assets.pages import policy_tag
from mlguide_assets.retrain.replay.events import Event, Kind
from mlguide_assets.retrain.replay.outcome import Outcome, in_words, worth_in_words
from mlguide_assets.retrain.replay.scenario import Scenario

_SIGNS: dict[Kind, tuple[str, str]] = {
    "planted": ("diamond", "careful"),
    "drift": ("ring", "careful"),
    "performance": ("ring", "careful"),
    "data": ("ring", "careful"),
    "training": ("square", "none"),
    "decision": ("up", "good"),
    "rollback": ("down", "bad"),
    "experiment": ("diamond", "good"),
}
_LEGEND: dict[Kind, str] = {
    "planted": "planted",
    "data": "noticed",
    "training": "training",
    "decision": "decision of the gate",
    "rollback": "rollback",
}


def page(outcome: Outcome, scenario: Scenario) -> str:
    """The whole page."""
    style = Html((Path(report.__file__).parent / "page.css").read_text(encoding="utf-8"))
    title = f"Replay: {outcome.scenario}"
    head = joined(
        [
            Html('<meta charset="utf-8">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(policy_tag()),
            Html('<link rel="icon" href="data:,">'),
            tag("title", title),
            tag("style", style),
        ]
    )
    replayed = (
        f"{counted(outcome.days, 'day')} from {outcome.start}, seed {outcome.seed}, replayed in "
        f"{outcome.seconds:,.0f} s."
    )
    body = joined(
        [
            tag("header", tag("h1", title), paragraph(scenario.statement), paragraph(replayed, class_="hint")),
            tag(
                "main",
                _section("What happened", _figure(outcome), _answers(outcome)),
                _section("What it adds up to", _counts(outcome)),
                _section("Every event", _events(outcome.events)),
            ),
            tag("footer", "Written by 'mlguide replay'. The world is simulated, so the truth is known.", class_="hint"),
        ]
    )
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', body), lang='en')}\n"


def _section(heading: str, *content: Html) -> Html:
    return tag("section", tag("h2", heading), *content, class_="card")


def _figure(outcome: Outcome) -> Html:
    lanes = [
        Lane("Champion", spans=_champions(outcome)),
        Lane("Planted", events=_happened(outcome, "planted")),
        Lane("Noticed", events=_happened(outcome, "noticed")),
        Lane("Done", events=_happened(outcome, "action")),
    ]
    first = _midnight(outcome, 0)
    said = f"{counted(len(outcome.events), 'event')} in {counted(outcome.days, 'day')}"
    signs = (tag("span", shape(*_SIGNS[kind]), name) for kind, name in _LEGEND.items())
    # The last day is shown whole, as the bars of champions are.
    last = first + timedelta(days=outcome.days + 1)
    picture = time_line(lanes, first=first, last=last, title="Time line", description=said)
    return tag("figure", tag("figcaption", *signs, class_="legend"), picture)


def _champions(outcome: Outcome) -> list[Lasted]:
    """Who was in production, from the first to the last day of each stretch."""
    spans: list[Lasted] = []
    days = sorted(outcome.champions)
    start = 0
    for at, day in enumerate(days):
        version = outcome.champions[day]
        if at + 1 == len(days) or outcome.champions[days[at + 1]] != version:
            if version is not None:
                tooltip = f"version {version}, days {days[start]} to {day}"
                begins, ends = _midnight(outcome, days[start]), _midnight(outcome, day + 1)
                spans.append(Lasted(begins, ends, f"champion{len(spans) % 2}", f"v{version}", tooltip))
            start = at + 1
    return spans


def _happened(outcome: Outcome, side: str) -> list[Happened]:
    return [
        Happened(_midnight(outcome, event.day), *_SIGNS[event.kind], f"day {event.day}: {event.what}")
        for event in outcome.events
        if event.side == side
    ]


def _midnight(outcome: Outcome, day: int) -> datetime:
    return zoned_midnight(date.fromisoformat(outcome.start) + timedelta(days=day))


def _answers(outcome: Outcome) -> Html:
    if not outcome.answers:
        return paragraph("Nothing was planted.")
    rows = [[in_words(event) for event in (answer.planted, answer.noticed, answer.acted)] for answer in outcome.answers]
    return table(["Planted", "Noticed", "Done"], rows, caption="Planted events and their answers", stacks=True)


def _counts(outcome: Outcome) -> Html:
    false = [in_words(event) for event in outcome.false_alarms]
    found = outcome.experiment
    lines = [
        f"False alarms: {len(false) or 'none'}",
        *false,
        f"Trainings after the first: {outcome.retrainings}",
        f"Promotions after the first: {outcome.promotions}",
        f"Rollbacks: {outcome.rollbacks}",
        f"Days with a harmful model in production: {outcome.harmful_days}",
        *([f"Experiment: {found['verdict']}: {found['reason']}"] if found else []),
        *worth_in_words(outcome),
    ]
    return items(lines)


def _events(events: Sequence[Event]) -> Html:
    rows = [[f"day {event.day}", {"action": "done"}.get(event.side, event.side), event.what] for event in events]
    return table(["Day", "", "What"], rows, caption="Every event", stacks=True)
