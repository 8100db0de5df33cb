"""Calibration of probabilities: a straight line on the log-odds, learned from outcomes.

Two numbers, as Cox (1958) proposed to assess forecasts and Platt (1999) to correct them. Isotonic regression
bends to any monotone shape, but with the few hundred positives of a rare event it follows noise, ties rows that
the model ranked, and breaks the sum of the exact SHAP contributions; a line only scales them by its slope.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.evaluation.metrics import SMALLEST_PROBABILITY, checked

MIN_SLOPE = 0.05
"""Outcomes that speak for reversing the ranking speak against the model, and it is the gate's to say so, not the
calibration's to hide. At this slope the extremes of a model draw together at the observed rate, in their order."""

RIDGE = 1.0
"""Weight of the pull towards no change, as if slope and level were known beforehand to within 1 (one standard
deviation): worth about as much as one positive row, so it decides where there are few and vanishes among many."""

_STEPS = 50
_HALVINGS = 30
_LAST_STEP = 1e-6
"""Newton's error is squared from step to step: after one this small it is rounding, and no cost depends on it."""


def log_odds(probabilities: npt.ArrayLike) -> Floats:
    """Logit, finite also for 0 and 1, which count as `SMALLEST_PROBABILITY` away from certainty.

    Raises ValueError where a probability is missing or outside [0, 1].
    """
    values = np.asarray(probabilities, dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        raise ValueError(f"probabilities must lie in [0, 1], got {values[wrong][0]} ({int(wrong.sum())} such values)")
    clipped = np.clip(values, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(log_odds: Floats) -> Floats:
    """Probability of each log-odds; no value overflows."""
    return np.exp(-np.logaddexp(0.0, -log_odds))


@dataclass(frozen=True)
class Calibration:
    """P = sigmoid(slope x logit(p) + intercept): increasing, so it moves no row past another."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (np.isfinite([self.slope, self.intercept]).all() and self.slope > 0):
            raise ValueError(f"a calibration needs a positive slope and a finite intercept, got {self}")

    def apply(self, probabilities: npt.ArrayLike) -> Floats:
        """Calibrated probabilities (n,); the identity gives them back to the bit, 0 and 1 included.

        Raises ValueError where a probability is missing or outside [0, 1].
        """
        given = log_odds(probabilities)
        if self == IDENTITY:
            return np.array(probabilities, dtype=np.float64)
        return sigmoid(self.slope * given + self.intercept)

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, float]) -> "Calibration":
        return cls(float(stored["slope"]), float(stored["intercept"]))


IDENTITY = Calibration(slope=1.0, intercept=0.0)


def fit_calibration(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Calibration:
    """The line that makes the outcomes likeliest, with a slight pull towards no change (`RIDGE`).

    Args:
        labels: (n,) in {0, 1}, of rows from which the model did not learn: on its own training rows a model is
            surer than it should be, and the line would make it surer still.
        probabilities: (n,) in [0, 1], as the model gave them.

    The identity is among the candidates and costs nothing there, so on these rows the log-loss never rises, and
    neither separable nor few rows can explode. Without both outcomes nothing is known: the identity.
    """
    truth, scores = checked(labels, probabilities)
    if truth.all() or not truth.any():
        return IDENTITY
    given = log_odds(scores)
    centre = float(given.mean())
    # About their mean, slope and level are almost uncorrelated: the pull on the one does not move the other.
    around = given - centre
    slope_change, level = fit_shift(truth, given, np.stack([around, np.ones_like(around)]))
    slope = 1 + float(slope_change)
    if slope < MIN_SLOPE:
        slope = MIN_SLOPE
        level = fit_shift(truth, centre + slope * around, np.ones((1, len(around))))[0]
    return Calibration(slope, float(level) + centre * (1 - slope))


def fit_shift(labels: npt.ArrayLike, offset: Floats, directions: Floats, *, ridge: float = RIDGE) -> Floats:
    """Most likely t (k,) in P = sigmoid(offset + t . directions), pulled towards 0 by ridge / 2 x |t|^2.

    Labels and offset are (n,), directions (k, n). Newton's method, halving a step that does not help; the function
    is strictly convex, so there is one answer. Sums run in one order in one thread: same rows, same bytes.
    """
    truth = np.asarray(labels, dtype=np.float64)

    def cost(t: Floats) -> float:
        at = _moved(offset, directions, t)
        return float((np.logaddexp(0.0, at) - truth * at).sum() + ridge / 2 * (t * t).sum())

    shift = np.zeros(len(directions))
    reached = cost(shift)
    for _ in range(_STEPS):
        fitted = sigmoid(_moved(offset, directions, shift))
        slopes, curvature = shift_derivatives(truth, fitted, directions)
        step = np.linalg.solve(curvature.sum(axis=-1) + ridge * np.eye(len(shift)), slopes.sum(axis=-1) - ridge * shift)
        if np.abs(step).max() < _LAST_STEP:
            return shift + step
        for _ in range(_HALVINGS):
            proposed = cost(shift + step)
            if proposed <= reached:
                break
            step = step / 2
        shift, reached = shift + step, proposed
    return shift


def shift_derivatives(labels: Floats, fitted: Floats, directions: Floats) -> tuple[Floats, Floats]:
    """Per row, the slope (k, n) of the log-likelihood of `fit_shift` and its negative curvature (k, k, n)."""
    slopes = (labels - fitted) * directions
    return slopes, fitted * (1 - fitted) * directions[:, None] * directions[None, :]


def _moved(offset: Floats, directions: Floats, shift: Floats) -> Floats:
    moved: Floats = offset + (shift[:, None] * directions).sum(axis=0)
    return moved
