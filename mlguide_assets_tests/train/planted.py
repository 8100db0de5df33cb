"""Rows with a planted signal, for tests of the models."""

import numpy as np

from mlguide_assets.train.models.encoding import EncodedFeature, Encoding, Matrix
from mlguide_assets.train.models.models import Labels
from mlguide_assets.train.split import Times

ENCODING = Encoding((EncodedFeature("theme", ("art", "food", "sport")), EncodedFeature("age"), EncodedFeature("noise")))


def planted(rows: int = 1500, seed: int = 0) -> tuple[Matrix, Labels, Times]:
    """Food loses users, age does so a little; ten sends a day."""
    random = np.random.default_rng(seed)
    matrix = np.c_[random.integers(0, 3, rows), random.normal(size=(rows, 2))].astype(np.float32)
    matrix[random.random((rows, 3)) < 0.03] = np.nan
    logit = -2.5 + 1.8 * (matrix[:, 0] == 1) + 0.4 * np.nan_to_num(matrix[:, 1])
    labels = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    times = np.datetime64("2025-01-01", "us") + np.arange(rows) * np.timedelta64(144, "m")
    return matrix, labels, times.astype("datetime64[us]")


MATRIX, LABELS, TIMES = planted()
