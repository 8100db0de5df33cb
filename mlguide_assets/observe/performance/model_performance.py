"""The champion on decisions that it had not learned from: as it turned out, as it expected, and what lies between."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.code_version import code_version
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, metadata_of
from mlguide_assets.instants import midnight
from mlguide_assets.observe.performance.performance import estimated, realised
from mlguide_assets.observe.performance.unchanged_windows import MADE_FROM, Measurement, measured_where_changed
from mlguide_assets.observe.performance.verdict import GAP_SCHEMA, VERDICTS_SCHEMA, check_performance, gap, trusted
from mlguide_assets.observe.performance.window_support import WindowSupport, window_support
from mlguide_assets.observe.performance.windows import SCHEMA
from mlguide_assets.observe.rows import rows_of_days, sample_in_memory, scored
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.intervals import Estimate
from mlguide_assets.train.evaluation.slicing import already_cut
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.rows import clusters_of, drawn_rows
from mlguide_assets.train.storage import model_name

REALISED, ESTIMATED = "model_performance", "estimated_performance"
LIBRARIES = ("numpy", "pandas", "scipy")
"""Other versions of these may measure or hash otherwise."""

KEPT_SCHEMA = SCHEMA.append(pa.field(MADE_FROM, pa.string()))
"""Of both, but for the version that they are of."""

REPEATS = 200
VERDICT_DAYS = 14
"""The last days whose windows are tested again every time, since late outcomes change them."""


_UNIT = "unit"
"""The column of the units' own ids; those that resampling needs are numbers."""
_NOTHING: Mapping[str, pa.Table] = MappingProxyType({})


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
    features: ibis.Table,
    test_predictions: ibis.Table | None,
    champion: Bundle | None,
    problem: Problem,
    *,
    before: Mapping[str, pa.Table] = _NOTHING,
) -> Watched:
    """Measure the champion day by day; nothing without one.

    Args:
        test_predictions: scores of the champion's test window by its holdout model, with which its record begins;
            None where they are not kept: then it begins with what came after the training.
        before: the tables as they are in the lake, by name. Windows whose rows have not changed are taken from them.
    """
    rows, sampled = watched_rows(features, test_predictions, champion, problem) if champion else (None, "")
    if champion is None or rows is None or not rows.num_rows:
        schemas = (KEPT_SCHEMA, KEPT_SCHEMA, GAP_SCHEMA, VERDICTS_SCHEMA)
        return Watched(*(_of_version(schema.empty_table(), "") for schema in schemas))
    support = window_support(rows.filter(pc.is_valid(rows["label"])), problem)
    length = support.days if support else problem.watching.window_days
    done = _realised(rows, champion, problem, length, before.get(REALISED))
    expected = _estimated(rows, champion, problem, length, before.get(ESTIMATED))
    gaps = gap(done, expected)
    verdicts = performance_verdicts(done, champion, problem, support, sampled)
    tables = (done, without_doubtful_bounds(expected, gaps), gaps, verdicts)
    return Watched(*(_of_version(table, champion.version) for table in tables))


def _realised(rows: pa.Table, champion: Bundle, problem: Problem, length: int, before: pa.Table | None) -> pa.Table:
    evaluation, matured = problem.evaluation, rows.filter(pc.is_valid(rows["label"]))
    columns = [name for name in problem.slices if name in rows.column_names]
    settings: dict[str, Any] = {"threshold": champion.threshold, "repeats": REPEATS, "seed": evaluation.seed}
    settings["min_positives"] = evaluation.min_positives
    measurement = _measurement((_UNIT, "label", PROBABILITY, *columns), champion, length, settings)

    def measure(some: pa.Table, since: date) -> pa.Table:
        return realised(some, columns=columns, window_days=length, since=since, **settings)

    # The slices are those of all rows: they do not depend on which windows are measured again.
    return measured_where_changed(already_cut(matured, columns), measure, measurement, before)


def _estimated(rows: pa.Table, champion: Bundle, problem: Problem, length: int, before: pa.Table | None) -> pa.Table:
    settings: dict[str, Any] = {"threshold": champion.threshold, "repeats": REPEATS, "seed": problem.evaluation.seed}
    measurement = _measurement((_UNIT, PROBABILITY), champion, length, settings)

    def measure(some: pa.Table, since: date) -> pa.Table:
        return estimated(some, window_days=length, since=since, **settings)

    return measured_where_changed(rows, measure, measurement, before)


def _measurement(columns: Sequence[str], champion: Bundle, length: int, settings: Mapping[str, Any]) -> Measurement:
    made_by = {"version": champion.version, "code": code_version(__name__, libraries=LIBRARIES)}
    return Measurement(columns, length, {**settings, **made_by})


def watched_before(lake: Lake) -> dict[str, pa.Table]:
    """What `watch_performance` made last, by the names of its tables."""
    return {name: lake.read_arrow(name) for name in (REALISED, ESTIMATED) if lake.exists(name)}


def without_doubtful_bounds(estimates: pa.Table, gaps: pa.Table) -> pa.Table:
    """Estimates without their bounds in every metric that back-tests say is not to be trusted.

    Where any are hidden, all will be measured again: bounds that return are needed.
    """
    doubtful = [metric for metric in pc.unique(estimates["metric"]).to_pylist() if not trusted(gaps, metric)]
    if not doubtful:
        return estimates
    hidden = pc.is_in(estimates["metric"], pa.array(doubtful, pa.string()))
    unknown = pa.nulls(len(estimates), pa.string())
    estimates = estimates.set_column(estimates.column_names.index(MADE_FROM), MADE_FROM, unknown)
    for name in ("low", "high"):
        column = pc.if_else(hidden, pa.scalar(math.nan), estimates[name])
        estimates = estimates.set_column(estimates.column_names.index(name), name, column)
    return estimates


def watched_rows(
    features: ibis.Table, test_predictions: ibis.Table | None, champion: Bundle, problem: Problem
) -> tuple[pa.Table, str]:
    """The decisions of the last days that the champion had not learned from, as many of them as memory holds.

    Returns:
        unit, unit_id (a number), decided_at, label, probability, and the columns that slices are made of; in order of
        time. And what is to be said of figures of them (`Sample.said`).
    """
    facts, decision = metadata_of(champion), problem.decision
    time, learned = decision.time, datetime.fromisoformat(facts["refit_until"])
    record, first, last = last_days(features, problem, learned)
    asked = rows_of_days(record, problem, first=max(learned.date(), first), last=last)
    sample = sample_in_memory(asked.filter(asked[time] > ibis.timestamp(learned)), problem)
    later = scored(sample.rows, champion, problem)
    pieces = [later.rename_columns({problem.label.column: "label"})]
    if test_predictions is not None and learned.date() >= first:
        holdout = test_predictions.filter(test_predictions[time] >= midnight(first)).select(
            *decision.keys, test_predictions[model_name(facts)].name(PROBABILITY)
        )
        # The label as it is now: it may have been corrected since, or defined otherwise.
        known = features.select(*decision.keys, *problem.slices, label=problem.label.column)
        tested = holdout.inner_join(known, decision.keys)
        pieces.insert(0, drawn_rows(tested, problem, sample.share).to_pyarrow())
    names = [*dict.fromkeys([decision.unit_id, time, "label", PROBABILITY, *problem.slices])]
    schema = pa.schema([(name, pieces[-1].schema.field(name).type) for name in names])
    rows = pa.concat_tables([piece.select(names).cast(schema) for piece in pieces])
    rows = rows.sort_by([(time, "ascending"), (decision.unit_id, "ascending")])
    units = pa.array(clusters_of(rows, problem))
    named = rows.rename_columns({time: "decided_at", decision.unit_id: _UNIT}).append_column("unit_id", units)
    return named, sample.said(problem)


def last_days(features: ibis.Table, problem: Problem, learned: datetime) -> tuple[ibis.Table, date, date]:
    """The decisions to look back on, and the first and the last of their days.

    `watching.days` are counted up to the newest decision whose outcome is known, however long outcomes take: what was
    decided since comes on top. Where outcomes come no more, decisions that wait in vain for longer than these days are
    left out, so that their number does not grow.

    Args:
        learned: the last instant that the champion learned from, where the features have no outcome.
    """
    time, label = problem.decision.time, problem.label.column
    newest = data_clock(features, time) or learned
    known = data_clock(features.filter(features[label].notnull()), time) or learned
    back = timedelta(days=problem.watching.days - 1)
    waiting_since = midnight((newest - problem.final_after).date() - back)
    kept = features.filter(features[label].notnull() | (features[time] >= waiting_since))
    return kept, known.date() - back, newest.date()


def performance_verdicts(
    realised: pa.Table, champion: Bundle, problem: Problem, support: WindowSupport | None, sampled: str = ""
) -> pa.Table:
    """Whether each of the last windows is as good as the champion was at training, as `VERDICTS_SCHEMA`, by day.

    Args:
        realised: over windows as long as `support` says.
        sampled: what is said of the sample that it is measured on.
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
            decision=problem.decision.singular,
            unit=problem.decision.unit,
        )
        for day in days
    ]
    rows = [verdict.to_row() for verdict in verdicts]
    for row in rows:
        row["reason"] += sampled
    if not support.is_enough:
        rows[-1]["reason"] += f" {support.missing(problem)}"
    return small_table(rows, VERDICTS_SCHEMA)


def _of_version(table: pa.Table, version: str) -> pa.Table:
    return table.add_column(
        0, pa.field("model_version", pa.string()), pa.array([version] * table.num_rows, pa.string())
    )
