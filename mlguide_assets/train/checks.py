"""The names and meanings of the checks around training, apart from the code that makes them: a name loads nothing."""

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural

LEAKAGE_ALARMS = {
    "no_id_like_features": "No feature names the row, its time or an entity instead of describing it.",
    "no_feature_too_good": "No single feature ranks the outcomes so well that it must be the outcome.",
    "canary_stays_silent": "Events planted after all others change no feature of the decisions before.",
    "future_moves_no_past_row": "Another future changes no feature of the past, and no decision row.",
}
"""The alarms that features are held against: name and meaning."""


_BEHAVIOURS = {
    "ids_do_not_matter": "Other ids of entities change no feature and no score.",
    "row_order_does_not_matter": "A row has the same score alone, in a batch, and in any order.",
    "positives_score_higher": "Decisions with the positive outcome score higher on average.",
    "scores_are_probabilities": "Every score lies between 0 and 1.",
    "scores_vary": "Rows get different scores.",
    "mean_score_is_near_the_base_rate": "The mean score is of the size of the base rate.",
    "missing_values_are_survived": "With unseen and without known values the score is near the base rate.",
}


def behaviours(problem: Problem) -> dict[str, str]:
    """Every behaviour test of a problem, the directions that it declares among them: name and meaning."""
    decision, found = problem.decision, dict(_BEHAVIOURS)
    if decision.choose:
        many = plural(decision.choose)
        found[f"{many}_are_told_apart"] = f"Candidate {many} of one {decision.unit} get different scores."
    for each in problem.behaviour.directions:
        words = f"{each.feature} {each.effect.replace('_', ' ')}"
        found[f"{each.feature}_{each.effect}_the_mean_risk"] = f"More of it: {words} the risk on average."
        found[f"{each.feature}_{each.effect}_many_risks"] = f"More of it: {words} the risk of many rows."
    return found
