"""How far back a champion is measured: days whose outcomes are known, however long one takes."""

from datetime import date, datetime, timedelta

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.observe.performance.model_performance import last_days
from mlguide_assets_tests.train.sends import PROBLEM

NEWEST, LEARNED = datetime(2026, 6, 30, 12), datetime(2025, 1, 1)


def watching(days: int, window: int) -> Problem:
    """Outcomes take `window` days."""
    label = PROBLEM.predict.label.model_copy(update={"window": timedelta(days=window)})
    return PROBLEM.model_copy(
        update={
            "predict": PROBLEM.predict.model_copy(update={"label": label}),
            "watching": PROBLEM.watching.model_copy(update={"days": days}),
        }
    )


def history(final_after: int, every: int = 1, silent: int = 0) -> ibis.Table:
    """A decision at noon every so many days of 400; of the last `silent` days that are due, outcomes are missing."""
    days = range(0, 400, every)
    rows = [
        {"delivered_at": NEWEST - timedelta(days=day), "unsubscribed": 0 if day >= final_after + silent else None}
        for day in days
    ]
    return ibis.memtable(
        pa.Table.from_pylist(rows, pa.schema([("delivered_at", pa.timestamp("us")), ("unsubscribed", pa.int8())]))
    )


def looked_at(rows: ibis.Table, problem: Problem) -> tuple[int, int]:
    """Decisions with and without an outcome that are looked at."""
    kept, first, last = last_days(rows, problem, LEARNED)
    found = kept.filter(kept.delivered_at.date() >= first).to_pyarrow()
    assert last == NEWEST.date()
    return len(found) - found["unsubscribed"].null_count, found["unsubscribed"].null_count


@pytest.mark.parametrize("window", [7, 60, 90, 180])
def test_as_many_days_with_outcomes_are_looked_at_however_long_an_outcome_takes(window: int) -> None:
    assert looked_at(history(window), watching(90, window)) == (90, window)


@pytest.mark.parametrize("days", [1, 7, 30])
def test_the_newest_outcomes_are_looked_at_where_decisions_are_rarer_than_the_days(days: int) -> None:
    matured, _ = looked_at(history(60, every=30), watching(days, 60))
    assert matured == 1


@pytest.mark.parametrize("silent", [100, 200, 300])
def test_where_outcomes_come_no_more_the_record_does_not_grow(silent: int) -> None:
    """The last that came are measured still; what waits in vain is read as far back as ever."""
    assert looked_at(history(7, silent=silent), watching(90, 7)) == (90, 97)


def test_without_an_outcome_it_is_looked_back_from_what_was_learned() -> None:
    rows = history(1000)
    _, first, _ = last_days(rows, watching(90, 7), datetime(2026, 6, 1))
    assert first == date(2026, 6, 1) - timedelta(days=89)
