"""The table of a plan that chooses: its columns, and what they mean. How it is made is in `choices.py`."""

import pyarrow as pa

from mlguide_assets.define.decision import Decision, id_column
from mlguide_assets.deploy.plan.policies import PER_POLICY
from mlguide_assets.english import plural


def plan_schema(ids: pa.Schema) -> pa.Schema:
    """The columns of a plan.

    Args:
        ids: names and types of the ids of the unit and of what is chosen.
    """
    return pa.schema([("scoring_date", pa.date32()), *ids, *_COLUMNS])


_COLUMNS = pa.schema(
    [
        ("probability", pa.float64()),
        ("best_probability", pa.float64()),
        ("decision", pa.string()),
        ("experiment", pa.string()),
        ("arm", pa.string()),
        ("policy", pa.string()),
        ("choice", pa.string()),
        ("propensity", pa.float64()),
        ("policy_shares", PER_POLICY),
        ("policy_propensities", PER_POLICY),
        ("candidates", pa.int64()),
        ("offered", pa.int64()),
        ("supported", pa.int64()),
        ("exploration_share", pa.float64()),
        ("salt", pa.string()),
        ("model_version", pa.string()),
        ("planned_at", pa.timestamp("us")),
        ("run_id", pa.string()),
    ]
)


def plan_columns(decision: Decision) -> dict[str, str]:
    """Column → meaning."""
    unit, choose = decision.unit, str(decision.choose)
    act, leave = decision.actions
    many = plural(choose).capitalize()
    return {
        "scoring_date": "The day that the plan is for.",
        decision.unit_id: f"The {unit}.",
        id_column(choose): f"The {choose} that the plan chose.",
        "probability": f"Calibrated probability that this {choose} ends badly, by the model of model_version.",
        "best_probability": f"The same of the least risky {choose}.",
        "decision": f"Whether it is used: {act} or {leave}.",
        "experiment": f"The experiment by which the {unit} follows the policy; null where none does.",
        "arm": f"The arm of the {unit} in it.",
        "policy": f"The policy that the {unit} follows: generic, champion, challenger or random.",
        "choice": f"How it chose: best, the least risky {choose}; explore, a draw; fixed, the {choose} of the day.",
        "propensity": f"The probability with which the plan does this with this {unit}, over all of its draws.",
        "policy_shares": f"The probability of each policy for this {unit}.",
        "policy_propensities": f"The probability of doing this with this {unit} on this day, given each policy.",
        "candidates": f"{many} that the model would choose for the {unit}, being below its threshold.",
        "offered": f"{many} that were scored, from which the random policy draws.",
        "supported": f"{many} that the {unit} might have got, over all draws.",
        "exploration_share": f"The share of {plural(unit)} whose {choose} a model's policy was to draw.",
        "salt": "What the draws of the plan were salted with.",
        "model_version": "The model version that scored.",
        "planned_at": f"When the plan was made, by the problem's clock, UTC: it chose no {decision.noun} before.",
        "run_id": "The Dagster run that made the plan.",
    }
