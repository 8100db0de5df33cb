"""What is counted of a canary: units by arm and by the share that saw it, from the plans and the API's log.

By intention to treat: a unit counts in the arm that its draw put it in on that day, whatever became of it.
"""

from datetime import date, datetime

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.prediction_log import FAILED, FALLBACK
from mlguide_assets.experiment.canary.evaluation import Counts
from mlguide_assets.experiment.canary.record import CONTROL, TREATMENT, Progress
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.statistics.confidence_sequences import Stage

_DIGITS = 9


def canary_counts(
    lake: Lake, problem: Problem, progress: Progress, *, actions: ibis.Table, until: datetime, slow_ms: float
) -> Counts:
    """Units with an outcome, withheld from, not answered, kept waiting by their own model.

    Args:
        actions: as of `actions.actions_of`.
        until: the data's clock: outcomes count once their label is final by it.
    """
    decision = problem.decision
    plan, log = _plan(lake, progress, decision.plan_table), _log(lake, progress)
    unit = decision.unit_id
    counts: dict[str, list[Stage]] = {}
    if plan is not None:
        counts["withheld"] = _by_stage(plan.filter(plan.decision == decision.above), unit)
        counts["outcome"] = _by_stage(_with_outcome(plan, actions, problem, until), unit)
    if log is not None:
        counts["errors"] = _by_stage(log.filter(log.variant.isin([FALLBACK, FAILED])), unit)
        counts["slow"] = _by_stage(log.filter(log.variant != FAILED, _own_ms(log) > slow_ms), unit)
    return counts  # type: ignore[return-value]


def _with_outcome(plan: ibis.Table, actions: ibis.Table, problem: Problem, until: datetime) -> ibis.Table:
    """The planned units whose actions of the day had the positive outcome."""
    decision, label = problem.decision, problem.label
    made = actions.filter(
        actions[label.column].cast("string") == label.positive,
        actions[decision.time] <= ibis.timestamp(until - problem.final_after),
    ).select(done_to=actions[decision.unit_id], at=actions[decision.time])
    met = plan.inner_join(made, [plan[decision.unit_id] == made.done_to, plan.scoring_date == made["at"].date()])
    return met.filter(met["at"] >= met.planned_at)


def _plan(lake: Lake, progress: Progress, table: str) -> ibis.Table | None:
    """The canary's rows of the plans since it began, each with the share of the units that saw it."""
    rows = _since(lake, table, progress.begun)
    if rows is None:
        return None
    shares = rows.policy_shares
    share = shares["challenger"] / (shares["challenger"] + shares["champion"])
    rows = rows.mutate(share=share.round(_DIGITS))
    # On a day on which its bundle was missing, all units followed the champion.
    return rows.filter(rows.experiment == progress.experiment, rows.arm.notnull(), rows.share > 0)


def _log(lake: Lake, progress: Progress) -> ibis.Table | None:
    """The answers to units of the canary, each with the share that saw it, by the route that the server followed."""
    rows = _since(lake, PREDICTION_LOG, progress.logged_since)
    if rows is None or "arm" not in rows.columns:
        return None
    # Of answers by a route of an earlier version of this project it is not known, so they do not count.
    rows = rows.filter(rows.experiment == progress.experiment, rows.experiment_version.isin(progress.route_versions))
    known = zip(progress.route_versions, progress.shares, strict=True)
    share = ibis.cases(*[(rows.experiment_version == version, round(share, _DIGITS)) for version, share in known])
    return rows.mutate(share=share.cast("float64"))


def _own_ms(log: ibis.Table) -> ibis.Value:
    """How long the model of the arm itself took: requests that are answered together wait for both models alike.

    Servers of earlier versions logged the whole latency only.
    """
    return log.scoring_ms.fill_null(log.latency_ms) if "scoring_ms" in log.columns else log.latency_ms


def _since(lake: Lake, table: str, day: date) -> ibis.Table | None:
    known = lake.snapshot(table).partitions if lake.exists(table) else ()
    days = [each for each in known if each >= day.isoformat()]
    return lake.read(table, partitions=days, by_name=True) if days else None


def _by_stage(rows: ibis.Table, unit: str) -> list[Stage]:
    counted = rows.group_by("share", "arm").agg(units=rows[unit].nunique()).to_pyarrow().to_pylist()
    found: dict[float, dict[str, int]] = {}
    for row in counted:
        found.setdefault(row["share"], {})[row["arm"]] = row["units"]
    return [Stage(arms.get(CONTROL, 0), arms.get(TREATMENT, 0), share) for share, arms in sorted(found.items())]
