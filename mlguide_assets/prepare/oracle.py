"""The yardstick: a simulator's true probabilities, joined to scores after everything is trained.

Training code must not import this module; the import contract in pyproject.toml says so.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import AnySimulator
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.forgetting.forget_list import ForgetList, entities_of

FILE = "oracle.parquet"


def forget_truth(folder: Path, forgotten: ForgetList, problem: Problem, connection: Any) -> None:
    """Leave forgotten entities out of the truth that a simulated source has just written, if it has."""
    path, temporary = folder / FILE, folder / f".{FILE}"
    if path.is_file():
        truth = read_parquet(connection, path)
        for entity in entities_of(problem):
            # It names entities as the source does.
            own = replace(entity, named={FILE: next(iter(entity.named.values()), entity.column)})
            truth = forgotten.rows_without(FILE, truth, own)
        connection.to_parquet(truth, str(temporary))
        temporary.replace(path)


def with_oracle(scores: ibis.Table, folder: Path, problem: Problem) -> ibis.Table:
    """Add the column `oracle` to scores of decisions, where the source is a simulator; else change nothing."""
    path = folder / FILE
    if not isinstance(problem.source, AnySimulator) or not path.is_file():
        return scores
    keys, decision = key_sources(problem), problem.decision
    truth = read_parquet(scores.get_backend(), path)
    truth = truth.select(*(truth[own].name(key) for key, own in keys.items()), truth["probability"].name("oracle"))
    return scores.inner_join(truth, list(keys)).order_by(*decision.order)


def key_sources(problem: Problem) -> dict[str, str]:
    """The columns that make a decision unique, and how the tables of the simulator call them."""
    event, decision = problem.schema.event(problem.predict.each), problem.decision
    ids = {id_column(noun): column for noun, column in event.of.items()}
    return {key: ids.get(key, key) for key in decision.keys}
