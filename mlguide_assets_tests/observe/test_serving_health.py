"""How the API did: by day, endpoint and version, from rows as the log lands them."""

from datetime import date, datetime
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.observe.serving_health import serving_health
from mlguide_assets_tests.train.sends import PROBLEM

SCHEMA = log_schema(PROBLEM.decision)

NOON = datetime(2026, 3, 2, 12)


def answered(request: str, **changes: Any) -> dict[str, Any]:
    """A pair that was answered."""
    row = {
        "request_id": request,
        "position": 0,
        "answered_at": NOON,
        "endpoint": "predict",
        "variant": "champion",
        "model_version": "2",
        "delivered_at": NOON,
        "feature_time": datetime(2026, 3, 2),
        "probability": 0.1,
        "decision": "send",
        "latency_ms": 1.0,
    }
    return {**row, **changes}


def health(*rows: dict[str, Any], **trained: str) -> list[dict[str, Any]]:
    log = ibis.memtable(pa.Table.from_pylist(list(rows), schema=SCHEMA))
    found = serving_health(log, {name.removeprefix("v"): at for name, at in trained.items()}, PROBLEM.decision)
    return list(found.to_pyarrow().to_pylist())


def test_requests_pairs_latency_and_ages_of_a_day() -> None:
    (row,) = health(
        answered("a", latency_ms=2.0),
        answered("a", position=1, latency_ms=2.0, decision="withhold"),
        answered("b", latency_ms=4.0, feature_time=datetime(2026, 3, 1)),
        answered("b", position=1, variant="challenger", model_version="3"),
        v2="2026-02-25T00:00:00+00:00",
    )
    assert (row["day"], row["endpoint"], row["model_version"]) == (date(2026, 3, 2), "predict", "2")
    assert (row["requests"], row["pairs"]) == (2, 3)
    assert (row["latency_p50"], row["withheld_share"], row["feature_hours"]) == pytest.approx((3.0, 1 / 3, 36.0))
    assert row["model_days"] == 6.0, "to the end of the day"


def test_days_endpoints_and_versions_are_distinguished() -> None:
    rows = health(
        answered("a"),
        answered("b", endpoint="recommend"),
        answered("c", model_version="1"),
        answered("d", answered_at=datetime(2026, 3, 3)),
        v1="2026-03-01T12:00:00+00:00",
        v2="2026-03-02T00:00:00+00:00",
    )
    assert [(row["day"].day, row["endpoint"], row["model_version"], row["model_days"]) for row in rows] == [
        (2, "predict", "1", 1.5),
        (2, "predict", "2", 1.0),
        (2, "recommend", "2", 1.0),
        (3, "predict", "2", 2.0),
    ]


def test_the_age_of_a_model_that_nobody_knows_is_null() -> None:
    assert [row["model_days"] for row in health(answered("a"))] == [None]
    assert [row["model_days"] for row in health(answered("a"), v1="2026-03-01T12:00:00+00:00")] == [None]


def test_an_empty_log_is_an_empty_table() -> None:
    assert health(v1="2026-03-01T12:00:00+00:00") == health() == []
