"""The yardstick: the simulator's true probabilities, joined to scores after everything is trained.

Training code must not import this module; the import contract in pyproject.toml says so.
"""

from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.prepare.engine import read_parquet
from mlguide_assets.prepare.features.tables import KEYS
from mlguide_assets.prepare.forgetting import USER, ForgetList

FILE = "oracle.parquet"


def forget_truth(folder: Path, forgotten: ForgetList, connection: Any) -> None:
    """Leave forgotten users out of the truth that a simulated source has just written, if it has."""
    path, temporary = folder / FILE, folder / f".{FILE}"
    if path.is_file():
        truth = forgotten.rows_without(FILE, read_parquet(connection, path), USER)
        connection.to_parquet(truth, str(temporary))
        temporary.replace(path)


def with_oracle(scores: ibis.Table, folder: Path, problem: Problem) -> ibis.Table:
    """Add the column `oracle` to scores of sends, where the source is the simulator; else change nothing."""
    path = folder / FILE
    if not isinstance(problem.source, SimulatorSource) or not path.is_file():
        return scores
    truth = read_parquet(scores.get_backend(), path).select(*KEYS, oracle="probability")
    return scores.inner_join(truth, KEYS).order_by("delivered_at", "user_id", "email_id")
