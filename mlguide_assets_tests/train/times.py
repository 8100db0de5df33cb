"""Instants of rows that a test makes up."""

from datetime import timedelta

import numpy as np

from mlguide_assets.train.split import Times

WEEK = timedelta(days=7)


def days(*numbers: float) -> Times:
    """Instants so many days after the first of January 2025."""
    hours = np.round(np.array(numbers, dtype=np.float64) * 24).astype("timedelta64[h]")
    return (np.datetime64("2025-01-01", "us") + hours).astype("datetime64[us]")
