"""A linear model that serves: what each value of each feature adds to the log-odds.

What scikit-learn fitted (imputing, scaling, one column per category, weights, the sigmoid of a support vector
machine) is additive in the features. So one term per feature says it all: a line for a number, a table for a
category, and a constant for a missing value. Loading such a model and predicting with it needs only NumPy;
`baselines.py` fits it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.prepare.features.comparing import single_precision
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.models.calibration import IDENTITY, Calibration, sigmoid
from mlguide_assets.train.models.encoding import Encoding, Matrix

AT_ONCE = 50_000
"""Rows whose terms are in memory together: some ten MB."""


@dataclass(frozen=True)
class NumberTerm:
    """`slope` x value + `offset`; `missing` without a value.

    Terms have mean zero over the training rows; `spread` is their standard deviation there.
    """

    slope: float
    offset: float
    missing: float
    spread: float


@dataclass(frozen=True)
class CategoryTerm:
    """`weights[i]` for position i of the encoding; `missing` for no category, or one without a position."""

    weights: tuple[float, ...]
    missing: float
    spread: float


@dataclass(frozen=True, eq=False)
class Linear:
    """Log-odds as a sum: `intercept`, and one term per feature of the encoding; then the calibration's line.

    Since terms have mean zero over the training rows, they are the exact SHAP contributions of a linear model
    whose features are taken as independent (Lundberg and Lee, 2017).
    """

    intercept: float
    terms: tuple[NumberTerm | CategoryTerm, ...]
    encoding: Encoding
    calibration: Calibration = IDENTITY

    def predict(self, matrix: Matrix) -> Floats:
        """Probability of each row (n,).

        Raises:
            ValueError: a feature is infinite.
        """
        return self.calibration.apply(self.predict_uncalibrated(matrix))

    def predict_uncalibrated(self, matrix: Matrix) -> Floats:
        log_odds = np.empty(len(matrix))
        for start in range(0, len(matrix), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            log_odds[rows] = self._added(matrix[rows]).sum(axis=1)
        return sigmoid(log_odds + self.intercept)

    def contributions(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """What each feature adds to the calibrated log-odds (rows, features), beside the mean over training rows."""
        return single_precision(self._added(matrix) * self.calibration.slope)

    def importance(self) -> dict[str, float]:
        """Share of each feature in the variance of the terms over the training rows."""
        variances = {name: term.spread**2 for name, term in zip(self.encoding.names, self.terms, strict=True)}
        total = sum(variances.values()) or 1.0
        return {name: variance / total for name, variance in variances.items()}

    def _added(self, matrix: Matrix) -> Floats:
        """The terms (rows, features), before calibration."""
        if np.isinf(matrix).any():
            raise ValueError("a feature is infinite, which no training row was: its encoding is broken")
        slopes, offsets, missing, tables = self._arrays
        added: Floats = matrix * slopes + offsets
        np.copyto(added, missing, where=np.isnan(matrix))
        for position, table in tables:
            # The last entry of the table is for what is missing.
            codes = np.nan_to_num(matrix[:, position], nan=len(table) - 1).astype(np.int64)
            added[:, position] = table[codes]
        return added

    @cached_property
    def _arrays(self) -> tuple[Floats, Floats, Floats, list[tuple[int, Floats]]]:
        """Slopes, offsets and what missing values add (features,), and the tables of the categories."""
        numbers = [term if isinstance(term, NumberTerm) else NumberTerm(0.0, 0.0, 0.0, 0.0) for term in self.terms]
        tables = [
            (position, np.array([*term.weights, term.missing]))
            for position, term in enumerate(self.terms)
            if isinstance(term, CategoryTerm)
        ]
        slopes, offsets, missing = (np.array([getattr(n, name) for n in numbers]) for name in _PARTS)
        return slopes, offsets, missing, tables

    def to_json(self) -> dict[str, Any]:
        """Without encoding and calibration, which every model keeps in files of their own."""
        named = zip(self.encoding.names, self.terms, strict=True)
        return {"intercept": self.intercept, "terms": [{"feature": name, **asdict(term)} for name, term in named]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], encoding: Encoding, calibration: Calibration) -> "Linear":
        """Raises ValueError where the terms are not those of the encoding."""
        named = {each["feature"]: {key: each[key] for key in each if key != "feature"} for each in stored["terms"]}
        if list(named) != encoding.names:
            raise ValueError("the terms of the linear model are not the features of its encoding, in their order")
        terms = tuple(
            NumberTerm(**term) if "slope" in term else CategoryTerm(**{**term, "weights": tuple(term["weights"])})
            for term in named.values()
        )
        return cls(stored["intercept"], terms, encoding, calibration)


_PARTS = ("slope", "offset", "missing")
