"""Many tests at once: p-values adjusted so that, together, they are wrong as rarely as one of them would be."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats


def benjamini_hochberg(p_values: npt.ArrayLike) -> Floats:
    """Adjusted p-values (n,): rejecting those <= q keeps the expected share of false rejections <= q.

    Benjamini and Hochberg (1995). NaN is a test that was not made: it does not count, and stays NaN.

    >>> benjamini_hochberg([0.01, 0.04, float("nan")])
    array([0.02, 0.04,  nan])
    """
    from scipy.stats import false_discovery_control

    return _adjusted(p_values, false_discovery_control)


def holm(p_values: npt.ArrayLike) -> Floats:
    """Adjusted p-values (n,): rejecting those <= alpha keeps the chance of any false rejection <= alpha.

    Holm (1979). NaN is a test that was not made: it does not count, and stays NaN.

    >>> holm([0.01, 0.04, float("nan")])
    array([0.02, 0.04,  nan])
    """
    from statsmodels.stats.multitest import multipletests

    return _adjusted(p_values, lambda tested: multipletests(tested, method="holm")[1])


def _adjusted(p_values: npt.ArrayLike, adjust: Callable[[Floats], Floats]) -> Floats:
    adjusted = np.array(p_values, dtype=np.float64)
    tested = ~np.isnan(adjusted)
    # One test alone needs no adjustment, and statsmodels collects garbage in each call, which takes longer than a look
    # at an experiment.
    if tested.sum() > 1:
        adjusted[tested] = adjust(adjusted[tested])
    return adjusted
