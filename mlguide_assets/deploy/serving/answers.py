"""What the API answers, for its description: types that follow from the problem. `answering.py` writes the answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.serving.phrases import outcome_in_words
from mlguide_assets.deploy.serving.types import list_of, record
from mlguide_assets.english import plural


def _as_utc(instant: datetime) -> datetime:
    """Times here have no zone; JSON's must, or a browser takes them for its own."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


Utc = Annotated[datetime, AfterValidator(_as_utc)]


class Reason(BaseModel):
    """What one feature adds to the log-odds of the positive outcome."""

    feature: str
    value: float | str | None
    contribution: float
    text: str


class ServiceState(BaseModel):
    """What serves: the model, its features, and what is not as it should be."""

    model_config = ConfigDict(protected_namespaces=())

    status: Literal["ready", "degraded", "unavailable"]
    reasons: list[str]
    model_version: str | None
    trained_at: str | None
    threshold: float | None
    positive: str | None
    shadow_version: str | None
    feature_time: Utc | None
    now: Utc | None


class Fault(BaseModel):
    """Why there is no answer: what was given, what was expected, what to do."""

    detail: str
    request_id: str


@dataclass(frozen=True)
class Answers:
    """The bodies of answers, as types; `recommend` is None where nothing is chosen."""

    predict: Any
    recommend: Any


_MET = {
    "experiment": NotRequired[Annotated[str, Field(description="The experiment that the unit takes part in, if any.")]],
    "experiment_version": NotRequired[int],
    "arm": NotRequired[Annotated[str, Field(description="The arm of the experiment that the unit is in.")]],
}


def answers_of(problem: Problem, ids: Mapping[str, Any]) -> Answers:
    """The answers of a problem's API.

    Args:
        ids: noun → the type of its ids.
    """
    decision = problem.decision
    prediction = _prediction(problem, ids)
    common = {
        "model_version": str,
        "request_id": str,
        **{
            f"unknown_{plural(noun)}": Annotated[list_of(ids[noun]), Field(description=_UNKNOWN)]
            for noun in decision.nouns
        },
        **{
            f"left_out_{plural(noun)}": Annotated[list_of(ids[noun]), Field(description=_LEFT_OUT)]
            for noun in decision.nouns
            if not decision.is_event
        },
        "degraded": Annotated[list[str], Field(description=_DEGRADED)],
    }
    text = "Predictions in the order of the request."
    predict = record("PredictAnswer", {**common, "predictions": list_of(prediction)}, text)
    if decision.choose is None:
        return Answers(predict, None)
    choice = record(
        "Choice",
        {id_column(decision.choose): ids[decision.choose], "decision": Literal[decision.actions]},
        f"The {decision.choose} that is least likely to end badly, `{decision.actions[1]}` where even that one is too "
        "risky; or, of units that take part in an experiment, what the policy of their arm says.",
    )
    of_unit = {id_column(decision.unit): ids[decision.unit], "choice": choice, "candidates": list_of(prediction)}
    ranked = f"The candidates of {decision.unit}, the least risky first; between equals, the largest id."
    recommendation = record("Recommendation", of_unit | _MET, ranked)
    text = "Recommendations in the order of the request."
    return Answers(predict, record("RecommendAnswer", {**common, "recommendations": list_of(recommendation)}, text))


_UNKNOWN = "Without features, or without a last decision where that is predicted."
_LEFT_OUT = (
    "Answered for, though no decision is about them as of the features, such as those that predict.where leaves out: a "
    "model has not learned from the like, and no plan has them."
)
_DEGRADED = "What is not as it should be, in words; empty where all is well."


def _prediction(problem: Problem, ids: Mapping[str, Any]) -> Any:
    decision, label = problem.decision, problem.label
    fields: dict[str, Any] = {
        id_column(noun): ids[noun] | None if noun == decision.choose else ids[noun] for noun in decision.nouns
    }
    if decision.is_event and not decision.choose:
        fields |= {decision.time: Utc, **dict.fromkeys(decision.own_keys, NotRequired[int | str])}
    fields["probability"] = NotRequired[
        Annotated[float, Field(description=f"Of the outcome {label.positive}: {outcome_in_words(problem)}.")]
    ]
    fields["prediction"] = Annotated[str, Field(description=f"The label: {label.positive} or {label.negative}.")]
    if decision.choose is None:
        fields["decision"] = Literal[decision.actions]
    time = Field(description="The instant whose knowledge the stored features hold, UTC.")
    fields |= {
        "feature_time": Annotated[Utc | None, time],
        "basis": Literal["features", "base_rate"],
        "model_version": NotRequired[
            Annotated[str, Field(description="The version that scored, for units that take part in an experiment.")]
        ],
        "reasons": NotRequired[list[Reason]],
    }
    return record("Prediction", fields | _MET, "One case, scored. `basis` is base_rate where nothing is known.")
