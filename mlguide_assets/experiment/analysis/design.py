"""What an analysis must know beside the data: columns, arms, metrics, margins, looks. It was all decided beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

from mlguide_assets.english import percent
from mlguide_assets.errors import InputError

Kind = Literal["binary", "mean"]
Better = Literal["higher", "lower"]

MINIMUM_EVENTS = 25
"""Per arm. Below it, intervals of rates are too short: at 6 events, those of 95 % cover 89 %."""


@dataclass(frozen=True)
class Metric:
    """A column of outcomes, one number per unit.

    Several rows of a unit are made one: a binary metric is 1 where any of them is, a mean metric is their sum.

    Attributes:
        column: its name in the data.
        kind: `binary` (0 or 1; compared as proportions) or `mean` (any number; compared as means).
        better: which direction is an improvement.
    """

    column: str
    kind: Kind = "binary"
    better: Better = "higher"


@dataclass(frozen=True)
class Guardrail:
    """A column that must not get worse by more than a margin: a one-sided test of non-inferiority.

    Attributes:
        margin: the largest loss that is acceptable, positive: in the column's own unit (0.002 of a rate is 0.2
            percentage points), or a share of the control's value where `relative`.
        better: None where it may not move by more than the margin in either direction.
    """

    column: str
    margin: float
    kind: Kind = "binary"
    better: Better | None = None
    relative: bool = False

    def __post_init__(self) -> None:
        if not (isfinite(self.margin) and self.margin > 0):
            raise InputError(f"The margin of guardrail {self.column!r} must be above 0, not {self.margin:g}.")
        if self.relative and self.better != "lower" and self.margin >= 1:
            written = f"{self.column}:{min(self.margin, 99):g}%" + (":higher" if self.better else "")
            raise InputError(
                f"The margin of guardrail {self.column!r} is {percent(self.margin)} of the control's value: a limit "
                f"that is never exceeded; write a smaller share, such as {written}."
            )


@dataclass(frozen=True)
class Looks:
    """The looks of a group-sequential design up to the present one.

    Attributes:
        fractions: of the planned information (units whose outcome window is closed, over those planned) at each look
            so far, this one last.
        final: no look follows, so this one spends all of alpha that is left.
    """

    fractions: tuple[float, ...]
    final: bool = False

    def __post_init__(self) -> None:
        steps = zip((0.0, *self.fractions), self.fractions, strict=False)
        if not self.fractions or not all(before < after for before, after in steps):
            raise InputError(f"The information at each look must be above that before, not {self.fractions}.")


@dataclass(frozen=True)
class Design:
    """How an experiment is analysed.

    Attributes:
        unit: column of the unit's id. Several rows of one unit are aggregated first.
        variant: column of the arm.
        control: the arm that the others are compared with.
        metrics: the primary metrics; the verdict is theirs, with Holm's correction over arms and metrics.
        guardrails: all must pass before anything ships.
        secondary: exploratory metrics (Benjamini-Hochberg); they never decide.
        covariates: numeric columns known before exposure. They are checked for balance, and reduce variance (CUPED).
        segments: columns in each of whose values the ratio of the arms is checked.
        changing: those of them whose values may be younger than the exposure. An arm may have changed them, so their
            check only warns.
        weights: planned share of each arm, in any unit; empty: equal shares of the arms found.
        alpha: two-sided level of the primary metrics, and one-sided level of each guardrail.
        looks: None where the analysis is made once, with a sample size fixed beforehand.
        closed: boolean column, true where the unit's outcome window has closed. Others are counted as waiting, and
            may have no outcome. None: all are closed.
        exposed_at, outcome_at: columns of times; no outcome may come before the exposure.
        trigger: boolean column, true for units to which the arms would have done something different. They are
            analysed by themselves as well.
        smallest_effect: relative change of the primary metric worth finding; an interval that excludes it is a reason
            to keep the control.
        minimum_events: per arm and primary metric; of a binary one, those of the arm if all arms were alike.
    """

    unit: str
    variant: str
    control: str
    metrics: tuple[Metric, ...]
    guardrails: tuple[Guardrail, ...] = ()
    secondary: tuple[Metric, ...] = ()
    covariates: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    changing: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    alpha: float = 0.05
    looks: Looks | None = None
    closed: str | None = None
    exposed_at: str | None = None
    outcome_at: str | None = None
    trigger: str | None = None
    smallest_effect: float | None = None
    minimum_events: int = MINIMUM_EVENTS

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 0.5:
            raise InputError(f"alpha must be above 0 and below 0.5, such as 0.05, not {self.alpha:g}.")
        if not self.metrics:
            raise InputError("An experiment needs at least one metric.")
        if any(not isfinite(weight) or weight < 0 for weight in self.weights.values()):
            raise InputError(f"Weights must be numbers of at least 0, not {list(self.weights.values())}.")
        if self.weights and not self.weights.get(self.control):
            raise InputError(f"The control {self.control!r} must have a weight above 0.")

    @property
    def measured(self) -> tuple[Metric | Guardrail, ...]:
        """Every column of outcomes: primary metrics, guardrails, secondary metrics."""
        return (*self.metrics, *self.guardrails, *self.secondary)
