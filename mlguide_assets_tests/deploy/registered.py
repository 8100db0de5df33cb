"""A candidate in the registry, as a run registers it."""

import math
from pathlib import Path

import ibis
import pyarrow as pa

from mlguide_assets.deploy.registry.registration import register_candidate
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import record_of
from mlguide_assets_tests.train.sends import PROBLEM

EVALUATION = pa.table(
    {
        "model": ["xgboost", "xgboost", "base_rate"],
        "metric": ["roc_auc", "brier", "roc_auc"],
        "value": [0.8, 0.02, 0.5],
        "low": [0.7, math.nan, 0.5],
        "high": [0.9, math.nan, 0.5],
    }
)


def register(home: Home, candidate: Path) -> str:
    record = register_candidate(home, PROBLEM, ibis.memtable(record_of(candidate)), ibis.memtable(EVALUATION))
    assert record.column_names == ["version", "candidate", "trained_at", "lineage"]
    assert record["candidate"].to_pylist() == [candidate.name]
    return str(record["version"][0].as_py())
