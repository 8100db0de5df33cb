"""Small worlds that stay, turn or drift, and what a backtest says of them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.backtest.staleness import Staleness, staleness_curve
from mlguide_assets.train.backtest.windows import ALL, WindowChoice, choose_window
from mlguide_assets.train.recipe import PARAMETERS, Recipe, TrainingWindow
from mlguide_assets_tests.train.sends import PROBLEM
from mlguide_assets_tests.train.times import days

Risk = Callable[[Floats, Floats], Floats]
"""Log-odds of each row (n,), from its age, standard normal, and its place in the history from 0 to 1."""

QUICK = Recipe({**PARAMETERS, "learning_rate": 0.3, "max_depth": 2, "colsample_bytree": 1.0})
"""Finds what is planted in a few rounds."""

RECENT = TrainingWindow("rolling", 40)


def world(risk: Risk, *, rows: int = 6000, length: int = 200, users: int = 300, seed: int = 0) -> pa.Table:
    """Matured rows of `send_features` over `length` days; every feature is noise but for `age`."""
    random = np.random.default_rng(seed)
    place = np.sort(random.random(rows))
    age = random.normal(size=rows)
    labels = random.random(rows) < 1 / (1 + np.exp(-risk(age, place)))
    columns: dict[str, Any] = {
        "user_id": random.integers(0, users, rows),
        "email_id": random.integers(0, 20, rows),
        "delivered_at": days(*(place * length)),
        "unsubscribed": labels.astype(np.int8),
    }
    for feature in features_of(PROBLEM):
        noise = random.choice(["a", "b", "c"], rows) if feature.kind == "category" else random.normal(size=rows)
        columns[feature.name] = ["subject"] * rows if feature.kind == "text" else noise
    return pa.table({**columns, "age": age})


def same(age: Floats, place: Floats) -> Floats:
    return -1.5 + 1.2 * age


def turning(age: Floats, place: Floats) -> Floats:
    """What was risky becomes harmless after a quarter of the history, and the other way round."""
    return -1.5 + np.where(place < 0.25, -1.5, 1.5) * age


def drifting(age: Floats, place: Floats) -> Floats:
    return -1.5 + 2.0 * np.cos(2.5 * place) * age


def noise(age: Floats, place: Floats) -> Floats:
    return np.full(len(age), -1.5)


@cache
def choice_in(risk: Risk) -> WindowChoice:
    return choose_window(world(risk), PROBLEM, recipe=QUICK, candidates=[ALL, RECENT])


@cache
def ageing_in(risk: Risk) -> Staleness:
    return staleness_curve(world(risk), PROBLEM, recipe=QUICK)
