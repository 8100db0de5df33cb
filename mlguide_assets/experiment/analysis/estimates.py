"""The effect of each arm on each column: per unit, by intention to treat, of units whose outcome window has closed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from scipy.stats import norm

from mlguide_assets.experiment.analysis.design import Design, Guardrail, Looks
from mlguide_assets.experiment.analysis.guardrails import guardrail_outcome
from mlguide_assets.experiment.analysis.results import Effect, Outcome, Role
from mlguide_assets.experiment.analysis.skewness import BLOCK_SKEW, skewness_left
from mlguide_assets.experiment.analysis.units import Units
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.comparison import Comparison
from mlguide_assets.statistics.cuped import adjust, variance_reduction
from mlguide_assets.statistics.means import compare_means
from mlguide_assets.statistics.multiplicity import benjamini_hochberg, holm
from mlguide_assets.statistics.proportions import Events, compare_proportions
from mlguide_assets.statistics.sequential import boundaries, repeated_p_value


def estimate_effects(units: Units, design: Design) -> tuple[Effect, ...]:
    """Every arm beside the control, column by column: primary metrics, then guardrails, then secondary metrics."""
    arms = [arm for arm in units.arms if arm != design.control]
    found = [_estimate(units, design, place, arm) for place in range(len(design.measured)) for arm in arms]
    primary, guardrails, secondary = (
        [each for each in found if each.role == role] for role in ("primary", "guardrail", "secondary")
    )
    return (*_adjusted(primary, holm), *guardrails, *_adjusted(secondary, benjamini_hochberg))


def look_level(alpha: float, looks: Looks | None) -> float:
    """The two-sided level of a single test made at the present look, where all looks together have level alpha."""
    return alpha if looks is None else float(2 * norm.sf(boundaries(information(looks), alpha)[-1]))


def information(looks: Looks) -> tuple[float, ...]:
    """The fractions of the looks so far; a final look spends what is left, however few units there are."""
    *before, last = looks.fractions
    return (*before, max(1.0, last)) if looks.final else looks.fractions


def _estimate(units: Units, design: Design, place: int, arm: str) -> Effect:
    measured = design.measured[place]
    found, reduction = _compare(units, design, place, arm, look_level(design.alpha, design.looks))
    skewness = skewness_left(units, place, arm, design.control) if measured.kind == "mean" else 0.0
    outcome: Outcome | None = None
    if isinstance(measured, Guardrail):
        one_sided, _ = _compare(units, design, place, arm, look_level(2 * design.alpha, design.looks))
        outcome = guardrail_outcome(measured, one_sided) if skewness <= BLOCK_SKEW else "open"
    return Effect(
        variant=arm,
        metric=measured.column,
        kind=measured.kind,
        role=_role(design, place),
        better=measured.better,
        control=found.control,
        treatment=found.treatment,
        difference=found.difference,
        ratio=found.ratio,
        p=_over_looks(found.p_value, design.looks),
        guardrail=outcome,
        variance_reduction=reduction,
        skewness=skewness,
    )


def _role(design: Design, place: int) -> Role:
    if place < len(design.metrics):
        return "primary"
    return "guardrail" if place < len(design.metrics) + len(design.guardrails) else "secondary"


def _compare(units: Units, design: Design, place: int, arm: str, alpha: float) -> tuple[Comparison, float | None]:
    """The arm beside the control at a two-sided level, and the variance that covariates took out, if there are any."""
    compared = units.arms[design.control], units.arms[arm]
    events = [Events(each.events[place], each.closed) for each in compared]
    few = min(min(each.events, each.units - each.events) for each in events) < design.minimum_events
    # Means of a rare event have intervals that are too short, or none at all where no unit had it.
    if design.measured[place].kind == "binary" and (few or not design.covariates):
        return compare_proportions(*events, alpha=alpha), None
    moments = {name: each.moments(place, len(design.covariates)) for name, each in units.arms.items()}
    before = moments[design.control].outcome, moments[arm].outcome
    after = adjust(moments, design.control, arm) if design.covariates else None
    if after is None:
        return compare_means(*before, alpha=alpha), None
    return compare_means(*after, alpha=alpha), variance_reduction(before, after)


def _over_looks(p: float, looks: Looks | None) -> float:
    return p if looks is None else repeated_p_value(float(norm.isf(p / 2)), information(looks))


def _adjusted(effects: Sequence[Effect], adjust: Callable[[list[float]], Floats]) -> list[Effect]:
    p_values = adjust([each.p for each in effects])
    return [replace(each, p_adjusted=float(p)) for each, p in zip(effects, p_values, strict=True)]
