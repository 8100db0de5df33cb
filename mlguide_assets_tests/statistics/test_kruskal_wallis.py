"""The test of Kruskal and Wallis from sums of ranks, as scipy makes it from values."""

import numpy as np
import pytest
from scipy.stats import kruskal, rankdata

from mlguide_assets.statistics.kruskal_wallis import Ranks, kruskal_wallis

SIZES = (30, 50, 20)


def ranks_of(values: np.ndarray, sizes: tuple[int, ...] = SIZES) -> Ranks:
    ranks = (rankdata(values) - (len(values) + 1) / 2) / len(values)
    sums = [float(part.sum()) for part in np.split(ranks, np.cumsum(sizes)[:-1])]
    return Ranks(sizes, tuple(sums), float((ranks**2).mean()), float((ranks**3).mean()))


@pytest.mark.parametrize("decimals", [0, 9], ids=["many equal", "all different"])
def test_it_is_that_of_scipy(decimals: int) -> None:
    values = np.random.default_rng(1).normal(size=sum(SIZES)).round(decimals)
    expected = kruskal(*np.split(values, np.cumsum(SIZES)[:-1])).pvalue
    assert kruskal_wallis(ranks_of(values)) == pytest.approx(expected)


def test_a_sample_without_units_and_values_that_are_all_equal_say_nothing() -> None:
    values = np.random.default_rng(1).normal(size=80)
    without = ranks_of(values, (30, 50))
    with_none = Ranks((30, 0, 50), (without.sums[0], 0.0, without.sums[1]), without.square, without.cube)
    assert kruskal_wallis(with_none) == kruskal_wallis(without)
    assert kruskal_wallis(ranks_of(np.ones(100))) == 1


def test_ranks_are_skewed_where_nearly_all_values_are_equal() -> None:
    sizes = (500, 9500)
    few, many = (ranks_of(np.arange(10_000) % every == 0, sizes).skewness_left for every in (1000, 50))
    assert few > 1 > 0.5 > many > 0
    assert ranks_of(np.arange(10_000), sizes).skewness_left == pytest.approx(0)
