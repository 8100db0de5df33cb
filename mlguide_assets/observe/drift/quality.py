"""Data quality of a window: nulls, unseen categories, and the number of rows.

These come before drift: where a source broke, its distributions mean nothing. What a
distribution test cannot distinguish from noise, such as one new category in a hundred rows, is found here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from mlguide_assets.english import counted
from mlguide_assets.statistics.two_sample import MIN_EXPECTED, share_p_value
from mlguide_assets.train.reference.bins import Counts
from mlguide_assets.train.reference.profile import ColumnProfile

Level = Literal["none", "warn", "act", "too_few"]
Check = Literal["schema", "nulls", "categories", "distribution", "volume", "classifier"]

WARN_SHARE, ACT_SHARE = 0.05, 0.20
"""By how much the share of nulls, or of values outside the commonest categories, may change."""

WARN_UNSEEN = 0.01
"""What share of values may be of categories that the reference does not have at all."""

WARN_VOLUME, ACT_VOLUME = 2.0, 5.0
"""How many times more or fewer rows than usual there may be."""

SPREADS = 4.0
"""How far beyond the usual spread a number of rows is unusual."""

MIN_HISTORY = 5
"""Earlier windows that are needed to know what is usual."""


@dataclass(frozen=True)
class Finding:
    """What a check says: how bad it is, and why in plain words, without a full stop."""

    level: Level
    check: Check
    reason: str


def null_share(counts: Counts) -> float:
    """Share of the rows in the null bin; NaN without rows."""
    return counts[-1] / sum(counts) if any(counts) else float("nan")


def unseen_share(column: ColumnProfile, counts: Counts) -> float:
    """Share of the rows in none of the reference's commonest categories; NaN for numbers, and without rows."""
    if column.kind == "number" or not any(counts):
        return float("nan")
    return counts[column.bins.known] / sum(counts)


def check_nulls(column: ColumnProfile, counts: Counts, *, alpha: float) -> Finding | None:
    """Is the share of nulls another than in the reference, by `WARN_SHARE` at least and beyond chance at `alpha`?"""
    level = _share_level(column, counts, -1, WARN_SHARE, alpha)
    if level is None:
        return None
    reason = f"{null_share(counts):.1%} are null, against {null_share(column.counts):.1%} in the reference"
    return Finding(level, "nulls", reason)


def check_categories(column: ColumnProfile, counts: Counts, *, alpha: float) -> Finding | None:
    """Are there values outside the reference's categories, or another share of them where it had more than it kept?

    The commonest of many alike were so by chance, and will be less common again: then `WARN_SHARE` is the limit.
    """
    if column.kind != "category":
        return None
    others = column.counts[column.bins.known]
    level = _share_level(column, counts, column.bins.known, WARN_SHARE if others else WARN_UNSEEN, alpha)
    if level is None:
        return None
    share = f"{unseen_share(column, counts):.1%}"
    if others:
        known = f"{len(column.bins.categories)} commonest categories of the reference"
        reason = f"{share} are outside the {known}, against {unseen_share(column, column.counts):.1%} there"
    else:
        reason = f"{share} are of categories that the reference does not have"
    return Finding(level, "categories", reason)


def check_volume(rows: int, earlier: Sequence[int]) -> Finding:
    """Is the number of rows of a window usual, given those of earlier windows of the same length?

    Unusual is what is more than `WARN_VOLUME` times above or below the median and `SPREADS` spreads away from it.
    The spread is the median absolute deviation, scaled to a standard deviation, or that of chance alone (the root
    of the median) where it is more. Where weekdays differ, `earlier` should be of the same weekday.

    >>> check_volume(900, [300, 310, 290, 305, 295])
    Finding(level='warn', check='volume', reason='900 rows, where 300 are usual')
    """
    if len(earlier) < MIN_HISTORY:
        reason = (
            f"{counted(rows, 'row')}, and only {counted(len(earlier), 'earlier window')} to compare with: "
            f"{MIN_HISTORY} are needed"
        )
        return Finding("too_few", "volume", reason)
    usual = median(earlier)
    spread = max(1.4826 * median(abs(count - usual) for count in earlier), usual**0.5, 1.0)
    level: Level = "none"
    if abs(rows - usual) > SPREADS * spread:
        level = "act" if _times(rows, usual) > ACT_VOLUME else "warn" if _times(rows, usual) > WARN_VOLUME else "none"
    return Finding(level, "volume", f"{counted(rows, 'row')}, where {usual:,.0f} are usual")


def _times(rows: int, usual: float) -> float:
    least, most = sorted([rows, usual])
    return most / least if least else float("inf")


def _share_level(column: ColumnProfile, counts: Counts, at: int, limit: float, alpha: float) -> Level | None:
    """How bad it is that the share of the bin `at` is another than in the reference: from `limit` on a warning.

    A warning needs `MIN_EXPECTED` effective rows and a change beyond what clustered rows do by chance. Action does
    not: the inflation is that of the distribution, and a column that usually varies, such as a weekday, is not
    usually null.
    """
    before, now = (column.counts[at], column.rows), (counts[at], sum(counts))
    shares = before[0] / before[1], now[0] / now[1]
    change = abs(shares[1] - shares[0])
    if change >= ACT_SHARE and share_p_value(before, now) <= alpha:
        return "act"
    enough = max(shares) * now[1] >= MIN_EXPECTED * column.inflation
    if change >= limit and enough and share_p_value(before, now, inflation=column.inflation) <= alpha:
        return "warn"
    return None
