"""What the columns of this stage's tables mean, table by table."""

from mlguide_assets.define.decision import Decision, id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import plural, with_article

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
        "criterion": "The name of the criterion; experiment is the verdict of an experiment with the version.",
        "value": "What was found; null where there is no number.",
        "low": "Lower end of the interval; null where there is none.",
        "high": "Upper end of the interval; null where there is none.",
        "threshold": "What the value was held against; null where there is none.",
        "passed": "Whether it speaks for the version.",
        "reason": "Why, in words.",
        "recorded_by": "What measured it, such as an experiment.",
        "run_id": "The Dagster run that recorded it; empty for a person.",
    },
    "request_faults": {
        "day": "The day, UTC.",
        "endpoint": "The endpoint of the requests.",
        "status": "The HTTP status: from 400 on the request was refused, from 500 on the server failed.",
        "requests": "Requests that ended so.",
    },
}
"""Table → column → meaning, where these are the same for all problems."""


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage."""
    decision = problem.decision
    scored = _scored(problem)
    made = {"batch_predictions": scored, "prediction_log": _logged(decision)}
    if decision.choose is None:
        return {**COLUMNS, **made, decision.plan_table: _acted_on(scored, decision)}
    best = {
        **scored,
        id_column(decision.choose): f"The {decision.choose} that is least likely to end badly for the {decision.unit}.",
        "decision": f"Whether even that one is too risky: {decision.actions[0]} or {decision.actions[1]}.",
    }
    return {**COLUMNS, **made, str(decision.best_table): best, decision.plan_table: _chosen(decision)}


def _scored(problem: Problem) -> dict[str, str]:
    """Of predictions."""
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


def _acted_on(scored: dict[str, str], decision: Decision) -> dict[str, str]:
    """Of a plan that acts or leaves, as the costs say."""
    return {
        **{name: text for name, text in scored.items() if name != "feature_time"},
        "scoring_date": "The day that the plan is for.",
        "rank": f"The place of the {decision.noun}; 1 is the most probable positive outcome.",
        "planned_at": "When the plan was made, by the problem's clock, UTC.",
        "run_id": "The Dagster run that made the plan.",
    }


def _chosen(decision: Decision) -> dict[str, str]:
    """Of a plan that chooses."""
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


def _logged(decision: Decision) -> dict[str, str]:
    act, leave = decision.actions
    return {
        "request_id": "The request that was answered.",
        "position": "The place in the answer, from 0.",
        "answered_at": "When it was answered, UTC.",
        "endpoint": "The kind of request: predict or recommend.",
        "variant": "What scored: champion, challenger (never returned), routed (the challenger, for a unit that an "
        "experiment or a canary gave it), champion_shadow (the champion, for such a unit; never returned), fallback "
        "(the champion in the challenger's place), failed (no model: the server failed), what_if, or base_rate.",
        "model_version": "The model version that scored.",
        **{id_column(noun): f"The {noun} of the request." for noun in decision.nouns},
        decision.time: "The instant that the features were computed for, UTC.",
        **dict.fromkeys(decision.own_keys, f"Part of the key of the {decision.noun}; null where it was not given."),
        "feature_time": "The instant whose knowledge the stored features hold, UTC.",
        "published": "The publication of the online store whose features were used.",
        "features": f"What the model was given, as JSON; null where nothing was known of the {decision.unit}.",
        "probability": "The probability that was answered.",
        "threshold": "The probability from which on the positive outcome is expected.",
        "decision": f"What was answered: {act} or {leave}.",
        "latency_ms": "Milliseconds from the request to its line in the log.",
        "scoring_ms": "Of these, what the model took for all requests that it scored together: how long it makes them "
        "wait, whichever model scores.",
        "experiment": "The experiment whose arm the unit met by the answer; null where there is none.",
        "experiment_version": "Its version.",
        "arm": "The arm that the unit met.",
    }
