"""Sections of a problem file about training: what is measured, what errors cost, which window tests, what stops a run.

The schema alone. What a section does is in `train/`.
"""

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from mlguide_assets.define.schema import Strict
from mlguide_assets.define.values import Duration, Share
from mlguide_assets.english import counted


class Metric(Strict):
    primary: Literal["roc_auc", "pr_auc", "log_loss", "brier"] = "roc_auc"


class Costs(Strict):
    """What a wrong decision costs, in any one currency; only the ratio matters."""

    missed: Annotated[float, Field(gt=0)] = Field(description="A positive outcome that was not acted on.")
    false_alarm: Annotated[float, Field(gt=0)] = Field(description="Acting where the outcome would be negative.")

    @property
    def threshold(self) -> float:
        """The probability above which acting is cheaper than not acting (Elkan 2001, eq. 2)."""
        return self.false_alarm / (self.false_alarm + self.missed)


class Evaluation(Strict):
    test_share: Share = Field(
        default=0.25, description="Share of the matured decisions, the latest, kept for the test."
    )
    test_from: date | None = Field(default=None, description="First day of the test window, instead of test_share.")
    test_until: date | None = Field(default=None, description="The test window ends before this day; default: never.")
    bootstrap_repeats: int = Field(default=300, ge=50)
    seed: int = Field(default=0, ge=0)
    slices: tuple[str, ...] | None = Field(
        default=None,
        description="Columns of entities to report metrics by. Default: categories of the entities of a decision.",
    )
    sensitive: tuple[str, ...] = Field(default=(), description="Columns whose groups are compared for fairness.")
    min_positives: int = Field(
        default=30,
        ge=1,
        description="Minimum number of units with a positive label, and of units with a negative one, to test a slice.",
    )

    def least(self, unit: str) -> str:
        """What a slice or a window needs to be tested. Units count: the rows of one unit are not independent.

        >>> Evaluation(min_positives=30).least("user")
        '30 users with a positive outcome and 30 with a negative one'
        """
        number = self.min_positives
        return f"{counted(number, unit)} with a positive outcome and {number:,} with a negative one"

    @model_validator(mode="after")
    def _window_is_one(self) -> "Evaluation":
        if self.test_until is not None and (self.test_from is None or self.test_until <= self.test_from):
            raise ValueError("test_until must be after test_from")
        return self


SPARK = "spark"
"""The trainer whose models are as good as each other for equal rows; those of the others are the same bytes."""


class Training(Strict):
    """How a model learns from more rows than memory holds."""

    trainer: Literal["auto", "in_memory", "external_memory", "spark"] = Field(
        default="auto",
        description="external_memory: XGBoost reads all rows in batches from the disk. spark: in tasks of the engine "
        "spark. auto: in_memory, where that has room; of more rows than rows_in_memory spark, with that engine.",
    )
    rows_in_memory: int = Field(
        default=1_000_000,
        ge=10_000,
        description="Rows of the seeded sample that chooses and evaluates the model where not all rows are in memory.",
    )
    spark_tasks: int = Field(
        default=2,
        ge=1,
        le=1024,
        description="Tasks that learn together with the trainer spark; all run at once. Another number of them gives "
        "another model, so it does not follow the size of the cluster.",
    )


class Leakage(Strict):
    """Limits of the alarms that stop a training."""

    max_feature_auc: Annotated[float, Field(gt=0.5, le=1)] = Field(
        default=0.85, description="No single feature ranks the outcomes better than this: it would be the outcome."
    )
    units: int = Field(default=1000, ge=10, description="Units whose rows are recomputed with another future.")

    @model_validator(mode="before")
    @classmethod
    def _counts_units(cls, values: Any) -> Any:
        """Refuse what it was called when every unit was a user, unless nobody chose it: a home holds all defaults."""
        if not isinstance(values, dict) or "users" not in values:
            return values
        if values["users"] != cls.model_fields["units"].default or "units" in values:
            raise ValueError(f"users: it is called units now; write units: {values['users']} in its place")
        return {name: value for name, value in values.items() if name != "users"}


class Tuning(Strict):
    """How long `--thorough` may look for better parameters."""

    trials: int = Field(default=25, ge=1)
    time_limit: Duration = Field(default=timedelta(minutes=3), description="The trial that is running then is dropped.")

    @model_validator(mode="after")
    def _takes_time(self) -> "Tuning":
        if self.time_limit <= timedelta(0):
            raise ValueError("time_limit: write a time longer than zero, such as 10m")
        return self


class Direction(Strict):
    """Which way a feature may move the risk, all else as it follows."""

    feature: str = Field(
        description="A declared feature of numbers (all but the calendar, and the last of a category), or a number or "
        "flag among the columns of an entity or of what is known."
    )
    effect: Literal["never_lowers", "never_raises"]
    tolerance: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="How far the mean risk may move the other way, as a share of it."
    )


class Behaviour(Strict):
    """What the model must do whatever its metrics are."""

    directions: tuple[Direction, ...] = ()

    @model_validator(mode="after")
    def _each_is_declared_once(self) -> "Behaviour":
        declared = [(each.feature, each.effect) for each in self.directions]
        if len(set(declared)) < len(declared):
            raise ValueError("directions: a feature and its effect are declared twice; keep one")
        return self
