"""May the numbers of an experiment be believed? Checked before any of them is shown.

A fault that breaks the comparison of the arms withholds the verdict and all numbers: an unhealthy experiment that
shows its numbers under a warning is read for its numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from mlguide_assets.english import agreeing, counted
from mlguide_assets.experiment.analysis.design import Design, Guardrail
from mlguide_assets.experiment.analysis.results import HealthCheck, p_text
from mlguide_assets.experiment.analysis.skewness import (
    BLOCK_SKEW,
    WARN_SKEW,
    pooled_skewness,
    skewness_left,
    what_is_needed,
)
from mlguide_assets.experiment.analysis.units import Arm, Units
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.statistics.kruskal_wallis import kruskal_wallis
from mlguide_assets.statistics.sample_ratio import (
    largest_deviation,
    sample_ratio_p_value,
    sequential_sample_ratio_p_value,
)

BLOCK, WARN = 0.001, 0.01
"""p of tests made once, and of those of balance at all looks together."""
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
    wanted = f"{planned:.2%} {'were planned' if design.weights else 'are an equal share'}"
    text = f"{arm!r} has {share:.2%} of {counted(total, 'unit')}, {wanted} ({p_text(p)})"
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
        yield _balance(units, design, covariate, len(design.measured) + place)
        if any(arm.missing[place] for arm in units.arms.values()):
            yield _missing(units, design, covariate, place)
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


def _balance(units: Units, design: Design, covariate: str, column: int) -> HealthCheck:
    """The arms must not differ in what came before them: Kruskal and Wallis's test of ranks.

    A test of means, of a level of 0.1 %, alarmed in 4 % of healthy experiments: what is known of units before, such as
    their revenue, is skewed, and a hold-back arm is small.
    """
    name, ranks = f"balance:{covariate}", units.ranks[covariate]
    if not ranks.square:
        return HealthCheck(name, 0.0, None, True, "the covariate does not vary")
    if ranks.skewness_left > BLOCK_SKEW:
        return HealthCheck(name, 0.0, None, True, "too few units differ from all others in it to be tested")
    gap = _standardised_gap(units, column)
    p = min(1.0, kruskal_wallis(ranks) * len(design.covariates) * _times_made(design))
    text = f"the means of the variants are up to {gap:.3f} standard deviations apart ({p_text(p)}, of their ranks)"
    return HealthCheck(name, gap, p, p >= BLOCK, text, warning=p < WARN)


def _missing(units: Units, design: Design, covariate: str, place: int) -> HealthCheck:
    """The arms must not differ in how many units have no value: it would not be of before the exposure.

    Its mean stands for those, so that the balance of the values cannot show it.
    """
    arms = {name: arm for name, arm in units.arms.items() if arm.closed}
    without = np.array([[arm.missing[place], arm.closed - arm.missing[place]] for arm in arms.values()])
    shares = {name: arm.missing[place] / arm.closed for name, arm in arms.items()}
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    gap = shares[most] - shares[least]
    whose = f"{most!r} and {shares[least]:.2%} of {least!r}" if gap else "each variant"
    text = f"{shares[most]:.2%} of the units of {whose} have no value"
    expected = np.outer(without.sum(1), without.sum(0)) / without.sum()
    if expected.min() < SMALLEST_EXPECTED:
        return HealthCheck(f"missing:{covariate}", gap, None, True, f"{text}; too few to be tested")
    statistic = float(((without - expected) ** 2 / expected).sum())
    p = min(1.0, float(chi2.sf(statistic, len(arms) - 1)) * len(design.covariates) * _times_made(design))
    return HealthCheck(f"missing:{covariate}", gap, p, p >= BLOCK, f"{text} ({p_text(p)})", warning=p < WARN)


def _standardised_gap(units: Units, column: int) -> float:
    """The largest difference of two arms' means, in standard deviations of all units."""
    arms = [arm for arm in units.arms.values() if arm.closed]
    n, means = np.array([arm.closed for arm in arms]), np.array([arm.means[column] for arm in arms])
    within = np.array([arm.covariances[column, column] if arm.closed > 1 else 0.0 for arm in arms])
    spread = np.average(within + (means - np.average(means, weights=n)) ** 2, weights=n) ** 0.5
    return float(np.ptp(means) / spread) if spread else 0.0


def _times_made(design: Design) -> int:
    """By what p is multiplied at a look, so that all looks together, however many follow, have the level of one.

    The sum of 1 / (k (k + 1)) over all looks is 1.
    """
    looks = len(design.looks.fractions) if design.looks else 0
    return looks * (looks + 1) if looks else 1


def _events(units: Units, design: Design, place: int, column: str) -> HealthCheck:
    informative = _expected_events if design.metrics[place].kind == "binary" else _values
    least, arm = min((informative(units, place, arm), arm) for arm in units.arms)
    passed = least >= design.minimum_events
    if design.metrics[place].kind == "binary":
        text = (
            f"if all variants were alike, {arm!r} would have {counted(least, 'unit')} in the rarer of the two outcomes"
        )
    else:
        text = f"{arm!r} has {counted(least, 'unit')} {_what_informs(units.arms[arm], place)}"
    if not passed:
        text += f"; {design.minimum_events} are needed in each variant"
    return HealthCheck(f"minimum_events:{column}", least, None, passed, text)


def _expected_events(units: Units, place: int, name: str) -> int:
    """The rarer of event and no event in an arm, as many as its share of all.

    What counts is whether the score test is near its distribution where nothing differs. An arm that hardly loses a
    unit has few events because it is good, and would otherwise never be found so.
    """
    total = sum(arm.closed for arm in units.arms.values())
    events = sum(arm.events[place] for arm in units.arms.values())
    return int(min(events, total - events) * units.arms[name].closed // max(total, 1))


def _values(units: Units, place: int, name: str) -> int:
    """Values of an arm that are not 0; none where all are alike."""
    arm = units.arms[name]
    return arm.events[place] if arm.covariances[place, place] > 0 else 0


def _what_informs(arm: Arm, place: int) -> str:
    alike = arm.closed > 1 and arm.events[place] and not arm.covariances[place, place] > 0
    return f"with another value than {arm.means[place]:.4g}" if alike else "with a value other than 0"


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
