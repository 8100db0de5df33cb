"""What a model was made from, so that it can be made again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mlguide_assets.code_version import code_version
from mlguide_assets.define.loading import dump_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.recipe import DEFAULT_RECIPE, Recipe
from mlguide_assets.train.trainers.trainer import Distributed

if TYPE_CHECKING:
    import ibis

LIBRARIES = ("numpy", "scikit-learn", "xgboost")
"""Other versions of these may make another model of the same data."""

TRAINING = ("mlguide_assets.train.candidate", "mlguide_assets.train.storage")
"""The modules that make a candidate of rows and write its bytes."""


@dataclass(frozen=True)
class Lineage:
    """The snapshots read, a hash of their content, the hashes of problem and recipe, and the version of the code."""

    snapshots: Mapping[str, str]
    data_hash: str
    problem_hash: str
    recipe_hash: str
    code_version: str

    @property
    def id(self) -> str:
        """Equal for equal data, problem, recipe and code."""
        return _hash(self.data_hash, self.problem_hash, self.recipe_hash, self.code_version)[:12]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "snapshots": dict(self.snapshots),
            "data_hash": self.data_hash,
            "problem_hash": self.problem_hash,
            "recipe_hash": self.recipe_hash,
            "code_version": self.code_version,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Lineage":
        return cls(**{name: value for name, value in stored.items() if name != "id"})


def lineage_of(lake: Lake, problem: Problem, recipe: Recipe = DEFAULT_RECIPE) -> Lineage:
    """The lineage of a model trained now.

    The plans are part of it where decisions are weighted by them: those of the days before, so a training does not
    wait for the asset.
    """
    tables = (*problem.schema.ordered, problem.features_table)
    snapshots = {table: lake.snapshot(table) for table in tables}
    data_hash = snapshots[problem.features_table].content_hash
    plan = problem.decision.plan_table
    # Where nothing is chosen, nothing was drawn either.
    if problem.chooses and problem.exploration.weight_training and lake.exists(plan):
        plans, last = lake.snapshot(plan), _last_matured_day(lake, problem)
        # Plans of later days weight no matured decision: recomputed, they do not make another model.
        used = [f"{day} {file.sha256}" for day, file in sorted(plans.partitions.items()) if day <= last]
        if used:
            snapshots[plan] = plans
            data_hash = _hash(data_hash, *used)
    return Lineage(
        snapshots={table: snapshot.id for table, snapshot in snapshots.items()},
        data_hash=data_hash,
        problem_hash=_hash(dump_problem(problem)),
        recipe_hash=_hash(json.dumps(recipe.to_json(), sort_keys=True)),
        code_version=training_code_version(),
    )


def plans_of(lake: Lake, lineage: Lineage, problem: Problem) -> "ibis.Table | None":
    """The plans of a lineage, if it has any.

    Raises:
        MissingTableError: they are no longer kept.
    """
    plan = problem.decision.plan_table
    snapshot = lineage.snapshots.get(plan)
    return lake.read(plan, snapshot_id=snapshot, by_name=True) if snapshot else None


def distributed_of(lake: Lake, lineage: Lineage, problem: Problem) -> Distributed | None:
    """What a lineage learns from, as an engine reads it that computes elsewhere; None where the lake's does not.

    Raises:
        MissingTableError: it is no longer kept.
    """
    if not lake.engine.elsewhere:
        return None
    features, plan = problem.features_table, problem.decision.plan_table
    read, snapshot = lake.open(features, snapshot_id=lineage.snapshots[features]), lineage.snapshots.get(plan)
    return Distributed(lake.engine, read, lake.open(plan, snapshot_id=snapshot, by_name=True) if snapshot else None)


def _last_matured_day(lake: Lake, problem: Problem) -> str:
    features = lake.open(problem.features_table)
    known = features.filter(features[problem.label.column].notnull())
    last = known[problem.decision.time].max().to_pyarrow().as_py()
    return str(last.date()) if last else ""


def training_code_version() -> str:
    """The package's version and a hash of the code that trains and of the libraries that learn.

    It identifies the code more exactly than a version number. Of the code that makes features, only what training
    imports counts: features are data.
    """
    return f"{version('mlguide')}+{code_version(*TRAINING, libraries=LIBRARIES)[:12]}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
