"""Why a probability is what it is, in words that a marketer reads. The numbers are exact SHAP contributions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.registry import category_count, theme_count

TOP = 5
NO_DIFFERENCE = 0.005
"""Log-odds."""

_NOTHING = {"days_since_last_email": "no earlier email", "email_unsubscribe_rate": "a new email, without a record"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PHRASES = {
    "age": "age {value}",
    "gender": "gender {value}",
    "country": "country {value}",
    "words_in_description": "{value} word{s} in the description",
    "purchases": "{value} purchase{s}",
    "theme": "theme {value}",
    "category": "category {value}",
    "number_of_buttons": "{value} button{s}",
    "number_of_sections": "{value} section{s}",
    "number_of_items": "{value} item{s}",
    "number_of_emails": "{value} email{s} so far",
    "number_of_unsubscribes": "{value} earlier unsubscribe{s}",
    "emails_last_7_days": "{value} email{s} in the last 7 days",
    "emails_last_30_days": "{value} email{s} in the last 30 days",
    "email_matured_sends": "sent {value} time{s} before",
    "email_unsubscribe_rate": "this email lost {value} of its readers",
    "tenure_days": "joined {value} day{s} ago",
    "email_age_days": "the email is {value} day{s} old",
    "days_since_last_email": "last email {value} day{s} ago",
    "day_of_week": "a {value}",
    "hour_of_day": "at {value}:00 UTC",
}


class Words:
    """The phrases of a problem's features; one that has no phrase of its own speaks through its description."""

    def __init__(self, problem: Problem) -> None:
        counts = {theme_count(theme): f"{{value}} {theme} email{{s}} so far" for theme in problem.themes}
        counts |= {category_count(name): f"{{value}} {name} email{{s}} so far" for name in problem.categories}
        described = {each.name: f"{each.description.rstrip('.')}: {{value}}" for each in features_of(problem)}
        self._phrases = described | counts | _PHRASES

    def of(self, feature: str, value: Any, contribution: float) -> str:
        """One phrase: what is so, and what it does to the risk."""
        if value is None:
            what = _NOTHING.get(feature, f"{feature.replace('_', ' ')} unknown")
        else:
            shown = _shown(feature, value)
            what = self._phrases[feature].format(value=shown, s="" if shown == "1" else "s")
        return f"{what}: {_effect(contribution)}"


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
            "value": row[names[position]],
            "contribution": float(contributions[position]),
            "text": words.of(names[position], row[names[position]], float(contributions[position])),
        }
        for position in strongest
    ]


def _effect(contribution: float) -> str:
    """Log-odds as a factor of the odds, which anyone can picture."""
    factor = float(np.exp(contribution))
    if abs(contribution) < NO_DIFFERENCE:
        return "makes no difference"
    return f"{'raises' if contribution > 0 else 'lowers'} the odds, × {factor:.2f}"


def _shown(feature: str, value: Any) -> str:
    if feature == "day_of_week":
        return _DAYS[int(value) % 7]
    if feature == "email_unsubscribe_rate":
        return f"{value:.1%}"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}"
    return str(value)
