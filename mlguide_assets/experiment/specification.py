"""The experiment file: what is compared, on whom, by which metric, and when it is looked at.

This is the schema of a file and how it is read. Which experiments run is in `ledger.py`; a file says nothing of that.
"""

import hashlib
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlguide_assets.define.documents import parse_document
from mlguide_assets.define.loading import experiment_file
from mlguide_assets.define.policies import Policy
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import Strict
from mlguide_assets.define.values import Duration, Share
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.design import Better

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Salt = Annotated[str, Field(pattern=r"^[\w.:/-]{1,80}$")]
MetricName = Literal["outcome", "actions"]
"""What is measured of a unit within its outcome window: whether it had the positive outcome (binary), and how many
actions it met (a mean)."""

_ROUNDING = 1e-9


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
    values: tuple[str, ...] = Field(default=(), description="One of these, as text.")
    min: float | None = None
    max: float | None = None

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


class Experiment(Strict):
    """A validated experiment file. It cannot be changed once it was started: a change is a new version."""

    name: Name
    version: Annotated[int, Field(ge=1)] = 1
    hypothesis: str
    unit: str | None = Field(
        default=None, description="The id column of what the plan decides for, such as user_id; it is never another."
    )
    salts: Salts
    arms: tuple[Arm, ...]
    control: str
    eligibility: tuple[Condition, ...] = ()
    primary: PrimaryMetric
    guardrails: tuple[Guardrail, ...] = ()
    alpha: Annotated[float, Field(gt=0, lt=0.5, description="Two-sided, over all looks and arms.")] = 0.05
    power: Annotated[float, Field(ge=0.5, lt=1)] = 0.8
    outcome_window: Duration | None = Field(
        default=None,
        description="What happens to a unit within it counts, from its first exposure on. Default: the "
        "label window of the problem.",
    )
    looks: tuple[Duration, ...] = Field(
        description="When results are read, counted from the start; the last one ends the experiment."
    )
    ramp: tuple[RampStep, ...] = (RampStep(share=1),)
    exclusion: Exclusion = Exclusion()
    holdout: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="Share of all units that is kept out of every experiment, always the same ones."
    )
    start: date | None = Field(default=None, description="The first day; default: the next that is planned.")
    end: date | None = Field(default=None, description="The first day after it; default: the last look.")

    @model_validator(mode="after")
    def _arms_are_comparable(self) -> "Experiment":
        names = [arm.name for arm in self.arms]
        if len(names) < 2:
            raise ValueError("arms: write two or more, the control among them; one arm has nothing to be compared with")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"arms: {twice!r} is stated twice; give every arm a name of its own")
        if self.control not in names:
            raise ValueError(f"control: {self.control!r} is none of the arms ({', '.join(names)})")
        total = sum(arm.weight for arm in self.arms)
        if abs(total - 1) > _ROUNDING:
            raise ValueError(f"arms: the weights sum to {total:g}; they must sum to 1")
        return self

    @model_validator(mode="after")
    def _guardrails_are_distinct(self) -> "Experiment":
        names = [each.metric for each in self.guardrails]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"guardrails: {twice!r} is stated twice; keep one")
        if self.primary.metric in names:
            raise ValueError(f"guardrails: {self.primary.metric!r} is the primary metric; leave it out")
        return self

    @model_validator(mode="after")
    def _looks_follow_one_another(self) -> "Experiment":
        if not self.looks or any(look <= timedelta(0) or look % timedelta(days=1) for look in self.looks):
            raise ValueError("looks: write whole days after the start, such as [21d, 28d]")
        if any(later <= earlier for earlier, later in pairwise(self.looks)):
            raise ValueError("looks: every look must be later than the one before")
        if self.outcome_window is not None and self.outcome_window <= timedelta(0):
            raise ValueError("outcome_window must be longer than zero")
        return self

    @model_validator(mode="after")
    def _ramp_only_grows(self) -> "Experiment":
        if not self.ramp or any(step.days is None for step in self.ramp[:-1]):
            raise ValueError("ramp: every step but the last needs its days")
        if any(later.share <= earlier.share for earlier, later in pairwise(self.ramp)):
            raise ValueError("ramp: every share must be larger than the one before, so that no unit leaves")
        return self

    @model_validator(mode="after")
    def _days_are_in_order(self) -> "Experiment":
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} must be after start {self.start}")
        if self.start is not None and self.end is not None and self.end < self.start + self.looks[-1]:
            raise ValueError(
                f"end {self.end} is before the last look, {self.start + self.looks[-1]}: add days, or drop looks"
            )
        return self

    @property
    def fingerprint(self) -> str:
        """Equal for files that say the same, however they are written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def title(self) -> str:
        return f"{self.name}, version {self.version}"

    def window(self, problem: Problem) -> timedelta:
        """What happens to a unit within so long after its first exposure counts."""
        return self.outcome_window or problem.label.window

    def closes_after(self, problem: Problem) -> timedelta:
        """So long after its first exposure everything that counts of a unit is final, the last label included."""
        return self.window(problem) + problem.label.window

    def share_on(self, days: int) -> float:
        """The share of the units that take part so many days after the start; 0 before it."""
        if days < 0:
            return 0.0
        for step in self.ramp[:-1]:
            days -= step.days or 0
            if days < 0:
                return step.share
        return self.ramp[-1].share


def parse_experiment(content: bytes, path: Path, problem: Problem) -> Experiment:
    """Validate the content of an experiment file for a problem; `path` is named in errors.

    Raises:
        InputError: it is not valid, its units are others than those of the problem, or no look is late enough to see an
            outcome; the text says what to change.
    """
    refuse_without_choice(problem)
    found = parse_document(content, path, Experiment)
    _refuse_other_units(found, path, problem)
    closes = found.closes_after(problem)
    if found.looks[-1] < closes:
        raise InputError(
            f"{path}, looks: the last look is {_days(found.looks[-1])} after the start, but no outcome is final before "
            f"{_days(closes)} (outcome_window {_days(found.window(problem))} and label.window "
            f"{_days(problem.label.window)}): look later, or shorten outcome_window."
        )
    return found


def refuse_without_choice(problem: Problem) -> None:
    """Raise InputError where nothing is chosen: arms are policies that choose, so there is nothing to compare."""
    if not problem.chooses:
        raise InputError(
            f"Experiments compare ways to choose, and nothing is chosen for a {problem.decision.noun}: the costs alone "
            f"say whether to act; predict.choose of the problem file names what is chosen."
        )


def _refuse_other_units(experiment: Experiment, path: Path, problem: Problem) -> None:
    unit = problem.decision.unit_id
    if experiment.unit not in (None, unit):
        raise InputError(f"{path}, unit: the plan decides for {unit}, not {experiment.unit!r}: write {unit}.")
    table = problem.schema.entity(problem.decision.unit)
    kinds = {name: column.kind for name, column in table.columns.items() if name != table.key} if table else {}
    for place, each in enumerate(experiment.eligibility):
        if each.column not in kinds:
            known = ", ".join(kinds) or "none are listed"
            raise InputError(
                f"{path}, eligibility.{place}: {each.column!r} is no column of the units ({known}): name one of these."
            )
        if not each.values and kinds[each.column] not in ("number", "integer"):
            raise InputError(
                f"{path}, eligibility.{place}: {each.column!r} holds no numbers: give values in the place of min and "
                f"max."
            )


def load_experiment(name_or_file: str, problem: Problem) -> tuple[Experiment, str]:
    """A shipped experiment by its name, or any experiment file by its path; and its text.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not valid.
    """
    path = experiment_file(name_or_file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"The experiment file {path} cannot be read ({error.strerror or error}): check its path."
        ) from error
    return parse_experiment(content, path, problem), content.decode()


def _days(span: timedelta) -> str:
    return f"{span / timedelta(days=1):g} days"
