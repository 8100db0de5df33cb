"""Always-valid ratio of rates: exact where it can be worked out, and its errors over many experiments."""

from math import inf, isnan, log

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binom, norm

from mlguide_assets.statistics.confidence_sequences import Stage, log_evidence, rate_ratio_sequence


def test_the_evidence_is_the_mixture_of_likelihood_ratios() -> None:
    def weighted(log_ratio: float) -> float:
        odds = np.exp(log_ratio) * 0.2 / 0.8
        return float(binom.pmf(30, 100, odds / (1 + odds)) * norm.pdf(log_ratio, scale=0.5))

    expected = quad(weighted, -4, 4)[0] / binom.pmf(30, 100, 0.2)
    assert log_evidence([70], [30], [0.2], ratio=1.0) == pytest.approx(log(expected), rel=1e-6)


def test_stages_of_a_ramp_are_one_sequence() -> None:
    ratio = rate_ratio_sequence([Stage(990, 14, 0.01), Stage(950, 80, 0.05), Stage(800, 320, 0.2)])
    assert ratio.value == pytest.approx(1.6, rel=0.03)
    assert 1.3 < ratio.low < ratio.value < ratio.high < 1.95


def test_without_events_nothing_is_known() -> None:
    nothing = rate_ratio_sequence([Stage(0, 0)])
    assert isnan(nothing.value)
    assert (nothing.low, nothing.high) == (0.0, inf)
    assert rate_ratio_sequence([Stage(0, 60)]).low > 1 < rate_ratio_sequence([Stage(0, 60)]).high == inf
    assert rate_ratio_sequence([Stage(60, 0)]).high < 1


def test_the_bounds_are_where_the_evidence_reaches_one_over_alpha() -> None:
    ratio = rate_ratio_sequence([Stage(100, 130)], alpha=0.02)
    for bound in (ratio.low, ratio.high):
        assert log_evidence([100], [130], [0.5], ratio=bound) == pytest.approx(log(50), abs=1e-6)
