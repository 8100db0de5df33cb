"""Outcomes of units: only what falls into the window, only where the window has closed, in the arm that was met."""

from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.experiment.outcomes import ended_before, unit_outcomes
from mlguide_assets_tests.experiment.files import PROBLEM, experiment
from mlguide_assets_tests.experiment.worlds import START, profiles, sends

CLOSES = timedelta(days=14)
"""A window of 7 days, and 7 days until the last label in it is final."""


def exposures(**at: float) -> pa.Table:
    """unit_3=1.5: unit 3 is exposed so many days after the start."""
    units = [int(name.removeprefix("unit_")) for name in at]
    instants = pa.array([START + timedelta(days=days) for days in at.values()], pa.timestamp("us"))
    return pa.table({"unit_id": units, "arm": ["generic"] * len(units), "exposed_at": instants})


def outcomes(exposed: pa.Table, made: pa.Table, until: datetime) -> dict[int, dict[str, Any]]:
    tables = [ibis.memtable(table) for table in (exposed, made, profiles(9))]
    rows = unit_outcomes(*tables, experiment(), PROBLEM, until=until).to_pyarrow().to_pylist()
    return {row["unit_id"]: row for row in rows}


@pytest.mark.parametrize(
    ("days", "counts"),
    [(-0.001, False), (0, True), (3, True), (6.999, True), (7, False), (12, False)],
    ids=["before", "at once", "within", "at the end", "when it is over", "later"],
)
def test_only_what_happens_within_the_window_counts(days: float, counts: bool) -> None:
    found = outcomes(exposures(unit_1=0), sends((1, days, True)), START + CLOSES)[1]
    assert (found["outcome"], found["actions"]) == (int(counts), int(counts))


def test_a_unit_waits_until_its_last_label_is_final() -> None:
    made = sends((1, 1, True), (2, 1, True))
    exposed = exposures(unit_1=0, unit_2=0.5)
    early = outcomes(exposed, made, START + CLOSES - timedelta(seconds=1))
    assert {unit: (row["closed"], row["outcome"]) for unit, row in early.items()} == {
        1: (False, None),
        2: (False, None),
    }
    later = outcomes(exposed, made, START + CLOSES)
    assert {unit: (row["closed"], row["outcome"]) for unit, row in later.items()} == {1: (True, 1), 2: (False, None)}


def test_a_unit_that_met_nothing_counts_too() -> None:
    found = outcomes(exposures(unit_1=0, unit_2=0), sends((2, 1, False), (2, 2, False)), START + CLOSES)
    assert (found[1]["outcome"], found[1]["actions"]) == (0, 0)
    assert (found[2]["outcome"], found[2]["actions"], found[2]["country"]) == (0, 2, "JP")


def test_the_covariate_is_of_before_the_exposure() -> None:
    made = sends((1, -29, False), (1, -28, False), (1, -1, True), (1, 0, False), (1, 1, False))
    assert outcomes(exposures(unit_1=0), made, START + CLOSES)[1]["earlier_actions"] == 2


def test_whoever_is_lost_is_not_assigned_any_more() -> None:
    made = ibis.memtable(sends((1, -3, True), (2, -3, False), (3, 0, True)))
    assert ended_before(made, PROBLEM, START).to_pyarrow()["user_id"].to_pylist() == [1]
