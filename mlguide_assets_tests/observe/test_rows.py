"""The days that have landed: what each row says, and how it differs for other sends."""

from datetime import date, datetime
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.observe.rows import landed_days, rows_of_some_units
from mlguide_assets.train.folds import rows_of_whole_units
from mlguide_assets_tests.samples import arrow, sample_problem

PROBLEM = sample_problem("anywhere", label={"positive": "yes", "negative": "no", "window": "2d"})
SENDS: list[dict[str, Any]] = [
    {"user_id": user, "email_id": 1, "unsubscribed": label, "delivered_at": datetime(2024, 3, day, 12)}
    for day, user, label in [(1, 1, "no"), (1, 2, "yes"), (2, 1, "no"), (2, 2, None), (4, 1, "no"), (4, 2, "no")]
]


def landed(duck: Any, sends: list[dict[str, Any]]) -> dict[date, dict[str, Any]]:
    tables = {"user_emails": ibis.memtable(arrow("user_emails", sends))}
    rows = duck.to_pyarrow(landed_days(tables, PROBLEM)).to_pylist()
    return {row.pop("day"): row for row in rows}


def test_a_day_has_matured_once_its_last_outcome_is_final(duck: Any) -> None:
    days = landed(duck, SENDS)
    assert [(day.day, row["rows"], bool(row["outcomes"])) for day, row in days.items()] == [
        (1, 2, True),
        (2, 2, True),
        (4, 2, False),
    ]
    counted = [(row["decisions"], row["matured"], row["known"]) for row in days.values()]
    assert counted == [(2, 2, 2), (2, 2, 1), (2, 0, 0)]
    earlier = [*SENDS[:4], {**SENDS[4], "delivered_at": datetime(2024, 3, 4, 11)}]
    assert [bool(row["outcomes"]) for row in landed(duck, earlier).values()] == [True, False, False]


def test_a_day_changes_with_its_sends_alone(duck: Any) -> None:
    before = landed(duck, SENDS)
    assert landed(duck, SENDS[::-1]) == before
    doubled = [SENDS[0], SENDS[0], *SENDS]
    undated = [*SENDS, {**SENDS[0], "delivered_at": None}]
    for changed, days in ((doubled, [1]), (SENDS[1:], [1]), (undated, [])):
        after = landed(duck, changed)
        assert [day.day for day in before if after[day]["digest"] != before[day]["digest"]] == days


def test_outcomes_count_once_they_are_final(duck: Any) -> None:
    before = landed(duck, SENDS)
    assert landed(duck, [*SENDS[:4], {**SENDS[4], "unsubscribed": "yes"}, SENDS[5]]) == before
    swapped = landed(duck, [{**SENDS[0], "unsubscribed": "yes"}, {**SENDS[1], "unsubscribed": "no"}, *SENDS[2:]])
    first = date(2024, 3, 1)
    assert swapped[first]["digest"] == before[first]["digest"]
    assert swapped[first]["outcomes"] != before[first]["outcomes"]
    assert all(swapped[day] == before[day] for day in before if day != first)


@pytest.mark.parametrize("most", [1, 7, 60, 400])
def test_the_rows_of_some_units_are_drawn_as_training_draws_them(most: int) -> None:
    random = np.random.default_rng(0)
    rows = pa.table({"row": np.arange(300), "unit": random.integers(0, 40, 300), "day": random.integers(0, 3, 300)})

    def drawn(per: str | None) -> list[int]:
        found = rows_of_some_units(ibis.memtable(rows), "unit", most=most, seed=5, per=per)
        return sorted(found.row.to_pyarrow().to_pylist())

    assert drawn(None) == rows_of_whole_units(rows["unit"].to_numpy(), most, 5).tolist()
    days = [rows.filter(pa.array(rows["day"].to_numpy() == day)) for day in range(3)]
    of_days = [each.take(rows_of_whole_units(each["unit"].to_numpy(), most, 5)) for each in days]
    assert drawn("day") == sorted(pa.concat_tables(of_days)["row"].to_pylist())
