"""Which registered versions learned from one entity: they keep what they learned when it is forgotten."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import bundled_versions, metadata_of_version
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.registry.registry import store_address
from mlguide_assets.prepare.forgetting.erasing import Erasure
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import MissingTableError
from mlguide_assets.settings import Home


def versions_that_learned(home: Home, problem: Problem, lake: Lake, erasure: Erasure) -> dict[str, str]:
    """The registered versions that learned from an entity, each with the snapshot that it was trained from.

    Where a snapshot is no longer kept, dates decide: the entity had rows before the version was trained. Of an entity
    that decisions are not about, every version may have learned: it is among what the features count.
    """
    features, label = problem.features_table, problem.label.column
    if erasure.entity.noun not in problem.decision.nouns:
        return {
            version: facts["lineage"]["snapshots"][features] for version, facts in _facts_of_versions(home, problem)
        }
    first = _first_row(lake, features, problem.decision.time, erasure)
    found = {}
    for version, facts in _facts_of_versions(home, problem):
        snapshot = facts["lineage"]["snapshots"][features]
        try:
            learned = any(_has_label(path, label, erasure) for path in lake.files(features, snapshot_id=snapshot))
        except MissingTableError:
            learned = first is not None and first <= datetime.fromisoformat(facts["refit_until"])
        if learned:
            found[version] = snapshot
    return found


def _facts_of_versions(home: Home, problem: Problem) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every version and the facts of its training: from its bundle, else from the registry."""
    bundles = home.bundles(problem.key)
    bundled = bundled_versions(bundles)
    for version in bundled:
        yield version, metadata_of_version(bundles, version)
    if home.registry.exists() or store_address():
        registry = registry_of(home, problem)
        for version in registry.versions():
            if version not in bundled:
                yield version, registry.facts(version)


def _first_row(lake: Lake, features: str, time: str, erasure: Erasure) -> datetime | None:
    if not lake.exists(features):
        return None
    times = [pc.min(_rows_of(path, time, erasure)).as_py() for path in lake.files(features)]
    return min((time for time in times if time is not None), default=None)


def _has_label(path: Path, label: str, erasure: Erasure) -> bool:
    labels = _rows_of(path, label, erasure)
    return bool(len(labels) > labels.null_count)


def _rows_of(path: Path, column: str, erasure: Erasure) -> pa.ChunkedArray:
    """A column of the rows of an entity. Folders on the way that are called key=value add none."""
    of_entity = [(erasure.entity.column, "=", erasure.key)]
    return pq.read_table(path, columns=[column], filters=of_entity, partitioning=None)[column]
