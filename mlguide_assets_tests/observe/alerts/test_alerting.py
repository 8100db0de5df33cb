"""From facts to alerts: two days in a row, one incident, reported once, and closed."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mlguide_assets.observe.alerts.alerting import (
    WEBHOOK_VARIABLE,
    drift_alert,
    drop_alert,
    gap_alert,
    raise_or_resolve,
)
from mlguide_assets.observe.alerts.book import AlertBook
from mlguide_assets.observe.alerts.failed_runs import BY_HAND, Work, failed_run_alert
from mlguide_assets_tests.observe.receivers import receiver

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def days(*levels: str, source: str = "sends") -> list[dict[str, object]]:
    return [
        {
            "day": f"2026-03-{number:02d}",
            "source": source,
            "level": level,
            "reason": f"It is {level}.",
            "rows": 1000,
            "model_version": "3",
        }
        for number, level in enumerate(levels, start=1)
    ]


@pytest.mark.parametrize(
    ("levels", "since"),
    [
        ((), None),
        (("act",), None),
        (("act", "none"), None),
        (("act", "none", "act"), None),
        (("none", "act", "act"), 2),
        (("act", "act", "act"), 1),
        (("act", "too_few", "act"), 1),
        (("act", "act", "warn"), 1),
        (("act", "act", *("none", "warn", "act") * 3), 1),
        (("act", "act", *["none"] * 6), 1),
        (("act", "act", *["none"] * 7), None),
        (("act", "act", *["none"] * 7, "act"), None),
        (("act", "act", *["none"] * 7, "act", "act"), 10),
    ],
)
def test_two_days_in_a_row_are_reported_and_a_week_without_ends_it(levels: tuple[str, ...], since: int | None) -> None:
    alert = drift_alert(days(*levels), "sends")
    assert (alert and alert.since.day) == since
    assert drift_alert(days(*levels), "traffic") is None


def test_drift_that_may_be_the_doing_of_an_experiment_is_said_to_be() -> None:
    found = days("act", "act")
    chosen = [row["day"] for row in found]
    for known, says in ((chosen, True), (chosen[:1], False), ([], False)):
        alert = drift_alert(found, "sends", known)
        assert alert is not None
        assert ("An experiment chose for some units" in alert.next_step) is says


def test_a_new_champion_begins_without_an_alert() -> None:
    found = days("act", "act", "none")
    assert drift_alert(found, "sends") is not None
    assert drift_alert([*found[:-1], {**found[-1], "model_version": "4"}], "sends") is None


def test_an_incident_is_reported_once_and_its_end_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as hook:
        monkeypatch.setenv(WEBHOOK_VARIABLE, hook.url)
        book = AlertBook(tmp_path)
        for hour, levels in enumerate([("act", "act"), ("act", "act", "act"), ("act", "act", "none"), ("none",) * 4]):
            raise_or_resolve(book, "drift-sends", drift_alert(days(*levels), "sends"), NOW + timedelta(hours=hour))
    assert hook.events == ["opened", "resolved"]
    assert "2026-03-02: It is act." in hook.received[0]["alert"]["happened"]


def verdicts(*found: str) -> list[dict[str, object]]:
    return [
        {"day": f"2026-03-{number:02d}", "verdict": verdict, "reason": f"It {verdict}.", "model_version": "3",
         "difference": -0.1, "window_days": 7}
        for number, verdict in enumerate(found, start=1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "since"),
    [
        ((), None),
        (("dropped",) * 2, None),
        (("dropped",) * 7, None),
        (("holds", *("dropped",) * 8), 2),
        (("dropped", "too_few", *("dropped",) * 6), 1),
        ((*("dropped",) * 8, "holds"), None),
        ((*("dropped",) * 4, "holds", *("dropped",) * 4), None),
    ],
)
def test_a_drop_is_reported_once_windows_that_share_no_day_have_it(found: tuple[str, ...], since: int | None) -> None:
    alert = drop_alert(verdicts(*found))
    assert (alert and alert.since.day) == since


def gaps(*seen: bool | None) -> list[dict[str, object]]:
    """Windows that see a concept drift, do not, or have no interval."""
    return [
        {"day": date(2026, 3, number), "metric": "roc_auc", "window_days": 7, "realised": 0.6, "estimated": 0.8,
         "value": -0.2, "low": math.nan if each is None else -0.3, "sees_concept_drift": bool(each),
         "model_version": "3"}
        for number, each in enumerate(seen, start=1)
    ]  # fmt: skip


def test_a_gap_that_lasts_is_reported_as_concept_drift() -> None:
    lasting = [True] * 8
    assert gap_alert(gaps(*lasting[1:])) is gap_alert(gaps(*lasting, False)) is gap_alert([]) is None
    alert = gap_alert(gaps(False, True, None, *lasting[2:]))
    assert alert is not None
    assert (alert.level, alert.since.day) == ("warn", 2)
    assert alert.happened.startswith("ROC AUC over the 7 days to 2026-03-09 is 0.6000, where 0.8000 was expected")


@pytest.mark.parametrize(("metric", "worse"), [("roc_auc", -1), ("log_loss", 1)])
def test_outcomes_that_are_better_than_expected_are_no_incident(metric: str, worse: int) -> None:
    def alert(sign: int) -> object:
        return gap_alert([{**row, "metric": metric, "value": sign * 0.2} for row in gaps(*[True] * 8)])

    assert alert(worse) is not None
    assert alert(-worse) is None


def test_alerts_carry_what_they_cost() -> None:
    """That of the last day for drift; a table from before days had a price has none."""
    priced = [{**day, "cost_effect": cost} for day, cost in zip(days("act", "act"), (1.0, -2.5), strict=True)]
    alerts = [
        drift_alert(priced, "sends"),
        drift_alert(days("act", "act"), "sends"),
        drop_alert(verdicts(*["dropped"] * 8), cost_effect=3.5),
        gap_alert(gaps(*[True] * 8), cost_effect=4.5),
    ]
    assert [alert and alert.cost_effect for alert in alerts] == [-2.5, None, 3.5, 4.5]


def test_an_alert_of_a_failed_run_says_what_to_do() -> None:
    alert = failed_run_alert(Work("retraining_job"), "abc", "The disk is full.", NOW)
    assert (alert.key, alert.title) == ("failure-retraining_job", "A run of retraining_job failed")
    assert "abc" in alert.next_step
    assert "The disk is full." in alert.happened


DAY, NEXT = "2026-06-20", "2026-06-21"
PLAN = ("batch_predictions", "best_offer", "send_plan")


@pytest.mark.parametrize(
    ("work", "key", "title"),
    [
        (Work("scoring_job", PLAN, DAY, DAY), "failure-scoring_job-2026-06-20", "A run of scoring_job for 2026-06-20"),
        (Work("drift_job", problem="b"), "failure-drift_job-b", "A run of drift_job, on b"),
        (
            Work(BY_HAND, PLAN, DAY, NEXT),
            "failure-batch_predictions-and-2-others-7e0fd5-2026-06-20-to-2026-06-21",
            "A materialisation of batch_predictions, best_offer and send_plan for 2026-06-20 to 2026-06-21",
        ),
        (Work(BY_HAND, PLAN[:1]), "failure-batch_predictions", "A materialisation of batch_predictions"),
        (
            Work(BY_HAND, (*PLAN, "z")),
            "failure-batch_predictions-and-3-others-f4edf6",
            "A materialisation of batch_predictions, best_offer and 2 others",
        ),
        (Work(BY_HAND), "failure-checks", "A run of checks"),
    ],
)
def test_a_failure_is_named_for_what_was_to_be_made(work: Work, key: str, title: str) -> None:
    assert (work.key, work.title) == (key, title)
    alert = failed_run_alert(work, "abc", "No.", NOW)
    assert "__" not in f"{alert.key} {alert.title} {alert.happened} {alert.next_step}"
    assert Work.from_facts(alert.facts) == work


@pytest.mark.parametrize(
    ("done", "closes"),
    [
        (Work("scoring_job", PLAN, DAY, DAY), True),
        (Work("scoring_job", PLAN, NEXT, NEXT), False),
        (Work("scoring_job", PLAN), False),
        (Work("drift_job", ("data_drift",), DAY, DAY), False),
        (Work(BY_HAND, PLAN, DAY, NEXT), True),
        (Work(BY_HAND, PLAN, NEXT, NEXT), False),
        (Work(BY_HAND, PLAN[:2], DAY, DAY), False),
        (Work("scoring_job", PLAN, DAY, DAY, "another"), False),
    ],
)
@pytest.mark.parametrize("job", ["scoring_job", BY_HAND])
def test_only_the_same_for_the_same_day_makes_up_for_a_failure(job: str, done: Work, closes: bool) -> None:
    assert done.makes_up_for(Work(job, PLAN, DAY, DAY)) is closes


def test_an_incident_of_an_earlier_version_closes_with_its_job() -> None:
    old = Work.from_facts({"job": BY_HAND, "run_id": "abc"})
    assert Work(BY_HAND, PLAN, DAY, DAY).makes_up_for(old)
    assert not Work("scoring_job", PLAN, DAY, DAY).makes_up_for(old)
