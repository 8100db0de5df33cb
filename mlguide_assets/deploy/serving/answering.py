"""From scores to the answer that is sent and the line that is logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from mlguide_assets.deploy.actions import generic_action, random_action
from mlguide_assets.deploy.prediction_log import BASE_RATE, CHAMPION, FAILED, WHAT_IF
from mlguide_assets.deploy.routing import Met, Route, met_by
from mlguide_assets.deploy.serving.asking import Asked, Question, Slot
from mlguide_assets.deploy.serving.messages import PredictRequest
from mlguide_assets.deploy.serving.model import ServedModel

Reasons = list[dict[str, Any]]


@dataclass(frozen=True)
class Judged:
    """A place of the answer and what a model says of it.

    Attributes:
        place: in the answer, from 0.
        variant: who judged, and what for; see `prediction_log`.
        met: the arm of an experiment that the unit met by this answer.
    """

    place: int
    slot: Slot
    probability: float
    model: ServedModel
    variant: str
    reasons: Reasons | None = None
    met: Met | None = None


def judge(
    question: Question,
    scores: Sequence[float],
    reasons: Sequence[Reasons] | None,
    model: ServedModel,
    variant: str,
    mets: Mapping[int, Met] | None = None,
) -> list[Judged]:
    """Put the scores of the rows, and their reasons, in their places; where there is no row, the base rate.

    Args:
        scores: probabilities, one per row of the features.
        mets: see `meet`.
    """
    return [
        Judged(place, slot, model.base_rate, model, variant)
        if slot.row is None
        else Judged(
            place,
            slot,
            scores[slot.row],
            model,
            variant,
            reasons[slot.row] if reasons else None,
            mets.get(slot.user_id) if mets else None,
        )
        for place, slot in enumerate(question.slots)
    ]


def meet(question: Question, routes: Sequence[Route]) -> dict[int, Met]:
    """The arm that each user meets who takes part in an experiment. Of whom nothing is known, nobody does."""
    rows = {slot.user_id: slot.row for slot in question.slots if slot.row is not None}
    arms = ((user, met_by(user, question.features.row(row), routes)) for user, row in rows.items())
    return {user: met for user, met in arms if met is not None}


def answer(asked: Asked, question: Question, judged: Sequence[Judged], model: ServedModel, request_id: str) -> bytes:
    """The body of the answer: `PredictAnswer` or `RecommendAnswer` as JSON.

    Args:
        model: the champion; where another version judged all of it, the answer is that version's.
    """
    told = [_prediction(each, question, probability=asked.probability) for each in judged]
    versions = {each.model.version for each in judged}
    version = versions.pop() if len(versions) == 1 else model.version
    content: dict[str, Any] = {"model_version": version, "request_id": request_id}
    if isinstance(asked, PredictRequest):
        content["predictions"] = told
    else:
        content["recommendations"] = _recommendations(question, judged, told)
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
    published: str,
    now: datetime,
    latency_ms: float,
    scoring_ms: float,
) -> bytes:
    """What the prediction log keeps of what one model said of an answered request.

    Args:
        judged: by `model`, all or some of the answer's places. A what-if is marked as one, whoever judged.
        published: the publication whose features were looked up.
        scoring_ms: of the latency, what `model` took for all requests that it scored together.
    """
    return to_json(
        {
            "request_id": request_id,
            "answered_at": now.isoformat(),
            "endpoint": endpoint_of(asked),
            "model_version": model.version,
            "threshold": model.threshold,
            "published": published,
            "latency_ms": round(latency_ms, 3),
            "scoring_ms": round(scoring_ms, 3),
            "names": question.features.names,
            "rows": [
                _logged(each, question, WHAT_IF if asked.what_if else each.variant)
                | ({} if len(judged) == len(question.slots) else {"position": each.place})
                for each in judged
            ],
        }
    )


def failure_line(
    asked: Asked, mets: Mapping[int, Met], version: str, *, request_id: str, now: datetime, latency_ms: float
) -> bytes:
    """What the prediction log keeps of a request that failed: which units of which arms got no answer.

    Args:
        mets: the units that the model of `version` should have answered, and their arms.
    """
    nothing = dict.fromkeys(("email_id", "instant", "feature_time", "probability", "decision", "features"))
    return to_json(
        {
            "request_id": request_id,
            "answered_at": now.isoformat(),
            "endpoint": endpoint_of(asked),
            "model_version": version,
            "threshold": None,
            "published": None,
            "latency_ms": round(latency_ms, 3),
            "rows": [{"user_id": user, "variant": FAILED, **nothing, **_arm(met)} for user, met in mets.items()],
        }
    )


def endpoint_of(asked: Asked) -> str:
    """As the log names it."""
    return "predict" if isinstance(asked, PredictRequest) else "recommend"


def _logged(judged: Judged, question: Question, variant: str) -> dict[str, Any]:
    slot = judged.slot
    pair = None if slot.row is None else question.features.pairs[slot.row]
    return {
        "user_id": slot.user_id,
        "email_id": slot.email_id,
        "instant": pair.instant.isoformat() if pair else None,
        "feature_time": pair.feature_time.isoformat() if pair else None,
        "probability": judged.probability,
        "decision": decision(judged.probability, judged.model),
        "variant": variant if pair else BASE_RATE if variant in (CHAMPION, WHAT_IF) else variant,
        "features": None if slot.row is None else question.features.rows[slot.row],
        **_met(judged),
    }


def _met(judged: Judged) -> dict[str, Any]:
    return {} if judged.met is None else _arm(judged.met)


def _arm(met: Met) -> dict[str, Any]:
    return {"experiment": met.experiment, "experiment_version": met.version, "arm": met.arm}


def decision(probability: float, model: ServedModel) -> str:
    """What the costs say, as batch predictions do."""
    return "withhold" if probability >= model.threshold else "send"


def _prediction(judged: Judged, question: Question, *, probability: bool) -> dict[str, Any]:
    slot = judged.slot
    told: dict[str, Any] = {"user_id": slot.user_id, "email_id": slot.email_id}
    if probability:
        told["probability"] = judged.probability
    told["prediction"] = judged.model.label(judged.probability)
    told["feature_time"] = (
        None if slot.row is None else question.features.pairs[slot.row].feature_time.isoformat() + "Z"
    )
    told["basis"] = BASE_RATE if slot.row is None else "features"
    if judged.reasons is not None:
        told["reasons"] = judged.reasons
    if judged.met is not None:
        told |= {**_met(judged), "model_version": judged.model.version}
    return told


def _recommendations(
    question: Question, judged: Sequence[Judged], told: Sequence[dict[str, Any]]
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
                "choice": _choice([judged[place] for place in order], question),
                "candidates": [told[place] for place in order],
                **_met(best),
            }
        )
    return found


def _choice(candidates: Sequence[Judged], question: Question) -> dict[str, Any]:
    """What to do with a user: what the policy of their arm says, else the least risky email or nothing.

    Args:
        candidates: from the least risky.
    """
    best = candidates[0]
    policy = best.met.policy if best.met else "champion"
    if policy in ("champion", "challenger") or best.slot.row is None:
        return {"email_id": best.slot.email_id, "decision": decision(best.probability, best.model)}
    emails = [each.slot.email_id for each in candidates if each.slot.email_id is not None]
    day = question.features.pairs[best.slot.row].instant.date()
    salt = best.model.problem.exploration.salt
    if policy == "generic":
        return {"email_id": generic_action(emails, salt=salt, day=day), "decision": "send"}
    return {"email_id": random_action(emails, best.slot.user_id, salt=salt, day=day), "decision": "send"}
