"""How long windows of performance are where little is decided, and what is said where none is long enough."""

import re
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.observe.performance.window_support import WindowSupport, longest_window, window_support
from mlguide_assets_tests.train.sends import PROBLEM

LAST = datetime(2026, 3, 31)
NEEDED = PROBLEM.evaluation.min_positives


def matured(days: int, positive: int, negative: int) -> pa.Table:
    """So many days, each with so many users of each outcome; none of them twice."""
    rows = [
        (day * 100 + at, LAST - timedelta(days=day), int(at < positive))
        for day in range(days)
        for at in range(positive + negative)
    ]
    columns = [list(each) for each in zip(*rows, strict=True)]
    return pa.table(dict(zip(("unit_id", "decided_at", "label"), columns, strict=True)))


def support(days: int, positive: int, negative: int = 9) -> WindowSupport:
    found = window_support(matured(days, positive, negative), PROBLEM)
    assert found is not None
    return found


@pytest.mark.parametrize(("positive", "days"), [(9, 7), (NEEDED // 14 + 1, 14), (1, 35)])
def test_a_window_is_as_long_as_it_needs_to_hold_enough(positive: int, days: int) -> None:
    found = support(80, positive)
    assert (found.days, found.is_enough, found.last) == (days, True, LAST.date())


def test_where_none_is_enough_it_is_said_what_is_missing_and_when_it_is_expected() -> None:
    found = support(20, 1)
    assert (found.days, found.is_enough, found.record_days) == (PROBLEM.watching.window_days, False, 20)
    said = found.missing(PROBLEM)
    assert f"needs {NEEDED} users with a positive outcome and {NEEDED} with a negative one" in said
    assert "the 20 days to 2026-03-31 have 20 and 180" in said
    expected = LAST.date() + timedelta(days=NEEDED - 20) + PROBLEM.label.window
    assert f"about {expected}, once" in said


def test_where_it_cannot_come_the_problem_file_is_named() -> None:
    rare = [row for row in matured(200, 1, 5).to_pylist() if not row["label"] or row["decided_at"].day % 15 == 1]
    found = window_support(pa.Table.from_pylist(rare), PROBLEM)
    assert found is not None
    assert found.record_days == longest_window(PROBLEM)
    assert "at that rate 360 days have enough, so set watching.days to 364 or more" in found.missing(PROBLEM)
    assert support(20, 0).missing(PROBLEM).endswith("have 0 and 180.")


def test_where_the_same_few_units_come_again_no_number_of_days_is_advised() -> None:
    rows = matured(83, 25, 25)
    few = rows.set_column(0, "unit_id", pa.array([unit % 25 for unit in rows["unit_id"].to_pylist()]))
    found = window_support(few, PROBLEM)
    assert found is not None
    said = found.missing(PROBLEM)
    assert "the 83 days to 2026-03-31 have 25 and 25: more days bring hardly any other users" in said
    assert "set evaluation.min_positives to 25 or less" in said
    assert "watching.days" not in said


def test_where_new_units_come_ever_more_rarely_more_days_are_needed_than_at_the_same_rate() -> None:
    slow = WindowSupport(7, LAST.date(), 80, 24, 200, 30, 40, (20, 100))
    # Windows are whole multiples of seven days: 187 would not be used.
    assert "at that rate 187 days have enough, so set watching.days to 189 or more" in slow.missing(PROBLEM)


@pytest.mark.parametrize("every", [1, 7, 30])
@pytest.mark.parametrize("days", [84, 90, 120])
@pytest.mark.parametrize("positive", [1, 3, 5, 7])
def test_a_day_that_is_expected_comes_and_days_that_are_advised_are_enough(
    every: int, days: int, positive: int
) -> None:
    """However long a record is: each day before the last brings as many again."""
    problem = problem_of(days)
    for decided in range(1, (days - 1) // every + 2):
        found = sparse(decided, every, positive, problem)
        if found.is_enough:
            return
        said = found.missing(problem)
        advised = re.search(r"set watching.days to ([\d,]+) or more", said)
        if advised:
            longer = int(advised[1].replace(",", ""))
            assert longer > days
            assert sparse((longer - 1) // every + 1, every, positive, problem_of(longer)).is_enough
        else:
            assert "is long enough about" in said
    assert advised, "it is expected on a day, and never is enough"


def problem_of(days: int) -> Problem:
    return PROBLEM.model_copy(update={"watching": PROBLEM.watching.model_copy(update={"days": days})})


def sparse(decided: int, every: int, positive: int, problem: Problem) -> WindowSupport:
    """Of so many days with decisions, one in `every`, as `positive` new users of either outcome are decided on each."""
    rows = [
        {"unit_id": day * 100 + at, "decided_at": LAST - timedelta(days=day * every), "label": at % 2}
        for day in range(decided)
        for at in range(2 * positive)
    ]
    found = window_support(pa.Table.from_pylist(rows), problem)
    assert found is not None
    return found


def test_where_nothing_has_matured_there_is_no_window() -> None:
    assert window_support(matured(1, 1, 0).slice(0, 0), PROBLEM) is None
