"""What a source has no longer: which losses are reported, and which are the usual course of things."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.observe.freshness.lost_rows import LostRows, lost_parts, lost_rows, most_lost
from mlguide_assets.observe.freshness.source_warnings import source_warnings
from mlguide_assets.prepare.lake.data_files import Partitions
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.incidents import incidents
from mlguide_assets.settings import Home
from mlguide_assets_tests.samples import sample_problem

PROBLEM = sample_problem("anywhere")
FIRST = date(2025, 1, 1)
YEAR = {FIRST + timedelta(days=at): 100 for at in range(365)}
END = max(YEAR)


def without(first: str, last: str) -> dict[date, int]:
    gone = range(date.fromisoformat(first).toordinal(), date.fromisoformat(last).toordinal() + 1)
    return {day: rows for day, rows in YEAR.items() if day.toordinal() not in gone}


LATER = {day + timedelta(days=40): rows for day, rows in YEAR.items()}


@pytest.mark.parametrize(
    ("now", "rows", "said"),
    [
        pytest.param(YEAR, None, "", id="all are there"),
        pytest.param({**YEAR, END + timedelta(days=1): 100}, None, "", id="it goes on"),
        pytest.param(
            without("2025-11-01", "2025-12-31"),
            6100,
            "The data went back from 2025-12-31 to 2025-10-31: 6,100 of the 36,500 rows of user_emails are gone, of "
            "2025-11-01 to 2025-12-31",
            id="the newest two months",
        ),
        pytest.param(
            without("2025-05-01", "2025-05-31"),
            3100,
            "Rows of an earlier reading are gone: 3,100 of the 36,500 rows of user_emails are gone, of 2025-05-01 to "
            "2025-05-31",
            id="a file in between",
        ),
        pytest.param(without("2025-01-01", "2025-01-31"), 3100, "", id="the first file, while nothing came"),
        pytest.param(LATER, None, "", id="what is older than a year falls out"),
        pytest.param({**YEAR, FIRST: 1, END - timedelta(days=3): 60}, None, "", id="corrections"),
        pytest.param({day: rows - 7 for day, rows in YEAR.items()}, 2555, "", id="a part of every day"),
        pytest.param({**YEAR, END: 1}, None, "", id="a correction of the newest day"),
        pytest.param({day: rows - 1 for day, rows in YEAR.items()}, None, "", id="one entity is forgotten"),
        pytest.param(without("2025-12-31", "2025-12-31"), 100, "back from 2025-12-31 to 2025-12-30", id="one day"),
        pytest.param({}, 36500, "The data went back from 2025-12-31 to nothing: ", id="everything"),
    ],
)
def test_days_at_the_end_and_rows_in_between_are_lost(now: dict[date, int], rows: int | None, said: str) -> None:
    found = most_lost(now, [YEAR], table=PROBLEM.schema.table_of(PROBLEM.deciding_event))
    assert (found.rows if found else None) == rows
    assert said in (found.sentence if found else "")


def test_a_row_of_the_future_that_is_corrected_takes_nothing_back() -> None:
    assert (
        most_lost(YEAR, [{**YEAR, date(2030, 1, 1): 1}], table=PROBLEM.schema.table_of(PROBLEM.deciding_event)) is None
    )


def test_a_loss_is_reported_as_long_as_the_lake_keeps_a_reading_that_had_more(tmp_path: Path) -> None:
    lake = Lake(tmp_path, keep=3)

    def land(days: dict[date, int]) -> LostRows | None:
        lake.write("landed_days", pa.table({"day": list(days), "rows": list(days.values())}))
        return lost_rows(lake, PROBLEM)

    assert lost_rows(lake, PROBLEM) is None
    short = without("2025-11-01", "2025-12-31")
    later = [{**short, date(2025, 11, day): 100} for day in (1, 2)]
    found = [land(days) for days in (YEAR, short)]
    alert = incidents(Home(tmp_path), lake, PROBLEM, today=END)["rows-lost"]
    assert alert is not None
    assert (alert.key, alert.level, alert.severity[:3]) == ("rows-lost", "warn", "17%")
    assert lost_rows(lake, load_problem("planeswalker")) is None, "another world, that somebody asked for"
    found += [land(days) for days in (short, *later)]
    assert [each.rows if each else None for each in found] == [None, 6100, 6100, 6000, None]


MONTHS = {f"2025-{month:02}": 100 for month in range(1, 13)}


@pytest.mark.parametrize(
    ("now", "rows"),
    [
        pytest.param(MONTHS, None, id="all are there"),
        pytest.param({**MONTHS, "2025-05": 0}, 100, id="a file in between"),
        pytest.param({**MONTHS, "2025-05": 60}, None, id="corrections"),
        pytest.param({"2025": 1200, "2026-01": 100, "2026-02-01": 9}, None, id="months become a year"),
        pytest.param({"2025": 1000, "2026-01": 100, "2026-02-01": 9}, None, id="and its oldest fall out"),
        pytest.param({**dict(list(MONTHS.items())[1:]), "2026-01": 10}, None, id="the oldest fall out"),
        pytest.param(dict(list(MONTHS.items())[1:]), 100, id="the first file, while nothing came"),
        pytest.param({}, 1200, id="everything"),
        pytest.param({"undated": 5, **dict(list(MONTHS.items())[1:]), "2026-01": 10}, None, id="rows without a time"),
    ],
)
def test_other_tables_lose_parts_whose_months_are_emptied(
    now: dict[str, int], rows: int | None, tmp_path: Path
) -> None:
    lake = Lake(tmp_path)
    for months in (MONTHS, now or {"none": 0}):
        parts = {key: pa.table({"number": pa.array(range(count), pa.int64())}) for key, count in months.items()}
        lake.write_partitions("email_content", Partitions(parts, {}))
    found = [(each.table, each.rows, each.of) for each in lost_parts(lake, PROBLEM)]
    assert found == ([("email_content", rows, 1200)] if rows else [])
    said = "Rows of an earlier reading are gone: 100 of the 1,200 rows of email_content are gone"
    assert rows != 100 or said in source_warnings(lake, [], PROBLEM, today=END)
