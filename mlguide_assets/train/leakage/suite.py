"""Leakage alarms: questions that are asked before training, each of which can stop it.

Two look at the finished rows: does a feature name its row (`identifiers`), does one alone know the outcome
(`single_features`)? The others compute features twice, with and without a future (`look_ahead`): what moves was looking
ahead.

What they do not see: a source table that was overwritten later, such as a profile that counts the purchases
up to now. Its past is gone before any feature is computed.
"""

from dataclasses import replace

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.leakage.identifiers import id_like_features
from mlguide_assets.train.leakage.look_ahead import ComputeFeatures, future_shift, planted_canary
from mlguide_assets.train.leakage.results import Alarm, for_models
from mlguide_assets.train.leakage.single_features import features_too_good
from mlguide_assets.train.matured_columns import MaturedColumns
from mlguide_assets.train.rows import known_of_some_units
from mlguide_assets.train.some_units import Tables, drawn_units, history_of
from mlguide_assets.train.split import split_decisions

MAX_NAMED_SHARE = 0.99
"""A feature that names more of the entities, instants or decisions than this is an id."""


def leakage_alarms(
    tables: Tables,
    rows: ibis.Table,
    problem: Problem,
    *,
    compute: ComputeFeatures = features_from,
    sampled: bool = False,
) -> tuple[Alarm, ...]:
    """All alarms, with the limits of the problem.

    Args:
        tables: what the features are compiled from, by their names in the problem file.
        rows: what `compute` made of them. Outcomes are looked at in the training window only.
        sampled: of more rows than `training.rows_in_memory`, look at those of drawn units alone, and say so.

    Raises:
        InputError: the history is too short to have a training window.
    """
    features, decision = features_of(problem), problem.decision
    names = [*decision.keys, problem.label.column, *(feature.name for feature in for_models(features))]
    matured = MaturedColumns.of(known_of_some_units(rows, problem) if sampled else rows, names, problem)
    train = split_decisions(matured[decision.time].to_numpy(), problem).train
    limit, seed = problem.leakage.max_feature_auc, problem.evaluation.seed
    history = history_of(tables, problem, drawn_units(tables, problem, problem.leakage.units, seed))
    of_rows = (
        id_like_features(matured, features, decision, limit=MAX_NAMED_SHARE),
        features_too_good(matured.only(train), features, problem.label.column, limit=limit),
    )
    return (
        *(_of_a_sample(alarm, matured, rows, problem) if sampled else alarm for alarm in of_rows),
        planted_canary(history, problem, compute=compute),
        future_shift(history, problem, seed=seed, compute=compute),
    )


def _of_a_sample(alarm: Alarm, drawn: MaturedColumns, rows: ibis.Table, problem: Problem) -> Alarm:
    """An alarm that says of how many rows it is, where not of all."""
    number, every = len(drawn[problem.decision.time]), int(rows[problem.label.column].count().to_pyarrow().as_py())
    if number == every:
        return alarm
    said = f"Looked at: {number:,} of {every:,} {problem.decision.plural}, those of drawn units."
    return replace(alarm, message=f"{alarm.message} {said}")
