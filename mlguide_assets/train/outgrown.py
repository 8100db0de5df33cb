"""Features that have outgrown their past before the test window begins: a model extrapolates from its first day on."""

import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.resolving import outgrows
from mlguide_assets.statistics.arrays import Integers

SAMPLE = 20_000
"""Rows that are looked at, about."""


def outgrown_features(rows: pa.Table, problem: Problem) -> list[str]:
    """Which features have newest values that hardly any earlier row has: see `resolving.outgrows`.

    Automatic features of this kind are left out when they are chosen. Those that a person declared, or that are known
    when the event happens, stay; so does an automatic one that outgrows its past later on.

    Args:
        rows: training rows, or `sampled` of them, with all features and the time of the decision.
        problem: resolved.
    """
    drawn = rows.sort_by(problem.decision.time)
    return [feature.name for feature in features_of(problem) if outgrows(drawn[feature.name])]


def sampled(places: Integers) -> Integers:
    """Every so many of the places of rows, so that about `SAMPLE` are left: all of them would be copied for nothing."""
    return places[:: max(1, len(places) // SAMPLE)]
