"""A million trips by taxi between places, in the look of those that cities publish: few ids, all of them busy.

What is looked at here is how long `mlguide check` takes: each of hundreds of features follows from most of the rows.
"""

from pathlib import Path

import numpy as np
import pandas as pd

PLACES, DAYS, SEED = 263, 31, 7


def write_trips(folder: Path, rows: int) -> None:
    """A file of trips of one month; the outcome is whether a trip was stored before it was sent, of 1 % by chance."""
    random = np.random.default_rng(SEED)
    started = np.sort(np.datetime64("2024-01-01", "s") + random.integers(0, DAYS * 86_400, rows))
    miles = random.gamma(2, 1.6, rows).round(2)
    fare = (3 + 2.6 * miles + random.normal(0, 1.5, rows).clip(-2)).round(2)
    by_card = random.random(rows) < 0.75
    trips = pd.DataFrame(
        {
            "vendor_id": random.choice([1, 2], rows, p=[0.3, 0.7]),
            "started_at": started,
            "ended_at": started + (240 * miles + random.integers(60, 600, rows)).astype("timedelta64[s]"),
            "from_place_id": _places(random, rows),
            "to_place_id": _places(random, rows),
            "riders": random.choice(6, rows, p=[0.7, 0.15, 0.05, 0.04, 0.03, 0.03]) + 1,
            "miles": miles,
            "tariff_code": random.choice([1, 2, 5], rows, p=[0.95, 0.04, 0.01]),
            "paid_by": np.where(by_card, "card", random.choice(["cash", "voucher"], rows)),
            "fare": fare,
            "extra": random.choice([0, 0.5, 1, 2.5], rows),
            "tip": np.where(by_card, 0.2 * fare, 0).round(2),
            "toll": np.where(random.random(rows) < 0.06, 6.94, 0),
            "surcharge": random.choice([0, 2.5], rows, p=[0.1, 0.9]),
            "airport_fee": random.choice([0, 1.75], rows, p=[0.92, 0.08]),
            "stored_first": np.where(random.random(rows) < 0.01, "Y", "N"),
        }
    )
    trips["total"] = trips[["fare", "extra", "tip", "toll", "surcharge", "airport_fee"]].sum(axis=1).round(2)
    folder.mkdir(parents=True)
    trips.to_parquet(folder / "trips.parquet", index=False)


def _places(random: np.random.Generator, rows: int) -> np.ndarray:
    """Places of which a few have most of the trips."""
    shares = 1 / np.arange(1, PLACES + 1) ** 1.1
    return random.choice(random.permutation(PLACES) + 1, rows, p=shares / shares.sum())
