"""From a log to an answer: the value of a policy, or why there is none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlguide_assets.english import counted
from mlguide_assets.experiment.off_policy.estimators import LOGGED, REPEATS, Value, estimate
from mlguide_assets.experiment.off_policy.log import PolicyLog, Predictions
from mlguide_assets.experiment.off_policy.support import Diagnostics, diagnose, refusal
from mlguide_assets.statistics.intervals import Estimate


@dataclass(frozen=True)
class Evaluation:
    """What a log says of a target policy.

    Attributes:
        logged: value of the logging policy per decision, the plain mean of the rewards.
        estimates: of the target, by estimator; empty where the log does not support it.
        supported: whether it does.
        reason: why, or why not.
    """

    logged: Estimate
    estimates: Mapping[str, Value]
    diagnostics: Diagnostics
    supported: bool
    reason: str


def evaluate(
    log: PolicyLog, predict: Callable[[], Predictions] | None = None, *, repeats: int = REPEATS, seed: int = 0
) -> Evaluation:
    """Estimate the value of a log's target policy, unless the log gives it too little support.

    Args:
        predict: makes the predictions of an outcome model, and is called only where the log supports the target.
            Without it there are no model-based estimates.

    A target that takes one of two actions, which the log took at random, in 3 of 10 cases with success:

    >>> import numpy as np
    >>> chance = np.random.default_rng(0)
    >>> log = PolicyLog(
    ...     units=np.arange(4000), rewards=chance.binomial(1, 0.3, 4000).astype(float),
    ...     propensities=np.full(4000, 0.5), target=chance.integers(0, 2, 4000).astype(float),
    ... )
    >>> found = evaluate(log, repeats=100)
    >>> found.supported, round(found.estimates["snips"].value.value, 2)
    (True, 0.29)
    """
    found = diagnose(log)
    refused = refusal(found)
    predictions = predict() if predict and refused is None else None
    estimates = estimate(log, predictions, repeats=repeats, seed=seed)
    logged = estimates.pop(LOGGED).value
    if refused is not None:
        return Evaluation(logged, {}, found, False, refused)
    reason = (
        f"The weights leave as much information as {found.effective_sample_size:,.0f} of "
        f"{counted(found.rows, 'row')}, and "
        f"their mean is {found.mean_weight:.3f}."
    )
    return Evaluation(logged, estimates, found, True, reason)
