"""From scores to the answer that is sent and the line that is logged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from mlguide_assets.deploy.actions import generic_action, random_action
from mlguide_assets.deploy.prediction_log import BASE_RATE, CHAMPION, WHAT_IF
from mlguide_assets.deploy.routing import Met, Route, met_by
from mlguide_assets.deploy.serving.asking import Asked, Question, Slot
from mlguide_assets.deploy.serving.messages import PredictRequest
from mlguide_assets.deploy.serving.model import ServedModel

Reasons = list[dict[str, Any]]


@dataclass(frozen=True)
class Judged:
    """A place of the answer and what a model says of it."""

    slot: Slot
    probability: float
    reasons: Reasons | None = None
    met: Met | None = None
    """The arm of an experiment that the unit met by this answer."""


def judge(
    question: Question, scores: Sequence[float], reasons: Sequence[Reasons] | None, model: ServedModel
) -> list[Judged]:
    """Put the scores of the rows, and their reasons, in their places; where there is no row, the base rate.

    Args:
        scores: probabilities, one per row of the features.
    """
    return [
        Judged(slot, model.base_rate)
        if slot.row is None
        else Judged(slot, scores[slot.row], reasons[slot.row] if reasons else None)
        for slot in question.slots
    ]


def routed(judged: Sequence[Judged], question: Question, routes: Sequence[Route]) -> list[Judged]:
    """The same, each with the arm that its unit meets, where it takes part in an experiment."""
    arms: dict[int, Met | None] = {}
    for each in judged:
        slot = each.slot
        if slot.user_id not in arms:
            known = {} if slot.row is None else question.features.row(slot.row)
            arms[slot.user_id] = None if slot.row is None else met_by(slot.user_id, known, routes)
    return [replace(each, met=met) if (met := arms[each.slot.user_id]) else each for each in judged]


def answer(asked: Asked, question: Question, judged: Sequence[Judged], model: ServedModel, request_id: str) -> bytes:
    """The body of the answer: `PredictAnswer` or `RecommendAnswer` as JSON."""
    told = [_prediction(each, question, model, probability=asked.probability) for each in judged]
    content: dict[str, Any] = {"model_version": model.version, "request_id": request_id}
    if isinstance(asked, PredictRequest):
        content["predictions"] = told
    else:
        content["recommendations"] = _recommendations(question, judged, told, model)
    content["unknown_users"] = question.unknown_users
    content["unknown_emails"] = question.unknown_emails
    content["degraded"] = question.degraded
    return to_json(content)


def log_line(
    asked: Asked,
    question: Question,
    judged: Sequence[Judged],
    model: ServedModel,
    *,
    request_id: str,
    variant: str,
    published: str,
    now: datetime,
    latency_ms: float,
) -> bytes:
    """What the prediction log keeps of an answered request.

    Args:
        variant: who judged, `CHAMPION` or `CHALLENGER`; a what-if is marked as one, whoever judged.
        published: the publication whose features were looked up.
    """
    return to_json(
        {
            "request_id": request_id,
            "answered_at": now.isoformat(),
            "endpoint": "predict" if isinstance(asked, PredictRequest) else "recommend",
            "model_version": model.version,
            "threshold": model.threshold,
            "published": published,
            "latency_ms": round(latency_ms, 3),
            "names": question.features.names,
            "rows": [_logged(each, question, model, WHAT_IF if asked.what_if else variant) for each in judged],
        }
    )


def _logged(judged: Judged, question: Question, model: ServedModel, variant: str) -> dict[str, Any]:
    slot = judged.slot
    pair = None if slot.row is None else question.features.pairs[slot.row]
    return {
        "user_id": slot.user_id,
        "email_id": slot.email_id,
        "instant": pair.instant.isoformat() if pair else None,
        "feature_time": pair.feature_time.isoformat() if pair else None,
        "probability": judged.probability,
        "decision": decision(judged.probability, model),
        "variant": variant if pair else BASE_RATE if variant in (CHAMPION, WHAT_IF) else variant,
        "features": None if slot.row is None else question.features.rows[slot.row],
        **_met(judged),
    }


def _met(judged: Judged) -> dict[str, Any]:
    met = judged.met
    if met is None:
        return {}
    return {"experiment": met.experiment, "experiment_version": met.version, "arm": met.arm}


def decision(probability: float, model: ServedModel) -> str:
    """What the costs say, as batch predictions do."""
    return "withhold" if probability >= model.threshold else "send"


def _prediction(judged: Judged, question: Question, model: ServedModel, *, probability: bool) -> dict[str, Any]:
    slot = judged.slot
    told: dict[str, Any] = {"user_id": slot.user_id, "email_id": slot.email_id}
    if probability:
        told["probability"] = judged.probability
    told["prediction"] = model.label(judged.probability)
    told["feature_time"] = (
        None if slot.row is None else question.features.pairs[slot.row].feature_time.isoformat() + "Z"
    )
    told["basis"] = BASE_RATE if slot.row is None else "features"
    if judged.reasons is not None:
        told["reasons"] = judged.reasons
    return told | _met(judged)


def _recommendations(
    question: Question, judged: Sequence[Judged], told: Sequence[dict[str, Any]], model: ServedModel
) -> list[dict[str, Any]]:
    """Per user, in the order of the request, the candidates from the least risky; between equals, the newest first."""
    found = []
    for start in range(0, len(judged), max(question.emails, 1)):
        places = range(start, start + question.emails)
        order = sorted(places, key=lambda place: (judged[place].probability, -(judged[place].slot.email_id or 0)))
        best = judged[order[0]]
        found.append(
            {
                "user_id": best.slot.user_id,
                "choice": _choice([judged[place] for place in order], question, model),
                "candidates": [told[place] for place in order],
                **_met(best),
            }
        )
    return found


def _choice(candidates: Sequence[Judged], question: Question, model: ServedModel) -> dict[str, Any]:
    """What to do with a user: what the policy of their arm says, else the least risky email or nothing.

    Args:
        candidates: from the least risky.
    """
    best = candidates[0]
    policy = best.met.policy if best.met else "champion"
    if policy == "champion" or best.slot.row is None:
        return {"email_id": best.slot.email_id, "decision": decision(best.probability, model)}
    emails = [each.slot.email_id for each in candidates if each.slot.email_id is not None]
    day = question.features.pairs[best.slot.row].instant.date()
    salt = model.problem.exploration.salt
    if policy == "generic":
        return {"email_id": generic_action(emails, salt=salt, day=day), "decision": "send"}
    return {"email_id": random_action(emails, best.slot.user_id, salt=salt, day=day), "decision": "send"}
