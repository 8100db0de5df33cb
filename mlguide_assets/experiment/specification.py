"""The experiment file: what is compared, on whom, by which metric, and when it is looked at.

This is the schema of a file and how it is read. Which experiments run is in `ledger.py`; a file says nothing of that.
"""

import hashlib
from datetime import date, timedelta
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from mlguide_assets.define.conditions import fault_of_values
from mlguide_assets.define.documents import parse_document, place_in
from mlguide_assets.define.loading import experiment_file
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import ColumnKind, Strict
from mlguide_assets.english import duration, with_article
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.salts import is_reserved
from mlguide_assets.experiment.sections import (
    LATEST,
    Arm,
    Condition,
    Day,
    Exclusion,
    Guardrail,
    Name,
    PrimaryMetric,
    RampStep,
    Salts,
    Span,
)

_ROUNDING = 1e-9


class Experiment(Strict):
    """A validated experiment file. It cannot be changed once it was started: a change is a new version."""

    name: Name
    version: Annotated[int, Field(ge=1, le=2**53)] = 1
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
    outcome_window: Span | None = Field(
        default=None,
        description="What happens to a unit within it counts, from its first exposure on. Default: the "
        "label window of the problem.",
    )
    looks: tuple[Span, ...] = Field(
        description="When results are read, counted from the start; the last one ends the experiment."
    )
    ramp: tuple[RampStep, ...] = (RampStep(share=1),)
    exclusion: Exclusion = Exclusion()
    holdout: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="Share of all units that is kept out of every experiment, always the same ones."
    )
    start: Day | None = Field(default=None, description="The first day; default: the next that is planned.")
    end: Day | None = Field(default=None, description="The first day after it; default: the last look.")

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
            raise ValueError("outcome_window: write a time longer than zero, such as 14d")
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
        if self.start is not None and (fault := self.fault_of_days(self.start)):
            raise ValueError(fault)
        return self

    @property
    def fingerprint(self) -> str:
        """Equal for files that say the same, however they are written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.version

    @property
    def title(self) -> str:
        return f"{self.name}, version {self.version}"

    def fault_of_days(self, start: date) -> str | None:
        """Why it cannot start on a day, as the end of a sentence; None where it can."""
        if start > LATEST:
            return f"start: {start} is after {LATEST}, the last day on which an experiment can start"
        if self.end is not None and self.end <= start:
            return f"end: {self.end} must be after the start, {start}: write a later day, or leave it out"
        if self.end is not None and self.end < start + self.looks[-1]:
            return f"end: {self.end} is before the last look, {start + self.looks[-1]}: add days, or drop looks"
        return None

    def window(self, problem: Problem) -> timedelta:
        """What happens to a unit within so long after its first exposure counts."""
        return self.outcome_window or problem.label.window

    def closes_after(self, problem: Problem) -> timedelta:
        """So long after its first exposure everything that counts of a unit is final, the last label included."""
        return self.window(problem) + problem.final_after

    def days_until_closed(self, problem: Problem) -> int:
        """The same in days, of which the last may have begun only."""
        return ceil(self.closes_after(problem) / timedelta(days=1))

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
        InputError: it is not valid, its units are others than those of the problem, a salt is that of another draw, or
            no look is late enough to see an outcome; the text says what to change.
    """
    refuse_without_choice(problem)
    found = parse_document(content, path, Experiment)
    faults = (
        _fault_of_unit(found, problem),
        fault_of_eligibility(found, problem),
        _fault_of_salts(found),
        _fault_of_looks(found, problem),
    )
    for fault in filter(None, faults):
        key, _, said = fault.partition(": ")
        raise InputError(f"{place_in(content, path, key)}: {said}.")
    return found


def _fault_of_looks(experiment: Experiment, problem: Problem) -> str | None:
    closes, last = experiment.closes_after(problem), experiment.looks[-1]
    if last >= closes:
        return None
    return (
        f"looks: the last look is {duration(last)} after the start, but no outcome is final "
        f"before {duration(closes)} (outcome_window {duration(experiment.window(problem))} and "
        f"{_until_final(problem)}): look later, or shorten outcome_window"
    )


def _until_final(problem: Problem) -> str:
    window, late = problem.label.window, problem.final_after - problem.label.window
    return f"label.window {duration(window)}" + (f" and arrives_within {duration(late)}" if late else "")


def refuse_without_choice(problem: Problem) -> None:
    """Raise InputError where nothing is chosen: arms are policies that choose, so there is nothing to compare."""
    if not problem.chooses:
        raise InputError(
            f"Experiments compare ways to choose, and nothing is chosen for {with_article(problem.decision.noun)}: "
            "the costs alone "
            f"say whether to act; predict.choose of the problem file names what is chosen."
        )


def _fault_of_unit(experiment: Experiment, problem: Problem) -> str | None:
    unit = problem.decision.unit_id
    if experiment.unit in (None, unit):
        return None
    return f"unit: the plan decides for {unit}, not {experiment.unit!r}: write {unit}"


def kinds_of_units(problem: Problem) -> dict[str, ColumnKind]:
    """The columns of units that eligibility can name, and their kinds; none where no table tells of the units."""
    table = problem.schema.entity(problem.decision.unit)
    return {name: column.kind for name, column in table.columns.items() if name != table.key} if table else {}


def fault_of_eligibility(experiment: Experiment, problem: Problem) -> str | None:
    """Which condition units can never meet, and what to write; None where they can meet each."""
    kinds = kinds_of_units(problem)
    for place, each in enumerate(experiment.eligibility):
        if each.column not in kinds:
            known = ", ".join(kinds) or "none are listed"
            return f"eligibility.{place}: {each.column!r} is no column of the units ({known}): name one of these"
        if not each.values and kinds[each.column] not in ("number", "integer"):
            return f"eligibility.{place}: {each.column!r} holds no numbers: give values in the place of min and max"
        if fault := fault_of_values(each.column, kinds[each.column], each.values):
            return f"eligibility.{place}: {fault}"
    return None


def _fault_of_salts(experiment: Experiment) -> str | None:
    # Here, not in the schema: what an earlier version has started goes on.
    for name, salt in experiment.salts.model_dump().items():
        if is_reserved(salt):
            return (
                f"salts.{name}: {salt!r} is a salt that other draws may have, and one salt for two draws skews "
                f"the arms: write one of its own, such as {experiment.name}/{experiment.version}/{name}"
            )
    return None


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
