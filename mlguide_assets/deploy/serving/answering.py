"""From scores to the answer that is sent and the line that is logged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from mlguide_assets.define.decision import Decision
from mlguide_assets.deploy.log.prediction_log import BASE_RATE, CHAMPION, FAILED, WHAT_IF
from mlguide_assets.deploy.online_store.store import Id, Snapshot
from mlguide_assets.deploy.plan.actions import generic_action, random_action
from mlguide_assets.deploy.routing import ELIGIBLE, Met, Route, met_by
from mlguide_assets.deploy.serving.model import ServedModel
from mlguide_assets.deploy.serving.request import PredictionRequest, ResolvedRequest, Slot
from mlguide_assets.english import plural

Reasons = list[dict[str, Any]]


@dataclass(frozen=True)
class Scored:
    """A place of the answer, and a model's score of it.

    Attributes:
        place: in the answer, from 0.
        variant: which model scored, and in which role; see `prediction_log`.
        met: the arm of an experiment that the unit met by this answer.
    """

    place: int
    slot: Slot
    probability: float
    model: ServedModel
    variant: str
    reasons: Reasons | None = None
    met: Met | None = None


def place_scores(
    resolved: ResolvedRequest,
    scores: Sequence[float],
    reasons: Sequence[Reasons] | None,
    model: ServedModel,
    variant: str,
    mets: Mapping[Id, Met] | None = None,
) -> list[Scored]:
    """Put the scores of the rows, and their reasons, in their places; where there is no row, the base rate.

    Args:
        scores: probabilities, one per row of the features.
        mets: see `meet`.
    """
    return [
        Scored(place, slot, model.base_rate, model, variant)
        if slot.row is None
        else Scored(
            place,
            slot,
            scores[slot.row],
            model,
            variant,
            reasons[slot.row] if reasons else None,
            mets.get(slot.unit) if mets else None,
        )
        for place, slot in enumerate(resolved.slots)
    ]


def meet(resolved: ResolvedRequest, routes: Sequence[Route], snapshot: Snapshot) -> dict[Id, Met]:
    """The arm that each unit meets that takes part in an experiment. Of which nothing is known, none does.

    Raises:
        StoreError: the store does not answer.
    """
    units = list(dict.fromkeys(slot.unit for slot in resolved.slots if slot.row is not None))
    asks = any(route.by_eligibility for route in routes) and ELIGIBLE in snapshot.publication.keys
    eligible = snapshot.look_up(ELIGIBLE, units) if asks else {}
    arms = ((unit, met_by(unit, eligible.get(unit, {}), routes)) for unit in units)
    return {unit: met for unit, met in arms if met is not None}


def answer(
    request: PredictionRequest, resolved: ResolvedRequest, scored: Sequence[Scored], model: ServedModel, request_id: str
) -> bytes:
    """The body of the answer as JSON, see `answers.py`.

    Args:
        model: the champion; where another version scored all of it, the answer names that version.
    """
    decision = resolved.decision
    ids = decision.ids
    entries = [_prediction(each, resolved, ids, probability=request.probability) for each in scored]
    versions = {each.model.version for each in scored}
    version = versions.pop() if len(versions) == 1 else model.version
    content: dict[str, Any] = {"model_version": version, "request_id": request_id}
    if request.endpoint == "predict":
        content["predictions"] = entries
    else:
        content["recommendations"] = _recommendations(resolved, scored, entries)
    content |= {f"unknown_{plural(noun)}": resolved.unknown[noun] for noun in decision.nouns}
    if not decision.is_event:
        content[f"left_out_{plural(decision.unit)}"] = resolved.left_out
    content["degraded"] = resolved.degraded
    return to_json(content)


def log_line(
    request: PredictionRequest,
    resolved: ResolvedRequest,
    scored: Sequence[Scored],
    model: ServedModel,
    *,
    request_id: str,
    published: str,
    now: datetime,
    latency_ms: float,
    scoring_ms: float,
) -> bytes:
    """The line of the prediction log for one model's scores of an answered request.

    Args:
        scored: by `model`, all or some of the answer's places. A what-if is marked as one, whichever model scored.
        published: the publication whose features were looked up.
        scoring_ms: of the latency, what `model` took for all requests that it scored together.
    """
    ids = resolved.decision.ids
    return to_json(
        {
            "request_id": request_id,
            "answered_at": now.isoformat(),
            "endpoint": request.endpoint,
            "model_version": model.version,
            "threshold": model.threshold,
            "published": published,
            "latency_ms": round(latency_ms, 3),
            "scoring_ms": round(scoring_ms, 3),
            "names": resolved.features.names,
            "rows": [
                _logged(each, resolved, ids, WHAT_IF if request.what_if else each.variant)
                | ({} if len(scored) == len(resolved.slots) else {"position": each.place})
                for each in scored
            ],
        }
    )


def failure_line(
    request: PredictionRequest,
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
            "endpoint": request.endpoint,
            "model_version": version,
            "threshold": None,
            "published": None,
            "latency_ms": round(latency_ms, 3),
            "rows": [{unit: each, "variant": FAILED, **nothing, **_arm(met)} for each, met in mets.items()],
        }
    )


def _logged(scored: Scored, resolved: ResolvedRequest, ids: Sequence[str], variant: str) -> dict[str, Any]:
    slot = scored.slot
    case = None if slot.row is None else resolved.features.cases[slot.row]
    return {
        **dict(zip(ids, slot.ids, strict=True)),
        "instant": case.instant.isoformat() if case else None,
        "feature_time": case.feature_time.isoformat() if case else None,
        "probability": scored.probability,
        "decision": scored.model.decide(scored.probability),
        "variant": variant if case else BASE_RATE if variant in (CHAMPION, WHAT_IF) else variant,
        "features": None if slot.row is None else resolved.features.rows[slot.row],
        **({"keys": slot.keys} if slot.keys else {}),
        **_met(scored),
    }


def _met(scored: Scored) -> dict[str, Any]:
    return {} if scored.met is None else _arm(scored.met)


def _arm(met: Met) -> dict[str, Any]:
    return {"experiment": met.experiment, "experiment_version": met.version, "arm": met.arm}


def _prediction(scored: Scored, resolved: ResolvedRequest, ids: Sequence[str], *, probability: bool) -> dict[str, Any]:
    slot, decision = scored.slot, resolved.decision
    entry: dict[str, Any] = dict(zip(ids, slot.ids, strict=True))
    if slot.instant is not None:
        entry |= {decision.time: f"{slot.instant.isoformat()}Z", **slot.keys}
    if probability:
        entry["probability"] = scored.probability
    entry["prediction"] = scored.model.label(scored.probability)
    if decision.choose is None:
        entry["decision"] = scored.model.decide(scored.probability)
    entry["feature_time"] = (
        None if slot.row is None else resolved.features.cases[slot.row].feature_time.isoformat() + "Z"
    )
    entry["basis"] = BASE_RATE if slot.row is None else "features"
    if scored.reasons is not None:
        entry["reasons"] = scored.reasons
    if scored.met is not None:
        entry |= {**_met(scored), "model_version": scored.model.version}
    return entry


def _recommendations(
    resolved: ResolvedRequest, scored: Sequence[Scored], entries: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Per unit, in the order of the request, the candidates from the least risky; between equals, the largest id first,
    which is the newest where ids are numbers that grow."""
    found = []
    for start in range(0, len(scored), max(resolved.candidates, 1)):
        places = range(start, start + resolved.candidates)
        largest_first = sorted(places, key=lambda place: _chosen(scored[place]), reverse=True)
        order = sorted(largest_first, key=lambda place: scored[place].probability)
        best = scored[order[0]]
        found.append(
            {
                resolved.decision.unit_id: best.slot.unit,
                "choice": _choice([scored[place] for place in order], resolved),
                "candidates": [entries[place] for place in order],
                **_met(best),
            }
        )
    return found


def _choice(candidates: Sequence[Scored], resolved: ResolvedRequest) -> dict[str, Any]:
    """What to do with a unit: what the policy of its arm says, else the least risky candidate or nothing.

    Args:
        candidates: from the least risky.
    """
    best, act = candidates[0], resolved.decision.actions[0]
    chosen = str(resolved.decision.choose_id)
    policy = best.met.policy if best.met else "champion"
    if policy in ("champion", "challenger") or best.slot.row is None:
        return {chosen: best.slot.chosen, "decision": best.model.decide(best.probability)}
    ids = [_chosen(each) for each in candidates]
    day = resolved.features.cases[best.slot.row].instant.date()
    salt = best.model.problem.exploration.salt
    if policy == "generic":
        return {chosen: generic_action(ids, salt=salt, day=day), "decision": act}
    return {chosen: random_action(ids, best.slot.unit, salt=salt, day=day), "decision": act}


def _chosen(scored: Scored) -> Any:
    """What would be chosen: ids of one type, so that they can be compared."""
    return scored.slot.chosen
