"""Intervals that hold at all times together, so that a guardrail may be watched after every unit.

Built on counts of events. Given that a unit had the event, the chance that it was in the treatment depends only on
the share of units assigned to it and on the ratio of the two rates, whatever the rates are and however they move with
the time of day. So the events are a sequence of coin tosses, and a mixture of likelihood ratios over all values of
the ratio is a test martingale (Ville, 1939; Robbins, 1970; Howard et al., 2021). The share may change from one stage
of a ramp to the next.

Units must be independent: count units that had the event, not events. Shares are those of the assignment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log, nan

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import logsumexp, xlog1py, xlogy

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.intervals import Estimate

_RATIOS = np.linspace(-4.0, 4.0, 401)
"""Logarithms of the ratios of the mixture, weighted as a normal distribution with a standard deviation of 0.5."""
_LOG_WEIGHTS = -0.5 * (_RATIOS / 0.5) ** 2
_LOG_WEIGHTS -= logsumexp(_LOG_WEIGHTS)
_FARTHEST = 25.0


@dataclass(frozen=True)
class Stage:
    """Units with the event while the shares of the arms stayed the same.

    Attributes:
        control, treatment: units of each arm that had the event.
        share: of the treatment, of the units assigned to either; above 0 and below 1.
    """

    control: int
    treatment: int
    share: float = 0.5


def rate_ratio_sequence(stages: Sequence[Stage], *, alpha: float = 0.05) -> Estimate:
    """The ratio of the event rates, treatment over control, with an interval that covers at all times together.

    >>> ratio = rate_ratio_sequence([Stage(990, 14, 0.01), Stage(1900, 160, 0.05)])
    >>> round(ratio.value, 2), round(ratio.low, 2), round(ratio.high, 2)
    (1.58, 1.21, 2.02)
    """
    arrays = (
        np.array([stage.control for stage in stages], dtype=np.float64),
        np.array([stage.treatment for stage in stages], dtype=np.float64),
        np.array([stage.share for stage in stages], dtype=np.float64),
    )
    if not arrays[0].sum() + arrays[1].sum():
        return Estimate(nan, 0.0, inf)

    # The same at every ratio that is tried.
    mixed = float(log_evidence(*arrays, ratio=1.0)) + _log_likelihood_at(arrays, 0.0)

    def excess(log_ratio: float) -> float:
        return mixed - _log_likelihood_at(arrays, log_ratio) - log(1 / alpha)

    middle = _likeliest(*arrays)
    inside = min(max(middle, -_FARTHEST), _FARTHEST)
    low = brentq(excess, -_FARTHEST, inside) if excess(-_FARTHEST) > 0 > excess(inside) else -inf
    high = brentq(excess, inside, _FARTHEST) if excess(_FARTHEST) > 0 > excess(inside) else inf
    return Estimate(exp(middle), exp(low), exp(high))


def log_evidence(control: npt.ArrayLike, treatment: npt.ArrayLike, share: npt.ArrayLike, *, ratio: float) -> Floats:
    """Logarithm of the evidence against a ratio of the rates; above log(1 / alpha), it is rejected permanently.

    Args:
        control, treatment, share: see `Stage`; arrays (..., stages). Stages are summed over.

    With nine of ten events in the half that is treated, equal rates are rejected at one in a thousand:

    >>> bool(log_evidence([10], [90], [0.5], ratio=1.0) > log(1 / 0.001))
    True
    """
    treated, untreated, shares = (np.asarray(each, dtype=np.float64)[..., None] for each in (treatment, control, share))
    null = _log_likelihood(treated, untreated, shares, np.array([log(ratio)])).sum(axis=-2)
    mixture = _log_likelihood(treated, untreated, shares, _RATIOS).sum(axis=-2)
    evidence: Floats = logsumexp(mixture - null + _LOG_WEIGHTS, axis=-1)
    return evidence


def _log_likelihood_at(arrays: tuple[Floats, Floats, Floats], log_ratio: float) -> float:
    control, treatment, share = arrays
    return float(_log_likelihood(treatment, control, share, np.array(log_ratio)).sum())


def _log_likelihood(treatment: Floats, control: Floats, share: Floats, log_ratios: Floats) -> Floats:
    odds = share / (1 - share) * np.exp(log_ratios)
    chance = odds / (1 + odds)
    likelihood: Floats = xlogy(treatment, chance) + xlog1py(control, -chance)
    return likelihood


def _likeliest(control: Floats, treatment: Floats, share: Floats) -> float:
    """Logarithm of the ratio of the highest likelihood."""
    if not treatment.sum():
        return -inf
    if not control.sum():
        return inf

    def missing(log_ratio: float) -> float:
        odds = share / (1 - share) * exp(log_ratio)
        return float((treatment - (control + treatment) * odds / (1 + odds)).sum())

    return float(brentq(missing, -_FARTHEST, _FARTHEST))
