"""Why a probability is what it is, in words. The numbers are exact SHAP contributions."""

from math import exp, log
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.serving.phrases import phrase_of
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.statistics.missing import with_finite_numbers

TOP = 5
NO_DIFFERENCE, _LARGEST_FACTOR = 0.005, log(1e6)
"""Log-odds: the least, and the most that is said as a number."""


class Words:
    """The phrases of a problem's features."""

    def __init__(self, problem: Problem) -> None:
        self._phrases = {each.name: phrase_of(each, problem) for each in features_of(problem) if each.for_models}

    def of(self, feature: str, value: Any, contribution: float) -> str:
        """One phrase: what is so, and what it does to the odds of the positive outcome."""
        return f"{self._phrases[feature](value)}: {_effect(contribution)}"


def top_reasons(
    names: list[str], row: dict[str, Any], contributions: npt.NDArray[np.float32], words: Words
) -> list[dict[str, Any]]:
    """The features that move a prediction most, the strongest first.

    Args:
        contributions: (features,), to the log-odds.
    """
    strongest = np.argsort(-np.abs(contributions), kind="stable")[:TOP]
    return [
        {
            "feature": names[position],
            # A sum of a past that held numbers near 1e308 may be infinite.
            "value": with_finite_numbers(row[names[position]]),
            "contribution": float(contributions[position]),
            "text": words.of(names[position], row[names[position]], float(contributions[position])),
        }
        for position in strongest
    ]


def _effect(contribution: float) -> str:
    """Log-odds as a factor of the odds, which anyone can picture."""
    if abs(contribution) < NO_DIFFERENCE:
        return "makes no difference"
    factor = f"{exp(contribution):.2f}" if contribution < _LARGEST_FACTOR else "more than 1,000,000"
    return f"{'raises' if contribution > 0 else 'lowers'} the odds, × {factor}"
