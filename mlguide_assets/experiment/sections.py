"""The sections of an experiment file, and which values they take. What must fit together is in `specification.py`."""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from mlguide_assets.define.policies import Policy
from mlguide_assets.define.schema import Strict
from mlguide_assets.define.values import NAME_PATTERN, Duration, Share, Texts
from mlguide_assets.experiment.analysis.design import Better

LONGEST = timedelta(days=3650)
"""The longest duration, and the longest that a plan considers."""

LATEST = date(2199, 12, 31)
"""The last day that a file may name, and on which an experiment may start: what follows must be days, too."""


def _not_too_long(span: timedelta) -> timedelta:
    if span > LONGEST:
        raise ValueError(f"an experiment takes ten years at most: write {LONGEST.days}d or less")
    return span


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Salt = Annotated[str, Field(pattern=r"^[\w.:/-]{1,80}$")]
Span = Annotated[Duration, AfterValidator(_not_too_long)]
Day = Annotated[date, Field(le=LATEST)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
MetricName = Literal["outcome", "actions"]
"""What is measured of a unit within its outcome window: whether it had the positive outcome (binary), and how many
actions it met (a mean)."""


class Salts(Strict):
    """What the draws of an experiment depend on besides the unit. One salt for both would skew the arms."""

    inclusion: Salt = Field(description="Decides which units the ramp lets in first.")
    arm: Salt = Field(description="Decides which arm a unit is in.")

    @model_validator(mode="after")
    def _differ(self) -> "Salts":
        if self.inclusion == self.arm:
            raise ValueError(
                f"inclusion and arm are both {self.arm!r}; give two different salts, or the arms are skewed"
            )
        return self


class Arm(Strict):
    """One of the treatments that are compared."""

    name: Name
    policy: Policy = Field(description="How the action of a unit in this arm is chosen.")
    weight: Share = Field(description="Share of the units of the experiment; all weights sum to 1.")


class Condition(Strict):
    """What a column of the unit must say for it to take part: one of some values, or a number within a range."""

    column: str
    values: Texts = Field(default=(), description="One of these.")
    min: Finite | None = None
    max: Finite | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Condition":
        if bool(self.values) == (self.min is not None or self.max is not None):
            raise ValueError("give either values, or min and max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} must not be above max {self.max:g}")
        return self


class PrimaryMetric(Strict):
    """What decides."""

    metric: MetricName
    better: Better
    smallest_effect: Share = Field(description="The smallest relative change that is worth finding, such as 0.2.")


class Guardrail(Strict):
    """What must not become worse by more than a margin."""

    metric: MetricName
    better: Better
    margin: Share = Field(description="The relative change for the worse that is accepted, such as 0.1.")


class RampStep(Strict):
    """From one day on, so many units take part. Units that are in stay in, in their arm."""

    share: Annotated[float, Field(gt=0, le=1)]
    days: Annotated[int, Field(ge=1, le=365)] | None = Field(
        default=None, description="For so many days; the last step lasts until the end."
    )


class Exclusion(Strict):
    """A slice of a group: experiments that run at once have disjoint slices of one group, so no unit is in two."""

    group: Salt = "experiments"
    first: Annotated[float, Field(ge=0, lt=1)] = 0.0
    last: Annotated[float, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _is_a_slice(self) -> "Exclusion":
        if self.first >= self.last:
            raise ValueError(f"first {self.first:g} must be below last {self.last:g}")
        return self

    def overlaps(self, other: "Exclusion") -> bool:
        """Whether a unit can be in both. Slices of two groups are drawn by two salts, so they always share units."""
        return self.group != other.group or (self.first < other.last and other.first < self.last)
