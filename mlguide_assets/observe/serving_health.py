"""How the API did, day by day, from its prediction log."""

from collections.abc import Mapping
from datetime import datetime

import ibis

from mlguide_assets.define.decision import Decision
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.prediction_log import UNANSWERED


def serving_health(prediction_log: ibis.Table, trained: Mapping[str, str], decision: Decision) -> ibis.Table:
    """A row per day, endpoint and version: requests, answers (`pairs`), latency, decisions, ages of features and model.

    Latencies are of requests, in milliseconds up to their line in the log. What was scored in the shadow is no answer.
    What was refused or failed has no version, and is in `request_faults`.

    Args:
        trained: when each version was trained, ISO 8601 UTC.
    """
    log = prediction_log.filter(prediction_log.variant.notin(UNANSWERED)).mutate(
        day=prediction_log.answered_at.date(),
        withheld=(prediction_log.decision == decision.above).cast("float64"),
        feature_hours=prediction_log[decision.time].delta(prediction_log.feature_time, unit="second") / 3600,
    )
    keys = ["day", "endpoint", "model_version"]
    requests = log.group_by([*keys, "request_id"]).aggregate(latency=log.latency_ms.max())
    latency = requests.group_by(keys).aggregate(
        requests=requests.count(),
        latency_p50=requests.latency.quantile(0.5),
        latency_p99=requests.latency.quantile(0.99),
    )
    pairs = log.group_by(keys).aggregate(
        pairs=log.count(),
        base_rates=(log.variant == "base_rate").sum().cast("int64"),
        mean_probability=log.probability.mean(),
        withheld_share=log.withheld.mean(),
        feature_hours=log.feature_hours.max(),
    )
    health = latency.inner_join(pairs, keys)
    known = {version: datetime.fromisoformat(at).replace(tzinfo=None) for version, at in trained.items() if at}
    trained_at = health.model_version.cases(*known.items(), else_=None) if known else ibis.null()
    age = (health.day.cast("timestamp") + ibis.interval(days=1)).delta(trained_at.cast("timestamp"), unit="second")
    return health.mutate(model_days=age / 86_400).order_by(keys)


def health_columns(problem: Problem) -> dict[str, str]:
    """Column → meaning."""
    decision = problem.decision
    return {
        "day": "The day, UTC.",
        "endpoint": "The kind of request: predict or recommend.",
        "model_version": "The version that answered.",
        "requests": "Answered requests.",
        "latency_p50": "Median latency of a request, in milliseconds.",
        "latency_p99": "99th percentile of the latency, in milliseconds.",
        "pairs": "Answers: one for each case in a request.",
        "base_rates": "Answers that were the base rate.",
        "mean_probability": "Mean probability that was answered.",
        "withheld_share": f"Share of the answers that are {decision.above}.",
        "feature_hours": "Age of the oldest features that were used, in hours.",
        "model_days": "Days from the training of the model to the end of the day.",
    }
