"""The experiment of a replay: what it found, beside what is true."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.exposure import exposures_of
from mlguide_assets.experiment.ledger import experiments, results
from mlguide_assets.experiment.started import Started
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.retrain.replay.rounding import rounded


def experiment_found(lake: Lake, problem: Problem, oracle: ibis.Table) -> Mapping[str, Any] | None:
    """Verdict, ratio of the primary metric and true ratio at the last look; None before the first look.

    Args:
        oracle: the simulator's truth: user_id, delivered_at and probability of every send.
    """
    started = next(reversed(experiments(lake)), None)
    last = next(reversed(results(lake, started)), None) if started else None
    exposures = exposures_of(lake, started) if started else None
    if started is None or last is None or exposures is None:
        return None
    truth = true_ratio(exposures, oracle, started, problem, until=datetime.fromisoformat(last["data_until"]))
    return {
        "name": started.experiment.name,
        "verdict": last["verdict"],
        "reason": last["reason"],
        "look": last["look"],
        "ratio": {"value": last["ratio"], "low": last["ratio_low"], "high": last["ratio_high"]},
        "truth": rounded(truth),
    }


def true_ratio(
    exposures: ibis.Table, oracle: ibis.Table, started: Started, problem: Problem, *, until: datetime
) -> float | None:
    """The true share of positive units under treatment, over that under control, of units whose window is closed.

    A unit becomes positive by the sends that were made to it, and each was made before that: so the expected number of
    positive units is the sum of the true probabilities of these sends (the compensator of the counting process).
    """
    experiment = started.experiment
    window, closes = (
        ibis.interval(seconds=int(span.total_seconds()))
        for span in (experiment.window(problem), experiment.closes_after(problem))
    )
    closed = exposures.filter(exposures.exposed_at + closes <= ibis.timestamp(until))
    sends = oracle.select(sent_to="user_id", at="delivered_at", risk="probability")
    met = closed.left_join(sends, closed.unit_id == sends.sent_to)
    within = (met["at"] >= met.exposed_at) & (met["at"] < met.exposed_at + window)
    rates = {
        row["arm"]: row["risk"] / row["units"]
        for row in met.group_by("arm")
        .agg(risk=met.risk.sum(where=within).fill_null(0.0), units=met.unit_id.nunique())
        .to_pyarrow()
        .to_pylist()
    }
    control = rates.pop(experiment.control, 0.0)
    return next(iter(rates.values())) / control if control and rates else None
