"""Sections of a problem file about going live: the gate, the experiment that it may wait for, and the canary.

The schema alone. The gate is in `deploy/`, experiments and canaries are in `experiment/`.
"""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlguide_assets.define.schema import Strict
from mlguide_assets.define.values import Share
from mlguide_assets.english import agreeing, counted


class Gate(Strict):
    """What a model must show before it may become champion."""

    min_gain: float = Field(
        default=0.0, ge=0, description="The lower end of the gain over the base rate, in the primary metric."
    )
    permutations: int = Field(default=1000, ge=100)
    max_p_value: Annotated[float, Field(gt=0, le=0.5)] = 0.01
    max_violations: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.05, description="Share of rows that may break any one rule that only warns."
    )
    champion_margin: float = Field(
        default=0.0, ge=0, description="How much worse than the champion the interval may reach; 0: it must be better."
    )
    min_fresh_positives: int = Field(
        default=100,
        ge=1,
        description="Minimum number of positive labels after the champion's training, to compare it as it serves.",
    )
    max_calibration_error: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.01,
        description="Mean distance of probabilities and rates that is accepted; a significantly larger one is not.",
    )
    max_slice_gap: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.1,
        description="ROC AUC gap of a slice to all rows that is accepted; a significantly larger one is not.",
    )
    max_group_gap: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="Maximum difference in withheld share between sensitive groups; default: not tested.",
    )
    max_bundle_megabytes: Annotated[float, Field(gt=0)] = 20.0
    max_latency_ms: Annotated[float, Field(gt=0)] = Field(default=5.0, description="Scoring one row, median.")


class Experimenting(Strict):
    """The experiment that tests the hypothesis, and what an experiment on a model's decisions means to the gate."""

    file: str | None = Field(
        default=None,
        description="A shipped experiment, or an experiment file, relative to this one. It starts by itself once "
        "there is a champion, where days go on.",
    )
    required: bool = Field(
        default=False,
        description="Whether a model that passed the gate waits for an experiment that says ship; else it is reported.",
    )


CanaryMetric = Literal["outcome", "withheld", "errors", "slow"]
"""What is counted while a version goes live: units that had the positive outcome, that were withheld from, that the
version failed to answer, for whose answer it took longer than `slow_ms`."""

Margin = Annotated[float, Field(gt=0, le=10)]


class Canary(Strict):
    """How a model that passed the gate goes live: for few units first, watched, and back by itself where it harms."""

    ramp: tuple[Share, ...] = Field(
        default=(0.01, 0.05, 0.2, 0.5), min_length=1, description="Of the units, step by step; who is in stays in."
    )
    days_per_step: Annotated[int, Field(ge=1, le=90)] = 2
    min_events: Annotated[int, Field(ge=1)] = Field(
        default=25,
        description="Units that had the outcome: so many more of both arms before each next step, and so many of its "
        "own before a version is promoted.",
    )
    guardrails: dict[CanaryMetric, Margin] = Field(
        default={"outcome": 0.2, "errors": 0.5, "slow": 0.5},
        min_length=1,
        description="The accepted relative change for the worse; significantly beyond it, the canary is aborted.",
    )
    signals: dict[CanaryMetric, Margin] = Field(
        default={"withheld": 0.5}, description="Beyond it, even if not significantly, the ramp pauses."
    )
    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        default=0.05, description="How often a harmless version is aborted at most, over all looks and guardrails."
    )
    slow_ms: Annotated[float, Field(gt=0)] = Field(
        default=50.0, description="A model that takes longer for an answer is slow."
    )
    give_up_after: Annotated[int, Field(ge=1, le=365)] = Field(
        default=60, description="Days after which a canary without a decision ends, and the champion stays."
    )

    @model_validator(mode="after")
    def _ramp_only_grows(self) -> "Canary":
        if any(later <= earlier for earlier, later in pairwise(self.ramp)):
            raise ValueError("ramp: every share must be larger than the one before, so that no unit leaves")
        if self.give_up_after <= self.days_per_step * len(self.ramp):
            raise ValueError(
                f"give_up_after: {counted(self.give_up_after, 'day')} {agreeing(self.give_up_after, 'end')} before "
                "the ramp can, which takes "
                f"{counted(self.days_per_step * len(self.ramp), 'day')}; write more"
            )
        return self
