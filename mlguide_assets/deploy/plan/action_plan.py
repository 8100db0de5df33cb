"""The plan of a decision that chooses nothing: to act upon it or not, as the costs say.

Acting is not put to the test: no policy but the champion's is followed, and nothing is drawn.
"""

from datetime import datetime

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.predictions_table import predictions_columns


def action_figures(plan: ibis.Table) -> dict[str, int]:
    """How often a day's plan says to act, and how often to leave."""
    counts = plan.group_by("decision").aggregate(rows=plan.count()).to_pyarrow().to_pylist()
    return {row["decision"]: row["rows"] for row in counts}


def plan_actions(predictions: ibis.Table, *, planned_at: datetime, run_id: str) -> ibis.Table:
    """The most probable first: what to act upon, and what to leave.

    Args:
        predictions: of one day, as `batch.score` makes them.
        planned_at: now, by the problem's clock, UTC.

    Returns:
        The columns of predictions without `feature_time`, `rank` (1: the most probable), and `planned_at`.
    """
    keys = [name for name in predictions.columns if name not in ("feature_time", "run_id")]
    # A column that is named twice would be ordered by as it is named last.
    order = [predictions.probability.desc(), *(predictions[name] for name in keys if name != "probability")]
    # Counted: the number of a row, which Ibis takes for 64 bits everywhere, has 32 in what Spark writes.
    rank = predictions.count().over(ibis.window(rows=(None, 0), order_by=order))
    planned = predictions.select(*keys, rank=rank, planned_at=ibis.timestamp(planned_at), run_id=ibis.literal(run_id))
    return planned.order_by("rank")


def action_plan_columns(problem: Problem) -> dict[str, str]:
    """Column → meaning."""
    scored = predictions_columns(problem)
    return {
        **{name: text for name, text in scored.items() if name != "feature_time"},
        "scoring_date": "The day that the plan is for.",
        "rank": f"The place of the {problem.decision.noun}; 1 is the most probable positive outcome.",
        "planned_at": "When the plan was made, by the problem's clock, UTC.",
        "run_id": "The Dagster run that made the plan.",
    }
