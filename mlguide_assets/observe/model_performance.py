"""The champion on decisions that it had not learned from: as it turned out, as it expected, and what lies between."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import plural
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, metadata_of
from mlguide_assets.observe.performance import estimated, realised
from mlguide_assets.observe.performance_verdict import GAP_SCHEMA, VERDICTS_SCHEMA, check_performance, gap, trusted
from mlguide_assets.observe.rows import scored_rows
from mlguide_assets.observe.window_support import WindowSupport, window_support
from mlguide_assets.observe.windows import SCHEMA
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.rows import clusters_of
from mlguide_assets.train.storage import model_name

REPEATS = 200
VERDICT_DAYS = 14
"""The last days whose windows are tested again every time, since late outcomes change them."""


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
    features: ibis.Table, test_predictions: ibis.Table | None, champion: Bundle | None, problem: Problem
) -> Watched:
    """Measure the champion day by day; nothing without one.

    Args:
        test_predictions: scores of the champion's test window by its holdout model, with which its record begins;
            None where they are not kept: then it begins with what came after the training.
    """
    rows = watched_rows(features, test_predictions, champion, problem) if champion else None
    if champion is None or rows is None or not rows.num_rows:
        nothing = (schema.empty_table() for schema in (SCHEMA, SCHEMA, GAP_SCHEMA, VERDICTS_SCHEMA))
        return Watched(*(_of_version(table, "") for table in nothing))
    evaluation, matured = problem.evaluation, rows.filter(pc.is_valid(rows["label"]))
    support = window_support(matured, problem)
    length = support.days if support else problem.watching.window_days
    shared = {"window_days": length, "repeats": REPEATS, "seed": evaluation.seed}
    columns = [name for name in problem.slices if name in rows.column_names]
    done = realised(
        matured, threshold=champion.threshold, columns=columns, min_positives=evaluation.min_positives, **shared
    )
    expected = estimated(rows, threshold=champion.threshold, **shared)
    gaps = gap(done, expected)
    verdicts = performance_verdicts(done, champion, problem, support)
    tables = (done, without_doubtful_bounds(expected, gaps), gaps, verdicts)
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
    features: ibis.Table, test_predictions: ibis.Table | None, champion: Bundle, problem: Problem
) -> pa.Table:
    """The decisions of the last days that the champion had not learned from.

    Returns:
        unit_id (a number), decided_at, label, probability, and the columns that slices are made of; in order of time.
    """
    facts, decision = metadata_of(champion), problem.decision
    time, learned = decision.time, datetime.fromisoformat(facts["refit_until"])
    newest = data_clock(features, time) or learned
    oldest = newest - timedelta(days=problem.watching.days)
    later = scored_rows(features, champion, problem, first=max(learned, oldest).date(), last=newest.date())
    later = later.filter(pc.greater(later[time], pa.scalar(learned)))
    pieces = [later.rename_columns({problem.label.column: "label"})]
    if test_predictions is not None and learned > oldest:
        holdout = test_predictions.filter(test_predictions[time] > oldest).select(
            *decision.keys, label="label", **{PROBABILITY: test_predictions[model_name(facts)]}
        )
        sliced = features.select(*decision.keys, *problem.slices)
        pieces.insert(0, holdout.inner_join(sliced, decision.keys).to_pyarrow())
    names = [*dict.fromkeys([decision.unit_id, time, "label", PROBABILITY, *problem.slices])]
    schema = pa.schema([(name, pieces[-1].schema.field(name).type) for name in names])
    rows = pa.concat_tables([piece.select(names).cast(schema) for piece in pieces])
    rows = rows.sort_by([(time, "ascending"), (decision.unit_id, "ascending")])
    units = pa.array(clusters_of(rows, problem))
    return rows.rename_columns({time: "decided_at"}).drop_columns(decision.unit_id).append_column("unit_id", units)


def performance_verdicts(
    realised: pa.Table, champion: Bundle, problem: Problem, support: WindowSupport | None
) -> pa.Table:
    """Whether each of the last windows is as good as the champion was at training, as `VERDICTS_SCHEMA`, by day.

    Args:
        realised: over windows as long as `support` says.
    """
    if support is None:
        return VERDICTS_SCHEMA.empty_table()
    facts, metric = metadata_of(champion), problem.metric.primary
    known, model = facts.get("evaluation", {}), model_name(facts)
    bounds = [known.get(f"{model}_{metric}{suffix}", math.nan) for suffix in ("", "_low", "_high")]
    # At least those that show whether a drop has lasted for a window.
    days = sorted(pc.unique(realised["day"]).to_pylist())[-max(VERDICT_DAYS, support.days + 1) :]
    verdicts = [
        check_performance(
            realised,
            metric=metric,
            reference=Estimate(*bounds),
            max_drop=problem.watching.max_drop,
            window_days=support.days,
            day=day,
            decisions=problem.decision.plural,
            units=plural(problem.decision.unit),
        )
        for day in days
    ]
    rows = [verdict.to_row() for verdict in verdicts]
    if not support.is_enough:
        rows[-1]["reason"] += f" {support.missing(problem)}"
    return small_table(rows, VERDICTS_SCHEMA)


def _of_version(table: pa.Table, version: str) -> pa.Table:
    return table.add_column(
        0, pa.field("model_version", pa.string()), pa.array([version] * table.num_rows, pa.string())
    )
