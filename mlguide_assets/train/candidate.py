"""Training a candidate: every model learns from the same rows and scores the same later ones."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.features.registry import features_of
from mlguide_assets.prepare.features.tables import KEYS, LABEL
from mlguide_assets.train.encoding import Encoding
from mlguide_assets.train.metrics import calibration_bins, expected_calibration_error
from mlguide_assets.train.models import (
    BASE_RATE,
    BASELINES,
    CANDIDATE,
    Boosted,
    Labels,
    Linear,
    Model,
    fit_base_rate,
    fit_xgboost,
    refit_xgboost,
)
from mlguide_assets.train.propensity import Ratios, effective_sample_size, propensity_weights, uniform_ratios
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe
from mlguide_assets.train.reference.freezing import reference_of
from mlguide_assets.train.reference.profile import Profile
from mlguide_assets.train.split import Times, TimeSplit, split_by_time

Report = Callable[[str], None]

LEAST_OF_EACH_OUTCOME = 3
"""The calibration of the linear SVM takes three folds, with both outcomes in each."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What training leaves: the model that would ship, the baselines, and all scores of the test window.

    `model` has learned from every matured row. `judged` is the same recipe on the earlier rows only: its are
    the scores, and a later challenger can be compared with it on this test window.
    """

    model: Boosted
    judged: Boosted
    recipe: Recipe
    baselines: dict[str, Linear]
    scores: pa.Table
    facts: dict[str, Any]
    profile: Profile
    """Of the test window, as `judged` scored it: the reference for drift."""


def train_candidate(
    send_features: ibis.Table,
    problem: Problem,
    recipe: Recipe = DEFAULT_RECIPE,
    report: Report = lambda _: None,
    plans: ibis.Table | None = None,
) -> Candidate:
    """Split in time, fit baselines and candidate, score the test window, refit on all matured rows.

    Args:
        plans: the send plans that chose some of the sends, for the candidate to weight these by their propensity.

    Raises:
        InputError: too few matured sends, or too few of one outcome among them.
    """
    rows = matured_rows(send_features)
    labels, times = rows[LABEL].to_numpy(), rows["delivered_at"].to_numpy()
    split = split_by_time(times, test_share=problem.evaluation.test_share, gap=problem.label.window)
    for side, indexes in (("training", split.train), ("test", split.test)):
        _refuse_too_few(side, labels[indexes])

    seed = problem.evaluation.seed
    features = features_of(problem)
    train_rows = rows.take(split.train)
    encoding = Encoding.fit(train_rows, features)
    matrix, known, test = encoding.matrix(train_rows), labels[split.train], encoding.matrix(rows.take(split.test))
    models: dict[str, Model] = {BASE_RATE: fit_base_rate(known)}
    baselines: dict[str, Linear] = {}
    for name, fit in BASELINES.items():
        report(f"fitting {name.replace('_', ' ')} on {len(known):,} sends")
        models[name] = baselines[name] = fit(matrix, known, encoding, seed=seed)
    ratios, most = uniform_ratios(rows, plans), problem.exploration.max_weight
    report(f"fitting xgboost on {len(known):,} sends")
    models[CANDIDATE] = judged = fit_xgboost(
        matrix,
        known,
        times[split.train],
        encoding,
        gap=split.gap,
        seed=seed,
        recipe=recipe,
        row_weights=propensity_weights(ratios[split.train], max_weight=most),
    )
    scores = {name: model.predict(test) for name, model in models.items()}

    report(f"refitting xgboost on all {len(labels):,} matured sends")
    final_encoding, row_weights = Encoding.fit(rows, features), propensity_weights(ratios, max_weight=most)
    final = refit_xgboost(
        final_encoding.matrix(rows),
        labels,
        final_encoding,
        rounds=judged.rounds,
        seed=seed,
        recipe=recipe,
        weights=recipe.window.weights(times) * row_weights,
        calibration=judged.calibration,
    )
    keys = rows.select(list(KEYS)).take(split.test)
    table = keys.append_column("label", pa.array(labels[split.test]))
    for name, values in scores.items():
        table = table.append_column(name, pa.array(values))
    facts = {
        **_facts(labels, times, split, judged, recipe),
        **_weighed(ratios, row_weights),
        "calibration_error_uncorrected": _calibration_error(labels[split.test], judged.predict_uncalibrated(test)),
        "scores_sha256": scores_hash(table),
    }
    profile = reference_of(rows.take(split.test), scores[CANDIDATE], judged, problem)
    return Candidate(final, judged, recipe, baselines, table, facts, profile)


def _facts(labels: Labels, times: Times, split: TimeSplit, judged: Boosted, recipe: Recipe) -> dict[str, Any]:
    """What is known of a candidate besides its scores: rows, windows, recipe."""
    return {
        "train_rows": len(split.train),
        "train_unsubscribes": int(labels[split.train].sum()),
        "test_rows": len(split.test),
        "test_unsubscribes": int(labels[split.test].sum()),
        "refit_rows": len(labels),
        "test_from": str(split.test_start),
        "refit_until": str(times.max()),
        "train_first": _day(times[split.train].min()),
        "train_last": _day(times[split.train].max()),
        "test_first": _day(split.test_start),
        "test_last": _day(times.max()),
        "rounds": judged.rounds,
        "training_window": recipe.window.name,
        "calibration_slope": judged.calibration.slope,
        "calibration_intercept": judged.calibration.intercept,
    }


def _weighed(ratios: Ratios, weights: npt.NDArray[np.float64]) -> dict[str, Any]:
    """How many sends a plan chose, and how many alike they are worth with their weights; nothing where none did."""
    planned = ~np.isnan(ratios)
    if not planned.any():
        return {}
    effective = round(effective_sample_size(weights[planned]), 1)
    return {"planned_sends": int(planned.sum()), "planned_sends_effective": effective}


def scores_hash(scores: pa.Table) -> str:
    """Equal for equal rows and probabilities, to the last bit."""
    digest = hashlib.sha256()
    for name in scores.column_names:
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(scores[name].to_numpy()).tobytes())
    return digest.hexdigest()


def matured_rows(send_features: ibis.Table) -> pa.Table:
    """The rows whose outcome is known, in order of time."""
    known = send_features.filter(send_features[LABEL].notnull())
    return known.order_by("delivered_at", "user_id", "email_id").to_pyarrow().combine_chunks()


def _refuse_too_few(side: str, labels: Labels) -> None:
    positives = int(labels.sum())
    if min(positives, len(labels) - positives) < LEAST_OF_EACH_OUTCOME:
        raise InputError(
            f"The {side} window has {len(labels):,} matured sends of which {positives:,} are unsubscribes: a model "
            f"needs at least {LEAST_OF_EACH_OUTCOME} of each outcome on both sides; add history, or check "
            f"label.positive and label.negative."
        )


def _calibration_error(labels: Labels, probabilities: npt.NDArray[np.float64]) -> float:
    return expected_calibration_error(calibration_bins(labels, probabilities))


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[D]"))
