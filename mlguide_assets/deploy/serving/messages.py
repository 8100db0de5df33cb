"""What the API is asked and what it answers: the schema of OpenAPI, with examples."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Id = Annotated[int, Field(strict=True, ge=-(2**63), le=2**63 - 1)]


def _text(value: object) -> object:
    if not isinstance(value, str) or "-" not in value[1:]:
        raise ValueError("write a time as text, such as 2026-01-02T10:30:00Z")
    return value


Instant = Annotated[datetime, BeforeValidator(_text), Field(strict=False)]
"""JSON has no times: a text in ISO 8601, and no number, whose unit nobody could tell."""


class _Asked(BaseModel):
    """A misspelt field is refused: ignored, it would be believed to work."""

    model_config = ConfigDict(extra="forbid", strict=True)


class WhatIf(_Asked):
    """Features of the moment, set by hand; a question, not a prediction: it is logged as one."""

    tenure_days: float | None = Field(default=None, ge=0, le=100_000)
    email_age_days: float | None = Field(default=None, ge=0, le=100_000)
    days_since_last_email: float | None = Field(default=None, ge=0, le=100_000)
    day_of_week: int | None = Field(default=None, ge=0, le=6, description="Monday is 0.")
    hour_of_day: int | None = Field(default=None, ge=0, le=23, description="UTC.")


class _AboutUsers(_Asked):
    user_ids: list[Id] = Field(min_length=1, description="In the order of the answer; duplicates stay.")
    email_ids: list[Id] | None = Field(default=None, min_length=1)
    probability: bool = Field(default=True, description="Whether to give probabilities beside the classes.")
    explain: bool = Field(default=False, description="Whether to give reasons: exact SHAP contributions.")
    as_of: Instant | None = Field(
        default=None,
        description="When the email would be sent, UTC unless it says otherwise. Default: now; in a simulated world, "
        "the instant that the features know.",
    )
    what_if: WhatIf | None = None


class PredictRequest(_AboutUsers):
    """Will these emails lose these users? Without `email_ids`: did, or will, the last email that each was sent?"""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"user_ids": [1, 5, 100], "probability": True},
                {"user_ids": [1, 5], "email_ids": [12, 40], "explain": True},
            ]
        }
    )

    on_unknown: Literal["list", "base_rate"] = Field(
        default="list", description="Users without features are listed, or get the rate of the training data as well."
    )


class RecommendRequest(_AboutUsers):
    """Which of these emails is least likely to lose each user? Without `email_ids`: of the newest ones."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_ids": [1, 5, 100]}, {"user_ids": [1], "email_ids": [12, 40, 7]}]}
    )


def _as_utc(instant: datetime) -> datetime:
    """Times here have no zone; JSON's must, or a browser takes them for its own."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant


Utc = Annotated[datetime, AfterValidator(_as_utc)]


class Reason(BaseModel):
    """What one feature adds to the log-odds of losing the user."""

    feature: str
    value: float | str | None
    contribution: float
    text: str


class _Met(BaseModel):
    experiment: str | None = Field(default=None, description="The experiment that the user takes part in, if any.")
    experiment_version: int | None = None
    arm: str | None = Field(default=None, description="The arm of the experiment that the user is in.")


class Prediction(_Met):
    """One pair, judged. `basis` is base_rate where nothing is known of the user."""

    user_id: int
    email_id: int | None
    probability: float | None = Field(default=None, description="That this send makes the user unsubscribe.")
    prediction: str = Field(description="The label: as a rule, yes is an unsubscribe and no is none.")
    feature_time: Utc | None = Field(description="The instant whose knowledge the stored features hold, UTC.")
    basis: Literal["features", "base_rate"] = "features"
    model_version: str | None = Field(
        default=None, description="The version that judged, of users who take part in an experiment."
    )
    reasons: list[Reason] | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model_version: str
    request_id: str
    unknown_users: list[int] = Field(description="Without features, or, asked without email_ids, without a last email.")
    unknown_emails: list[int]
    degraded: list[str] = Field(description="What is not as it should be, in words; empty where all is well.")


class PredictAnswer(_Answer):
    """Predictions in the order of the request: user by user, and for each, email by email."""

    predictions: list[Prediction]


class Choice(BaseModel):
    """The email that is least likely to lose the user, `withhold` where even that one is too risky; or, of users who
    take part in an experiment, what the policy of their arm says."""

    email_id: int
    decision: Literal["send", "withhold"]


class Recommendation(_Met):
    """The candidates of a user, the least risky first; between equals, the newest."""

    user_id: int
    choice: Choice
    candidates: list[Prediction]


class RecommendAnswer(_Answer):
    recommendations: list[Recommendation]


class User(BaseModel):
    """A user as the playground lists them."""

    user_id: int
    age: int | None
    gender: str | None
    country: str | None
    date_joined: Utc | None
    number_of_emails: int
    last_delivered_at: Utc | None


class Email(BaseModel):
    """An email as the playground lists them."""

    email_id: int
    subject: str | None
    theme: str | None
    category: str | None
    created_at: Utc


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
