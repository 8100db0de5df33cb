"""Sections of a problem file about running a model: serving, monitoring and retraining.

The schema alone, for `deploy/serving/`, `observe/` and `retrain/`.
"""

from datetime import timedelta
from typing import Literal

from pydantic import AliasChoices, Field, model_validator

from mlguide_assets.define.schema import Strict
from mlguide_assets.define.values import Cron, Duration, TimeZone


class Serving(Strict):
    """What the API promises, and where it stops."""

    clock: Literal["wall", "data"] | None = Field(
        default=None,
        description="What 'now' means: the wall's clock, or the newest instant that the features know. Default: wall, "
        "but data for a simulated world, whose days are not the wall's.",
    )
    stale_after: Duration = Field(default=timedelta(hours=36), description="Features older than this are flagged.")
    refuse_after: Duration = Field(default=timedelta(days=7), description="Features older than this are not used.")
    max_pairs: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description="Decisions that one request may ask about.",
    )
    max_explained_pairs: int = Field(default=100, ge=1, le=10_000, description="The same, with reasons.")
    max_concurrent: int = Field(default=64, ge=1, le=10_000, description="Requests in progress, per worker.")
    max_body_kilobytes: int = Field(default=256, ge=1, le=100_000)
    max_log_gigabytes: float = Field(
        default=20, gt=0, description="What the servers' prediction log may hold; what has landed makes room."
    )

    @model_validator(mode="after")
    def _flags_before_it_refuses(self) -> "Serving":
        if self.refuse_after < self.stale_after:
            raise ValueError("refuse_after must not be shorter than stale_after")
        return self


class Watching(Strict):
    """What is watched once a model serves, and when it is worth acting."""

    days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="How far back performance is measured, in days up to the newest decision whose outcome is known.",
    )
    window_days: int = Field(
        default=7,
        ge=1,
        le=365,
        description="Length of the windows over which performance is measured. Where one holds fewer positives or "
        "negatives than evaluation.min_positives, windows are two, three and more times as long, up to `days`.",
    )
    max_drop: float = Field(
        default=0.03,
        ge=0,
        description="Drop of the primary metric that is accepted; a significantly larger one is not.",
    )
    min_rows: int = Field(
        default=500,
        ge=1,
        description="Minimum number of decisions to test drift. Days with fewer are tested together, once they have "
        "as many.",
    )
    report_days: int = Field(
        default=7,
        ge=0,
        description="Days per drift report; where drift begins, one is written at once. 0: only there.",
    )
    reports: int = Field(default=14, ge=1, description="Drift reports that are kept.")


class Retraining(Strict):
    """When a model is retrained while `mlguide ui` runs, and what is done about a bad one."""

    refresh_every: Duration = Field(
        default=timedelta(hours=24),
        description="How often the source is read, counted from midnight UTC. A live world: whenever a day has passed.",
    )
    look_every: Duration = Field(
        default=timedelta(seconds=30), description="How often sensors look for what is new; whole seconds."
    )
    daily: Cron = Field(default="0 3 * * *", description="When to retrain if any outcome has matured since.")
    often: Cron = Field(default="0 */2 * * *", description="When to look whether enough outcomes have matured since.")
    timezone: TimeZone = Field(default="UTC", description="Of the two schedules. All data are in UTC.")
    min_new_matured: int = Field(
        default=5000,
        ge=1,
        # As it was called when all decisions were sends.
        validation_alias=AliasChoices("min_new_matured", "min_new_matured_sends"),
        description="Decisions that must have matured since the last training.",
    )
    cool_down: Duration = Field(
        default=timedelta(days=3), description="Days of data between two trainings for drift or for a drop."
    )
    watch_for: Duration = Field(
        default=timedelta(days=28),
        description="How long, in days of data, a new champion is held against the one before; 0d: not at all.",
    )

    @model_validator(mode="after")
    def _time_passes(self) -> "Retraining":
        if self.refresh_every < timedelta(minutes=1):
            raise ValueError("refresh_every must be 1m or longer")
        if self.look_every < timedelta(seconds=1):
            raise ValueError("look_every must be 1s or longer")
        return self
