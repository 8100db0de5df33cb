"""Label feeds that stop, are late, or never began: which of them is reported, and since when."""

from datetime import date, timedelta
from typing import Any

import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.observe.freshness.missing_outcomes import (
    age_of_performance,
    missing_outcomes,
    missing_outcomes_alert,
)

PROBLEM = load_problem("planeswalker")
FIRST = date(2026, 1, 1)
DAY = timedelta(days=1)


def landed(*known: int, decisions: int = 10) -> list[dict[str, Any]]:
    """Days from `FIRST` on whose outcomes should be known, and so many of each are; then three that wait."""
    counts = [*((each, decisions) for each in known), *[(0, 0)] * 3]
    return [
        {"day": FIRST + at * DAY, "rows": decisions, "decisions": decisions, "matured": matured, "known": count}
        for at, (count, matured) in enumerate(counts)
    ]


@pytest.mark.parametrize(
    ("days", "missing"),
    [
        pytest.param(landed(*[10] * 20, *[0] * 7), (FIRST + 20 * DAY, 70), id="a week without"),
        pytest.param(landed(*[10] * 20, *[0] * 6), None, id="late by less than a week"),
        pytest.param(landed(*[10] * 20), None, id="they come"),
        pytest.param(landed(*[0] * 40), None, id="there never was one"),
        pytest.param([], None, id="nothing was read"),
        pytest.param(landed(*[0] * 9, *[10] * 20), None, id="none before the label was written"),
        pytest.param(landed(*[10] * 9, *[0] * 9, *[10] * 9), None, id="they came again"),
        pytest.param(landed(*[1] * 20, *[0] * 9), None, id="one in ten has one: none of ninety may be late"),
        pytest.param(landed(*[1] * 20, *[0] * 12), (FIRST + 20 * DAY, 120), id="one in ten, for long"),
        pytest.param(landed(*[1] * 20, *[0] * 8, decisions=1), None, id="eight decisions"),
        pytest.param(landed(*[90] * 20, 0, 2, *[0] * 9, decisions=100), (FIRST + 20 * DAY, 1098), id="but for two"),
        pytest.param([{"day": FIRST, "rows": 9, "decisions": 9}], None, id="of an earlier version"),
    ],
)  # fmt: skip
def test_outcomes_are_missing_where_they_came_and_then_did_not_for_a_week(
    days: list[dict[str, Any]], missing: tuple[date, int] | None
) -> None:
    found = missing_outcomes(days, PROBLEM)
    assert (found and (found.since, found.decisions)) == missing


def test_days_without_decisions_are_neither() -> None:
    known = landed(*[10] * 20)[:20]
    empty = [{"day": FIRST + at * DAY, "rows": 5, "decisions": 0, "matured": 0, "known": 0} for at in range(20, 40)]
    assert missing_outcomes([*known, *empty], PROBLEM) is None
    assert age_of_performance(FIRST + 19 * DAY, [*known, *empty]) is None


def test_the_alert_says_since_when_and_of_which_column() -> None:
    found = missing_outcomes(days := landed(*[9] * 20, *[0] * 7), PROBLEM)
    assert found is not None
    assert found.sentence == (
        "No outcome has come for the 70 sends of 2026-01-21 to 2026-01-27, whose time for one (label.window) is over; "
        "of those before, 90% had one. Look at what fills the column unsubscribed of the source"
    )
    alert = missing_outcomes_alert(days, PROBLEM)
    assert alert is not None
    assert (alert.key, alert.kind, alert.since.date()) == ("outcomes-missing", "data", date(2026, 1, 21))
    assert "not measured after 2026-01-20" in alert.severity


def test_performance_is_old_where_later_outcomes_should_be_known() -> None:
    days = landed(*[10] * 20, *[0] * 10)
    assert age_of_performance(FIRST + 19 * DAY, days) == (
        "That is 10 days before 2026-01-30, the last day whose outcomes should be known: what came since is not."
    )
    assert age_of_performance(FIRST + 23 * DAY, days) is None
    assert age_of_performance(None, days) is None
