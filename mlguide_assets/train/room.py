"""Who has room for the rows of a training, and whether there is memory for it, before anything is computed for it."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.memory import is_free, require_memory

_FIXED = 250_000_000
"""Bytes that the libraries and a small training take."""
_PER_VALUE = 48
"""Bytes per value of a feature: it is held as it was read, encoded, and by XGBoost, for both sides of the split."""
_PER_ROW = 80
"""Bytes per row that a tree learns from in external memory: labels, weights and gradients stay in memory."""

SUBSET_ROWS = 5_000_000
"""Minimum rows of a subset in external memory; a tree learns from fewer than twice as many. More take longer and give
no better trees."""


def trainer_name(rows: int, problem: Problem) -> str:
    """The trainer that a problem asks for, or that has room for its rows: `in_memory`, `external_memory` or `spark`."""
    settings = problem.training
    if settings.trainer != "auto":
        return settings.trainer
    if rows <= settings.rows_in_memory:
        return "in_memory"
    if problem.engine == "spark":
        # What other machines hold is not read into this one, whatever it has room for.
        return "spark"
    return "in_memory" if is_free(_held(rows, problem)) else "external_memory"


def require_room_for_training(rows: int, problem: Problem) -> None:
    """Refuse a training that the system would end for lack of memory, without a word.

    Args:
        rows: of the whole table of features.

    Raises:
        InputError: there is less memory than such a training was measured to take.
    """
    trainer, plural = trainer_name(rows, problem), problem.decision.plural
    held = rows if trainer == "in_memory" else min(rows, problem.training.rows_in_memory)
    if held == rows:
        require_memory(_held(rows, problem), what=f"Training on {rows:,} {plural}")
        return
    place, each = ("on Spark", 0) if trainer == "spark" else ("in external memory", _PER_ROW)
    require_memory(
        _held(held, problem) + min(rows, 2 * SUBSET_ROWS) * each,
        what=f"Training on {rows:,} {plural} {place}, {held:,} of them in memory (training.rows_in_memory),",
    )


def _held(rows: int, problem: Problem) -> int:
    features = sum(feature.for_models for feature in features_of(problem))
    return _FIXED + rows * features * _PER_VALUE
