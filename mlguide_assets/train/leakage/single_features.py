"""Does one feature alone know the outcome?"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.english import counted
from mlguide_assets.prepare.features.catalogue import Feature
from mlguide_assets.prepare.features.comparing import floats
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.ranking import RankSums
from mlguide_assets.train.leakage.identifiers import size_of
from mlguide_assets.train.leakage.results import Alarm, codes_of, details_of, for_models, worst_of
from mlguide_assets.train.matured_columns import Rows

_SEED = 0
_PRIOR_ROWS = 10
_CHANCE_DEVIATIONS = 4


def features_too_good(rows: Rows, features: Sequence[Feature], label: str, *, limit: float) -> Alarm:
    """Does one feature for models rank the outcomes almost alone?

    The measure is the ROC AUC of the single feature in its better direction. Missing numbers count as the lowest
    and then as the highest, whichever ranks better, so a value that is only there for one outcome is found. A
    category is replaced by its rate of positives among the other half of the rows (two seeded halves, averaged,
    shrunk towards the mean by 10 rows): learning rare values by heart brings nothing.

    With few outcomes chance reaches high: the limit is at least 0.5 plus four standard deviations of the AUC of a
    feature that knows nothing, sqrt((p + n + 1) / (12 p n)) for p positives and n others (Mann & Whitney 1947).
    Below six positives nothing can exceed it.

    Args:
        rows: features and label; rows whose label is unknown are left out.
        limit: the largest ROC AUC that a feature may have.
    """
    check = "no_feature_too_good"
    known = pc.is_valid(rows[label])
    outcome = floats(rows[label].filter(known))
    positives = outcome.sum()
    negatives = len(outcome) - positives
    if not positives or not negatives:
        message = f"{counted(len(outcome), 'row')} of one outcome only: whether a feature knows it cannot be tested."
        return Alarm(check, True, None, 0.5, limit, message, None)
    chance = np.sqrt((len(outcome) + 1) / (12 * positives * negatives))
    allowed = min(max(limit, float(0.5 + _CHANCE_DEVIATIONS * chance)), 1.0)
    measured = {
        feature.name: _number_auc(floats(rows[feature.name].filter(known)), outcome)
        if feature.kind == "number"
        else _category_auc(rows[feature.name].filter(known), outcome)
        for feature in for_models(features)
    }
    worst, value = worst_of(measured)
    if worst is None:
        message = "There is no feature for models to test."
    elif value <= allowed:
        message = f"The strongest single feature is {worst}, with a ROC AUC of {value:.3f} (limit {allowed:.3f})."
    else:
        is_past = any(feature.name == worst and feature.origin == "history" for feature in features)
        message = (
            f"{worst} alone has a ROC AUC of {value:.3f}, where at most {allowed:.3f} was expected: "
            f"{_advice(is_past, value)}"
        )
    return Alarm(check, value <= allowed, worst, value, allowed, message, details_of(measured))


def _advice(is_past: bool, value: float) -> str:
    """What to do about the feature: of one that is made of earlier events alone, to know much is no sign of a leak."""
    raised = f"leakage: {{max_feature_auc: {min(np.floor(100 * value + 1) / 100, 1.0):.2f}}}"
    if is_past:
        return (
            f"look whether its events were written, or changed, after they happened. If not, it is simply a good one, "
            f"as days since the last event are of who comes back: write {raised}."
        )
    return f"look whether it contains the outcome, and remove it; if it was known at the time, write {raised}."


def _number_auc(values: Floats, outcome: Floats) -> float:
    """ROC AUC in the better direction, with missing values (NaN) at the better end; never below 0.5."""
    missing = np.isnan(values)
    right, positives, negatives = _right_pairs(values[~missing], outcome[~missing])
    lacking = outcome[missing].sum()
    others = len(outcome) - len(values[~missing]) - lacking
    pairs = (positives + lacking) * (negatives + others)
    tied = lacking * others / 2
    lowest, highest = (right + tied + positives * others) / pairs, (right + tied + lacking * negatives) / pairs
    return float(max(lowest, 1 - lowest, highest, 1 - highest))


def _category_auc(column: pa.ChunkedArray, outcome: Floats) -> float:
    """ROC AUC of the category's rate in the other half; 0.5 where a half has one outcome only."""
    value = codes_of(column)[0]
    half = np.random.default_rng(_SEED).random(len(outcome)) < 0.5
    found = []
    for learned, held_out in ((half, ~half), (~half, half)):
        if not learned.any():
            return 0.5
        rows = np.bincount(value[learned], minlength=size_of(value))
        lost = np.bincount(value[learned], outcome[learned], minlength=size_of(value))
        rate = (lost + _PRIOR_ROWS * outcome[learned].mean()) / (rows + _PRIOR_ROWS)
        right, positives, negatives = _right_pairs(rate[value[held_out]], outcome[held_out])
        found.append(right / (positives * negatives) if positives * negatives else 0.5)
    return float(np.mean(found))


def _right_pairs(values: Floats, outcome: Floats) -> tuple[float, float, float]:
    """Pairs of a positive and a negative in the right order, ties counting half; positives; negatives."""
    if not len(values):
        return 0.0, 0.0, 0.0
    level = np.unique(values, return_inverse=True)[1]
    positives, negatives = (np.bincount(level, each).astype(np.float64)[:, None] for each in (outcome, 1 - outcome))
    pairs = RankSums.of_levels(positives, negatives).ordered_pairs()
    return float(pairs[0]), float(positives.sum()), float(negatives.sum())
