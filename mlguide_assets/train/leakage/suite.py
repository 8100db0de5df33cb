"""Leakage alarms: questions that are asked before training, each of which can stop it.

Two look at the finished rows: does a feature name its row (`identifiers`), does one alone know the outcome
(`single_features`)? The others compute features twice, with and without a future (`look_ahead`, `any_tables`): what
moves was looking ahead.

What they do not see: a source table that was overwritten later, such as a profile that counts the purchases
up to now. Its past is gone before any feature is computed.
"""

from collections.abc import Mapping

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.tables import send_features
from mlguide_assets.train.leakage.any_tables import future_moves_nothing
from mlguide_assets.train.leakage.identifiers import id_like_features
from mlguide_assets.train.leakage.look_ahead import ComputeFeatures, future_shift, planted_canary
from mlguide_assets.train.leakage.results import Alarm, for_models
from mlguide_assets.train.leakage.single_features import features_too_good
from mlguide_assets.train.matured_columns import MaturedColumns
from mlguide_assets.train.split import split_decisions

MAX_NAMED_SHARE = 0.99
"""A feature that names more of the users, emails or sends than this is an id."""


def leakage_alarms(
    core_users: ibis.Table,
    rows: ibis.Table,
    problem: Problem,
    *,
    compute: ComputeFeatures = send_features,
    tables: Mapping[str, ibis.Table] | None = None,
) -> tuple[Alarm, ...]:
    """All alarms, with the limits of the problem.

    Args:
        core_users: the core table.
        tables: what the features are compiled from; default: the email case, which computes them from the core table.
        rows: what `compute` made of the core table. Outcomes are looked at in the training window only.

    Raises:
        InputError: the history is too short to have a training window.
    """
    features = features_of(problem)
    names = [*problem.decision.keys, problem.label.column, *(feature.name for feature in for_models(features))]
    matured = MaturedColumns.of(rows, names, problem)
    times = matured[problem.decision.time].to_numpy()
    train = split_decisions(times, problem).train
    users, seed = problem.leakage.users, problem.evaluation.seed
    limit = problem.leakage.max_feature_auc
    if tables is not None:
        return (
            features_too_good(matured.only(train), features, problem.label.column, limit=limit),
            future_moves_nothing(tables, core_users, problem, most=users),
        )
    return (
        id_like_features(matured, features, limit=MAX_NAMED_SHARE),
        features_too_good(matured.only(train), features, problem.label.column, limit=limit),
        planted_canary(core_users, problem, users=users, seed=seed, compute=compute),
        future_shift(core_users, problem, users=users, seed=seed, compute=compute),
    )
