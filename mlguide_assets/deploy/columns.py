"""What the columns of this stage's tables mean, table by table."""

from mlguide_assets.define.decision import Decision, id_column
from mlguide_assets.define.problem import Problem

_SCORED = {
    "scoring_date": "The day that the score is for.",
    "user_id": "The user.",
    "email_id": "The candidate email.",
    "probability": "Calibrated probability that sending this email on that day loses the user.",
    "decision": "What the costs say: send, or withhold from the threshold on.",
    "model_version": "The model version that scored.",
    "feature_time": "The instant whose knowledge the features hold, UTC.",
    "run_id": "The Dagster run that scored.",
}

COLUMNS = {
    "registered_model": {
        "version": "The version in the registry.",
        "candidate": "The candidate that was registered, by its id.",
        "trained_at": "When it was trained, UTC.",
        "lineage": "Snapshots, hashes and code version that the model was made from, as JSON.",
    },
    "promotion_decisions": {
        "decided_at": "When it was decided, UTC.",
        "version": "The version that was decided on.",
        "trained_at": "When that version was trained, UTC.",
        "verdict": "promoted, canary (goes live step by step), aborted (its canary did harm), waiting for an "
        "experiment or a person, kept as challenger, refused, or rolled_back.",
        "reasons": "What the decision rests on.",
        "criteria": "Every criterion with its value, interval, threshold and result, as JSON.",
        "champion_before": "The champion until then; null where there was none.",
        "decided_by": "The gate, a person, the watch over a new champion, or a canary.",
        "run_id": "The Dagster run in which the gate decided; empty for a person.",
    },
    "gate_criteria": {
        "recorded_at": "When it was recorded, UTC.",
        "version": "The registered version that it is about.",
        "criterion": "What was asked; experiment is the verdict of an experiment with the version.",
        "value": "What was found; null where there is no number.",
        "low": "Lower end of the interval; null where there is none.",
        "high": "Upper end of the interval; null where there is none.",
        "threshold": "What the value was held against; null where there is none.",
        "passed": "Whether it speaks for the version.",
        "reason": "Why, in words.",
        "recorded_by": "What measured it, such as an experiment.",
        "run_id": "The Dagster run that recorded it; empty for a person.",
    },
    "batch_predictions": _SCORED,
    "best_email_per_user": {
        **_SCORED,
        "email_id": "The candidate email that is least likely to lose the user.",
        "decision": "Whether even this email is too risky: send or withhold.",
    },
    "send_plan": {
        "scoring_date": "The day that the plan is for.",
        "user_id": "The user.",
        "email_id": "The email that the plan chose.",
        "probability": "Calibrated probability that this email loses the user, by the model of model_version.",
        "best_probability": "The same of the least risky email.",
        "decision": "Whether the email is sent or withheld.",
        "experiment": "The experiment by which the user follows the policy; null where none does.",
        "arm": "The user's arm in it.",
        "policy": "The policy that the user follows: generic, champion, challenger or random.",
        "choice": "How it chose: best, the least risky email; explore, a draw; fixed, the email of the day.",
        "propensity": "The probability with which the plan does this with this user, over all draws, the policy's too.",
        "policy_shares": "The probability of each policy for this user.",
        "policy_propensities": "The probability of doing this with this user on this day, given each policy.",
        "candidates": "Emails that the model would send to the user, being below its threshold.",
        "emails": "Emails that were scored, from which the random policy draws.",
        "supported": "Emails that the user might have been sent, over all draws.",
        "exploration_share": "The share of users whose email a model's policy was asked to draw.",
        "salt": "What the draws of the plan were salted with.",
        "model_version": "The model version that scored.",
        "planned_at": "When the plan was made, by the problem's clock, UTC: it chose no send before.",
        "run_id": "The Dagster run that made the plan.",
    },
    "request_faults": {
        "day": "The day, UTC.",
        "endpoint": "What was asked for.",
        "status": "The HTTP status: from 400 on the request was refused, from 500 on the server failed.",
        "requests": "Requests that ended so.",
    },
}
"""Table → column → meaning, where these are the same for all problems."""


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage."""
    return {**COLUMNS, "prediction_log": _logged(problem.decision)}


def _logged(decision: Decision) -> dict[str, str]:
    act, leave = decision.actions
    return {
        "request_id": "The request that was answered.",
        "position": "The place in the answer, from 0.",
        "answered_at": "When it was answered, UTC.",
        "endpoint": "What was asked for: predict or recommend.",
        "variant": "What scored: champion, challenger (never returned), routed (the challenger, for a unit that an "
        "experiment or a canary gave it), champion_shadow (the champion, for such a unit; never returned), fallback "
        "(the champion in the challenger's place), failed (nobody: the server failed), what_if, or base_rate.",
        "model_version": "The model version that scored.",
        **{id_column(noun): f"The {noun} that was asked about." for noun in decision.nouns},
        decision.time: "The instant that the features were computed for, UTC.",
        **dict.fromkeys(
            decision.own_keys, f"What else the {decision.noun} is told apart by; null where that was not given."
        ),
        "feature_time": "The instant whose knowledge the stored features hold, UTC.",
        "published": "The publication of the online store whose features were used.",
        "features": f"What the model was given, as JSON; null where nothing was known of the {decision.unit}.",
        "probability": "The probability that was answered.",
        "threshold": "The probability from which on the positive outcome is expected.",
        "decision": f"What was answered: {act} or {leave}.",
        "latency_ms": "Milliseconds from the request to its line in the log.",
        "scoring_ms": "Of these, what the model took for all requests that it scored together: how long it makes them "
        "wait, whoever else is asked meanwhile.",
        "experiment": "The experiment whose arm the unit met by the answer; null where there is none.",
        "experiment_version": "Its version.",
        "arm": "The arm that the unit met.",
    }
