"""Statistics of counts: those of scipy where it has them, and their level where it has not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlguide_assets.statistics.two_sample import chi_square, design_effect, psi_terms, share_p_value

any_counts = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=12)


@given(any_counts, st.floats(1, 30))
def test_any_counts_have_a_test_or_no_degrees(pairs: list[tuple[int, int]], inflation: float) -> None:
    reference, window = zip(*pairs, strict=True)
    for one, other in ((reference, window), (window, reference)):
        found = chi_square(one, other, inflation=inflation)
        assert 0 <= found.degrees < len(pairs)
        assert found.statistic >= 0
        assert np.isnan(found.p_value) if found.degrees == 0 else 0 <= found.p_value <= 1
    assert chi_square(reference, window).statistic == pytest.approx(chi_square(window, reference).statistic)


def test_statistic_and_p_value_are_those_of_scipy() -> None:
    counts = [[40, 60, 100], [80, 70, 50]]
    oracle = stats.chi2_contingency(counts, correction=False)
    found = chi_square(*counts)
    assert (found.statistic, found.degrees) == (pytest.approx(oracle.statistic, rel=1e-12), oracle.dof)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)


def test_sparse_bins_are_merged() -> None:
    # Of 100 rows in the window, 2, 2 and 3 are expected in the last bins: together 7, enough for one.
    found = chi_square([600, 330, 20, 20, 30], [60, 33, 2, 2, 3])
    assert found.degrees == 2
    # Two of them would have 4, and join the smallest other bin.
    assert chi_square([600, 360, 20, 20], [60, 36, 2, 2]).degrees == 1
    assert chi_square([600, 360, 40], [60, 36, 4], inflation=30).degrees == 0


def test_p_values_are_uniform_by_chance() -> None:
    random = np.random.default_rng(0)
    shares = [0.3, 0.2, 0.2, 0.1, 0.1, 0.06, 0.02, 0.01, 0.005, 0.005]
    pairs = zip(random.multinomial(1000, shares, 800), random.multinomial(300, shares, 800), strict=True)
    p_values = [chi_square(*pair).p_value for pair in pairs]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_psi_is_symmetric_and_finite_and_zero_where_shares_are_equal() -> None:
    assert psi_terms([100, 200, 0], [100, 200, 0]) == pytest.approx([0, 0, 0])
    one, other = [500, 500, 0, 0], [100, 100, 800, 0]
    assert psi_terms(one, other).sum() == pytest.approx(psi_terms(other, one).sum())
    assert np.isnan(psi_terms([0, 0], [3, 4])).all()
    # (0.6 - 0.5) ln(0.6 / 0.5) + (0.4 - 0.5) ln(0.4 / 0.5), but for the halves.
    assert psi_terms([50_000, 50_000], [60_000, 40_000]).sum() == pytest.approx(0.040547, abs=1e-5)


def test_design_effect_bounds_the_mean_from_above() -> None:
    random = np.random.default_rng(1)
    shares = np.full(10, 0.1)

    def windows(number: int) -> float:
        pairs = zip(random.multinomial(4000, shares, number), random.multinomial(400, shares, number), strict=True)
        # Ten rows for each of a user: the counts are ten times those of users.
        return design_effect([chi_square(10 * reference, 10 * window) for reference, window in pairs])

    found = np.array([windows(12) for _ in range(120)])
    assert 0.85 <= (found >= 10).mean() <= 0.95
    assert windows(800) == pytest.approx(10, rel=0.05)
    assert design_effect([]) == 1
    assert design_effect([chi_square([50, 50], [50, 50])]) == 1


@pytest.mark.parametrize(
    ("reference", "window"), [((0, 100), (0, 50)), ((5, 5), (3, 3)), ((0, 0), (1, 2)), ((1, 2), (0, 0))]
)
def test_shares_are_equal_where_there_is_nothing_to_compare(
    reference: tuple[int, int], window: tuple[int, int]
) -> None:
    assert share_p_value(reference, window) == 1


def test_shares_are_compared_by_the_score_test() -> None:
    table = [[30, 970], [40, 460]]
    two_sided = stats.chi2_contingency(table, correction=False).pvalue
    assert share_p_value((30, 1000), (40, 500)) == pytest.approx(two_sided)
    assert share_p_value((40, 500), (30, 1000)) == pytest.approx(two_sided)
    assert share_p_value((30, 1000), (40, 500), inflation=4) > share_p_value((30, 1000), (40, 500))
