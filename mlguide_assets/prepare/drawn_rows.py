"""Some rows of many: all rows of drawn units, or single rows where there are too few units to draw from.

A draw depends on ids and instants alone, so every engine draws the same. Which rows are worth a sample is not decided
here.
"""

from collections.abc import Sequence

import ibis

from mlguide_assets.prepare.features.events import microseconds
from mlguide_assets.statistics.draws import draw_share_column

FEWEST_UNITS = 10
"""Fewer drawn units stand for nothing but themselves."""
FARTHEST = 2
"""Whole units are drawn only if they have between 1 / FARTHEST and FARTHEST times the wanted number of rows."""


def some_rows(
    rows: ibis.Table, *, unit: str, keys: Sequence[str], share: float, salt: str, single: float | None = None
) -> ibis.Table:
    """About this share of the rows: whole units, so that rows that depend on each other stay together.

    Where these are too few, or their rows far too few or too many, as where three currencies are the units, rows are
    drawn one by one.

    Args:
        unit: the column with the ids of units.
        keys: columns that make a row unique; rows that share them are drawn together.
        share: above 0; all rows from 1 on.
        salt: another one draws other rows.
        single: the share of single rows; default: the same.
    """
    if share >= 1:
        return rows
    per_unit = rows.group_by(unit).aggregate(_rows=rows.count())
    drawn = draw_share_column(salt, per_unit[unit]) < share
    found = per_unit.aggregate(
        units=drawn.sum(), drawn=per_unit["_rows"].sum(where=drawn), rows=per_unit["_rows"].sum()
    )
    counts = {name: int(count or 0) for name, count in found.to_pyarrow().to_pylist()[0].items()}
    wanted = share * counts["rows"]
    if counts["units"] >= FEWEST_UNITS and wanted / FARTHEST <= counts["drawn"] <= wanted * FARTHEST:
        return rows.semi_join(per_unit.filter(drawn), unit)
    return single_rows(rows, keys=keys, share=single or share, salt=f"{salt}/rows")


def single_rows(rows: ibis.Table, *, keys: Sequence[str], share: float, salt: str) -> ibis.Table:
    """About this share of the rows, drawn one by one by their keys; all rows from a share of 1 on."""
    return rows.filter(draw_share_column(salt, _as_text(rows, keys)) < share) if share < 1 else rows


def _as_text(rows: ibis.Table, keys: Sequence[str]) -> ibis.Value:
    """The keys of each row in one text. Times as numbers, since engines write them differently."""
    texts = []
    for name in keys:
        column = microseconds(rows[name]) if rows[name].type().is_timestamp() else rows[name]
        texts.append(ibis.coalesce(column.cast("string"), ""))
    return ibis.literal("/").join(texts).name("keys")
