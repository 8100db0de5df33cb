"""Columns of a database as Arrow holds them: the database itself writes as text what Arrow has no type for."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Any

import ibis
import ibis.expr.datatypes as dt

_ZEROS = r"\.0+$"


def as_arrow_holds(table: ibis.Table, wanted: Collection[str]) -> ibis.Table:
    """All columns of a table under their names: those that are wanted as Arrow holds them, the others without a value.

    UUIDs, addresses, JSON, lists, enums, intervals, times of day and whatever Ibis has no type for become text.
    PostgreSQL's infinite times become null, as an open end is: so do others that are not within the years 1 to 9999.
    Its decimals become text, too, without a fraction of zeros: those of any precision have more digits than Arrow's,
    and `NaN` is none of Arrow's. `money` is one of them, in the currency's units. So do all numbers of MySQL but
    floating ones.
    """
    engine = table.get_backend().name
    return table.select(
        *((held(table[name], engine) if name in wanted else ibis.null("string")).name(name) for name in table.columns)
    )


def held(column: Any, engine: str) -> Any:
    """A column as Arrow holds it.

    Args:
        engine: Ibis' name of it.
    """
    given = column.type()
    if engine == "mysql" and (given.is_integer() or given.is_decimal()):
        return _digits(column)
    if engine == "postgres" and given.is_decimal():
        return _exact_text(column, given)
    if engine == "postgres" and (given.is_timestamp() or given.is_date()):
        return _finite(column, given)
    is_held = given.is_boolean() or given.is_numeric() or given.is_string() or given.is_timestamp() or given.is_date()
    return column if is_held or given.is_binary() else column.cast("string")


def _digits(column: Any) -> Any:
    """Whole and decimal numbers of MySQL as text: its driver gives bits as bytes, Ibis a year as its last 8 bits, and
    all that have a null beside them as floating-point numbers. Bits are a number once something is added to them.
    """
    return (column + 0).cast("string")


def _exact_text(column: Any, given: Any) -> Any:
    # Ibis takes money for a decimal, but as text it has the signs of a currency.
    if given.precision is not None:
        column = column.cast(dt.Decimal(given.precision + 1, given.scale))
    return column.cast("string").re_replace(_ZEROS, "")


def _finite(column: Any, given: Any) -> Any:
    if given.is_date():
        first, last = ibis.literal(date.min), ibis.literal(date.max)
    else:
        zone = UTC if given.timezone else None
        first, last = (ibis.literal(each.replace(tzinfo=zone)) for each in (datetime.min, datetime.max))
    return ibis.ifelse(column.between(first, last), column, ibis.null(given.copy(nullable=True)))
