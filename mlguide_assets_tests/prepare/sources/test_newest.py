"""Corrections as second rows: the newest counts where it is known, and nothing is guessed where it is not."""

from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.prepare.sources.names import UNREADABLE
from mlguide_assets.prepare.sources.newest import NEWER, ORDER, with_newer_rows
from mlguide_assets_tests.samples import arrow, sample_problem

SENT = datetime(2024, 1, 11)
EARLY, LATE = SENT + timedelta(days=1), SENT + timedelta(days=2)


def newer(labels: list[str | None], duck: Any, known_at: list[datetime | None] | None = None, **more: Any) -> list[Any]:
    """What is said of rows of one key with these labels, in their order, and of one more of another key."""
    sends = [{"user_id": 1, "email_id": 1, "unsubscribed": label, "delivered_at": SENT} for label in labels]
    rows = arrow("user_emails", [*sends, {**sends[0], "user_id": 2}])
    rows = rows.append_column(UNREADABLE, pa.array(list(map(str, range(len(rows))))))
    written = pa.array([*(known_at or [None] * len(labels)), None], pa.timestamp("us"))
    rows = rows.append_column("written_at", written)
    table = sample_problem("nowhere", tables={"user_emails": {"known_at": "written_at"}}).tables["user_emails"]
    for name, values in more.items():
        rows = rows.append_column(name, pa.array([*values, 99]))
    found = duck.to_pyarrow(with_newer_rows(ibis.memtable(rows), table, ("unsubscribed",))).sort_by(UNREADABLE)
    *ours, other = found[NEWER].to_pylist()
    assert other == 0
    return ours


def test_in_a_file_the_last_row_is_the_newest(duck: Any) -> None:
    assert newer(["no", "yes", "no"], duck, **{ORDER: [0, 1, 2]}) == [2, 1, 0]
    assert newer(["no", "yes", "no"], duck, **{ORDER: [2, 1, 0]}) == [0, 1, 2]


def test_the_time_of_writing_counts_before_the_order(duck: Any) -> None:
    assert newer(["yes", "no"], duck, [LATE, EARLY], **{ORDER: [0, 1]}) == [0, 1]
    assert newer(["yes", "no"], duck, [LATE, LATE], **{ORDER: [0, 1]}) == [1, 0]


def test_the_time_of_writing_counts_without_an_order(duck: Any) -> None:
    assert newer(["no", "yes"], duck, [EARLY, LATE]) == [1, 0]
    assert newer(["no", "yes", "no"], duck, [None, LATE, EARLY]) == [2, 0, 1]


@pytest.mark.parametrize(
    ("labels", "known_at", "wanted"),
    [
        (["no", "yes"], None, [None, None]),
        (["no", "yes"], [LATE, LATE], [None, None]),
        (["no", "yes", "no"], [EARLY, LATE, LATE], [2, None, None]),
        (["no", "yes", "no"], [EARLY, EARLY, LATE], [2, 1, 0]),
    ],
)
def test_of_what_contradicts_nothing_is_known(labels: Any, known_at: Any, wanted: Any, duck: Any) -> None:
    found = newer(labels, duck, known_at)
    assert found == wanted or sorted(found, key=str) == sorted(wanted, key=str)


def test_equal_rows_are_one_and_a_row_without_a_label_is_older(duck: Any) -> None:
    assert sorted(newer(["no", "no"], duck)) == [0, 1]
    assert newer([None, "yes"], duck) == [1, 0]
    assert newer(["yes", None], duck) == [0, 1]
