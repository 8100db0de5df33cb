"""The page as one HTML file: it makes no network requests, so it opens offline and when mailed."""

from collections.abc import Callable
from pathlib import Path

from mlguide_assets.observe.page.champion import champion_section
from mlguide_assets.observe.page.drift import drift_section
from mlguide_assets.observe.page.events import events_section
from mlguide_assets.observe.page.experiments import experiments_section
from mlguide_assets.observe.page.headline import headline, nothing_ran, opening, title
from mlguide_assets.observe.page.markup import Html, joined, paragraph, tag
from mlguide_assets.observe.page.performance import performance_section
from mlguide_assets.observe.page.report_data import ReportData
from mlguide_assets.observe.page.serving import serving_section
from mlguide_assets.observe.page.slices import slices_section
from mlguide_assets.observe.page.wording import written
from mlguide_assets.pages import policy_tag

SECTIONS: dict[str, tuple[str, Callable[[ReportData], Html]]] = {
    "champion": ("Champion", champion_section),
    "performance": ("Performance", performance_section),
    "slices": ("Slices", slices_section),
    "drift": ("Data drift", drift_section),
    "experiments": ("Experiments", experiments_section),
    "events": ("What happened", events_section),
    "serving": ("Serving", serving_section),
}


def page(report: ReportData) -> str:
    """The whole page."""
    sections = (
        tag("section", tag("h2", heading), section(report), id=name, class_="card")
        for name, (heading, section) in SECTIONS.items()
    )
    links = (tag("a", heading, href=f"#{name}") for name, (heading, _) in SECTIONS.items())
    empty = [paragraph("Nothing has been run in this home yet: 'mlguide run' fills it.", class_="empty")]
    body = joined(
        [
            tag("a", "Skip to the sections", href="#champion", class_="skip"),
            tag("header", opening(report), paragraph(f"As of {written(report.written_at)}", class_="hint")),
            tag(
                "main",
                tag(
                    "section",
                    tag("h2", "State"),
                    *(empty if nothing_ran(report) else ()),
                    headline(report),
                    class_="card",
                ),
                tag("nav", *links, aria_label="Sections"),
                *sections,
            ),
            tag("footer", "Written by 'mlguide report'. All times are UTC.", class_="hint"),
        ]
    )
    style, script = (
        Html((Path(__file__).parent / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js")
    )
    head = joined(
        [
            Html('<meta charset="utf-8">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html(policy_tag([script])),
            # Without one browsers request it.
            Html('<link rel="icon" href="data:,">'),
            tag("title", title(report)),
            tag("style", style),
        ]
    )
    whole = tag("html", tag("head", head), tag("body", body, tag("script", script)), lang="en")
    return f"<!doctype html>\n{whole}\n"
