"""What the page says of a home: everything it knows, nothing it does not, and never as HTML of somebody else's."""

import math
import re
from dataclasses import replace
from datetime import timedelta
from functools import cache
from html.parser import HTMLParser

import pytest

from mlguide_assets.observe.alerts.alerting import gap_alert
from mlguide_assets.observe.drift.table import WHOLE_DAY
from mlguide_assets.observe.page.charts import WIDE, Chart, Point, Series, svg
from mlguide_assets.observe.page.page import SECTIONS, page
from mlguide_assets.observe.page.report_data import Champion, ReportData
from mlguide_assets_tests.observe.page.knowing import (
    EMPTY,
    HARM,
    NOW,
    TODAY,
    day_of,
    decision,
    drifted,
    fault,
    full,
    incident,
)


class _Read(HTMLParser):
    """The text of each section, its elements, and whether every element is closed where it should be."""

    VOID = ("meta", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.titles: list[str] = []
        self._open: list[str] = []
        self._section = ""
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "srcset", "action")]
        self.titles += [value or "" for name, value in attrs if name == "title"]
        assert not any(name.startswith("on") for name in given), given
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "section":
            self._section = given.get("id") or "state"
            self.sections[self._section] = ""

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._section and self._open and self._open[-1] not in ("style", "script"):
            self.sections[self._section] += data + " "


@cache
def shown(known: ReportData) -> str:
    return page(known)


@cache
def read(known: ReportData) -> _Read:
    return _Read(shown(known))


def said(known: ReportData, section: str) -> str:
    return " ".join(read(known).sections[section].split())


@pytest.fixture(scope="module")
def everything() -> ReportData:
    return full()


def test_a_home_in_which_nothing_ran_says_what_to_do_in_every_section() -> None:
    found = read(EMPTY)
    assert set(found.sections) == {"state", *SECTIONS}
    assert "Nothing has been run in this home yet: 'mlguide run' fills it." in found.sections["state"]
    for name in SECTIONS:
        assert re.search(r"No |Without |Nothing |never ", found.sections[name]), name
    assert "svg" not in found.tags
    assert "table" not in found.tags


def test_text_from_data_is_text(everything: ReportData) -> None:
    whole = shown(everything)
    assert HARM not in whole
    assert "<img" not in whole
    found = read(everything)
    # Ours alone.
    assert found.tags.count("script") == 1
    for section in ("champion", "slices", "drift", "events"):
        assert HARM in found.sections[section], section
    assert any(HARM in title for title in found.titles), "tooltips of the heat map"


def test_it_makes_no_request_and_leads_only_to_itself_and_to_files_beside_it(everything: ReportData) -> None:
    found = read(everything)
    assert found.addresses
    assert all(address.startswith(("#", ".mlguide/", "data:")) for address in found.addresses)
    assert not re.search(r"https?://|@import|url\(|fetch\(", shown(everything))
    inside = {address for address in found.addresses if address.startswith("#")}
    assert inside == {f"#{name}" for name in SECTIONS}


def test_ninety_days_of_thirty_features_are_less_than_two_megabytes(everything: ReportData) -> None:
    assert len(shown(everything).encode()) < 2_000_000


def test_equal_knowledge_is_an_equal_page(everything: ReportData) -> None:
    assert shown(everything) == page(full())


def test_the_headline_says_how_everything_is(everything: ReportData) -> None:
    text = said(everything, "state")
    for words in (
        "Version 12 , trained 2026-02-19 09:15 UTC, in production since 2026-02-19 09:30 UTC.",
        "It dropped: ROC AUC 0.7900, 0.0500 worse than the 0.8400 at training.",
        "Outcomes do not come as its probabilities expect",
        "beyond its noise for 14 windows in a row",
        "act: 1 of 30 columns",
        "1 incident open.",
        "Next: Look at the report of the day.",
        f"On {TODAY} 760 requests were answered, 99 % of them within",
    ):
        assert words in text, words


def test_performance_that_is_old_and_outcomes_that_do_not_come_are_marked(everything: ReportData) -> None:
    verdict = {**(everything.verdict or {}), "verdict": "holds", "reason": "It holds."}
    old = replace(
        everything, verdict=verdict, verdict_age="That is 47 days before.", about_source=["No outcome has come"]
    )
    assert "It holds. That is 47 days before." in said(old, "state")
    assert "Source No outcome has come." in said(old, "state")
    assert "That is 47 days before." in said(old, "performance")


def test_one_window_beyond_noise_is_no_change(everything: ReportData) -> None:
    last = max(row["day"] for row in everything.gaps)
    gaps = [{**row, "sees_concept_drift": row["day"] == last} for row in everything.gaps]
    assert "Nothing that lasts: " in said(replace(everything, gaps=gaps), "state")


@pytest.mark.parametrize(("windows", "said_of_it"), [(7, "Nothing that lasts: "), (8, "Outcomes do not come as")])
def test_windows_that_share_days_are_one_witness_as_for_the_alert(
    everything: ReportData, windows: int, said_of_it: str
) -> None:
    last = max(row["day"] for row in everything.gaps)
    loud = [last - timedelta(days=back) for back in range(windows)]
    gaps = [{**row, "sees_concept_drift": row["day"] in loud} for row in everything.gaps]
    found = replace(everything, gaps=gaps)
    assert said_of_it in said(found, "state")
    alert = gap_alert([row for row in gaps if row["metric"] == found.metric])
    assert (alert is not None) is (windows > 7)
    shared = f"The last {windows} windows are among them, but share days."
    assert (shared in said(found, "performance")) is (windows == 7)


def test_gaps_without_an_interval_are_not_shown_as_fine(everything: ReportData) -> None:
    nothing = {"low": math.nan, "high": math.nan, "sees_concept_drift": False}
    page = replace(everything, gaps=[{**row, **nothing} for row in everything.gaps])
    assert "not known Concept drift Not tested: no window of 7 days has enough users" in said(page, "state")
    assert "excludes 0" not in said(page, "performance")
    untested = "No window has enough users of either outcome for an interval, so none is tested."
    assert untested in said(page, "performance")
    last = max(row["day"] for row in everything.gaps)
    some = replace(everything, gaps=[{**row, **(nothing if row["day"] == last else {})} for row in everything.gaps])
    assert f"to {last - timedelta(days=1)}, beyond its noise" in said(some, "state")
    assert "1 more has too few users for an interval." in said(some, "performance")


def test_features_that_are_not_fresh_are_marked(everything: ReportData) -> None:
    assert page(replace(everything, stale_after=timedelta(hours=14))) != shown(everything)


def test_every_decision_is_there_with_its_reasons(everything: ReportData) -> None:
    text = said(everything, "champion")
    assert text.count("It passes all 10 behaviour tests.") == len(everything.decisions)
    for words in (
        "10 older decisions",
        "rolled back 10 11 ada",
        "Version 12 is 0.0040 better than version 10",
        "passed, waits 91 12 gate",
        "model card",
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("refused", "There is no champion, so nothing is scored: version 1 was refused on 2026-03-30 09:30 UTC."),
        ("waiting", "'mlguide promote 1 --reason TEXT' makes it champion."),
    ],
)
def test_without_a_champion_it_says_why_and_what_to_do(verdict: str, expected: str) -> None:
    known = replace(EMPTY, decisions=[decision(1, "1", verdict, before=None)])
    assert expected in said(known, "champion")
    assert expected in said(known, "state")
    assert "Without a champion" in said(known, "performance")
    assert "Without a champion" in said(known, "drift")


def test_a_champion_of_whom_nothing_was_measured_is_reported_as_such() -> None:
    known = replace(EMPTY, champion=Champion("1", NOW.isoformat()))
    assert "Nothing was measured yet" in said(known, "performance")
    assert "No day was tested yet" in said(known, "drift")


def test_days_that_wait_to_be_tested_are_said_beside_the_last_verdict() -> None:
    tested = {**drifted(day_of(9), WHOLE_DAY, "act", None), "reason": "25 days together: it has drifted."}
    waits = {**drifted(day_of(1), WHOLE_DAY, "too_few", None), "reason": "No verdict: 40 sends so far."}
    known = replace(EMPTY, champion=Champion("12", NOW.isoformat()), drift=[tested, waits])
    for section in ("state", "drift"):
        assert f"{day_of(9)}: {tested['reason']} {day_of(1)}: {waits['reason']}" in said(known, section)


def test_figures_of_another_version_are_not_taken_for_the_champions(everything: ReportData) -> None:
    other = replace(everything, champion=Champion("13", NOW.isoformat()), verdict=None)
    assert "This is of version 12, not yet of the champion" in said(other, "performance")
    assert "realised cannot be held against estimated" in said(other, "state")
    assert "not yet of the champion" not in said(everything, "performance")


def test_realised_stands_beside_estimated_and_the_gap(everything: ReportData) -> None:
    row = next(r for r in everything.gaps if r["day"] == day_of(40) and r["metric"] == "roc_auc")
    numbers = f"{day_of(40)} {row['realised']:.4f} ("
    text = said(everything, "performance")
    assert numbers in text
    assert f"{row['estimated']:.4f} (" in text[text.index(numbers) :]
    # The days that have not matured have an estimate alone.
    assert re.search(rf"{TODAY} – 0\.8\d+ \(0\.8\d+ to 0\.8\d+\) –", text)


def test_an_estimate_that_is_not_trusted_has_no_band_and_a_note(everything: ReportData) -> None:
    trusting = replace(everything, trusted={"roc_auc": True, "base_rate": True})
    assert "The estimate has no interval" in said(everything, "performance")
    assert "The estimate has no interval" not in said(trusting, "performance")
    bands = 'class="band estimated"'
    assert shown(trusting).count(bands) == 2 * shown(everything).count(bands) > 0


def test_where_nothing_has_matured_the_estimate_stands_alone(everything: ReportData) -> None:
    young = replace(everything, performance=[], gaps=[], verdict=None)
    text = said(young, "performance")
    assert "No gap yet" in text
    assert "estimated, without labels" in text
    assert "No window has matured yet" in said(young, "slices")


def test_a_day_without_neighbours_shows_its_interval() -> None:
    points = [Point(day_of(back), 0.8, 0.7, 0.9) for back in (21, 14, 7)]
    chart = Chart("ROC AUC", "", str, day_of(21), day_of(7), lines=[Series("realised", "realised", points)])
    assert svg(chart, WIDE).count('class="whisker realised"') == 3


def test_slices_are_those_of_the_last_window(everything: ReportData) -> None:
    text = said(everything, "slices")
    assert f"The 7 days to {day_of(7)}" in text
    assert "all sends 7,893 113 0.7" in text
    assert "country: KO 7,893 113 too few users" in text


def test_windows_that_hold_fewer_days_are_named_so(everything: ReportData) -> None:
    first, last = day_of(90), day_of(84)
    assert f"that end with its day (before {last}, those since {first})" in said(everything, "performance")
    young = [row for row in everything.performance if row["day"] <= day_of(89)]
    text = said(replace(everything, performance=young, estimate=young), "slices")
    assert f"The 2 days to {day_of(89)}, matured." in text


def test_features_are_ordered_by_importance_below_the_day_as_a_whole(everything: ReportData) -> None:
    text = said(everything, "drift")
    shown = text[: text.index("Evidently's reports")]
    places = [shown.index(name) for name in ("the day as a whole", "number of rows", "feature_0", "category_1 ")]
    assert places == sorted(places)
    assert shown.index("feature_27") > shown.index("category_26")


def test_a_day_without_a_verdict_is_empty(everything: ReportData) -> None:
    """Day 40 was left out: as many empty cells as rows of the map."""
    assert len(re.findall(r'<td class="no[ "]', shown(everything))) == 32


def test_what_calls_for_action_is_marked_and_explained(everything: ReportData) -> None:
    whole = shown(everything)
    acting = [row for row in everything.drift if row["level"] == "act"]
    assert len(re.findall(r'<td class="act[^"]*" title="[^"]+">!</td>', whole)) == len(acting)
    findings = [row for row in everything.drift if row["level"] in ("warn", "act") and row["column"] != "(all)"]
    assert f"{len(findings)} findings in words" in said(everything, "drift")
    assert f"{TODAY} the sends number_of_email_category_4 calls for action 0.400" in said(everything, "drift")


def test_reports_of_days_are_linked(everything: ReportData) -> None:
    assert f".mlguide/reports/{TODAY}.html" in read(everything).addresses
    assert "Evidently's reports" not in said(replace(everything, reports={}), "drift")


def test_retraining_has_its_reason_and_its_outcome(everything: ReportData) -> None:
    text = said(everything, "events")
    for words in (
        "4 promotions and rollbacks, 18 retraining runs and 3 incidents",
        "daily : 1,240 sends have matured since the last training",
        "passed, waits , version 91. It was not shown to beat the champion. 29 min",
        "not ended yet",
        "1 tick led to no run; the last, on 2026-03-31 07:06 UTC (daily): 1,240 sends",
        "watch : 1,240 sends",
        "11 older runs",
    ):
        assert words in text, words


def test_incidents_of_one_key_share_a_lane(everything: ReportData) -> None:
    text = said(everything, "events")
    assert text.count("Incident: drift-sends") == 2, "once in the wide picture, once in the narrow"
    assert "still open" in text
    many = replace(everything, incidents=[incident(f"key-{k}", 20 - k, None) for k in range(9)])
    assert len(re.findall(r">Incident: key-\d<", shown(many))) == 2 * 6
    assert "Incident: key-0" not in said(many, "events"), "the one that nothing was heard of for longest"


def test_serving_shows_the_slowest_of_a_day_and_every_row(everything: ReportData) -> None:
    text = said(everything, "serving")
    assert f"{TODAY} recommend 12 380 1.2 ms" in text
    assert "168 older rows" in text
    assert "14.5 h 3.0 days" in text, "age of features and model"
    assert f"{TODAY} /predict 500 failed 2" in text
    assert "/predict 422 refused 7" in text


def test_faults_are_shown_where_nothing_was_answered_and_their_absence_is_said(everything: ReportData) -> None:
    alone = replace(EMPTY, faults=[fault(TODAY, 503, 4)])
    assert "/predict 503 failed 4" in said(alone, "serving")
    assert "No request was refused or failed." in said(replace(everything, faults=()), "serving")


def test_a_day_of_the_clock_is_put_beside_the_data_of_that_time() -> None:
    reached = [(NOW - timedelta(days=2), day_of(400)), (NOW - timedelta(hours=1), day_of(380))]
    known = replace(EMPTY, reached=reached)
    assert known.data_day(NOW - timedelta(days=3)) is None
    assert known.data_day(NOW - timedelta(days=1)) == day_of(400)
    assert known.data_day(NOW) == day_of(380)
    assert EMPTY.data_day(NOW) == TODAY


def test_an_experiment_is_reported_with_hypothesis_effect_and_decision() -> None:
    said = read(full(days=30)).sections["experiments"]
    assert "Actions chosen per user lose fewer users" in said
    assert "ship personal. It loses fewer." in said
    assert "0.710 (0.550 to 0.900)" in said
    assert "unhealthy: no numbers" in said


def test_of_several_arms_each_is_named_with_its_own_effect() -> None:
    known = full(days=30)
    (ended,) = known.experiments
    looks = [
        {**row, "effects": [{"arm": arm, "ratio": 0.9, "ratio_low": 0.8, "ratio_high": high} for arm, high in arms]}
        for row, arms in zip(ended["results"], ([("drawn", 1.2), ("personal", 1.1)], [("drawn", 0.95)]), strict=True)
    ]
    shown = read(replace(known, experiments=[{**ended, "results": looks}])).sections["experiments"]
    said = " ".join(shown.split())
    assert "drawn 0.900 (0.800 to 1.200)" in said
    assert "personal 0.900 (0.800 to 1.100)" in said
    assert ("drawn / control" in said, "personal / control" in said, "treatment / control" in said) == (True,) * 3


def test_an_experiment_without_a_verdict_says_what_it_waits_for() -> None:
    known = full(days=30)
    (ended,) = known.experiments
    waiting = {**ended, "state": "running", "results": []}
    looked = {**ended, "state": "running", "results": ended["results"][:1]}
    assert (
        f"the first look is due on {ended['looks'][0]}"
        in read(replace(known, experiments=[waiting])).sections["experiments"]
    )
    assert (
        "at look 1: unhealthy: no numbers, and 2 looks are to come"
        in (read(replace(known, experiments=[looked])).sections["experiments"])
    )
    stopped = replace(known, experiments=[{**waiting, "state": "stopped", "reason": "too slow"}])
    assert "stopped by person:me: too slow." in read(stopped).sections["experiments"]
    assert "'mlguide experiment plan FILE'" in read(EMPTY).sections["experiments"]
    assert "nothing is chosen here" in read(replace(EMPTY, chooses=False)).sections["experiments"]
