"""Times and ids of a request are read as those of the tables are: in the zone of the table, and UUIDs in any case."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pytest

from mlguide_assets.deploy.online_store.store import Publication
from mlguide_assets.deploy.serving.instants import utc, zone_of_events
from mlguide_assets.deploy.serving.request import PredictionRequest
from mlguide_assets.deploy.serving.request_resolver import Resolver
from mlguide_assets.prepare.sources.times import read_times
from mlguide_assets_tests.other_tables import ORDERS, PAYMENTS, problem_of

LOWER = "0b9a1f6e-3c52-4d0a-9f11-7a5e2c4b8d90"


def published(**examples: tuple[str, ...]) -> Publication:
    return Publication(datetime(2024, 1, 1), {}, {}, (), examples)


@pytest.mark.parametrize(
    ("zone", "given"),
    [
        ("Europe/Berlin", "2024-06-01T12:00:00"),
        ("Europe/Berlin", "2024-03-31T02:30:00"),
        ("Europe/Berlin", "2024-10-27T02:30:00"),
        ("America/New_York", "2024-11-03T01:30:00"),
        ("Australia/Lord_Howe", "2024-10-06T02:10:00"),
        ("UTC", "2024-06-01T12:00:00"),
    ],
)
def test_a_time_without_a_zone_is_read_as_a_run_reads_it(zone: str, given: str, duck: Any) -> None:
    """Also where clocks are changed: of an hour that comes twice, and of one that does not come."""
    by_a_run = duck.to_pyarrow(read_times(ibis.memtable({"at": [given]}).at, timezone=zone).as_table())
    assert utc(datetime.fromisoformat(given), "at", zone) == by_a_run.column(0)[0].as_py()
    assert utc(datetime.fromisoformat(f"{given}+05:00"), "at", zone) == datetime.fromisoformat(given) - timedelta(
        hours=5
    )


def test_the_zone_of_an_event_is_that_of_its_table() -> None:
    tables = {**PAYMENTS["tables"], "payments": {**PAYMENTS["tables"]["payments"], "timezone": "Asia/Tokyo"}}
    assert zone_of_events(problem_of({**PAYMENTS, "tables": tables}, Path())) == "Asia/Tokyo"


@pytest.mark.parametrize("stored", [LOWER, LOWER.upper(), LOWER.replace("-", "")])
def test_uuids_are_known_in_either_case(stored: str) -> None:
    resolver = Resolver(problem_of(PAYMENTS, Path()))
    resolver._refuse_other_ids(PredictionRequest(), published(cards=(stored,)))
    events = [{"card_id": each, "shop_id": 3} for each in (stored.lower(), stored.upper(), "Visa-1")]
    found = resolver._as_stored(PredictionRequest(events=events)).events
    assert [event["card_id"] for event in found] == [stored, stored, "Visa-1"]
    assert all(event["shop_id"] == 3 for event in found)


def test_other_texts_are_ids_as_they_are_written() -> None:
    resolver = Resolver(problem_of(ORDERS, Path()))
    resolver._refuse_other_ids(PredictionRequest(), published(customers=("ab", LOWER)))
    given = PredictionRequest(units=["AB", LOWER.upper()])
    assert resolver._as_stored(given) is given
