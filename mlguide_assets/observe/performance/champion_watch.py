"""Watching a new champion: compared with the one before on the decisions since.

It is compared every day, so the limit is set for many looks: `LIMIT` standard errors, not two. Without any real
difference one watch in some hundred ends in a rollback (measured by `test_rollback.py`). Nothing is done here about
a champion that is worse: `retrain.rollback` acts on what is found.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, champion, load_bundle, metadata_of
from mlguide_assets.deploy.gate.comparison import CHALLENGER, CHAMPION, Comparison, compare_scores
from mlguide_assets.deploy.gate.history import PROMOTED, rightful_champion
from mlguide_assets.english import agreeing, better_or_worse, plural
from mlguide_assets.observe.rows import rows_of_days, sample_in_memory, scored
from mlguide_assets.prepare.clock import data_clock
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets.train.evaluation.metrics import metric_named
from mlguide_assets.train.files import absent_feature
from mlguide_assets.train.reference.build import PROBABILITY
from mlguide_assets.train.rows import clusters_of

LIMIT = 3.0
"""Standard errors of the paired difference below which the new champion is significantly worse."""

SCHEMA = pa.schema(
    [
        ("model_version", pa.string()),
        ("champion_before", pa.string()),
        ("data_until", pa.string()),
        ("rows", pa.int64()),
        ("positives", pa.int64()),
        ("metric", pa.string()),
        ("difference", pa.float64()),
        ("standard_error", pa.float64()),
        ("verdict", pa.string()),
        ("reason", pa.string()),
    ]
)


def watch_columns(problem: Problem) -> dict[str, str]:
    """Column of `SCHEMA` → meaning."""
    many, units = problem.decision.plural, plural(problem.decision.unit)
    return {
        "model_version": "The champion that is watched.",
        "champion_before": "The champion before it, with which it is compared.",
        "data_until": "The newest day of data, UTC.",
        "rows": f"Matured {many} since it became champion.",
        "positives": "Positive outcomes among them.",
        "metric": "The primary metric.",
        "difference": "How much better the champion is than the one before; negative is worse.",
        "standard_error": f"Standard error of the difference, by resampling {units}.",
        "verdict": "not_watched, too_few, holds, worse, or over.",
        "reason": "Why, in words.",
    }


@dataclass(frozen=True)
class Watch:
    """What was found: `difference` is how much better the new champion is, negative where it is worse.

    `over` once it has been watched for long enough; `not_watched` where nothing is to be compared.
    """

    verdict: Literal["not_watched", "too_few", "holds", "worse", "over"]
    reason: str
    version: str | None = None
    before: str | None = None
    until: date | None = None
    rows: int = 0
    positives: int = 0
    metric: str | None = None
    difference: float | None = None
    standard_error: float | None = None

    def table(self) -> pa.Table:
        """One row, as `SCHEMA`."""
        row = {
            "model_version": self.version,
            "champion_before": self.before,
            "data_until": self.until.isoformat() if self.until else None,
            **{name: getattr(self, name) for name in SCHEMA.names[3:]},
        }
        return pa.Table.from_pylist([row], schema=SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> "Watch":
        """What `table` says."""
        row = table.to_pylist()[0]
        until = row.pop("data_until")
        renamed = {"version": row.pop("model_version"), "before": row.pop("champion_before")}
        return cls(until=date.fromisoformat(until) if until else None, **renamed, **row)


def watch_champion(home: Home, lake: Lake, problem: Problem, features: ibis.Table) -> Watch:
    """Compare the champion with the one before, on matured decisions that neither has learned from.

    Only what the gate or a person promoted is watched, not what a rollback brought back: so nothing goes to and fro.
    """
    promoted, current = rightful_champion(lake), champion(home.bundles(problem.key))
    if promoted is None or current is None or promoted["version"] != current.version:
        return Watch("not_watched", "There is no champion to watch.")
    before = promoted["champion_before"]
    if promoted["verdict"] != PROMOTED or before in (None, current.version):
        why = "it was brought back by a rollback" if promoted["verdict"] != PROMOTED else "none was champion before it"
        return Watch("not_watched", f"Version {current.version} is not watched: {why}.", current.version)
    return compare(current, load_bundle(home.bundles(problem.key), before), features, problem)


def compare(current: Bundle, before: Bundle, features: ibis.Table, problem: Problem) -> Watch:
    """Compare the champion with the one before it, on the matured decisions after both were trained."""
    learned = max(datetime.fromisoformat(metadata_of(each)["refit_until"]) for each in (current, before))
    end = learned + problem.retraining.watch_for
    newest = data_clock(features, problem.decision.time) or learned
    named: dict[str, Any] = {"version": current.version, "before": before.version, "until": newest.date()}
    if newest - problem.final_after > end:
        return Watch("over", f"Version {current.version} was watched up to {end.date()}.", **named)
    for bundle in (current, before):
        if lost := absent_feature(bundle.folder, features.columns):
            why = f"version {bundle.version} needs the feature {lost!r}, which the problem no longer has"
            return Watch("not_watched", f"Version {current.version} is not watched: {why}.", **named)
    pair = {CHALLENGER: current, CHAMPION: before}
    sample = sample_in_memory(_decided_since(learned, newest, features, problem), problem)
    scores = {name: _scored(bundle, sample.rows, problem) for name, bundle in pair.items()}
    rows = scores[CHALLENGER]
    positives = int(pc.sum(rows["label"]).as_py() or 0)
    named |= {"rows": rows.num_rows, "positives": positives, "metric": problem.metric.primary}
    if positives < problem.evaluation.min_positives or positives == rows.num_rows:
        matured = f"{problem.decision.counted(rows.num_rows)} {agreeing(rows.num_rows, 'has')} matured since"
        reason = f"{matured}, {positives:,} of them positive: too few to compare."
        return Watch("too_few", reason, **named)
    compared = compare_scores(
        rows["label"].to_numpy(),
        {name: each[PROBABILITY].to_numpy() for name, each in scores.items()},
        clusters_of(rows, problem),
        before.version,
        f"{problem.decision.plural} since both were trained",
        problem,
    )
    watch = watch_of(compared, named, problem.decision.plural)
    return replace(watch, reason=watch.reason + sample.said(problem))


def watch_of(compared: Comparison, named: dict[str, Any], decisions: str = "decisions") -> Watch:
    """Whether it is significantly worse.

    Args:
        named: the fields of `Watch` that say what was compared.
        decisions: what many of them are called, such as sends.
    """
    difference, error = compared.difference(named["metric"]).value, compared.standard_error(named["metric"])
    by = better_or_worse(difference, f"version {named['before']}")
    over = f"{metric_named(named['metric']).title} over {named['rows']:,} {decisions} since, up to {named['until']}"
    if not np.isfinite(error):
        return Watch("too_few", f"Version {named['version']} is {by} in {over}, without a standard error.", **named)
    worse = difference < -LIMIT * error and difference < 0
    end = "it is significantly worse" if worse else "it is not significantly worse"
    reason = f"Version {named['version']} is {by} in {over} (standard error {error:.4f}): {end}."
    return Watch("worse" if worse else "holds", reason, difference=difference, standard_error=error, **named)


def _decided_since(learned: datetime, newest: datetime, features: ibis.Table, problem: Problem) -> ibis.Table:
    """The matured decisions after an instant."""
    rows = rows_of_days(features, problem, first=learned.date(), last=newest.date())
    return rows.filter(rows[problem.decision.time] > ibis.timestamp(learned), rows[problem.label.column].notnull())


def _scored(bundle: Bundle, rows: ibis.Table, problem: Problem) -> pa.Table:
    """Unit, label and probability of decisions."""
    unit, label = problem.decision.unit_id, problem.label.column
    return scored(rows, bundle, problem).select([unit, label, PROBABILITY]).rename_columns([unit, "label", PROBABILITY])
