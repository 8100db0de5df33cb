"""Whether there is memory for a training, checked before anything is computed for it."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.memory import is_free, require_memory

_FIXED = 250_000_000
"""Bytes that the libraries and a small training take."""
_PER_VALUE = 48
"""Bytes per value of a feature: it is held as it was read, encoded, and by XGBoost, for both sides of the split."""
_PER_ROW = 80
"""Bytes per row of a training in external memory: labels, weights and gradients of all rows stay in memory."""


def fits_in_memory(rows: int, problem: Problem) -> bool:
    """Whether a training that holds all rows has enough memory here."""
    return is_free(_held(rows, problem))


def require_room_for_training(rows: int, problem: Problem) -> None:
    """Refuse a training that the system would end for lack of memory, without a word.

    Args:
        rows: of the whole table of features.

    Raises:
        InputError: there is less memory than such a training was measured to take.
    """
    settings, plural = problem.training, problem.decision.plural
    if settings.trainer == "in_memory" or rows <= settings.rows_in_memory:
        require_memory(_held(rows, problem), what=f"Training on {rows:,} {plural}")
    elif settings.trainer == "external_memory" or not fits_in_memory(rows, problem):
        require_memory(
            _held(settings.rows_in_memory, problem) + rows * _PER_ROW,
            what=f"Training on {rows:,} {plural} in external memory, {settings.rows_in_memory:,} of them in memory "
            f"(training.rows_in_memory),",
        )


def _held(rows: int, problem: Problem) -> int:
    features = sum(feature.for_models for feature in features_of(problem))
    return _FIXED + rows * features * _PER_VALUE
