"""The champion on sends that it had not learned from: as it turned out, as it expected, and what lies between."""

import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import METADATA, Bundle
from mlguide_assets.observe.performance import estimated, realised
from mlguide_assets.observe.performance_verdict import GAP_SCHEMA, PerformanceVerdict, gap, judge_performance
from mlguide_assets.observe.rows import scored_sends
from mlguide_assets.observe.windows import SCHEMA
from mlguide_assets.prepare.features.tables import KEYS, LABEL
from mlguide_assets.train.models import CANDIDATE
from mlguide_assets.train.reference.freezing import PROBABILITY
from mlguide_assets.train.uncertainty import Estimate

REPEATS = 200


@dataclass(frozen=True)
class Watched:
    """Realised and estimated performance and their gap, each with the version that they are of."""

    model_performance: pa.Table
    estimated_performance: pa.Table
    performance_gap: pa.Table


def watch_performance(
    send_features: ibis.Table,
    test_predictions: ibis.Table,
    candidate: str,
    champion: Bundle | None,
    problem: Problem,
) -> Watched:
    """Measure the champion day by day; nothing without one.

    Args:
        test_predictions: scores of the test window by the twins of the last candidate's models.
        candidate: its lineage; where that is the champion's, the test window is where its record begins.
    """
    rows = watched_rows(send_features, test_predictions, candidate, champion, problem) if champion else None
    if champion is None or rows is None or not rows.num_rows:
        return Watched(*(_of_version(schema.empty_table(), "") for schema in (SCHEMA, SCHEMA, GAP_SCHEMA)))
    watching, evaluation = problem.watching, problem.evaluation
    shared = {"window_days": watching.window_days, "repeats": REPEATS, "seed": evaluation.seed}
    columns = [name for name in evaluation.slices if name in rows.column_names]
    matured = rows.filter(pc.is_valid(rows["label"]))
    done = realised(
        matured, threshold=champion.threshold, columns=columns, min_positives=evaluation.min_positives, **shared
    )
    expected = estimated(rows, threshold=champion.threshold, **shared)
    return Watched(*(_of_version(table, champion.version) for table in (done, expected, gap(done, expected))))


def watched_rows(
    send_features: ibis.Table, test_predictions: ibis.Table, candidate: str, champion: Bundle, problem: Problem
) -> pa.Table:
    """The sends of the last days that the champion had not learned from, with label, probability and slices."""
    facts = _facts(champion)
    newest: datetime = send_features.delivered_at.max().to_pyarrow().as_py()
    learned = datetime.fromisoformat(facts["refit_until"])
    oldest = newest - timedelta(days=problem.watching.days)
    later = scored_sends(send_features, champion, first=max(learned, oldest).date(), last=newest.date())
    pieces = [_watched(later.filter(pc.greater(later["delivered_at"], pa.scalar(learned))), problem)]
    if candidate == champion.lineage and learned > oldest:
        twin = test_predictions.filter(test_predictions.delivered_at > oldest).select(
            *KEYS, label="label", **{PROBABILITY: test_predictions[CANDIDATE]}
        )
        features = send_features.select(*KEYS, *_slices(problem))
        pieces.insert(0, twin.inner_join(features, KEYS).to_pyarrow())
    names = ["user_id", "delivered_at", "label", PROBABILITY, *_slices(problem)]
    return pa.concat_tables(
        [piece.select(names).cast(pa.schema([(n, pieces[-1].schema.field(n).type) for n in names])) for piece in pieces]
    ).sort_by([("delivered_at", "ascending"), ("user_id", "ascending")])


def performance_verdict(model_performance: pa.Table, champion: Bundle, problem: Problem) -> PerformanceVerdict:
    """Whether the last window is as good as the champion was at training."""
    metric, known = problem.metric.primary, _facts(champion).get("evaluation", {})
    bounds = [known.get(f"{CANDIDATE}_{metric}{suffix}", math.nan) for suffix in ("", "_low", "_high")]
    return judge_performance(
        model_performance,
        metric=metric,
        reference=Estimate(*bounds),
        max_drop=problem.watching.max_drop,
        window_days=problem.watching.window_days,
    )


def _watched(rows: pa.Table, problem: Problem) -> pa.Table:
    kept = rows.select(["user_id", "delivered_at", LABEL, PROBABILITY, *_slices(problem)])
    return kept.rename_columns(["user_id", "delivered_at", "label", PROBABILITY, *_slices(problem)])


def _slices(problem: Problem) -> list[str]:
    return list(problem.evaluation.slices)


def _of_version(table: pa.Table, version: str) -> pa.Table:
    return table.add_column(
        0, pa.field("model_version", pa.string()), pa.array([version] * table.num_rows, pa.string())
    )


def _facts(champion: Bundle) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((champion.folder / METADATA).read_text())
    return facts
