"""Adjusted p-values: a test that was not made does not count."""

import numpy as np
import numpy.typing as npt
import pytest

from mlguide_assets.statistics.multiplicity import benjamini_hochberg, holm

NAN = float("nan")


@pytest.mark.parametrize(
    ("p_values", "by_benjamini_hochberg", "by_holm"),
    [
        ([0.01, 0.02, 0.6], [0.03, 0.03, 0.6], [0.03, 0.04, 0.6]),
        ([0.02, NAN, 0.01], [0.02, NAN, 0.02], [0.02, NAN, 0.02]),
        ([NAN], [NAN], [NAN]),
        ([], [], []),
    ],
)
def test_known_values(p_values: npt.ArrayLike, by_benjamini_hochberg: npt.ArrayLike, by_holm: npt.ArrayLike) -> None:
    np.testing.assert_allclose(benjamini_hochberg(p_values), by_benjamini_hochberg)
    np.testing.assert_allclose(holm(p_values), by_holm)
