"""The top of the page: the state of everything in a few sentences, each leading to its section."""

from collections.abc import Iterator

from mlguide_assets.english import counted, plural
from mlguide_assets.observe.alerts.incidents import Incident
from mlguide_assets.observe.page.champion import no_champion, since
from mlguide_assets.observe.page.drift import last_verdicts, said_of
from mlguide_assets.observe.page.markup import Html, items, joined, tag
from mlguide_assets.observe.page.performance import BASE_RATE, Followed
from mlguide_assets.observe.page.performance import STATES as VERDICT_STATES
from mlguide_assets.observe.page.report_data import ReportData
from mlguide_assets.observe.page.serving import last_day
from mlguide_assets.observe.page.wording import State, sentence, sign, written


def headline(report: ReportData) -> Html:
    lines = (
        tag("li", sign(state), tag("a", title, href=f"#{section}"), tag("span", *said))
        for state, title, section, said in _lines(report)
    )
    return tag("ul", *lines, *_open(report), class_="headline")


def nothing_ran(report: ReportData) -> bool:
    tables = (report.decisions, report.performance, report.estimate, report.drift, report.serving, report.retraining)
    return report.champion is None and not any(tables)


def _lines(report: ReportData) -> Iterator[tuple[State, str, str, list[Html | str]]]:
    yield _champion(report)
    yield _quality(report)
    for said in report.about_source:
        yield "careful", "Source", "drift", [sentence(said)]
    yield _reaction(report)
    yield _drift(report)
    yield _serving(report)


def _champion(report: ReportData) -> tuple[State, str, str, list[Html | str]]:
    champion, made = report.champion, since(report)
    if champion is None:
        return ("bad" if report.decisions else "none"), "Champion", "champion", [no_champion(report)]
    by = f", in production since {written(made['decided_at'])}" if made else ""
    said = f", trained {written(champion.trained_at)}{by}."
    return "good", "Champion", "champion", [tag("b", f"Version {champion.version}"), said]


def _quality(report: ReportData) -> tuple[State, str, str, list[Html | str]]:
    verdict = report.verdict
    if verdict is None:
        many = report.plural
        said = f"Not evaluated yet on {many} after its training: 'mlguide run' does so once such {many} have matured."
        return "none", "Performance", "performance", [said]
    state, age = VERDICT_STATES[verdict["verdict"]], report.verdict_age
    said = f"{sentence(verdict['reason'])} {age}" if age else verdict["reason"]
    return ("careful" if age and state == "good" else state), "Performance", "performance", [said]


def _reaction(report: ReportData) -> tuple[State, str, str, list[Html | str]]:
    """Whether outcomes come as they did: by the metric whose gap is beyond its noise for longest."""
    followed = [each for name in (report.metric, BASE_RATE) if (each := Followed.of(report, name)).gaps]
    if not followed or report.other_versions:
        said = "No day has matured since, so realised cannot be held against estimated."
        return "none", "Concept drift", "performance", [said]
    tested = [each for each in followed if each.tested]
    if not tested:
        said = (
            f"Not tested: no window of {counted(report.window_days, 'day')} has enough {plural(report.unit)} of either "
            f"outcome for an interval of realised minus estimated."
        )
        return "none", "Concept drift", "performance", [said]
    loudest = max(tested, key=lambda each: (each.lasts, len(each.loud_run)))
    day = max(loudest.tested)
    found = loudest.written(loudest.gaps, day)
    gap = f"{loudest.title}, realised minus estimated, is {found} over {report.window(day)}"
    run = len(loudest.loud_run)
    if not loudest.lasts:
        if not run:
            return "good", "Concept drift", "performance", [f"Outcomes come as its probabilities expect: {gap}."]
        where = f"the last {run} windows, which share days" if run > 1 else "the last window"
        said = f"Nothing that lasts: {gap}, which is beyond its noise in {where}."
        return "good", "Concept drift", "performance", [said]
    said = f"Outcomes do not come as its probabilities expect: {gap}, beyond its noise for {run} windows in a row."
    return "careful", "Concept drift", "performance", [said]


def _drift(report: ReportData) -> tuple[State, str, str, list[Html | str]]:
    found = last_verdicts(report.drift, report.plural)
    state, said = said_of(found) if found else ("none", "No day was tested yet.")
    return state, "Data drift", "drift", [said]


def _serving(report: ReportData) -> tuple[State, str, str, list[Html | str]]:
    if not report.serving:
        return "none", "Serving", "serving", ["The API has received no request yet."]
    last = last_day(report.serving)
    stale = last.oldest_features > report.stale_after.total_seconds() / 3600
    return ("careful" if stale else "good"), "Serving", "serving", [last.sentence]


def _open(report: ReportData) -> list[Html]:
    """What somebody ought to look at now."""
    found = report.open_incidents
    link = tag("a", "Incidents", href="#events")
    if not found:
        return [tag("li", sign("good"), link, tag("span", "None is open."))]
    state: State = "bad" if any(each.alert.level == "act" for each in found) else "careful"
    text = tag("span", f"{counted(len(found), 'incident')} open.", items(_summary(each) for each in found))
    return [tag("li", sign(state), link, text)]


def _summary(incident: Incident) -> Html:
    alert, by = incident.alert, incident.acknowledged_by
    since = f", open since {written(incident.opened_at)}{f', {by} is on it' if by else ''}. "
    said = " ".join(sentence(text) for text in (alert.happened, alert.severity, f"Next: {alert.next_step}"))
    return joined([tag("b", alert.title), since, said])


def title(report: ReportData) -> str:
    now = f"version {report.champion.version}" if report.champion else "no champion"
    return f"{report.problem}: {now}, {report.written_at:%Y-%m-%d}"


def opening(report: ReportData) -> Html:
    return joined([tag("h1", report.problem), tag("p", report.statement, class_="hint")])
