"""Bringing a candidate into the registry with everything that is known of it."""

import json
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import champions
from mlguide_assets.deploy.gate.history import decisions
from mlguide_assets.deploy.registry.registry import Registry
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.models.models import XGBOOST
from mlguide_assets.train.recipe import Recipe
from mlguide_assets.train.storage import folder_of, load_facts, load_recipe, model_name

COLUMNS = {
    "version": "The version in the registry.",
    "candidate": "The candidate that was registered, by its id.",
    "trained_at": "When it was trained, UTC.",
    "lineage": "Snapshots, hashes and code version that the model was made from, as JSON.",
}
"""Of the record of a registered version: column → meaning."""


def registry_of(home: Home, problem: Problem) -> Registry:
    return Registry(home.registry, problem.key)


def register_candidate(
    home: Home, problem: Problem, candidate_model: ibis.Table, model_evaluation: ibis.Table
) -> pa.Table:
    """Register a candidate, or find the version that it already has.

    Returns:
        One row: version, candidate, trained_at, lineage (JSON).
    """
    folder = folder_of(candidate_model, home.candidates(problem.key))
    facts, recipe = load_facts(folder), load_recipe(folder)
    lineage, model = facts["lineage"], model_name(facts)
    metrics = {
        f"{row['model']}_{row['metric']}{suffix}": row[bound]
        for row in model_evaluation.to_pyarrow().to_pylist()
        for bound, suffix in (("value", ""), ("low", "_low"), ("high", "_high"))
        if bound == "value" or row["model"] == model
    }
    version = registry_of(home, problem).register(
        folder,
        lineage["id"],
        params=_params(model, facts, recipe),
        metrics=metrics,
        tags={
            "problem": problem.name,
            "model": model,
            "trained_at": candidate_model.to_pyarrow()["trained_at"][0].as_py(),
            "data_hash": lineage["data_hash"],
            "code_version": lineage["code_version"],
            **{f"snapshot.{table}": snapshot for table, snapshot in lineage["snapshots"].items()},
        },
        above=_highest_known(home, problem),
    )
    record = candidate_model.to_pyarrow().select(["candidate", "trained_at"])
    record = record.append_column("lineage", pa.array([json.dumps(lineage)]))
    return record.add_column(0, "version", pa.array([version]))


def _highest_known(home: Home, problem: Problem) -> int:
    """The highest number of a version that this home knows, whatever the registry says now."""
    decided = {row["version"] for row in decisions(Lake(home.lake(problem.key)))}
    return max((int(version) for version in {*decided, *champions(home.bundles(problem.key))}), default=0)


def _params(model: str, facts: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """What was chosen before the fit: of XGBoost with its parameters."""
    chosen = {"model": model, "training_window": recipe.window.name}
    return {**recipe.parameters, "rounds": facts["rounds"], **chosen} if model == XGBOOST else chosen
