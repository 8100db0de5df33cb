"""Leakage alarms: questions that are asked before training, each of which can stop it.

Two look at the finished rows: does a feature name its row (`identifiers`), does one alone know the outcome
(`single_features`)? The others compute features twice, with and without a future (`look_ahead`): what moves was looking
ahead.

What they do not see: a source table that was overwritten later, such as a profile that counts the purchases
up to now. Its past is gone before any feature is computed.
"""

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.building import features_from
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.train.leakage.identifiers import id_like_features
from mlguide_assets.train.leakage.look_ahead import ComputeFeatures, future_shift, planted_canary
from mlguide_assets.train.leakage.results import Alarm, for_models
from mlguide_assets.train.leakage.single_features import features_too_good
from mlguide_assets.train.matured_columns import MaturedColumns
from mlguide_assets.train.some_units import Tables, drawn_units, history_of
from mlguide_assets.train.split import split_decisions

MAX_NAMED_SHARE = 0.99
"""A feature that names more of the entities, instants or decisions than this is an id."""


def leakage_alarms(
    tables: Tables, rows: ibis.Table, problem: Problem, *, compute: ComputeFeatures = features_from
) -> tuple[Alarm, ...]:
    """All alarms, with the limits of the problem.

    Args:
        tables: what the features are compiled from, by their names in the problem file.
        rows: what `compute` made of them. Outcomes are looked at in the training window only.

    Raises:
        InputError: the history is too short to have a training window.
    """
    features, decision = features_of(problem), problem.decision
    names = [*decision.keys, problem.label.column, *(feature.name for feature in for_models(features))]
    matured = MaturedColumns.of(rows, names, problem)
    train = split_decisions(matured[decision.time].to_numpy(), problem).train
    limit, seed = problem.leakage.max_feature_auc, problem.evaluation.seed
    history = history_of(tables, problem, drawn_units(tables, problem, problem.leakage.units, seed))
    return (
        id_like_features(matured, features, decision, limit=MAX_NAMED_SHARE),
        features_too_good(matured.only(train), features, problem.label.column, limit=limit),
        planted_canary(history, problem, compute=compute),
        future_shift(history, problem, seed=seed, compute=compute),
    )
