"""Whether there is memory for a training, asked before anything is computed for it."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.memory import require_memory

_FIXED = 250_000_000
"""Bytes that the libraries and a small training take."""
_PER_VALUE = 48
"""Bytes per value of a feature: it is held as it was read, encoded, and by XGBoost, for both sides of the split."""


def require_room_for_training(sends: int, problem: Problem) -> None:
    """Refuse a training that the system would end for lack of memory, without a word.

    Raises:
        InputError: there is less memory than such a training was measured to take.
    """
    features = sum(feature.for_models for feature in features_of(problem))
    require_memory(_FIXED + sends * features * _PER_VALUE, what=f"Training on {sends:,} sends")
