"""Training a candidate: every model learns from the same rows and scores the same later ones."""

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted, with_article
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.progress import Report
from mlguide_assets.train.choice import SIMPLEST_FIRST, Choice, TrainingRows, choose_model
from mlguide_assets.train.evaluation.metrics import calibration_bins, expected_calibration_error
from mlguide_assets.train.folds import refuse_too_few
from mlguide_assets.train.models.baselines import BASE_RATE, BASELINES, fit_base_rate, fit_baselines
from mlguide_assets.train.models.encoding import MOST_VALUES, Encoding
from mlguide_assets.train.models.linear import Linear
from mlguide_assets.train.models.models import THREADS, XGBOOST, Boosted, Labels, ServableModel
from mlguide_assets.train.outgrown import outgrown_features, sampled
from mlguide_assets.train.propensity import Ratios, effective_sample_size, propensity_weights, uniform_ratios
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe
from mlguide_assets.train.reference.build import build_reference
from mlguide_assets.train.reference.profile import Profile
from mlguide_assets.train.room import require_room_for_training, trainer_name
from mlguide_assets.train.rows import clusters_of
from mlguide_assets.train.split import Times, TimeSplit, split_by_days, split_decisions
from mlguide_assets.train.trainers.in_memory import InMemory
from mlguide_assets.train.trainers.trainer import Distributed, Fit, Trainer, require_distributed

MOST_TEST_WINDOWS = 4
"""The latest days that test a model grow to this multiple of `Recipe.test_days` at most."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """What training leaves: the model that would ship, the baselines, and all scores of the test window.

    `model` has learned from every matured row. `holdout_model` is the same recipe on the earlier rows only: its are
    the scores, and a later challenger can be compared with it on this test window.

    Attributes:
        name: of the model that was chosen, and so of its column in `scores`.
        baselines: the linear models, which learned from the same earlier rows; the chosen one is among them.
    """

    name: str
    model: ServableModel
    holdout_model: ServableModel
    recipe: Recipe
    baselines: dict[str, Linear]
    scores: pa.Table
    facts: dict[str, Any]
    profile: Profile
    """Of the test window, as `holdout_model` scored it: the reference for drift."""


def train_candidate(
    features: ibis.Table,
    problem: Problem,
    recipe: Recipe = DEFAULT_RECIPE,
    report: Report = lambda _: None,
    plans: ibis.Table | None = None,
    *,
    contenders: Sequence[str] = SIMPLEST_FIRST,
    trainer: str | None = None,
    distributed: Distributed | None = None,
    scratch: Path | None = None,
) -> Candidate:
    """Split in time, choose a model on the latest training rows, score the test window with all, refit the chosen.

    Args:
        plans: the plans that chose some of the decisions, to weight these by their propensity.
        contenders: the models that may become the candidate, the simplest first; all are fitted and scored.
        trainer: `in_memory`, `external_memory` or `spark`; default: as the problem, the engine or the memory decides.
        distributed: the same features and plans, where an engine computes elsewhere.
        scratch: a folder for rows that are not held in memory; default: the system's for temporary files.

    Raises:
        InputError: too few matured rows, or too few of one outcome among them, or too little memory; or the trainer is
            `spark`, and the engine is not.
    """
    if trainer is not None:
        problem = problem.model_copy(update={"training": problem.training.model_copy(update={"trainer": trainer})})
    count = int(features.count().to_pyarrow().as_py())
    require_room_for_training(count, problem)
    with TemporaryDirectory(dir=scratch) as folder:
        opened = _opened(trainer_name(count, problem), features, problem, plans, distributed, Path(folder))
        return _trained(opened, problem, recipe, report, plans, contenders)


def _opened(
    name: str,
    features: ibis.Table,
    problem: Problem,
    plans: ibis.Table | None,
    distributed: Distributed | None,
    folder: Path,
) -> Trainer:
    """A trainer with its rows. Those of many rows load XGBoost, which else is loaded beside the work."""
    if name == "in_memory":
        return InMemory.of(features, problem)
    if name == "external_memory":
        from mlguide_assets.train.trainers.external_memory import ExternalMemory

        return ExternalMemory.of(features, problem, plans, folder)
    read = require_distributed(distributed)
    from mlguide_assets.train.trainers.on_spark import OnSpark

    return OnSpark.of(read, problem, folder)


def _trained(
    trainer: Trainer,
    problem: Problem,
    recipe: Recipe,
    report: Report,
    plans: ibis.Table | None,
    contenders: Sequence[str],
) -> Candidate:
    rows, decision = trainer.rows, problem.decision
    labels, times = rows[problem.label.column].to_numpy(), rows[decision.time].to_numpy()
    split = _split(labels, times, problem, recipe, report)
    for side, indexes in (("training", split.train), ("test", split.test)):
        refuse_too_few(f"The {side} window", labels[indexes], decision)

    ratios, most = uniform_ratios(rows, plans, problem.decision), problem.exploration.max_weight
    known = _training_rows(rows.take(split.train), problem, propensity_weights(ratios[split.train], max_weight=most))
    for name in known.encoding.bounded:
        report(f"{name}: its {MOST_VALUES} most frequent values are kept, all others count as one")
    outgrown = outgrown_features(rows.take(sampled(split.train)), problem)
    if outgrown:
        report(f"these grow with the calendar, so that a model extrapolates: {', '.join(outgrown)}")
    report(f"comparing {', '.join(_shown(name) for name in SIMPLEST_FIRST)} on the latest training {decision.plural}")
    choice = choose_model(known, problem, recipe, contenders)
    report(choice.reason)
    all_rows = _training_rows(rows, problem, propensity_weights(ratios, max_weight=most))
    until = times[split.train].max()
    learned = _learned(trainer, until)
    if learned:
        report(_in_words(trainer, learned["rows_learned_by_xgboost"], decision.plural))
    fitted, final = _fit_all(trainer, known, all_rows, until, choice, problem, recipe, report)
    holdout_model = fitted[choice.model]
    test = known.encoding.matrix(rows.take(split.test))
    scores = {BASE_RATE: fit_base_rate(known.labels).predict(test)}
    scores |= {name: model.predict(test) for name, model in fitted.items()}

    keys = rows.select(list(decision.keys)).take(split.test)
    table = keys.append_column("label", pa.array(labels[split.test]))
    for name, values in scores.items():
        table = table.append_column(name, pa.array(values))
    facts = {
        **_facts(labels, times, split, holdout_model, recipe),
        **learned,
        **_chosen(choice),
        **_weighed(ratios, all_rows.row_weights),
        **_bounded(all_rows.encoding),
        **({"outgrown_features": outgrown} if outgrown else {}),
        "calibration_error_uncorrected": _calibration_error(
            labels[split.test], holdout_model.predict_uncalibrated(test)
        ),
        "scores_sha256": scores_hash(table),
    }
    profile = build_reference(rows.take(split.test), scores[choice.model], holdout_model, problem)
    baselines = {name: model for name, model in fitted.items() if isinstance(model, Linear)}
    return Candidate(choice.model, final, holdout_model, recipe, baselines, table, facts, profile)


def _split(labels: Labels, times: Times, problem: Problem, recipe: Recipe, report: Report) -> TimeSplit:
    """The latest days, where the recipe asks for them and enough positives are among them; else as the problem says."""
    if recipe.test_days is None:
        return split_decisions(times, problem)
    needed, most = problem.gate.min_fresh_positives, MOST_TEST_WINDOWS * recipe.test_days
    for days in range(recipe.test_days, most + 1):
        split = split_by_days(times, test_days=days, gap=problem.final_after)
        if not len(split.train):
            break
        if labels[split.test].sum() >= needed:
            report(f"the test window is the latest {counted(days, 'day')}")
            return split
    report(
        f"the latest {counted(most, 'day')} {agreeing(most, 'leave')} nothing to learn from, or "
        f"{agreeing(most, 'has')} fewer than gate.min_fresh_positives = "
        f"{needed:,} positive {problem.decision.plural}: the test window is the usual one"
    )
    return split_decisions(times, problem)


def _training_rows(rows: pa.Table, problem: Problem, row_weights: npt.NDArray[np.float64]) -> TrainingRows:
    encoding = Encoding.fit(rows, features_of(problem))
    return TrainingRows(
        encoding.matrix(rows),
        rows[problem.label.column].to_numpy(),
        rows[problem.decision.time].to_numpy(),
        clusters_of(rows, problem),
        encoding,
        row_weights,
    )


def _fit_all(
    trainer: Trainer,
    known: TrainingRows,
    all_rows: TrainingRows,
    until: np.datetime64,
    choice: Choice,
    problem: Problem,
    recipe: Recipe,
    report: Report,
) -> tuple[dict[str, ServableModel], ServableModel]:
    """Every model on the earlier rows, and the chosen one on all of them.

    In memory side by side: two fits of XGBoost in a thread each take less than one after the other in two, and
    scikit-learn fits in one thread anyway.
    """
    names = ", ".join(_shown(name) for name in SIMPLEST_FIRST)
    learned = f"{len(known.labels):,} {problem.decision.plural}"
    if trainer.name == "in_memory":
        report(f"fitting {names} on {learned}, {_shown(choice.model)} on all {len(all_rows.labels):,}")
    at_once = 2 if trainer.name == "in_memory" else 1
    fit = partial(_fit, trainer, choice, problem, recipe, max(1, THREADS // at_once), report)
    with ThreadPoolExecutor(at_once) as pool:
        final = pool.submit(fit, [choice.model], all_rows, None)
        boosted = pool.submit(fit, [XGBOOST], known, until)
        return {**fit(BASELINES, known, until), **boosted.result()}, final.result()[choice.model]


def _fit(
    trainer: Trainer,
    choice: Choice,
    problem: Problem,
    recipe: Recipe,
    threads: int,
    report: Report,
    names: Collection[str],
    known: TrainingRows,
    until: np.datetime64 | None,
) -> dict[str, ServableModel]:
    """Models on the rows up to an instant, with rounds and calibration as they were chosen."""
    weights, seed = recipe.window.weights(known.times) * known.row_weights, problem.evaluation.seed
    fitted: dict[str, Boosted | Linear] = {}
    if XGBOOST in names:
        fitted[XGBOOST] = trainer.fit(known, weights, until, Fit(choice.rounds, seed, recipe, threads, report))
    if linear := [name for name in names if name != XGBOOST]:
        fitted |= fit_baselines(known.matrix, known.labels, known.encoding, seed=seed, weights=weights, names=linear)
    return {name: replace(model, calibration=choice.calibrations[name]) for name, model in fitted.items()}


def _shown(name: str) -> str:
    return name.replace("_", " ")


def _facts(
    labels: Labels, times: Times, split: TimeSplit, holdout_model: ServableModel, recipe: Recipe
) -> dict[str, Any]:
    """What is known of a candidate besides its scores: rows, windows, recipe."""
    return {
        "train_rows": len(split.train),
        "train_positives": int(labels[split.train].sum()),
        "test_rows": len(split.test),
        "test_positives": int(labels[split.test].sum()),
        "refit_rows": len(labels),
        "test_from": str(split.test_start),
        "refit_until": str(times.max()),
        "train_first": _day(times[split.train].min()),
        "train_last": _day(times[split.train].max()),
        "test_first": _day(split.test_start),
        "test_last": _day(times.max()),
        "training_window": recipe.window.name,
        "calibration_slope": holdout_model.calibration.slope,
        "calibration_intercept": holdout_model.calibration.intercept,
    }


def _learned(trainer: Trainer, until: np.datetime64) -> dict[str, Any]:
    """How many rows XGBoost learned from; nothing where they are those in memory, which all other facts count."""
    if trainer.name == "in_memory":
        return {}
    return {
        "trainer": trainer.name,
        "learned_where": trainer.place,
        "rows_in_memory": trainer.rows.num_rows,
        "rows_learned_by_xgboost_holdout": trainer.learned(until),
        "rows_learned_by_xgboost": trainer.learned(None),
    }


def _in_words(trainer: Trainer, rows: int, plural: str) -> str:
    return (
        f"XGBoost learns from all {rows:,} {plural} {trainer.place}; the choice of a model, the linear models and "
        f"all figures are of a seeded sample of {trainer.rows.num_rows:,} (training.rows_in_memory)"
    )


def _chosen(choice: Choice) -> dict[str, Any]:
    """Which model is the candidate, and why; with its rounds where it is XGBoost."""
    rounds = {"rounds": choice.rounds} if choice.model == XGBOOST else {}
    return {"model": choice.model, "model_reason": choice.reason, **rounds}


def _weighed(ratios: Ratios, weights: npt.NDArray[np.float64]) -> dict[str, Any]:
    """How many decisions a plan chose, and how many alike they are worth with their weights; nothing where none did."""
    planned = ~np.isnan(ratios)
    if not planned.any():
        return {}
    effective = round(effective_sample_size(weights[planned]), 1)
    return {"planned_decisions": int(planned.sum()), "planned_decisions_effective": effective}


def _bounded(encoding: Encoding) -> dict[str, Any]:
    """The categories with too many values for one column each; nothing where there are none."""
    return {"bounded_categories": ", ".join(encoding.bounded)} if encoding.bounded else {}


def scores_hash(scores: pa.Table) -> str:
    """Equal for equal rows and probabilities, to the last bit."""
    digest = hashlib.sha256()
    for name in scores.column_names:
        digest.update(name.encode())
        values = scores[name]
        # Of texts, NumPy has addresses.
        is_text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        content = "\0".join(values.to_pylist()).encode() if is_text else values.to_numpy().tobytes()
        digest.update(content)
    return digest.hexdigest()


def _calibration_error(labels: Labels, probabilities: npt.NDArray[np.float64]) -> float:
    return expected_calibration_error(calibration_bins(labels, probabilities))


def _day(time: np.datetime64) -> str:
    return str(time.astype("datetime64[D]"))


def score_columns(problem: Problem) -> dict[str, str]:
    """Column of `Candidate.scores` → meaning."""
    decision = problem.decision
    return {
        **dict.fromkeys(decision.keys, f"Part of the key of {with_article(decision.noun)}."),
        **{id_column(noun): f"The {noun}." for noun in decision.nouns},
        decision.time: f"The instant of the {decision.noun}, UTC.",
        "label": "The matured outcome: 1 where it is positive, else 0.",
        "base_rate": "Probability by the base rate of the training window.",
        "logistic_regression": "Probability by the logistic regression.",
        "linear_svm": "Probability by the linear support vector machine.",
        "xgboost": "Probability by XGBoost.",
    }
