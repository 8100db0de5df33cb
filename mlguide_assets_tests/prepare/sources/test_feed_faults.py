"""Planted mistakes in the feed: what they change, and what they leave as it is."""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import FeedFault
from mlguide_assets.prepare.sources.feed_faults import spoil, spoilt
from mlguide_assets_tests.samples import PROBLEM

COLUMN = pa.array([str(value) for value in range(1000)])


FAULT: dict[str, object] = {
    "what": "empty",
    "table": "user_emails",
    "column": "unsubscribed",
    "first": date(2026, 1, 5),
    "until": date(2026, 1, 7),
}


def fault(what: str, share: float = 1.0) -> FeedFault:
    return FeedFault.model_validate({**FAULT, "what": what, "share": share})


def test_an_empty_column_has_no_values() -> None:
    assert spoilt(COLUMN, fault("empty")).null_count == len(COLUMN)


def test_a_share_of_the_rows_is_hit_and_the_others_stay() -> None:
    found = spoilt(COLUMN, fault("empty", share=0.3)).to_pylist()
    assert 250 < found.count(None) < 350
    assert all(value in (None, str(place)) for place, value in enumerate(found))


def test_shuffled_values_are_those_of_other_rows() -> None:
    found = spoilt(COLUMN, fault("shuffled")).to_pylist()
    assert sorted(found) == sorted(COLUMN.to_pylist())
    assert sum(value == str(place) for place, value in enumerate(found)) < 10


def test_the_same_fault_gives_the_same_rows() -> None:
    assert spoilt(COLUMN, fault("shuffled", 0.5)).equals(spoilt(COLUMN, fault("shuffled", 0.5)))


def test_only_the_one_column_of_a_file_changes(tmp_path: Path) -> None:
    before = pa.table({"user_id": pa.array(range(1000)), "unsubscribed": COLUMN})
    pq.write_table(before, tmp_path / "user_emails.parquet")
    spoil(tmp_path / "user_emails.parquet", fault("empty"))
    after = pq.read_table(tmp_path / "user_emails.parquet")
    assert after.schema == before.schema
    assert after["user_id"].equals(before["user_id"])
    assert after["unsubscribed"].null_count == len(COLUMN)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"column": "unsubscribd"}, "has no column 'unsubscribd'"), ({"until": date(2026, 1, 5)}, "must be after first")],
)
def test_a_fault_that_cannot_be_is_refused(wrong: dict[str, object], said: str) -> None:
    planted = {**FAULT, **wrong}
    with pytest.raises(ValidationError, match=said):
        Problem.model_validate({**PROBLEM, "source": {"kind": "simulator", "faults": [planted]}})
