"""What the gate needs to know of a candidate, gathered from the tables before it, the registry and a stopwatch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis
import numpy as np

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, champion, metadata_of, needed_files
from mlguide_assets.deploy.gate.comparison import CHALLENGER, Comparison, Incomparable, Past, compare_with_champion
from mlguide_assets.deploy.gate.gate import Evidence
from mlguide_assets.deploy.gate.history import withdrawal
from mlguide_assets.deploy.gate.parity import Parity, feature_parity
from mlguide_assets.deploy.gate.recorded_criteria import recorded_criteria
from mlguide_assets.deploy.registry.registration import registry_of
from mlguide_assets.deploy.registry.registry import LostVersionError, Registry
from mlguide_assets.prepare.hosts.scratch import scratch_folder
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.decisions import calibration_error_under
from mlguide_assets.train.models.models import ServableModel
from mlguide_assets.train.storage import load_facts, load_model, model_name

LATENCY_ROWS = 200


@dataclass(frozen=True)
class Tables:
    """What the gate reads, as the assets before it wrote it."""

    test_predictions: ibis.Table
    model_evaluation: ibis.Table
    slice_metrics: ibis.Table
    group_metrics: ibis.Table
    behaviour_results: ibis.Table
    contract_results: ibis.Table
    features: ibis.Table


def gather(home: Home, lake: Lake, problem: Problem, version: dict[str, Any], tables: Tables) -> Evidence:
    """Everything that the gate needs to know of a registered version.

    Args:
        version: the row that registration gave.
    """
    registry, before = registry_of(home, problem), champion(home.bundles(problem.key))
    with scratch_folder(home.root, "A registered version") as folder:
        candidate = registry.fetch(version["version"], folder)
        facts = load_facts(candidate)
        comparison = _comparison(home, registry, before, version, model_name(facts), tables, problem)
        return _evidence(candidate, facts, comparison, before, version, tables, lake, problem)


def _comparison(
    home: Home,
    registry: Registry,
    before: Bundle | None,
    version: dict[str, Any],
    model: str,
    tables: Tables,
    problem: Problem,
) -> Comparison | Incomparable | None:
    if before is None or before.lineage == version["candidate"]:
        return None
    keys = problem.decision.keys
    scored = tables.test_predictions.select(*keys, "label", tables.test_predictions[model].name(CHALLENGER))
    rows = scored.inner_join(tables.features.drop(problem.label.column, "matured_at"), keys)
    test = rows.order_by(*problem.decision.order).to_pyarrow()
    with scratch_folder(home.root, "A registered version") as folder:
        return compare_with_champion(test, before.version, _past(registry, before, folder), problem)


def _past(registry: Registry, before: Bundle, folder: Path) -> Past:
    """The champion's training, from the registry; where that has lost it, from what the bundle says."""
    try:
        return Past.of_candidate(registry.fetch(before.version, folder))
    except LostVersionError:
        return Past(metadata_of(before), before.folder, None)


def _evidence(
    candidate: Path,
    facts: dict[str, Any],
    comparison: Comparison | Incomparable | None,
    before: Bundle | None,
    version: dict[str, Any],
    tables: Tables,
    lake: Lake,
    problem: Problem,
) -> Evidence:
    scores, settings, model = tables.test_predictions.to_pyarrow(), problem.evaluation, model_name(facts)
    by_chance = calibration_error_under(
        scores[model].to_numpy(), repeats=settings.bootstrap_repeats, seed=settings.seed
    )
    return Evidence(
        model=model,
        chosen_because=facts.get("model_reason"),
        scores=scores,
        sampled="rows_in_memory" in facts,
        contract_results=_rows(tables.contract_results),
        comparison=comparison,
        calibration_error=_estimate(tables.model_evaluation, model, "calibration_error"),
        calibration_by_chance=by_chance,
        slices=tables.slice_metrics.to_pyarrow(),
        groups=tables.group_metrics.to_pyarrow(),
        behaviours=_rows(tables.behaviour_results),
        parity=_parity(tables, lake, problem),
        bundle_megabytes=sum((candidate / name).stat().st_size for name in needed_files(candidate)) / 1e6,
        latency_ms=latency(load_model(candidate)),
        outgrown=facts.get("outgrown_features", ()),
        withdrawn=withdrawal(lake, version["version"]),
        same_as_champion=before is not None and before.lineage == version["candidate"],
        recorded=recorded_criteria(lake, version["version"]),
    )


def _parity(tables: Tables, lake: Lake, problem: Problem) -> Parity:
    """Training's features against those of the path that scores."""
    return feature_parity(tables.features, {name: lake.read(name) for name in problem.tables}, problem)


def latency(model: ServableModel) -> float:
    """Milliseconds to score one row, the median of some hundred; the rows are empty, which costs the same."""
    row = np.full((1, len(model.encoding.features)), np.nan, dtype=np.float32)
    seconds = []
    for _ in range(LATENCY_ROWS):
        start = time.perf_counter()
        model.predict(row)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) * 1000


def _estimate(model_evaluation: ibis.Table, model: str, metric: str) -> Estimate:
    row = next(r for r in _rows(model_evaluation) if r["model"] == model and r["metric"] == metric)
    return Estimate(row["value"], row["low"], row["high"])


def _rows(table: ibis.Table) -> Sequence[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return rows
