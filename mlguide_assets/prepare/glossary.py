"""What every column of the lake means. A column name has one meaning, whichever table it is in."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.tables import TABLES
from mlguide_assets.prepare.features.registry import features_of

_COLUMNS = {
    "user_id": "The user.",
    "email_id": "The email.",
    "delivered_at": "When the email was, or would be, delivered, UTC.",
    "matured_at": "When the outcome is final: the delivery plus the label window.",
    "as_of": "The instant whose knowledge the row holds, UTC.",
    "last_delivered_at": "The user's last send before that instant.",
    "table": "The table that the row was meant for.",
    "reasons": "The rules that the row breaks.",
    "row": "The row as it was read.",
    "rule": "The rule's name: a fact that should hold.",
    "violations": "Rows that break the rule.",
    "rows": "Rows that were judged.",
    "action": "What happens to a violation: block, quarantine or warn.",
    "example": "One row that breaks the rule.",
    "model": "The model.",
    "metric": "The metric.",
    "value": "Its value on the test window.",
    "low": "Lower end of the 95 % interval, by a bootstrap of users.",
    "high": "Upper end of the 95 % interval.",
    "label": "The matured outcome: 1 is an unsubscribe.",
    "feature": "The feature.",
    "mean_abs_contribution": "Mean absolute SHAP contribution to the log-odds.",
    "share": "Its share of the sum over all features.",
    "candidate": "The candidate, by a hash of its data, problem and code.",
    "trained_at": "When it was trained, UTC.",
    "folder": "Where its files are.",
    "facts": "Rows, windows, threshold and lineage, as JSON.",
    "base_rate": "Probability by the base rate of the training window.",
    "logistic_regression": "Probability by the logistic regression.",
    "linear_svm": "Probability by the linear support vector machine.",
    "xgboost": "Probability by the candidate.",
    "version": "The model version.",
    "decided_at": "When it was decided, UTC.",
    "verdict": "promoted, kept or refused.",
    "decided_by": "Who decided.",
    "champion_before": "The champion until then, if any.",
    "criteria": "Every criterion with its value, interval, threshold and verdict, as JSON.",
    "run_id": "The Dagster run that wrote the row.",
    "scoring_date": "The day that the scores are for.",
    "model_version": "The model version that scored.",
    "feature_time": "The instant whose knowledge the features hold, UTC.",
    "probability": "Calibrated probability that this send makes the user unsubscribe.",
    "decision": "What the costs say: send or withhold.",
    "rank": "1 is the candidate email that is least likely to lose the user.",
}


def column_descriptions(problem: Problem) -> dict[str, str]:
    """Column name: meaning, for every table of the lake."""
    sources = {name: column.description for table in TABLES.values() for name, column in table.columns.items()}
    return sources | {feature.name: feature.description for feature in features_of(problem)} | _COLUMNS
