"""What an experiment will need and find, before anything starts: units, days, the smallest effect that it can detect.

The baseline is what would have been measured of the same units, had they been exposed as late as their outcomes are
final today: an experiment without a treatment, on the past.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.english import agreeing, counted, duration
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.actions import joined_by
from mlguide_assets.experiment.analysis.design import MINIMUM_EVENTS
from mlguide_assets.experiment.eligibility import eligible
from mlguide_assets.experiment.outcomes import OUTCOME, ended_before, unit_outcomes
from mlguide_assets.experiment.sections import LONGEST
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.statistics.power import Baseline, smallest_detectable_change, units_needed

_RECENT = timedelta(days=28)
"""Over which the arrival of new units is measured."""

_STEP = 0.01


@dataclass(frozen=True)
class Population:
    """Who could take part, and what has been measured of them.

    Attributes:
        units: eligible units that actions still reach, at present.
        lost: other units that are eligible, but had the outcome that ends a unit.
        units_per_day: new ones that arrive, on average.
        measured: units that the baseline is of.
        baseline: the primary metric of a unit within the outcome window.
    """

    units: int
    units_per_day: float
    measured: int
    baseline: Baseline
    lost: int = 0


@dataclass(frozen=True)
class Sizing:
    """What an experiment will need, and what it can find.

    Attributes:
        population: who could take part.
        looks: days after the start, and the units of all arms whose outcome is final by then.
        planned_units: those at the last look.
        needed_units: of all arms, to find the file's smallest effect with its power; None where the baseline has no
            outcome to plan from.
        needed_days: days after the start until so many outcomes are final; None where units arrive too slowly.
        detectable: the smallest relative change that the planned units find; None where there is none.
        events: expected at the last look in the smallest arm, of a binary metric.
    """

    population: Population
    looks: tuple[tuple[int, int], ...]
    planned_units: int
    needed_units: int | None
    needed_days: int | None
    detectable: float | None
    events: float | None

    @property
    def is_enough(self) -> bool:
        """Whether the last look comes with enough units and events."""
        enough = self.needed_units is not None and self.planned_units >= self.needed_units
        return enough and (self.events is None or self.events >= MINIMUM_EVENTS)

    @property
    def verdict(self) -> str:
        """Whether it is large enough, and what helps where it is not: later looks only where they see more units."""
        if self.is_enough:
            return "It is large enough."
        if self.needed_units is None:
            return "It cannot be planned: without an outcome that varies, nobody knows how many units it needs."
        more = "aim at a larger effect, let a larger share take part, or widen eligibility"
        few = self.planned_units < self.needed_units
        if few and self.needed_days is not None:
            return f"It is too small: look on day {self.needed_days:,} or later, or {more}."
        if not self.population.units_per_day:
            return f"It is too small, and later looks do not help, since no new units arrive: {more}."
        return (
            f"It is too small: {more}." if few else "It is too small: look later, since too few outcomes are expected."
        )


def population_of(
    experiment: Experiment, problem: Problem, *, actions: ibis.Table, members: ibis.Table, until: datetime
) -> Population:
    """Count who could take part, and measure what became of those who could have.

    Args:
        actions: as of `actions.actions_of`.
        members: as of `actions.members_of`.
        until: the data's clock.

    Raises:
        InputError: the data are shorter than it takes until an outcome is final, or no unit is eligible.
    """
    closes = experiment.closes_after(problem)
    first = actions[problem.decision.time].min().to_pyarrow().as_py()
    if first is None or until - first < closes:
        span = (until - first) / timedelta(days=1) if first is not None else 0
        raise InputError(
            f"{experiment.title}: an outcome is final {duration(closes)} after the "
            "exposure, but the "
            f"data span {counted(round(span), 'day')}: shorten outcome_window, or read a longer history."
        )
    may = eligible(members, experiment.eligibility, problem)
    now, lost = _still_there(may, actions, problem, until), ended_units(may, actions, problem, until)
    joined = joined_by(now, problem)
    # Of units whose beginning no table says, none is new.
    recent = ibis.literal(0) if joined is None else (joined > ibis.timestamp(until - _RECENT)).fill_null(False).sum()
    there = now.agg(units=now.count(), recent=recent).to_pyarrow().to_pylist()[0]
    if not there["units"]:
        raise InputError(f"{experiment.title}: no unit is eligible: {_remedy(lost)}.")
    measured = _measured(experiment, problem, may, actions, until)
    return Population(
        units=there["units"],
        units_per_day=(there["recent"] or 0) / _RECENT.days,
        measured=measured["units"],
        baseline=Baseline(
            measured["mean"] or 0.0, None if experiment.primary.metric == OUTCOME else measured["sd"] or 0.0
        ),
        lost=lost,
    )


def size_of(experiment: Experiment, problem: Problem, population: Population) -> Sizing:
    """What follows from a population: units over the looks, and which effect they find."""
    closes = experiment.days_until_closed(problem)
    days = [look.days for look in experiment.looks]
    looks = tuple((day, round(_units_on(experiment, population, day - closes))) for day in days)
    planned = looks[-1][1]
    fractions = _fractions([units for _, units in looks])
    both, share = _smallest_comparison(experiment)
    options: dict[str, Any] = {
        "alpha": experiment.alpha / (len(experiment.arms) - 1),
        "power": experiment.power,
        "share": share,
        "looks": fractions,
    }
    primary, baseline = experiment.primary, population.baseline
    decrease = primary.better == "lower"
    change = -primary.smallest_effect if decrease else primary.smallest_effect
    # A mean that is the same for all units says nothing of how it varies.
    if not baseline.mean or baseline.deviation == 0 or not planned:
        return Sizing(population, looks, planned, None, None, None, _events(experiment, population, planned))
    needed = round(units_needed(baseline, change, **options) / both)
    return Sizing(
        population=population,
        looks=looks,
        planned_units=planned,
        needed_units=needed,
        needed_days=next(
            (day + closes for day in range(LONGEST.days) if _units_on(experiment, population, day) >= needed), None
        ),
        detectable=smallest_detectable_change(baseline, round(planned * both), decrease=decrease, **options),
        events=_events(experiment, population, planned),
    )


def _measured(
    experiment: Experiment,
    problem: Problem,
    may: ibis.Table,
    actions: ibis.Table,
    until: datetime,
) -> dict[str, Any]:
    """Units, mean and standard deviation of the primary metric, had all been exposed as late as possible."""
    exposed_at = until - experiment.closes_after(problem)
    joined = joined_by(may, problem)
    there = may if joined is None else may.filter((joined <= ibis.timestamp(exposed_at)).fill_null(True))
    there = _still_there(there, actions, problem, exposed_at)
    exposures = there.select(unit_id=there.id, arm=ibis.literal(""), exposed_at=ibis.timestamp(exposed_at))
    units = unit_outcomes(exposures, actions, may, experiment, problem, until=until)
    metric = units[experiment.primary.metric].cast("float64")
    found: dict[str, Any] = (
        units.agg(units=metric.count(), mean=metric.mean(), sd=metric.std(how="sample")).to_pyarrow().to_pylist()[0]
    )
    return found


def _still_there(members: ibis.Table, actions: ibis.Table, problem: Problem, instant: datetime) -> ibis.Table:
    gone = ended_before(actions, problem, instant)
    return members.anti_join(gone, members.id == gone[problem.decision.unit_id])


def ended_units(members: ibis.Table, actions: ibis.Table, problem: Problem, instant: datetime) -> int:
    """How many of some units a positive outcome ended before an instant (`label.ends_unit`)."""
    if not problem.ends_unit:
        return 0
    gone = ended_before(actions, problem, instant)
    lost = members.semi_join(gone, members.id == gone[problem.decision.unit_id])
    return int(lost.count().to_pyarrow().as_py())


def _remedy(lost: int) -> str:
    """What helps where no unit is left, the units among them that the outcome ended."""
    if not lost:
        return "widen eligibility"
    whom = f"{counted(lost, 'unit')} that would be {agreeing(lost, 'has')} had the outcome before"
    return f"{whom}; set label.ends_unit of the problem file to false if actions still reach them, or widen eligibility"


def _units_on(experiment: Experiment, population: Population, day: int) -> float:
    """Units that take part so many days after the start."""
    if day < 0:
        return 0.0
    slice_ = (experiment.exclusion.last - experiment.exclusion.first) * (1 - experiment.holdout)
    return experiment.share_on(day) * slice_ * (population.units + population.units_per_day * day)


def _fractions(units: Sequence[int]) -> list[float]:
    """Information fractions of the looks that see any unit; each above the one before."""
    fractions: list[float] = []
    for count in units:
        if count:
            fractions.append(max(count / units[-1], fractions[-1] + _STEP if fractions else 0.0))
    return [fraction / fractions[-1] for fraction in fractions] or [1.0]


def _smallest_comparison(experiment: Experiment) -> tuple[float, float]:
    """Of the control and the smallest other arm: their share of all units, and the other's share of both."""
    control = next(arm.weight for arm in experiment.arms if arm.name == experiment.control)
    other = min(arm.weight for arm in experiment.arms if arm.name != experiment.control)
    return control + other, other / (control + other)


def _events(experiment: Experiment, population: Population, planned: int) -> float | None:
    if experiment.primary.metric != OUTCOME:
        return None
    rate, weight = population.baseline.mean, min(arm.weight for arm in experiment.arms)
    expected = rate * (1 - experiment.primary.smallest_effect) if experiment.primary.better == "lower" else rate
    return planned * weight * expected
