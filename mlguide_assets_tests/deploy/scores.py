"""Scores whose truth is known, and candidates in folders."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mlguide_assets.deploy.gate.gate import Evidence
from mlguide_assets.deploy.gate.parity import Parity
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.candidate import Candidate
from mlguide_assets.train.evaluation.slices import SCHEMA
from mlguide_assets.train.lineage import Lineage
from mlguide_assets.train.storage import save_candidate, save_plots
from mlguide_assets_tests.train.sends import PROBLEM

NO_SLICES = SCHEMA.empty_table()


def scores(*, signal: float, seed: int = 0, rows: int = 2000, users: int = 200) -> pa.Table:
    """Outcomes at a rate near 8 %, and a score that knows them as well as `signal` says; 0 is noise."""
    random = np.random.default_rng(seed)
    known = random.normal(size=rows)
    truth = 1 / (1 + np.exp(2.6 - signal * known))
    return pa.table(
        {
            "user_id": random.integers(0, users, rows),
            "label": (random.random(rows) < truth).astype(np.int8),
            "base_rate": np.full(rows, truth.mean()),
            "xgboost": 1 / (1 + np.exp(2.6 - max(signal, 0.5) * known)),
        }
    )


def evidence(scores: pa.Table, **changes: Any) -> Evidence:
    """A candidate of which nothing but its scores can be criticised; `changes` replace that."""
    fine = {
        "model": "xgboost",
        "chosen_because": None,
        "contract_results": [],
        "comparison": None,
        "calibration_error": Estimate(0.002, 0.001, 0.003),
        "calibration_by_chance": Estimate(0.002, 0.001, 0.003),
        "slices": NO_SLICES,
        "groups": NO_SLICES,
        "behaviours": [{"name": "ids_do_not_matter", "passed": True, "message": "Nothing moved."}],
        "parity": Parity(500, {"age": 0}),
        "bundle_megabytes": 0.5,
        "latency_ms": 0.3,
    }
    return Evidence(scores=scores, **{**fine, **changes})


def saved(candidate: Candidate, folder: Path, data_hash: str = "data") -> Path:
    """A candidate with a plot, in a folder named after its lineage; other data are another candidate."""
    snapshots = {"send_features": "000001-abc", "core_users": "000001-def"}
    lineage = Lineage(snapshots, data_hash, "problem", "recipe", "0.1.0+code")
    target = folder / lineage.id
    save_candidate(candidate, PROBLEM, lineage, target)
    save_plots({"roc_curve": b"\x89PNG"}, target)
    return target
