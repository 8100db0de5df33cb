"""The top of the page: the state of everything in a few sentences, each leading to its section."""

from collections.abc import Iterator

from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.page.champion import no_champion, since
from mlguide_assets.observe.page.drift import STATES, verdict_of_last_day
from mlguide_assets.observe.page.markup import Html, items, joined, tag
from mlguide_assets.observe.page.performance import BASE_RATE, Followed
from mlguide_assets.observe.page.performance import STATES as VERDICT_STATES
from mlguide_assets.observe.page.report_data import ReportData
from mlguide_assets.observe.page.serving import last_day
from mlguide_assets.observe.page.wording import State, counted, sentence, sign, written

CONCERNED_AFTER = 2
"""Windows in a row beyond the gap's noise before it is called a change: one in twenty is by chance."""


def headline(known: ReportData) -> Html:
    lines = (
        tag("li", sign(state), tag("a", title, href=f"#{section}"), tag("span", *said))
        for state, title, section, said in _lines(known)
    )
    return tag("ul", *lines, *_open(known), class_="headline")


def nothing_ran(known: ReportData) -> bool:
    tables = (known.decisions, known.performance, known.estimate, known.drift, known.serving, known.retraining)
    return known.champion is None and not any(tables)


def _lines(known: ReportData) -> Iterator[tuple[State, str, str, list[Html | str]]]:
    yield _champion(known)
    yield _quality(known)
    yield _reaction(known)
    yield _drift(known)
    yield _serving(known)


def _champion(known: ReportData) -> tuple[State, str, str, list[Html | str]]:
    champion, made = known.champion, since(known)
    if champion is None:
        return ("bad" if known.decisions else "none"), "Champion", "champion", [no_champion(known)]
    by = f", in production since {written(made['decided_at'])}" if made else ""
    said = f", trained {written(champion.trained_at)}{by}."
    return "good", "Champion", "champion", [tag("b", f"Version {champion.version}"), said]


def _quality(known: ReportData) -> tuple[State, str, str, list[Html | str]]:
    verdict = known.verdict
    if verdict is None:
        many = known.plural
        said = f"Not evaluated yet on {many} after its training: 'mlguide run' does so once such {many} have matured."
        return "none", "Performance", "performance", [said]
    return VERDICT_STATES[verdict["verdict"]], "Performance", "performance", [verdict["reason"]]


def _reaction(known: ReportData) -> tuple[State, str, str, list[Html | str]]:
    """Whether outcomes come as they did: the metric whose gap is beyond its noise for longest tells."""
    followed = [each for name in (known.metric, BASE_RATE) if (each := Followed.of(known, name)).gaps]
    if not followed or known.other_versions:
        said = "No day has matured since, so realised cannot be held against estimated."
        return "none", "Concept drift", "performance", [said]
    loudest = max(followed, key=lambda each: each.loud_run)
    day = max(loudest.gaps)
    gap = (
        f"{loudest.title}, realised minus estimated, is {loudest.written(loudest.gaps, day)} over the "
        f"{known.window_days} days to {day}"
    )
    run = loudest.loud_run
    if run < CONCERNED_AFTER:
        return "good", "Concept drift", "performance", [f"Outcomes come as its probabilities expect: {gap}."]
    said = f"Outcomes do not come as its probabilities expect: {gap}, beyond its noise for {run} windows in a row."
    return "careful", "Concept drift", "performance", [said]


def _drift(known: ReportData) -> tuple[State, str, str, list[Html | str]]:
    found = verdict_of_last_day(known.drift, known.plural)
    if found is None:
        return "none", "Data drift", "drift", ["No day was tested yet."]
    return STATES.get(found["level"], "none"), "Data drift", "drift", [f"{found['day']}: {found['reason']}"]


def _serving(known: ReportData) -> tuple[State, str, str, list[Html | str]]:
    if not known.serving:
        return "none", "Serving", "serving", ["The API was not asked yet."]
    last = last_day(known.serving)
    stale = last.oldest_features > known.stale_after.total_seconds() / 3600
    return ("careful" if stale else "good"), "Serving", "serving", [last.sentence]


def _open(known: ReportData) -> list[Html]:
    """What somebody ought to look at now."""
    found = known.open_incidents
    link = tag("a", "Incidents", href="#events")
    if not found:
        return [tag("li", sign("good"), link, tag("span", "None is open."))]
    state: State = "bad" if any(each.alert.level == "act" for each in found) else "careful"
    text = tag("span", f"{counted(len(found), 'incident')} open.", items(_told(each) for each in found))
    return [tag("li", sign(state), link, text)]


def _told(incident: Incident) -> Html:
    alert, by = incident.alert, incident.acknowledged_by
    since = f", open since {written(incident.opened_at)}{f', {by} is on it' if by else ''}. "
    said = " ".join(sentence(text) for text in (alert.happened, alert.severity, f"Next: {alert.next_step}"))
    return joined([tag("b", alert.title), since, said])


def title(known: ReportData) -> str:
    now = f"version {known.champion.version}" if known.champion else "no champion"
    return f"{known.problem}: {now}, {known.written_at:%Y-%m-%d}"


def opening(known: ReportData) -> Html:
    return joined([tag("h1", known.problem), tag("p", known.statement, class_="hint")])
