"""Sections of a problem file about what is chosen: candidates, exploration, and the shares of the policies.

The schema alone. Plans are made in `deploy/`.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from mlguide_assets.define.schema import Strict


class Scoring(Strict):
    """The candidates that batch predictions choose from."""

    candidates: int = Field(default=20, ge=1, le=1000, description="The newest, as of the scoring date.")


class Exploration(Strict):
    """The random share of the plan, and what training does with the propensities that it leaves."""

    share: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Of the units that get a candidate: whose is drawn at random; 0: none."
    )
    salt: Annotated[str, Field(pattern=r"^[\w.-]{1,80}$")] = Field(
        default="exploration", description="Another salt draws other units and candidates; the same draws the same."
    )
    weight_training: bool = Field(
        default=False, description="Whether decisions that a plan chose count by the inverse of their propensity."
    )
    max_weight: Annotated[float, Field(gt=1)] = Field(
        default=5.0, description="The most that one of them may count, where 1 is the mean."
    )


Policy = Literal["generic", "champion", "challenger", "random"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
MODEL_POLICIES: tuple[Policy, ...] = ("champion", "challenger")
"""The policies that a model decides by."""

PolicyShare = Annotated[float, Field(ge=0, le=1)]


class Policies(Strict):
    """Which share of the units follows which policy of the plan; a unit stays with its own."""

    generic: PolicyShare = Field(default=0.0, description="One candidate for all units on a day; none is withheld.")
    champion: PolicyShare = Field(default=0.0, description="The model in production chooses, and explores.")
    challenger: PolicyShare = Field(default=0.0, description="The same with the challenger's scores, if there is one.")
    random: PolicyShare = Field(default=0.0, description="One of the candidates, all equally likely.")

    @model_validator(mode="after")
    def _all_users_have_one(self) -> "Policies":
        total = sum(self.shares.values())
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares sum to {total:g}; they must sum to 1, such as {{champion: 0.9, random: 0.1}}")
        return self

    @property
    def shares(self) -> dict[Policy, float]:
        return {policy: getattr(self, policy) for policy in POLICIES}
