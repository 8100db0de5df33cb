"""The price of drift: bins are those that DuckDB counts, and a column's effect is what its change really costs."""

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.training import Costs
from mlguide_assets.train.reference.bins import Kind
from mlguide_assets.train.reference.costing import cost_effect, expected_costs, realised_costs, with_costs
from mlguide_assets.train.reference.counting import window_counts
from mlguide_assets.train.reference.profile import Profile, reference_profile

COSTS = Costs(missed=9, false_alarm=1)
KINDS: dict[str, Kind] = {"country": "category", "age": "number"}


def rows(countries: list[str | None], ages: list[float | None]) -> pa.Table:
    return pa.table({"country": pa.array(countries, pa.string()), "age": pa.array(ages, pa.float64())})


def profiled(table: pa.Table, costs: np.ndarray) -> Profile:
    return with_costs(reference_profile(ibis.memtable(table), KINDS, {}), table, dict.fromkeys(KINDS, costs))


def test_a_decision_costs_what_it_risks() -> None:
    """The threshold is 0.1: below it the email is sent, from there on it is withheld."""
    chances = np.array([0.05, 0.1, 0.5])
    assert expected_costs(chances, COSTS) == pytest.approx([0.45, 0.9, 0.5])
    assert realised_costs(np.array([True, True, False]), chances, COSTS) == pytest.approx([9, 0, 1])


def test_every_bin_has_the_mean_cost_of_its_own_rows() -> None:
    """Summed over the bins that DuckDB counts, the costs are those of all rows: no row is in a wrong bin."""
    random = np.random.default_rng(0)
    ages = [None if value < 0.1 else float(value) for value in np.round(random.random(1000), 2)]
    countries = [None if value > 38 else f"c{value}" for value in random.integers(0, 40, 1000)]
    table, costs = rows(countries, [float("inf"), *ages[1:]]), random.random(1000)
    for column in profiled(table, costs).columns:
        assert len(column.costs) == len(column.counts) == column.bins.size
        assert np.dot(column.costs, column.counts) == pytest.approx(costs.sum())
    (country, _) = profiled(table, costs).columns
    of_first = [cost for name, cost in zip(countries, costs, strict=True) if name == country.bins.categories[0]]
    assert country.costs[0] == pytest.approx(np.mean(of_first))


def test_the_effect_is_what_the_change_of_one_column_costs() -> None:
    costs = np.repeat([0.1, 0.5], 500)
    profile = profiled(rows(["DE"] * 500 + ["FR"] * 500, [30.0] * 1000), costs)
    window = rows(["DE"] * 200 + ["FR"] * 800, [30.0] * 1000)
    counts = window_counts(ibis.memtable(window), profile).counts
    effects = {column.name: cost_effect(column, counts[column.name]) for column in profile.columns}
    assert effects["country"] == pytest.approx(1000 * 0.3 * (0.5 - 0.1))
    assert effects["age"] == pytest.approx(0)


def test_values_that_the_reference_never_had_cost_the_mean() -> None:
    profile = profiled(rows(["DE"] * 500 + ["FR"] * 500, [30.0] * 1000), np.repeat([0.1, 0.5], 500))
    counts = window_counts(ibis.memtable(rows(["JP"] * 10, [30.0] * 10)), profile).counts["country"]
    assert cost_effect(profile.columns[0], counts) == pytest.approx(0)


def test_an_older_profile_has_no_price() -> None:
    bare = reference_profile(ibis.memtable(rows(["DE"], [1.0])), KINDS, {})
    older = Profile.from_json(bare.to_json().replace(b'"costs": []', b'"trend": 0.0'))
    assert older == bare
    assert cost_effect(older.columns[0], (1, 0, 0)) is None
