"""The true effect of an experiment, from the true probabilities of the sends that were made."""

from datetime import date, datetime, timedelta

import ibis
import pyarrow as pa
import pytest

from mlguide_assets.define.loading import load_problem
from mlguide_assets.experiment.specification import load_experiment
from mlguide_assets.experiment.started import Started
from mlguide_assets.retrain.replay.experiments import true_ratio

PROBLEM = load_problem("planeswalker")
EXPERIMENT, _ = load_experiment("personalised", PROBLEM)
STARTED = Started(EXPERIMENT, date(2026, 1, 1), planned_units=4, started_at="2026-01-01", who="test")
DAY = timedelta(days=1)
FIRST = datetime(2026, 1, 1)
UNTIL = FIRST + 40 * DAY

EXPOSURES = [(1, "generic", FIRST), (2, "generic", FIRST), (3, "personalised", FIRST), (4, "personalised", FIRST)]
SENDS = [
    (1, FIRST + DAY, 0.2),
    (1, FIRST + 13 * DAY, 0.1),
    # Before the exposure, and after the window of 14 days: neither counts.
    (2, FIRST - DAY, 0.9),
    (2, FIRST + 14 * DAY, 0.9),
    (3, FIRST + DAY, 0.06),
]


def ratio(exposures: list[tuple[int, str, datetime]]) -> float | None:
    met = pa.table(dict(zip(("unit_id", "arm", "exposed_at"), map(list, zip(*exposures, strict=True)), strict=True)))
    truth = pa.table(
        dict(zip(("user_id", "delivered_at", "probability"), map(list, zip(*SENDS, strict=True)), strict=True))
    )
    return true_ratio(ibis.memtable(met), ibis.memtable(truth), STARTED, PROBLEM, until=UNTIL)


def test_it_is_the_risk_of_the_sends_within_the_window_per_unit_of_each_arm() -> None:
    assert ratio(EXPOSURES) == pytest.approx((0.06 / 2) / (0.3 / 2))


def test_units_whose_window_is_open_do_not_count() -> None:
    late = (5, "personalised", UNTIL - 20 * DAY)
    assert ratio([*EXPOSURES, late]) == ratio(EXPOSURES)


def test_an_arm_without_risk_has_no_ratio() -> None:
    assert ratio([each for each in EXPOSURES if each[1] != "generic"]) is None
