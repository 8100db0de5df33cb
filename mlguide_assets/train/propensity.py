"""Weights that undo the choosing: what a model learns from decisions that an earlier model made.

A choice that a plan made with propensity p, out of K candidates that it might have chosen, counts as 1 / (K p) choices:
in the mean over many each candidate then counts alike, as if it had been drawn uniformly (inverse propensity weighting;
Horvitz and Thompson 1952). Weights trade bias for variance. They pay where the choosing model knew more of the units
than the features do; where it knew the same, the features already account for the choice, and weights only cost rows.
"""

from typing import Any

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.decision import Decision

Ratios = npt.NDArray[np.float64]
_ROW, _AT = "_row", "_at"


def uniform_ratios(rows: pa.Table, plans: ibis.Table | None, decision: Decision) -> Ratios:
    """What a uniform choice would have given each row, relative to what its plan gave it (n,); NaN without a plan.

    A plan chose what happened to the same unit with the same candidate on the plan's day, after the plan was made; of
    several such, the first. A plan that drew nothing made no other choice possible, so there is nothing to undo.

    Args:
        rows: the ids and the time of n decisions.
        plans: rows of the plan, of any days; or none.
    """
    ratios = np.full(rows.num_rows, np.nan)
    if plans is None or decision.choose_id is None:
        return ratios
    keys = [decision.unit_id, decision.choose_id, decision.time]
    made = ibis.memtable(rows.select(keys).append_column(_ROW, pa.array(np.arange(rows.num_rows))))
    found = made.inner_join(planned_ratios(made.drop(_ROW), plans, decision), keys).select(_ROW, "ratio")
    read: Any = plans.get_backend().to_pyarrow(found)
    ratios[read[_ROW].to_numpy()] = read["ratio"].to_numpy()
    return ratios


def planned_ratios(made: ibis.Table, plans: ibis.Table, decision: Decision) -> ibis.Table:
    """The decisions that a plan chose, with their `ratio`, see `uniform_ratios`.

    Args:
        made: ids of the unit and of what was chosen, and the time, of decisions.
    """
    pair, time = [decision.unit_id, str(decision.choose_id)], decision.time
    dated = made.rename({_AT: time}).mutate(scoring_date=made[time].date())
    # Plans of earlier versions knew one policy, which might choose any of its candidates.
    supported = plans.supported.fill_null(plans.candidates) if "supported" in plans.columns else plans.candidates
    chosen = plans.mutate(supported=supported)
    drawn = (chosen.exploration_share > 0) | (chosen.propensity < 1)
    chosen = chosen.filter(chosen.decision == decision.actions[0], drawn)
    chosen = chosen.mutate(ratio=1 / (chosen.supported * chosen.propensity))
    chosen = chosen.select(*pair, "scoring_date", "planned_at", "ratio")
    both = dated.inner_join(chosen, [*pair, "scoring_date"])
    followed = both.filter(both[_AT] > both.planned_at).group_by(*pair, "scoring_date")
    first = followed.agg(both[_AT].min().name(time), both.ratio.max().name("ratio"))
    return first.drop("scoring_date")


def propensity_weights(ratios: Ratios, *, max_weight: float, mean: float | None = None) -> npt.NDArray[np.float64]:
    """The weight of each decision (n,): 1 without a plan, else its ratio, of mean 1 over the planned, then clipped.

    Args:
        ratios: as `uniform_ratios` gives them.
        max_weight: none counts more. Clipping gives up some of the correction for less variance.
        mean: of the ratios of the planned, where these are some rows of many.
    """
    planned = ~np.isnan(ratios)
    weights = np.ones(len(ratios))
    if planned.any():
        weights[planned] = np.minimum(ratios[planned] / (ratios[planned].mean() if mean is None else mean), max_weight)
    return weights


def effective_sample_size(weights: npt.NDArray[np.float64]) -> float:
    """As many rows of equal weight have the variance of these (Kish 1965): (sum w)^2 / sum w^2; 0 without rows.

    >>> round(effective_sample_size(np.array([1.0, 1.0, 1.0, 5.0])), 2)
    2.29
    """
    return float(weights.sum() ** 2 / (weights**2).sum()) if len(weights) else 0.0
