"""What is not known is NaN where one counts, and null where it is written."""

import json
from math import inf, nan

import numpy as np
import pytest

from mlguide_assets.deploy.gate.criteria import Criterion
from mlguide_assets.statistics.missing import finite_or_none, nan_if_none, with_finite_numbers


@pytest.mark.parametrize("number", [None, nan, inf, -inf, np.float32("nan"), np.float64("inf")])
def test_what_is_not_finite_is_none(number: float | None) -> None:
    assert finite_or_none(number) is None


@pytest.mark.parametrize("number", [0, 0.25, np.float32(0.25), np.int64(3)])
def test_a_finite_number_is_a_float_of_python(number: float) -> None:
    assert type(finite_or_none(number)) is float
    assert nan_if_none(finite_or_none(number)) == number


def test_none_comes_back_as_nan() -> None:
    assert np.isnan(nan_if_none(None))


def test_a_nested_value_becomes_valid_json() -> None:
    value = {"a": [nan, (inf, 1.5)], "b": {"c": np.float64("nan")}, "d": None, "e": 7, "f": True, "g": "nan"}
    assert json.loads(json.dumps(with_finite_numbers(value), allow_nan=False)) == {
        "a": [None, [None, 1.5]], "b": {"c": None}, "d": None, "e": 7, "f": True, "g": "nan",
    }  # fmt: skip


def test_a_criterion_is_recorded_without_numbers_that_are_not_finite() -> None:
    recorded = Criterion("beats_base_rate", nan, -inf, inf, 0.0, False, "No interval.").to_json()
    assert [recorded[name] for name in ("value", "low", "high", "threshold")] == [None, None, None, 0.0]
