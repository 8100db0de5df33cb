"""Seconds for the figures of an evaluation and of a window of drift, at the sizes that they have: prints JSON."""

import json
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlguide_assets.observe.drift.drift import check_drift
from mlguide_assets.observe.performance.performance import realised
from mlguide_assets.prepare.duckdb.connection import connect
from mlguide_assets.train.evaluation.decisions import cost_curve, decision_metrics, threshold_grid
from mlguide_assets.train.evaluation.fairness import fairness
from mlguide_assets.train.evaluation.slices import SliceSettings, slice_gaps, slice_metrics
from mlguide_assets.train.evaluation.uncertainty import bootstrap_metrics, permutation_null
from mlguide_assets.train.reference.counting import window_counts
from mlguide_assets_tests.observe.days import World, sends
from mlguide_assets_tests.observe.drifting import profile_of, users

ROWS, USERS, REPEATS = 75_000, 14_000, 300
THRESHOLD, COSTS = 0.08, {"missed": 12.0, "false_alarm": 1.0}


def main() -> dict[str, float]:
    generator = np.random.default_rng(0)
    probabilities, user = generator.beta(1, 49, ROWS), generator.integers(USERS, size=ROWS)
    labels = (generator.random(ROWS) < probabilities).astype(np.int8)
    columns = {f"column {index}": generator.choice([*"abcd"], ROWS) for index in range(6)}
    table = pa.table({"user_id": user, "label": labels, "xgboost": probabilities, **columns})
    models = {f"model {index}": generator.beta(2, 98, ROWS) + 0.01 * labels for index in range(5)}

    def slices() -> None:
        asked = SliceSettings("xgboost", "user_id", THRESHOLD, min_positives=20, repeats=REPEATS)
        slice_metrics(table, list(columns), asked)
        slice_gaps(table, list(columns), asked)
        fairness(table, list(columns)[:2], asked)

    def decisions() -> None:
        decision_metrics(labels, probabilities, user, threshold=THRESHOLD, **COSTS, repeats=REPEATS)
        cost_curve(labels, probabilities, user, threshold_grid(probabilities, THRESHOLD), **COSTS, repeats=REPEATS)

    return {
        "slices": _seconds(slices),
        "decisions": _seconds(decisions),
        "intervals of five models": _seconds(lambda: bootstrap_metrics(labels, models, user, repeats=REPEATS)),
        "permutations": _seconds(lambda: permutation_null(labels, models["model 0"], "roc_auc", repeats=1000)),
        "ninety days of performance": _ninety_days(),
        "drift of a million rows": _million_rows(),
    }


def _ninety_days() -> float:
    rows, generator = sends(World(), 90, 3000, seed=21, users=20_000), np.random.default_rng(0)
    for name, count in (("country", 7), ("theme", 5), ("category", 4)):
        rows = rows.append_column(name, pa.array(generator.choice([*"abcdefg"][:count], len(rows))))
    columns = ["country", "theme", "category"]
    return _seconds(lambda: realised(rows, threshold=0.05, columns=columns, min_positives=30))


def _million_rows() -> float:
    generator = np.random.default_rng(12)
    columns = users(50_000, generator)
    profile = profile_of(columns)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/window.parquet"
        pq.write_table(pa.table(columns).take(generator.integers(50_000, size=1_000_000)), path)
        window = connect().read_parquet(path)
        return min(_seconds(lambda: check_drift(profile, window_counts(window, profile))) for _ in range(3))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps(main()))
