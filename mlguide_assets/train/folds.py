"""Splits the training rows further in time, to choose between recipes before the final test window is opened.

A fold learns from what had matured when its validation window began, and is evaluated on that window: the split of
`split.py` some times in a row, each later than the one before. The caller passes rows before the test window only.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from mlguide_assets.define.decision import Decision
from mlguide_assets.english import duration
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.decisions.enough import too_few
from mlguide_assets.statistics.draws import draw_shares
from mlguide_assets.train.split import Times

Rows = npt.NDArray[np.int64]
Units = npt.NDArray[Any]

EARLIEST_SHARE = 0.4
"""Share of the rows before the first validation window: the first fold learns from these, less the gap."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Row numbers of the two sides, in the order of the rows; the validated instants are both inclusive."""

    train: Rows
    validate: Rows
    validate_start: np.datetime64
    validate_end: np.datetime64


def expanding_folds(
    times: Times, *, folds: int, gap: timedelta, units: Units | None = None, holdout_units: float = 0.0, seed: int = 0
) -> list[Fold]:
    """Consecutive validation windows of about equal count up to the last row, each with all that had matured before.

    As they are, the folds measure how a model will do on tomorrow's decisions, most of which are about units that it
    knows. With `units` they measure how it will do on units it has never seen: in each fold another share of the units,
    drawn by hash, is kept from training, and the validation window holds only theirs. Its rows are then fewer by that
    share.

    Args:
        times: of the decisions (n,), in any order; rows of one instant stay on one side.
        gap: the label window, kept free between the two sides of a fold.
        units: the unit of each row (n,), for folds that split units.
        holdout_units: share of the units kept from training, between 0 and 1; given with `units` only.

    Raises:
        InputError: the history is too short to leave rows on both sides of every fold.
        ValueError: `folds` is below 1, or units are given without a share, or a share without units.
    """
    if folds < 1 or (units is None) != (holdout_units == 0) or not 0 <= holdout_units < 1:
        raise ValueError(f"need folds >= 1, and units with 0 < holdout_units < 1, not {folds=}, {holdout_units=}")
    shares = EARLIEST_SHARE + (1 - EARLIEST_SHARE) * np.arange(folds) / folds
    found: list[Fold] = []
    if len(times):
        starts = np.sort(times)[(len(times) * shares).astype(np.int64)]
        found = folds_from(times, starts, gap)
    if units is not None:
        found = [_kept_apart(fold, units, holdout_units, f"{seed}/{at}") for at, fold in enumerate(found)]
    if not found or any(not len(fold.train) or not len(fold.validate) for fold in found):
        apart = "" if units is None else ", each with units of its own"
        raise InputError(
            f"The history has {len(times):,} matured decisions before the test window, too few or over too short a "
            f"time for {folds} folds with a gap of {duration(gap)}{apart}: add history, or "
            f"lower evaluation.test_share or label.window."
        )
    return found


def folds_from(times: Times, starts: Times, gap: timedelta) -> list[Fold]:
    """One fold per ascending start of a validation window, which lasts until the next one; a side may be empty."""
    folds = []
    for at, start in enumerate(starts):
        inside = times >= start
        if at + 1 < len(starts):
            inside &= times < starts[at + 1]
        # Without a gap the start itself would be on both sides.
        before = (times <= start - np.timedelta64(gap)) & (times < start)
        end = times[inside].max() if inside.any() else start
        folds.append(Fold(np.flatnonzero(before), np.flatnonzero(inside), start, end))
    return folds


def refuse_one_outcome(labels: npt.NDArray[np.int8], folds: list[Fold], decision: Decision) -> None:
    """Raise InputError where a side of a fold has too few of either outcome to learn from, or to validate on."""
    for number, fold in enumerate(folds, start=1):
        for side, rows in (("training", fold.train), ("validation", fold.validate)):
            refuse_too_few(f"The {side} window of fold {number} of {len(folds)}", labels[rows], decision)


def refuse_too_few(window: str, labels: npt.NDArray[np.int8], decision: Decision) -> None:
    """Raise InputError where a window, such as `The test window`, has too few of either outcome, 1 or 0 (n,)."""
    if refusal := too_few(window, len(labels), int(labels.sum()), decision):
        raise InputError(refusal)


def unit_folds(units: Units, folds: int, seed: int) -> Rows:
    """The fold of each row (n,), from 0 to `folds` - 1, drawn by the hash of its unit."""
    distinct, codes = np.unique(units, return_inverse=True)
    return np.asarray((draw_shares(f"{seed}/folds", distinct.tolist()) * folds).astype(np.int64)[codes])


def rows_of_whole_units(units: Units, most: int, seed: int) -> Rows:
    """Row numbers of whole units, drawn by hash, with at most `most` rows in all; of one unit if each has more."""
    if len(units) <= most:
        return np.arange(len(units))
    distinct, codes, counts = np.unique(units, return_inverse=True, return_counts=True)
    order = np.argsort(draw_shares(f"{seed}/sample", distinct.tolist()), kind="stable")
    enough = max(1, int(np.searchsorted(np.cumsum(counts[order]), most, side="right")))
    return np.flatnonzero(np.isin(codes, order[:enough]))


def _kept_apart(fold: Fold, units: Units, share: float, salt: str) -> Fold:
    distinct, codes = np.unique(units, return_inverse=True)
    held_out = (draw_shares(salt, distinct.tolist()) < share)[codes]
    validate = fold.validate[held_out[fold.validate]]
    return Fold(fold.train[~held_out[fold.train]], validate, fold.validate_start, fold.validate_end)
