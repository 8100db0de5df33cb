"""From a registered version to a recorded decision, and from a decision to the model in production."""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ibis
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Champion, champion, export_bundle, set_champion
from mlguide_assets.deploy.gate import Decision, decide
from mlguide_assets.deploy.registration import registry_of
from mlguide_assets.deploy.registry import Registry
from mlguide_assets.prepare.lake import Lake, Snapshot
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import load_facts

DECISIONS = "promotion_decisions"

_SCHEMA = pa.schema(
    [
        ("decided_at", pa.string()),
        ("version", pa.string()),
        ("trained_at", pa.string()),
        ("verdict", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("criteria", pa.string()),
        ("champion_before", pa.string()),
        ("decided_by", pa.string()),
        ("run_id", pa.string()),
    ]
)


def decide_and_record(
    home: Home,
    lake: Lake,
    problem: Problem,
    registered_model: ibis.Table,
    test_predictions: ibis.Table,
    contract_results: ibis.Table,
    *,
    run_id: str,
) -> tuple[Decision, Snapshot]:
    """Put a registered version before the gate, add the answer to the record, and write it on the version."""
    version = registered_model.to_pyarrow().to_pylist()[0]
    before = champion(home.bundles(problem.key))
    decision = decide(
        test_predictions.to_pyarrow(),
        contract_results.to_pyarrow().to_pylist(),
        problem,
        same_as_champion=before is not None and before.lineage == version["candidate"],
    )
    row = {
        "decided_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version["version"],
        "trained_at": version["trained_at"],
        "verdict": decision.verdict,
        "reasons": list(decision.reasons),
        "criteria": json.dumps([criterion.to_json() for criterion in decision.criteria]),
        "champion_before": before.version if before else None,
        "decided_by": "gate",
        "run_id": run_id,
    }
    snapshot = lake.append(DECISIONS, pa.Table.from_pylist([row], schema=_SCHEMA))
    registry_of(home, problem).record_verdict(version["version"], decision.verdict, decision.reasons)
    return decision, snapshot


def last_decision(lake: Lake) -> dict[str, Any] | None:
    """The newest row of the record, or None before the first."""
    if not lake.exists(DECISIONS):
        return None
    newest = max(lake.snapshot(DECISIONS).partitions)
    row: dict[str, Any] = lake.read(DECISIONS, partitions=[newest]).to_pyarrow().to_pylist()[0]
    return row


def last_promotion(lake: Lake) -> dict[str, Any] | None:
    """The newest row that promotes, or None before the first."""
    rows = lake.read(DECISIONS).to_pyarrow().to_pylist() if lake.exists(DECISIONS) else []
    return next((row for row in reversed(rows) if row["verdict"] == "promoted"), None)


def install_promoted(home: Home, lake: Lake, problem: Problem) -> Champion | None:
    """Make the version of the newest promotion champion, and return whoever is champion then.

    The pointer moves first, since it decides; what a crash leaves undone, the next call does.
    """
    bundles, registry = home.bundles(problem.key), registry_of(home, problem)
    promotion = last_promotion(lake)
    if promotion is None:
        return champion(bundles)
    version, current = str(promotion["version"]), champion(bundles)
    if current is None or current.version != version:
        _install(home, registry, bundles, promotion)
    registry.record_champion(version)
    return champion(bundles)


def _install(home: Home, registry: Registry, bundles: Path, promotion: dict[str, Any]) -> None:
    version = str(promotion["version"])
    with TemporaryDirectory(dir=home.root, prefix=".export-") as folder:
        candidate = registry.fetch(version, Path(folder))
        metadata = {"trained_at": promotion["trained_at"], **load_facts(candidate)}
        export_bundle(candidate, bundles, version, metadata)
    set_champion(bundles, version)
