"""The table of batch predictions: its columns, and what they mean."""

import pyarrow as pa

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import with_article

PREDICTIONS = "batch_predictions"


def predictions_schema(ids: pa.Schema) -> pa.Schema:
    """The columns of predictions.

    Args:
        ids: names and types of the columns that identify the predictions of a day (`Decision.scored_keys`).
    """
    return pa.schema(
        [
            ("scoring_date", pa.date32()),
            *ids,
            ("probability", pa.float64()),
            ("decision", pa.string()),
            ("model_version", pa.string()),
            ("feature_time", pa.timestamp("us")),
            ("run_id", pa.string()),
        ]
    )


def predictions_columns(problem: Problem) -> dict[str, str]:
    """Column → meaning."""
    decision = problem.decision
    act, leave = decision.actions
    below, above = (act, leave) if decision.choose else (leave, act)
    probability = "Calibrated probability of the positive outcome"
    if decision.choose:
        probability += f", if the {decision.unit} gets this {decision.choose} on that day"
    return {
        "scoring_date": "The day that the score is for.",
        **dict.fromkeys(decision.scored_keys, f"Part of the key of {with_article(decision.noun)}."),
        **{id_column(noun): f"The {noun}." for noun in decision.nouns},
        **({id_column(decision.choose): f"The candidate {decision.choose}."} if decision.choose else {}),
        "probability": f"{probability}.",
        "decision": f"What the costs say: {below}, or {above} from the threshold on.",
        "model_version": "The model version that scored.",
        "feature_time": "The instant whose knowledge the features hold, UTC.",
        "run_id": "The Dagster run that scored.",
    }


def best_columns(problem: Problem) -> dict[str, str]:
    """The same of the best candidate of each unit, where a decision chooses."""
    decision = problem.decision
    assert decision.choose is not None
    return {
        **predictions_columns(problem),
        id_column(decision.choose): f"The {decision.choose} that is least likely to end badly for the {decision.unit}.",
        "decision": f"Whether even that one is too risky: {decision.actions[0]} or {decision.actions[1]}.",
    }
