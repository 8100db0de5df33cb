"""Which part of the graph a problem has.

Stores, plans, the API and what watches them still know the email case alone. Any other problem is read, prepared,
trained, evaluated and put before the gate.
"""

from typing import Any

import dagster as dg

from mlguide_assets.defs.workspace import PROBLEM

_TRAINED = (
    "backtest_windows", "staleness_curve", "tuning_trials", "training_recipe", "candidate_model", "test_predictions",
    "model_evaluation", "slice_metrics", "group_metrics", "model_explanations", "behaviour_results",
    "registered_model", "promotion_decisions", "champion_model",
)  # fmt: skip


def in_scope(found: dg.Definitions) -> dg.Definitions:
    """The definitions of the problem of this code location."""
    if PROBLEM.has_email_tables:
        return found
    names = {
        *("problem_definition", "contract_results", "quarantined_rows", "feature_declarations"),
        *PROBLEM.tables,
        *(PROBLEM.core_table, PROBLEM.features_table),
        *_TRAINED,
    }
    assets = [each for each in found.assets or () if _keys(each) and all(key.path[-1] in names for key in _keys(each))]
    checks = [
        each for each in found.asset_checks or () if all(key.asset_key.path[-1] in names for key in _check_keys(each))
    ]
    jobs = [job for job in found.jobs or () if job.name == "lifecycle"]
    return dg.Definitions(
        assets=assets, asset_checks=checks, jobs=jobs, resources=found.resources, executor=found.executor
    )


def _keys(asset: Any) -> list[dg.AssetKey]:
    return list(getattr(asset, "keys", ()))


def _check_keys(check: Any) -> list[dg.AssetCheckKey]:
    return list(getattr(check, "check_keys", ()))
