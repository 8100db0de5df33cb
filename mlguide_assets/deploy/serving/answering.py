"""From scores to the answer that is sent and the line that is logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from mlguide_assets.define.decision import Decision, plural
from mlguide_assets.deploy.actions import generic_action, random_action
from mlguide_assets.deploy.online_store.store import Id
from mlguide_assets.deploy.prediction_log import BASE_RATE, CHAMPION, FAILED, WHAT_IF
from mlguide_assets.deploy.routing import Met, Route, met_by
from mlguide_assets.deploy.serving.asked import Asked, Question, Slot
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
    mets: Mapping[Id, Met] | None = None,
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
            mets.get(slot.unit) if mets else None,
        )
        for place, slot in enumerate(question.slots)
    ]


def meet(question: Question, routes: Sequence[Route]) -> dict[Id, Met]:
    """The arm that each unit meets that takes part in an experiment. Of which nothing is known, none does."""
    rows = {slot.unit: slot.row for slot in question.slots if slot.row is not None}
    arms = ((unit, met_by(unit, question.features.row(row), routes)) for unit, row in rows.items())
    return {unit: met for unit, met in arms if met is not None}


def answer(asked: Asked, question: Question, judged: Sequence[Judged], model: ServedModel, request_id: str) -> bytes:
    """The body of the answer as JSON, see `answers.py`.

    Args:
        model: the champion; where another version judged all of it, the answer is that version's.
    """
    decision = question.decision
    ids = decision.ids
    told = [_prediction(each, question, ids, probability=asked.probability) for each in judged]
    versions = {each.model.version for each in judged}
    version = versions.pop() if len(versions) == 1 else model.version
    content: dict[str, Any] = {"model_version": version, "request_id": request_id}
    if asked.endpoint == "predict":
        content["predictions"] = told
    else:
        content["recommendations"] = _recommendations(question, judged, told)
    content |= {f"unknown_{plural(noun)}": question.unknown[noun] for noun in decision.nouns}
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
    ids = question.decision.ids
    return to_json(
        {
            "request_id": request_id,
            "answered_at": now.isoformat(),
            "endpoint": asked.endpoint,
            "model_version": model.version,
            "threshold": model.threshold,
            "published": published,
            "latency_ms": round(latency_ms, 3),
            "scoring_ms": round(scoring_ms, 3),
            "names": question.features.names,
            "rows": [
                _logged(each, question, ids, WHAT_IF if asked.what_if else each.variant)
                | ({} if len(judged) == len(question.slots) else {"position": each.place})
                for each in judged
            ],
        }
    )


def failure_line(
    asked: Asked,
    decision: Decision,
    mets: Mapping[Id, Met],
    version: str,
    *,
    request_id: str,
    now: datetime,
    latency_ms: float,
) -> bytes:
    """What the prediction log keeps of a request that failed: which units of which arms got no answer.

    Args:
        mets: the units that the model of `version` should have answered, and their arms.
    """
    unit, *others = decision.ids
    nothing = dict.fromkeys((*others, "instant", "feature_time", "probability", "decision", "features"))
    return to_json(
        {
            "request_id": request_id,
            "answered_at": now.isoformat(),
            "endpoint": asked.endpoint,
            "model_version": version,
            "threshold": None,
            "published": None,
            "latency_ms": round(latency_ms, 3),
            "rows": [{unit: each, "variant": FAILED, **nothing, **_arm(met)} for each, met in mets.items()],
        }
    )


def _logged(judged: Judged, question: Question, ids: Sequence[str], variant: str) -> dict[str, Any]:
    slot = judged.slot
    case = None if slot.row is None else question.features.cases[slot.row]
    return {
        **dict(zip(ids, slot.ids, strict=True)),
        "instant": case.instant.isoformat() if case else None,
        "feature_time": case.feature_time.isoformat() if case else None,
        "probability": judged.probability,
        "decision": judged.model.decide(judged.probability),
        "variant": variant if case else BASE_RATE if variant in (CHAMPION, WHAT_IF) else variant,
        "features": None if slot.row is None else question.features.rows[slot.row],
        **({"keys": slot.keys} if slot.keys else {}),
        **_met(judged),
    }


def _met(judged: Judged) -> dict[str, Any]:
    return {} if judged.met is None else _arm(judged.met)


def _arm(met: Met) -> dict[str, Any]:
    return {"experiment": met.experiment, "experiment_version": met.version, "arm": met.arm}


def _prediction(judged: Judged, question: Question, ids: Sequence[str], *, probability: bool) -> dict[str, Any]:
    slot, decision = judged.slot, question.decision
    told: dict[str, Any] = dict(zip(ids, slot.ids, strict=True))
    if slot.instant is not None:
        told |= {decision.time: f"{slot.instant.isoformat()}Z", **slot.keys}
    if probability:
        told["probability"] = judged.probability
    told["prediction"] = judged.model.label(judged.probability)
    if decision.choose is None:
        told["decision"] = judged.model.decide(judged.probability)
    told["feature_time"] = (
        None if slot.row is None else question.features.cases[slot.row].feature_time.isoformat() + "Z"
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
    """Per unit, in the order of the request, the candidates from the least risky; between equals, the largest id first,
    which is the newest where ids are numbers that grow."""
    found = []
    for start in range(0, len(judged), max(question.candidates, 1)):
        places = range(start, start + question.candidates)
        largest_first = sorted(places, key=lambda place: _chosen(judged[place]), reverse=True)
        order = sorted(largest_first, key=lambda place: judged[place].probability)
        best = judged[order[0]]
        found.append(
            {
                question.decision.unit_id: best.slot.unit,
                "choice": _choice([judged[place] for place in order], question),
                "candidates": [told[place] for place in order],
                **_met(best),
            }
        )
    return found


def _choice(candidates: Sequence[Judged], question: Question) -> dict[str, Any]:
    """What to do with a unit: what the policy of its arm says, else the least risky candidate or nothing.

    Args:
        candidates: from the least risky.
    """
    best, act = candidates[0], question.decision.actions[0]
    chosen = str(question.decision.choose_id)
    policy = best.met.policy if best.met else "champion"
    if policy in ("champion", "challenger") or best.slot.row is None:
        return {chosen: best.slot.chosen, "decision": best.model.decide(best.probability)}
    ids = [_chosen(each) for each in candidates]
    day = question.features.cases[best.slot.row].instant.date()
    salt = best.model.problem.exploration.salt
    if policy == "generic":
        return {chosen: generic_action(ids, salt=salt, day=day), "decision": act}
    return {chosen: random_action(ids, best.slot.unit, salt=salt, day=day), "decision": act}


def _chosen(judged: Judged) -> Any:
    """What would be chosen: ids of one type, so that they can be compared."""
    return judged.slot.chosen
