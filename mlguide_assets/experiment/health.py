"""May the numbers of an experiment be believed? Checked before any of them is shown.

A fault that breaks the comparison of the arms withholds the verdict and all numbers: an unhealthy experiment that
shows its numbers under a warning is read for its numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from statsmodels.stats.oneway import anova_generic

from mlguide_assets.define.decision import agreeing, counted
from mlguide_assets.experiment.design import Design, Guardrail
from mlguide_assets.experiment.results import HealthCheck, p_text
from mlguide_assets.experiment.skewness import BLOCK_SKEW, WARN_SKEW, pooled_skewness, skewness_left, what_is_needed
from mlguide_assets.experiment.units import Arm, Units
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.sample_ratio import (
    largest_deviation,
    sample_ratio_p_value,
    sequential_sample_ratio_p_value,
)

BLOCK, WARN = 0.001, 0.01
"""p of tests made once."""
BLOCK_SEQUENTIAL, WARN_SEQUENTIAL = 0.01, 0.05
"""p of the sequential sample-ratio test, valid over all looks."""
SMALLEST_EXPECTED = 5.0
"""Units of each arm in a segment, below which its ratio is not tested."""


def check_health(units: Units, design: Design) -> tuple[HealthCheck, ...]:
    """Every check that the design allows, in the order in which a fault explains the next."""
    return tuple(_checks(units, design))


def sample_ratio(units: Units, design: Design, *, name: str = "sample_ratio", closed: bool = False) -> HealthCheck:
    """Did the arms get the units that were planned? All arms jointly; sequential where the design has looks."""
    counts = [arm.closed if closed else arm.units for arm in units.arms.values()]
    weights = planned_weights(units, design)
    test, block, warn = _ratio_test(design)
    p = float(test(counts, weights))
    place = largest_deviation(counts, weights)
    arm, total = list(units.arms)[place], sum(counts)
    share, planned = counts[place] / max(total, 1), weights[place] / sum(weights)
    text = f"{arm!r} has {share:.2%} of {counted(total, 'unit')}, {planned:.2%} were planned ({p_text(p)})"
    return HealthCheck(name, share, p, p >= block, text, warning=p < warn)


def planned_weights(units: Units, design: Design) -> list[float]:
    """Of each arm; an arm that was not planned has none."""
    if not design.weights:
        return [1.0] * len(units.arms)
    return [float(design.weights.get(arm, 0.0)) for arm in units.arms]


def _checks(units: Units, design: Design) -> Iterator[HealthCheck]:
    yield sample_ratio(units, design)
    for column, counts in units.segments.items():
        yield _segment_ratios(column, counts, planned_weights(units, design), design)
    yield _mixed(units)
    if design.exposed_at and design.outcome_at:
        yield _early(units)
    for place, covariate in enumerate(design.covariates):
        yield _balance(units, covariate, len(design.measured) + place, len(design.covariates))
    if design.closed:
        yield sample_ratio(units, design, name="maturity", closed=True)
    for place, metric in enumerate(design.metrics):
        yield _events(units, design, place, metric.column)
    for place, measured in enumerate(design.measured):
        if measured.kind == "mean":
            yield _skewness(units, design, place, withholds=place < len(design.metrics))


def _ratio_test(design: Design) -> tuple[Callable[[npt.ArrayLike, npt.ArrayLike], Floats], float, float]:
    """The test of a sample ratio, and the p that blocks and that warns."""
    if design.looks:
        return sequential_sample_ratio_p_value, BLOCK_SEQUENTIAL, WARN_SEQUENTIAL
    return sample_ratio_p_value, BLOCK, WARN


def _segment_ratios(
    column: str, counts: Mapping[str, Sequence[int]], weights: Sequence[float], design: Design
) -> HealthCheck:
    shares = np.array(weights) / sum(weights)
    smallest = min(share for share in shares if share)
    tested = {value: each for value, each in counts.items() if sum(each) * smallest >= SMALLEST_EXPECTED}
    name = f"sample_ratio:{column}"
    if not tested:
        return HealthCheck(name, 0.0, None, True, "no segment is large enough to be tested")
    test, block, warn = _ratio_test(design)
    p_values = test(np.array(list(tested.values())), weights)
    worst = int(np.argmin(p_values))
    value, p = list(tested)[worst], min(1.0, float(p_values[worst]) * len(tested))
    text = f"among {len(tested):,} segments, {value!r} is farthest from the plan ({p_text(p)}, Bonferroni)"
    if column in design.changing:
        if p < warn:
            text += f"; {column} is as of today: an arm may have changed it since the exposure, so this only warns"
        return HealthCheck(name, len(tested), p, True, text, warning=p < warn)
    return HealthCheck(name, len(tested), p, p >= block, text, warning=p < warn)


def _mixed(units: Units) -> HealthCheck:
    text = f"{_units(units.mixed)} seen in more than one variant" if units.mixed else "no unit is in two variants"
    return HealthCheck("mixed_exposure", units.mixed, None, not units.mixed, text)


def _early(units: Units) -> HealthCheck:
    text = f"{_units(units.early)} had the outcome before the exposure" if units.early else "no outcome is too early"
    return HealthCheck("outcome_before_exposure", units.early, None, not units.early, text)


def _balance(units: Units, covariate: str, column: int, covariates: int) -> HealthCheck:
    """The arms must not differ in what came before them: Welch's analysis of variance, Bonferroni."""
    arms = [arm for arm in units.arms.values() if arm.closed > 1]
    n = np.array([arm.closed for arm in arms])
    means = np.array([arm.means[column] for arm in arms])
    variances = np.array([arm.covariances[column, column] for arm in arms])
    if len(arms) < 2 or not (variances > 0).all():
        return HealthCheck(f"balance:{covariate}", 0.0, None, True, "the covariate does not vary")
    gap = float(np.ptp(means) / np.sqrt(np.average(variances, weights=n)))
    p = min(1.0, float(anova_generic(means, variances, n, use_var="unequal").pvalue) * covariates)
    text = f"the means of the variants are up to {gap:.3f} standard deviations apart ({p_text(p)})"
    return HealthCheck(f"balance:{covariate}", gap, p, p >= BLOCK, text, warning=p < WARN)


def _events(units: Units, design: Design, place: int, column: str) -> HealthCheck:
    least, arm = min((_informative(units, design, place, arm), arm) for arm in units.arms)
    passed = least >= design.minimum_events
    text = f"{arm!r} has {least:,} {_what_informs(units.arms[arm], design, place)}"
    if not passed:
        text += f"; {design.minimum_events} are needed in each variant"
    return HealthCheck(f"minimum_events:{column}", least, None, passed, text)


def _informative(units: Units, design: Design, place: int, name: str) -> int:
    """The rarer of event and no event; for a mean, values that are not 0, or none where all values are alike."""
    arm = units.arms[name]
    if design.metrics[place].kind == "binary":
        return min(arm.events[place], arm.closed - arm.events[place])
    return arm.events[place] if arm.covariances[place, place] > 0 else 0


def _what_informs(arm: Arm, design: Design, place: int) -> str:
    if design.metrics[place].kind == "binary":
        return "units in the rarer of the two outcomes"
    alike = arm.closed > 1 and arm.events[place] and not arm.covariances[place, place] > 0
    return f"units with another value than {arm.means[place]:.4g}" if alike else "units with a value other than 0"


def _skewness(units: Units, design: Design, place: int, *, withholds: bool) -> HealthCheck:
    """Are there enough units for the differences of the means to be nearly normal? The worst arm beside the control.

    Args:
        withholds: of a primary metric, which decides. A guardrail stays open instead, and others are warned of.
    """
    others = [arm for arm in units.arms if arm != design.control]
    left, arm = max((skewness_left(units, place, arm, design.control), arm) for arm in others)
    measured, skewness = design.measured[place], pooled_skewness(units, place)
    text = f"a skewness of {skewness:.3g}, of which {left:.2g} is left in the mean of {arm!r} less {design.control!r}"
    if left > BLOCK_SKEW:
        text += f"; {what_is_needed(left)}"
        text += ", so this guardrail cannot pass" if isinstance(measured, Guardrail) else ""
    passed = left <= BLOCK_SKEW or not withholds
    return HealthCheck(f"skewness:{measured.column}", left, None, passed, text, warning=left > WARN_SKEW)


def _units(count: int) -> str:
    return f"{counted(count, 'unit')} {agreeing(count, 'was')}"
