"""How well a problem of other tables is predicted: `-m mlguide_assets_tests.benchmarks.problem_scores NAME [WINDOWS]`.

Decision rows, automatic or declared features, a split in time, XGBoost as the project trains it; prints JSON. Nothing
from the start of the test window on is used before the model is scored.
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import decision_of, id_column
from mlguide_assets.define.prediction import PredictEntity
from mlguide_assets.prepare.decisions.rows import MATURED_AT, decision_rows
from mlguide_assets.prepare.features.building import declaration_as_yaml
from mlguide_assets.prepare.features.catalogue import Feature, features_of, nouns_of, time_column
from mlguide_assets.prepare.features.compiling import cut_offs_of, decision_features, with_features
from mlguide_assets.prepare.features.events import AT, POSITIVE, canonical_events
from mlguide_assets.prepare.features.resolving import ResolvedProblem, resolved_features
from mlguide_assets.train.evaluation.uncertainty import bootstrap_metrics
from mlguide_assets.train.models.encoding import Encoding
from mlguide_assets.train.models.models import fit_xgboost
from mlguide_assets_tests.benchmarks.journey_by_hand import features_by_hand
from mlguide_assets_tests.benchmarks.problem_data import AbsentError, Loaded, load

TEST_SHARE = 0.25
"""The latest part of the time, where a problem file names no test window."""


def measure(name: str, windows: str | None = None) -> dict[str, Any]:
    """Metrics of one problem, with 95 % intervals, and what the work took.

    Args:
        windows: of automatic features, such as `7d,30d,all`; default: those of the problem file.
    """
    problem = load(name)
    if windows:
        problem.document["features"]["automatic"]["windows"] = windows.split(",")
    rows = problem.connection.create_table("decision_rows", _rows(problem))
    start, end = problem.test_window or _latest(rows, time_column(problem), problem.predict.label.column)
    began = time.process_time()
    declared = problem.features.declared
    features = resolved_features(problem, problem.tables, rows, until=start, **_cut_offs(problem))
    resolved = ResolvedProblem(problem.schema, problem.predict, features, ())
    resolving, began = time.process_time() - began, time.process_time()
    table = _featured(rows, problem, resolved)
    computing = time.process_time() - began
    for feature, declaration in features.declared.items():
        print(f"{feature}: {declaration_as_yaml(declaration)}", file=sys.stderr)
    reference = {}
    if name == "journey_churn":
        reference["by_hand"] = by_hand(rows.to_pyarrow(), problem, start, end)["roc_auc"]
    return {
        **reference,
        "automatic": sum(each.number_of_features for name, each in features.declared.items() if name not in declared),
        "resolving_seconds": resolving,
        "feature_seconds": computing,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        **scored(table, features_of(resolved), problem, start, end),
    }


def _featured(rows: ibis.Table, problem: Loaded, resolved: ResolvedProblem) -> pa.Table:
    """Decision rows with features; where a decision is an event, by the way that is faster for all of them."""
    if isinstance(problem.predict, PredictEntity):
        return with_features(rows, problem.tables, resolved, **_cut_offs(problem)).to_pyarrow()
    found = decision_features(problem.tables, resolved)
    key = list(problem.schema.event(problem.predict.each).key)
    return (
        found.drop(POSITIVE).inner_join(rows.select(*key, problem.predict.label.column, MATURED_AT), key).to_pyarrow()
    )


def _rows(problem: Loaded) -> Any:
    newest = [canonical_events(problem.tables, problem, event)[AT].max() for event in problem.schema.events]
    clock = datetime(1970, 1, 1) + timedelta(microseconds=max(each.to_pyarrow().as_py() for each in newest))
    return decision_rows(problem.tables, problem, clock=clock)


def _cut_offs(problem: Loaded) -> dict[str, Any]:
    predict = problem.predict
    if not isinstance(predict, PredictEntity):
        return {}
    anchor = datetime.combine(predict.anchor or problem.history_start, datetime.min.time())
    return {"instants": cut_offs_of(predict.every, anchor)}


def _latest(rows: Any, at: str, label: str) -> tuple[datetime, datetime]:
    times = np.sort(rows.filter(rows[label].notnull())[at].to_pyarrow().to_numpy())
    return times[int(len(times) * (1 - TEST_SHARE))].astype(datetime), datetime.max


def scored(
    table: pa.Table, features: Sequence[Feature], problem: Loaded, start: datetime, end: datetime
) -> dict[str, Any]:
    """Train on what had matured when the test window began, score the rows of the window."""
    decision = decision_of(problem.schema, problem.predict)
    at = decision.time
    # The engine gives no order, and another one is another model.
    table = table.sort_by([(name, "ascending") for name in decision.order])
    known = table.filter(pc.is_valid(table[problem.predict.label.column]))
    learned = known.filter(pc.less_equal(known[MATURED_AT], pa.scalar(start, known[MATURED_AT].type)))
    tested = known.filter(pc.greater_equal(known[at], pa.scalar(start, known[at].type)))
    tested = tested.filter(pc.less(tested[at], pa.scalar(end, tested[at].type)))
    encoding = Encoding.fit(learned, features)
    model = fit_xgboost(
        encoding.matrix(learned),
        learned[problem.predict.label.column].to_numpy().astype(np.int8),
        learned[at].to_numpy(),
        encoding,
        gap=problem.predict.label.window,
        seed=0,
    )
    labels = tested[problem.predict.label.column].to_numpy()
    clusters = tested[id_column(nouns_of(problem)[0])].to_numpy()
    probabilities = model.predict(encoding.matrix(tested))
    found = bootstrap_metrics(labels, {"model": probabilities}, clusters, repeats=100)["model"]
    best = sorted(model.importance().items(), key=lambda each: -each[1])[:10]
    return {
        "rows": {"train": learned.num_rows, "test": tested.num_rows},
        "features": len(encoding.names),
        "positives": float(labels.mean()),
        "rounds": model.rounds,
        "importance": {name: round(share, 3) for name, share in best},
        **{metric: [found[metric].value, found[metric].low, found[metric].high] for metric in ("roc_auc", "pr_auc")},
    }


def by_hand(rows: pa.Table, problem: Loaded, start: datetime, end: datetime) -> dict[str, Any]:
    """The same rows with the features of `journey_by_hand`."""
    table = features_by_hand(problem.connection.con, rows)
    own = [name for name in table.column_names if name not in rows.column_names]
    kinds = {name: "category" if pa.types.is_string(table[name].type) else "number" for name in own}
    features = [Feature(name, kind, "history", "") for name, kind in kinds.items()]  # type: ignore[arg-type]
    return scored(table, features, problem, start, end)


if __name__ == "__main__":
    try:
        print(json.dumps(measure(*sys.argv[1:3])))
    except AbsentError as absent:
        print(json.dumps({"absent": str(absent)}))
