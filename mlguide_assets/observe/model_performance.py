"""The champion on sends that it had not learned from: as it turned out, as it expected, and what lies between."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, metadata_of
from mlguide_assets.observe.performance import estimated, realised
from mlguide_assets.observe.performance_verdict import GAP_SCHEMA, VERDICTS_SCHEMA, gap, judge_performance, trusted
from mlguide_assets.observe.rows import scored_sends
from mlguide_assets.observe.windows import SCHEMA
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.features.tables import KEYS, LABEL
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.storage import model_name

REPEATS = 200
VERDICT_DAYS = 14
"""The last days whose windows are judged anew at every look, since late outcomes change them."""


@dataclass(frozen=True)
class Watched:
    """Realised and estimated performance, their gap and the verdicts, each with the version that they are of.

    An estimate has no bounds in the metrics in which it was wrong too often on earlier days.
    """

    model_performance: pa.Table
    estimated_performance: pa.Table
    performance_gap: pa.Table
    performance_verdicts: pa.Table


def watch_performance(
    send_features: ibis.Table,
    test_predictions: ibis.Table,
    candidate: str,
    champion: Bundle | None,
    problem: Problem,
) -> Watched:
    """Measure the champion day by day; nothing without one.

    Args:
        test_predictions: scores of the test window by the holdout models of the last candidate.
        candidate: its lineage; where that is the champion's, the test window is where its record begins.
    """
    rows = watched_rows(send_features, test_predictions, candidate, champion, problem) if champion else None
    if champion is None or rows is None or not rows.num_rows:
        nothing = (schema.empty_table() for schema in (SCHEMA, SCHEMA, GAP_SCHEMA, VERDICTS_SCHEMA))
        return Watched(*(_of_version(table, "") for table in nothing))
    watching, evaluation = problem.watching, problem.evaluation
    shared = {"window_days": watching.window_days, "repeats": REPEATS, "seed": evaluation.seed}
    columns = [name for name in problem.slices if name in rows.column_names]
    matured = rows.filter(pc.is_valid(rows["label"]))
    done = realised(
        matured, threshold=champion.threshold, columns=columns, min_positives=evaluation.min_positives, **shared
    )
    expected = estimated(rows, threshold=champion.threshold, **shared)
    gaps = gap(done, expected)
    tables = (done, without_doubtful_bounds(expected, gaps), gaps, performance_verdicts(done, champion, problem))
    return Watched(*(_of_version(table, champion.version) for table in tables))


def without_doubtful_bounds(estimates: pa.Table, gaps: pa.Table) -> pa.Table:
    """Estimates without their bounds in every metric that back-tests say is not to be trusted."""
    doubtful = [metric for metric in pc.unique(estimates["metric"]).to_pylist() if not trusted(gaps, metric)]
    hidden = pc.is_in(estimates["metric"], pa.array(doubtful, pa.string()))
    for name in ("low", "high"):
        column = pc.if_else(hidden, pa.scalar(math.nan), estimates[name])
        estimates = estimates.set_column(estimates.column_names.index(name), name, column)
    return estimates


def watched_rows(
    send_features: ibis.Table, test_predictions: ibis.Table, candidate: str, champion: Bundle, problem: Problem
) -> pa.Table:
    """The sends of the last days that the champion had not learned from, with label, probability and slices."""
    facts = metadata_of(champion)
    learned = datetime.fromisoformat(facts["refit_until"])
    newest = data_clock(send_features) or learned
    oldest = newest - timedelta(days=problem.watching.days)
    later = scored_sends(send_features, champion, first=max(learned, oldest).date(), last=newest.date())
    pieces = [_watched(later.filter(pc.greater(later["delivered_at"], pa.scalar(learned))), problem)]
    if candidate == champion.lineage and learned > oldest:
        holdout = test_predictions.filter(test_predictions.delivered_at > oldest).select(
            *KEYS, label="label", **{PROBABILITY: test_predictions[model_name(facts)]}
        )
        features = send_features.select(*KEYS, *_slices(problem))
        pieces.insert(0, holdout.inner_join(features, KEYS).to_pyarrow())
    names = ["user_id", "delivered_at", "label", PROBABILITY, *_slices(problem)]
    return pa.concat_tables(
        [piece.select(names).cast(pa.schema([(n, pieces[-1].schema.field(n).type) for n in names])) for piece in pieces]
    ).sort_by([("delivered_at", "ascending"), ("user_id", "ascending")])


def performance_verdicts(realised: pa.Table, champion: Bundle, problem: Problem) -> pa.Table:
    """Whether each of the last windows is as good as the champion was at training, as `VERDICTS_SCHEMA`, by day."""
    facts, metric, watching = metadata_of(champion), problem.metric.primary, problem.watching
    known, model = facts.get("evaluation", {}), model_name(facts)
    bounds = [known.get(f"{model}_{metric}{suffix}", math.nan) for suffix in ("", "_low", "_high")]
    # At least those that tell whether a drop has lasted for a window.
    days = sorted(pc.unique(realised["day"]).to_pylist())[-max(VERDICT_DAYS, watching.window_days + 1) :]
    verdicts = [
        judge_performance(
            realised,
            metric=metric,
            reference=Estimate(*bounds),
            max_drop=watching.max_drop,
            window_days=watching.window_days,
            day=day,
        )
        for day in days
    ]
    return small_table([verdict.to_row() for verdict in verdicts], VERDICTS_SCHEMA)


def _watched(rows: pa.Table, problem: Problem) -> pa.Table:
    kept = rows.select(["user_id", "delivered_at", LABEL, PROBABILITY, *_slices(problem)])
    return kept.rename_columns(["user_id", "delivered_at", "label", PROBABILITY, *_slices(problem)])


def _slices(problem: Problem) -> list[str]:
    return list(problem.slices)


def _of_version(table: pa.Table, version: str) -> pa.Table:
    return table.add_column(
        0, pa.field("model_version", pa.string()), pa.array([version] * table.num_rows, pa.string())
    )
