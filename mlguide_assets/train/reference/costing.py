"""What a decision costs, by the bin that a column's value is in: with it, drift of a column has a price.

If only the distribution of one column changes, from shares p to shares q of its bins, and within each bin everything
stays as it was, then the mean cost of a decision changes by the sum over the bins of (q - p) times the bin's mean cost.
The bins' mean costs are frozen with the reference profile.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.training import Costs
from mlguide_assets.statistics.arrays import Floats
from mlguide_assets.train.evaluation.decisions import PER
from mlguide_assets.train.reference.bins import Bins, Counts
from mlguide_assets.train.reference.profile import ColumnProfile, Profile


def expected_costs(probabilities: Floats, costs: Costs) -> Floats:
    """Expected cost of each decision (n,), given the probability of the positive outcome (n,)."""
    withheld = probabilities >= costs.threshold
    return np.where(withheld, (1 - probabilities) * costs.false_alarm, probabilities * costs.missed)


def realised_costs(labels: npt.NDArray[np.bool_], probabilities: Floats, costs: Costs) -> Floats:
    """What each decision did cost (n,), given whether its outcome was positive (n,)."""
    withheld = probabilities >= costs.threshold
    return np.where(withheld, ~labels * costs.false_alarm, labels * costs.missed)


def with_costs(profile: Profile, rows: pa.Table, costs: Mapping[str, Floats]) -> Profile:
    """The profile with the mean cost of a decision in each bin of each column.

    Args:
        rows: those that the profile was made from.
        costs: by column, the cost of each row's decision (n,).
    """
    columns = (
        replace(column, costs=_mean_costs(rows[column.name], column.bins, costs[column.name]))
        for column in profile.columns
    )
    return replace(profile, columns=tuple(columns))


def cost_effect(column: ColumnProfile, counts: Counts) -> float | None:
    """What the new distribution of a column alone adds to the expected cost of 1,000 decisions.

    None where the bundle was exported before bins had a cost, or either side has no rows. The cost of values that the
    reference never had is not known: they count with the mean of all.
    """
    if not column.costs or not column.rows or not sum(counts):
        return None
    shift = np.asarray(counts) / sum(counts) - np.asarray(column.counts) / column.rows
    return float(PER * shift @ np.asarray(column.costs))


def _mean_costs(values: pa.ChunkedArray, bins: Bins, costs: Floats) -> tuple[float, ...]:
    """Mean cost in each bin, in the order of `Counts`; that of all rows in bins without any."""
    bin_of, size = _positions(values, bins), bins.size
    rows, sums = np.bincount(bin_of, minlength=size), np.bincount(bin_of, costs, minlength=size)
    return tuple(np.where(rows > 0, sums / np.maximum(rows, 1), costs.mean()).tolist())


def _positions(values: pa.ChunkedArray, bins: Bins) -> npt.NDArray[np.int64]:
    """The bin of every value (n,), as `bins.count_bins` counts them."""
    others = bins.size - 2
    if bins.kind == "category":
        text = pc.cast(values, pa.string())
        known = pc.index_in(text, pa.array(bins.categories, pa.string()))
        places = pc.if_else(pc.is_null(text), bins.size - 1, pc.fill_null(known, others))
        return np.asarray(places.to_numpy(), dtype=np.int64)
    numbers = pc.fill_null(pc.cast(values, pa.float64(), safe=False), np.nan).to_numpy()
    found = np.searchsorted(bins.edges, numbers, side="left")
    return np.where(np.isfinite(numbers), found, bins.size - 1)
